//! What members say together, as a graph of what each of them says: the one definition, for predictors and for objects.

use crate::Error;
use bayeslift_ir::{Builder, DType, Expr, Graph, Type};

/// A result: its name, and how many numbers a row has.
pub type Told<'a> = (&'a str, usize);

/// What of a member's results is read.
pub const READ: [&str; 6] =
    ["probabilities", "predictive_entropy", "expected_entropy", "mean", "epistemic", "aleatoric"];

/// The parts of mutual information and of epistemic spread: within members, between them.
pub const SPLITS: [&str; 4] = ["information_within", "information_between", "epistemic_within", "epistemic_between"];

/// The graph that combines what the members tell of `rows` rows into one answer; `float` is the type of their floats.
/// Inputs are those of [`READ`] that are `told`, in its order, each `[members, rows * width]`; probabilities have one
/// more axis, of classes. Outputs have the names of what a member tells, in the same order, and then the [`SPLITS`].
///
/// Members are parts of equal weight of a mixture. Of classes, with `H` the entropy and `p_m` the probabilities of
/// member `m`: its predictive entropy is `H(mean_m p_m)`; less the mean of members' expected entropies it is the mutual
/// information, of which `mean_m H(p_m)` less that is within members, and the rest between them (Depeweg and others
/// 2018, for two levels). Of numbers, by the law of total variance: the mean of epistemic variances is within members,
/// the variance of means, divided by their number, between them.
pub fn graph(float: DType, told: &[Told<'_>], members: usize, rows: usize) -> Result<Graph, Error> {
    let b = &Builder::of(float);
    let width = |name: &str| told.iter().find(|(known, _)| *known == name).map(|(_, width)| *width);
    let input = |name: &str| {
        let ty = match (name, width(name)?, width("predictive_entropy")) {
            ("probabilities", width, Some(labels)) => Type::new(float, [members, rows * labels, width / labels.max(1)]),
            (_, width, _) => Type::new(float, [members, rows * width]),
        };
        Some(b.input(name, ty).to_f64())
    };
    let [probabilities, of_members, expected, means, epistemic, aleatoric] = READ.map(input);
    let mut made = Vec::new();
    if let (Some(probabilities), Some(of_members), Some(expected)) = (probabilities, of_members, expected) {
        let [probabilities, of_members, expected] = [probabilities, of_members, expected].map(mean);
        // 0 log 0 is 0
        let terms = -probabilities * probabilities.max(f64::MIN_POSITIVE).log();
        let entropy = terms.sum(1);
        made.extend([
            ("probabilities", probabilities),
            ("predictive_entropy", not_negative(entropy)),
            ("expected_entropy", expected),
            ("mutual_information", not_negative(entropy - expected)),
            ("information_within", not_negative(of_members - expected)),
            ("information_between", not_negative(entropy - of_members)),
        ]);
    }
    if let (Some(means), Some(epistemic)) = (means, epistemic) {
        let centre = mean(means);
        let [within, between] = [mean(epistemic.square()), mean((means - centre).square())];
        let of_both = within + between;
        made.extend([
            ("mean", centre),
            ("epistemic", of_both.sqrt()),
            ("epistemic_within", within.sqrt()),
            ("epistemic_between", between.sqrt()),
        ]);
        if let Some(aleatoric) = aleatoric.map(|x| mean(x.square())) {
            made.extend([("aleatoric", aleatoric.sqrt()), ("total", (aleatoric + of_both).sqrt())]);
        }
    }
    for name in told.iter().map(|(name, _)| *name).chain(SPLITS) {
        if let Some((_, value)) = made.iter().find(|(known, _)| *known == name) {
            b.output(name, value.to_float());
        }
    }
    Ok(b.finish()?)
}

/// The mean over members.
fn mean(x: Expr<'_>) -> Expr<'_> {
    x.sum(0) / x.shape()[0] as f64
}

/// What is not negative but for rounding; what is not a number stays so.
fn not_negative(x: Expr<'_>) -> Expr<'_> {
    (x + x.abs()) * 0.5
}
