//! Normal matrices whose rows and columns have covariances.

use super::{
    Distribution, Known,
    multivariate_normal::from_independent,
    normal::LOG_SQRT_TWO_PI,
    rounded,
    triangular::{log_determinant, solve},
};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// The matrix normal distribution of a kernel `[rows, columns]`: loc + A Z B' for independent standard normal Z, with
/// lower-triangular A `[rows, rows]` and B `[columns, columns]`. Rows and columns have a covariance each, A A' and B
/// B': rows^2 + columns^2 numbers where that of all elements has (rows columns)^2 (Louizos and Welling 2016).
///
/// log p(W) = -|A^-1 (W - loc) B'^-1|^2 / 2 - columns log det A - rows log det B - rows columns log sqrt(2 pi).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::{MatrixNormal, lower_triangular}};
///
/// let b = Builder::new();
/// let full = |x: f64, shape: &[usize]| b.constant(x).broadcast(&shape.into());
/// let loc = full(0.0, &[3, 2]);
/// // softplus(0.541310) + 1e-5 = 1 on the diagonals
/// let [rows, columns] = [3, 2].map(|n| lower_triangular(full(0.541310, &[n, n])));
/// let law = MatrixNormal::new(loc, rows, columns)?;
/// assert_eq!(law.event_ndims(), 2);
/// b.output("log_prob", law.log_prob(loc));
/// let found = evaluate(&b.finish()?, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -5.513631)); // -6 log sqrt(2 pi)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MatrixNormal<'b> {
    /// The mean, `[rows, columns]`.
    pub loc: Expr<'b>,
    /// A.
    pub row_scale: Expr<'b>,
    /// B.
    pub column_scale: Expr<'b>,
}

impl<'b> MatrixNormal<'b> {
    /// With these lower-triangular scales of positive diagonals; see [`lower_triangular`](super::lower_triangular).
    ///
    /// # Errors
    /// A location that is no matrix; scales of other shapes.
    pub fn new(loc: Expr<'b>, row_scale: Expr<'b>, column_scale: Expr<'b>) -> Result<Self, Error> {
        loc.builder().check()?;
        let shape = loc.shape();
        let &[rows, columns] = &shape[..] else {
            return Err(Error::shape("the location of a matrix normal distribution", "[rows,columns]", &shape));
        };
        for (what, scale, n) in [("row", row_scale, rows), ("column", column_scale, columns)] {
            if scale.shape() != Shape::new(&[n, n]) {
                let what = format!("the {what} scale of a matrix normal distribution");
                return Err(Error::shape(&what, format!("[{n},{n}]"), &scale.shape()));
            }
        }
        Ok(MatrixNormal { loc, row_scale, column_scale })
    }

    fn extents(&self) -> [usize; 2] {
        let shape = self.loc.shape();
        [shape[0], shape[1]]
    }

    /// columns log det A + rows log det B.
    fn log_determinant(&self) -> Expr<'b> {
        let [rows, columns] = self.extents().map(|extent| extent as f64);
        log_determinant(self.row_scale) * columns + log_determinant(self.column_scale) * rows
    }

    /// A^-1 (W - loc) B'^-1.
    fn standardized(&self, value: Expr<'b>) -> Expr<'b> {
        let rows = solve(self.row_scale, value - self.loc);
        solve(self.column_scale, rows.matrix_transpose()).matrix_transpose()
    }

    fn at(&self, noise: Expr<'b>) -> Expr<'b> {
        let [rows, columns] = self.extents();
        let axis = noise.shape().len() - 2;
        let squared = noise.square().sum(axis + 1).sum(axis);
        squared * -0.5 - (self.log_determinant() + rounded(self.loc, LOG_SQRT_TWO_PI) * (rows * columns) as f64)
    }

    /// The variance of each element: that of its row by that of its column.
    fn variance(&self) -> Expr<'b> {
        let of = |scale: Expr<'b>| scale.square().sum(1);
        of(self.row_scale).expand(1) * of(self.column_scale).expand(0)
    }
}

impl<'b> Distribution<'b> for MatrixNormal<'b> {
    fn family(&self) -> &'static str {
        "MatrixNormal"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("loc", self.loc), ("row_scale", self.row_scale), ("column_scale", self.column_scale)]
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.at(self.standardized(value))
    }

    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        draw.noise.map_or_else(|| self.log_prob(draw.value), |noise| self.at(noise))
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = site.weight_noise(NoiseDistribution::Normal, shape)?;
        let spread = self.row_scale.dot(noise.dot(self.column_scale.matrix_transpose()));
        Ok(Draw { value: self.loc + spread, noise: Some(noise) })
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.variance().sqrt())
    }

    fn event_ndims(&self) -> usize {
        2
    }

    fn known(&self) -> Known<'b> {
        Known::MatrixNormal(*self)
    }

    /// From independent normal priors, and from another such law: (|C^-1 A|^2 |D^-1 B|^2 + |C^-1 (loc - prior loc)
    /// D'^-1|^2 - rows columns) / 2 + the difference of the logarithms of determinants, for the prior's scales C and D.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        match prior.known() {
            Known::Normal(prior) => Some(from_independent([self.loc, self.variance(), self.log_determinant()], &prior)),
            Known::MatrixNormal(prior) if prior.extents() == self.extents() => {
                let ratio = |a: Expr<'b>, b: Expr<'b>| solve(b, a).square().sum_all();
                let rows = ratio(self.row_scale, prior.row_scale);
                let columns = ratio(self.column_scale, prior.column_scale);
                let distance = prior.standardized(self.loc).square().sum_all();
                let [n, m] = self.extents();
                let trace = rows * columns + distance - (n * m) as f64;
                Some(trace * 0.5 + prior.log_determinant() - self.log_determinant())
            }
            _ => None,
        }
    }
}
