//! Images as one PNG, and a reliability diagram as SVG.

use bayeslift::prelude::metrics::Calibration;
use plotters::prelude::*;
use std::{error::Error, fs::File, io::BufWriter, path::Path};

/// Pixels of the picture for each pixel of an image, and around it.
const SCALE: usize = 3;
const MARGIN: usize = 6;

/// An image on the sheet: its pixels, row by row, from 0 to 1, and whether the network was right.
pub struct Tile<'a> {
    pub pixels: &'a [f32],
    pub is_right: bool,
}

/// Draws rows of square images of `side` pixels, framed in green where the network was right and in red where it was
/// not.
pub fn sheet(path: &Path, side: usize, rows: &[Vec<Tile<'_>>]) -> Result<(), Box<dyn Error>> {
    let cell = side * SCALE + 2 * MARGIN;
    let (width, height) = (cell * rows.iter().map(Vec::len).max().unwrap_or(0), cell * rows.len());
    let mut picture = vec![255u8; width * height * 3];
    for (row, tiles) in rows.iter().enumerate() {
        for (column, tile) in tiles.iter().enumerate() {
            let frame = if tile.is_right { [46, 125, 50] } else { [198, 40, 40] };
            for y in MARGIN / 3..cell - MARGIN / 3 {
                for x in MARGIN / 3..cell - MARGIN / 3 {
                    let inside = |at: usize| at.checked_sub(MARGIN).map(|at| at / SCALE).filter(|&at| at < side);
                    let colour = match (inside(x), inside(y)) {
                        (Some(x), Some(y)) => [(tile.pixels[y * side + x].clamp(0.0, 1.0) * 255.0).round() as u8; 3],
                        _ => frame,
                    };
                    let at = ((row * cell + y) * width + column * cell + x) * 3;
                    picture[at..at + 3].copy_from_slice(&colour);
                }
            }
        }
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&picture)?;
    Ok(())
}

/// Draws how often the network is right against how sure it is, and how many examples that is about.
pub fn reliability(path: &Path, calibration: &Calibration) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (480, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let caption = format!("Expected calibration error {:.4}", calibration.expected_error);
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("confidence")
        .y_desc("accuracy, and share of examples in grey")
        .draw()?;
    let rows: usize = calibration.bins.iter().map(|bin| bin.count).sum();
    let share = |count: usize| count as f64 / rows.max(1) as f64;
    chart.draw_series(calibration.bins.iter().map(|bin| {
        Rectangle::new([(bin.lower, 0.0), (bin.upper, share(bin.count))], RGBColor(205, 205, 205).filled())
    }))?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], BLACK.mix(0.4)))?;
    let filled = calibration.bins.iter().filter(|bin| bin.count > 0).map(|bin| (bin.confidence, bin.accuracy));
    let points: Vec<(f64, f64)> = filled.collect();
    chart.draw_series(LineSeries::new(points.iter().copied(), RGBColor(21, 101, 192).stroke_width(2)))?;
    chart.draw_series(points.into_iter().map(|point| Circle::new(point, 4, RGBColor(21, 101, 192).filled())))?;
    area.present()?;
    Ok(())
}
