//! A prior of one's own: the triangular law on (-2, 2). `bayeslift compile` takes its model file, without any of this.
//!
//!     cargo run --release --example custom_prior
use bayeslift::{ir, layers::Site, prelude::*};

/// log p(w) = log(width - |w|) - 2 log width, and beyond the width that of 1e-6 before it.
#[derive(Debug)]
struct Triangular<'b>(Expr<'b>);
impl<'b> Distribution<'b> for Triangular<'b> {
    fn family(&self) -> &'static str {
        "Triangular"
    }
    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("width", self.0)]
    }
    fn log_prob(&self, w: Expr<'b>) -> Expr<'b> {
        (self.0 - w.abs()).max(1e-6).log() - self.0.log() * 2.0
    }
    fn sample(&self, site: &Site<'b>, shape: &ir::Shape) -> Result<Draw<'b>, LayerError> {
        let [u, v] = ["u", "v"].map(|name| site.child(name).weight_noise(ir::NoiseDistribution::Uniform, shape));
        Ok(site.value((u? - v?) * self.0))
    }
}

fn main() -> Result<(), Error> {
    let x: Vec<f32> = (0..500).map(|i| i as f32 / 250.0 - 1.0).collect();
    let y = x.iter().enumerate().map(|(i, x)| (3.0 * x).sin() + 0.2 * (i as f32 * 12.9898).sin()).collect();
    let data = Dataset::regression([1], x, 1, y)?;
    let prior =
        Prior::new(|scope, shape| shape.each(scope, |s, _, _| Ok(Triangular(s.builder().constant(2.0)).into())));
    let layer = |i, o| AffineVariationalReparameterizationLocal::new(i, o).prior_maker(prior.clone());
    let layers = Sequential::new().layer(layer(1, 32).activation(Activation::Tanh)).layer(layer(32, 1));
    let mut network = Network::new(layers, [1], likelihood::Normal::learned(0.5), 42)?;
    println!("{}", Fit::new().epochs(60).learning_rate(1e-2).run(&mut network, &data)?);
    let path = std::env::temp_dir().join("custom_prior.safetensors");
    network.save(&path)?;
    println!("{:?} by {}", Predictor::open(&path)?.regress(&[0.0, 0.5])?.mean(), path.display());
    Ok(())
}
