//! Sums and integrals over the support of a law, in f64.

use bayeslift_layers::likelihood::Support;

/// The support stretched to the real line around a centre, so that a number is where(`t`) with a slope.
#[derive(Clone, Copy)]
pub struct Stretch {
    support: Support,
    centre: f64,
    width: f64,
}

impl Stretch {
    pub fn new(support: Support, centre: f64, width: f64) -> Stretch {
        Stretch { support, centre, width }
    }

    /// The number at `t`, and how much of the support a unit of `t` is there.
    fn at(&self, t: f64) -> (f64, f64) {
        match self.support {
            Support::Positive | Support::NonNegative => {
                let y = self.centre * libm::exp(t);
                (y, y)
            }
            Support::UnitInterval => {
                let y = 1.0 / (1.0 + libm::exp(-t) * (1.0 - self.centre) / self.centre);
                (y, y * (1.0 - y))
            }
            _ => (self.centre + t, 1.0),
        }
    }

    /// Where a number is.
    fn of(&self, y: f64) -> f64 {
        match self.support {
            Support::Positive | Support::NonNegative => libm::log(y / self.centre),
            Support::UnitInterval => libm::log(y / (1.0 - y) * (1.0 - self.centre) / self.centre),
            _ => y - self.centre,
        }
    }

    /// Numbers and weights whose sum is an integral over the support: the trapezoidal rule after the cube of a sinh,
    /// for which a kink at the centre is none.
    pub fn nodes(&self) -> Vec<(f64, f64)> {
        let (count, step) = (2400, 0.005);
        let node = |i: i32| {
            let u = f64::from(i) * step;
            let (sinh, cosh) = (libm::sinh(u), libm::cosh(u));
            let (y, slope) = self.at(self.width * sinh * sinh * sinh);
            (y, slope * self.width * 3.0 * sinh * sinh * cosh * step)
        };
        (-count..=count).map(node).filter(|(y, weight)| y.is_finite() && weight.is_finite()).collect()
    }

    /// The integral over the numbers up to `y`: by a double exponential rule for the half line on that side of `y`
    /// where the centre is not.
    pub fn up_to(&self, y: f64, density: impl Fn(f64) -> f64) -> f64 {
        let end = self.of(y);
        let is_lower = end <= 0.0;
        let direction = if is_lower { -1.0 } else { 1.0 };
        let step = 0.01;
        let tail: f64 = (-450..1400)
            .map(|i| {
                let v = f64::from(i) * step;
                let s = libm::exp(v - libm::exp(-v)) * self.width;
                let (y, slope) = self.at(end + direction * s);
                let term = density(y) * slope * s * (1.0 + libm::exp(-v)) * step;
                // beyond the numbers that there are
                if term.is_finite() { term } else { 0.0 }
            })
            .sum();
        if is_lower { tail } else { 1.0 - tail }
    }
}
