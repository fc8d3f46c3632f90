//! Divergences of one's own: Renyi's of order 1/2 between weights, by draws, and one between functions.
//!
//!     cargo run --release --example custom_divergence
use bayeslift::prelude::*;

/// -2 log E_q[(p / q)^1/2] of each weight, by eight draws: less than KL, and it spreads posteriors (Li and Turner
/// 2016).
fn renyi() -> Divergence {
    Divergence::custom("Renyi(1/2)", |term| {
        let draw = term.posterior.sample(&term.site.child("renyi").with_samples(Some(8)), &term.shape)?;
        let log_ratio = term.prior.log_prob(draw.value) - term.posterior.log_prob_of_draw(&draw);
        Ok(Some((log_ratio * 0.5).exp().mean(0).log().sum_all() * -2.0))
    })
}

/// KL between the normal laws of a kernel's outputs where inputs are all 1: a divergence of functions, not of weights.
fn of_functions() -> Divergence {
    Divergence::custom("of functions", |term| {
        let (Some(q), Some(p)) = (term.posterior.as_normal(), term.prior.as_normal()) else { return Ok(None) };
        let moments = [q.loc - p.loc, q.scale.square(), p.scale.square()];
        let [mean, variance, of_prior] = moments.map(|x| x.broadcast(&term.shape).sum(0));
        let ratio = variance / of_prior;
        Ok(Some(((mean.square() / of_prior + ratio - 1.0 - ratio.log()) * 0.5).sum_all()))
    })
}

fn main() -> Result<(), Error> {
    let x: Vec<f32> = (0..500).map(|i| i as f32 / 250.0 - 1.0).collect();
    let y = x.iter().enumerate().map(|(i, x)| (3.0 * x).sin() + 0.2 * (i as f32 * 12.9898).sin()).collect();
    let data = Dataset::regression([1], x, 1, y)?;
    for divergence in [renyi(), of_functions()] {
        let layer = |i, o| AffineVariationalReparameterizationLocal::new(i, o).prior_maker(Prior::normal(0.0, 1.0));
        let layers = Sequential::new().layer(layer(1, 32).activation(Activation::Tanh)).layer(layer(32, 1));
        let mut network = Network::new(layers, [1], likelihood::Normal::learned(0.5), 42)?;
        println!("{}", Fit::new().epochs(60).learning_rate(1e-2).divergence(divergence).run(&mut network, &data)?);
        println!("{:?}", Predictor::from_bytes(&network.to_bytes()?)?.regress(&[0.0, 0.5])?.epistemic());
    }
    Ok(())
}
