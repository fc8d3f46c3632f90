//! Integrals in f64, by a rule that shares nothing with the library's.
#![allow(dead_code, reason = "each test file uses a part")]

/// The integral of a function from a to b: Simpson's rule, halved until it changes by less than the tolerance, relative
/// to the first estimate where that is above 1.
pub fn integral(f: &dyn Fn(f64) -> f64, a: f64, b: f64, tolerance: f64) -> f64 {
    fn simpson(
        f: &dyn Fn(f64) -> f64,
        ends: [f64; 3],
        values: [f64; 3],
        whole: f64,
        tolerance: f64,
        depth: u32,
    ) -> f64 {
        let ([a, m, b], [fa, fm, fb]) = (ends, values);
        let (l, r) = (0.5 * (a + m), 0.5 * (m + b));
        let (fl, fr) = (f(l), f(r));
        let left = (m - a) / 6.0 * (fa + 4.0 * fl + fm);
        let right = (b - m) / 6.0 * (fm + 4.0 * fr + fb);
        let difference = left + right - whole;
        if depth == 0 || difference.abs() <= 15.0 * tolerance {
            return left + right + difference / 15.0;
        }
        simpson(f, [a, l, m], [fa, fl, fm], left, tolerance / 2.0, depth - 1)
            + simpson(f, [m, r, b], [fm, fr, fb], right, tolerance / 2.0, depth - 1)
    }
    // in pieces, so that no peak is passed over
    const PIECES: i32 = 64;
    let at = |i: i32| a + (b - a) * f64::from(i) / f64::from(PIECES);
    let size = (0..PIECES).map(|i| f(at(i)).abs()).filter(|x| x.is_finite()).sum::<f64>() * (b - a) / f64::from(PIECES);
    let tolerance = tolerance * size.max(1.0);
    (0..PIECES)
        .map(|i| {
            let (a, b) = (at(i), at(i + 1));
            let m = 0.5 * (a + b);
            let values = [f(a), f(m), f(b)];
            let whole = (b - a) / 6.0 * (values[0] + 4.0 * values[1] + values[2]);
            simpson(f, [a, m, b], values, whole, tolerance / f64::from(PIECES), 24)
        })
        .sum()
}

/// The mean of a function under N(loc, scale^2), cut at these points where it has a corner.
pub fn normal_mean(f: &dyn Fn(f64) -> f64, loc: f64, scale: f64, corners: &[f64]) -> f64 {
    let density = |z: f64| (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let mut ends: Vec<f64> = corners.iter().map(|x| ((x - loc) / scale).clamp(-9.0, 9.0)).collect();
    ends.extend([-9.0, 9.0]);
    ends.sort_by(f64::total_cmp);
    let integrand = |z: f64| density(z) * f(loc + scale * z);
    ends.windows(2).filter(|ends| ends[0] < ends[1]).map(|ends| integral(&integrand, ends[0], ends[1], 1e-11)).sum()
}
