//! Divergences of kernel and bias, by a draw that is given and in closed form.

use super::*;

impl Case {
    /// The divergences of the kernel and of the bias, by `one`.
    fn divergence<'b>(
        &self,
        b: &'b Builder,
        one: impl Fn(&str, Normal<'b>) -> Fallible<Expr<'b>>,
    ) -> Fallible<Computed<'b>> {
        let kernel = one("kernel", self.normal(b, "kernel")?)?;
        let value = match self.bias(b)? {
            Some(bias) => kernel + one("bias", bias)?,
            None => kernel,
        };
        Ok(Computed { name: "kl", value })
    }

    pub(super) fn monte_carlo<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        self.divergence(b, |name, posterior| {
            let noise = self.input(b, &format!("eps_{name}"))?;
            let (prior, draw): (AnyDistribution<'b>, _) =
                (Mixture::spike_and_slab(b).into(), posterior.transform(noise));
            Ok(monte_carlo(&posterior.into(), &prior, &draw, &noise.shape()))
        })
    }

    pub(super) fn exact<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        let [loc, scale] = [self.number("prior_loc")?, self.number("prior_scale")?].map(|x| b.constant(x));
        self.divergence(b, |_, posterior| {
            let shape = posterior.loc.shape();
            let kl = exact(&posterior.into(), &Normal::new(loc, scale).into(), &shape);
            kl.ok_or_else(|| "no closed form of normal from normal".into())
        })
    }
}
