//! How well a score tells two kinds of rows apart, such as uncertainty those that are unlike the training data, and how
//! often intervals hold their targets.

use super::check_length;
use crate::Error;
use bayeslift_ir::Environment;

/// The area under the receiver operating characteristic (AUROC): the probability that a positive row, drawn at random,
/// has a larger score than a negative one, ties counting half (Hanley and McNeil 1982). 0.5 of a score that tells
/// nothing.
///
/// ```
/// use bayeslift_layers::metrics::area_under_roc;
/// assert_eq!(area_under_roc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true])?, 0.75);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// No rows, another number of kinds than of scores, rows of one kind alone, a score that is no number.
pub fn area_under_roc(scores: &[f32], is_positive: &[bool]) -> Result<f64, Error> {
    Environment::within(|| {
        let groups = groups(scores, is_positive)?;
        let (positives, negatives) = totals(&groups);
        // pairs in which the positive row is before the negative one, in halves
        let (mut before, mut halves) = (0, 0);
        for [positive, negative] in groups {
            halves += negative * (2 * before + positive);
            before += positive;
        }
        Ok(halves as f64 / 2.0 / (positives as f64 * negatives as f64))
    })
}

/// The area under the curve of precision over recall (AUPR), as the average precision: the mean over positive rows of
/// the part of positive ones among the rows whose score is as large at least. That of a score that tells nothing is the
/// part of positive rows in all.
///
/// ```
/// use bayeslift_layers::metrics::average_precision;
/// let precision = average_precision(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true])?;
/// assert!((precision - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// As for [`area_under_roc`].
pub fn average_precision(scores: &[f32], is_positive: &[bool]) -> Result<f64, Error> {
    Environment::within(|| {
        let groups = groups(scores, is_positive)?;
        let (positives, _) = totals(&groups);
        let (mut found, mut seen, mut sum) = (0, 0, 0.0);
        for [positive, negative] in groups {
            found += positive;
            seen += positive + negative;
            sum += positive as f64 * (found as f64 / seen as f64);
        }
        Ok(sum / positives as f64)
    })
}

/// The part of targets that lie in their intervals, borders included: of honest intervals of 90 %, about 0.9.
///
/// ```
/// use bayeslift_layers::metrics::coverage;
/// assert_eq!(coverage(&[0.0, 0.0], &[1.0, 1.0], &[0.5, 2.0])?, 0.5);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// # Errors
/// No targets, another number of borders, a border or target that is no number.
pub fn coverage(low: &[f32], high: &[f32], targets: &[f32]) -> Result<f64, Error> {
    for (argument, values) in [("lower borders", low), ("upper borders", high), ("targets", targets)] {
        check_length(argument, values.len(), "one for each target", targets.len())?;
        check_numbers(argument, values)?;
    }
    let inside = low.iter().zip(high).zip(targets).filter(|&((low, high), target)| low <= target && target <= high);
    Ok(inside.count() as f64 / targets.len() as f64)
}

/// How many rows are positive and negative, for each score, from the largest one down.
fn groups(scores: &[f32], is_positive: &[bool]) -> Result<Vec<[u128; 2]>, Error> {
    check_length("scores", scores.len(), "one for each row", is_positive.len())?;
    check_numbers("scores", scores)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    // 0 and -0 are one score
    let groups = order.chunk_by(|&a, &b| scores[a] == scores[b]).map(|rows| {
        let positive = rows.iter().filter(|&&row| is_positive[row]).count() as u128;
        [positive, rows.len() as u128 - positive]
    });
    let groups: Vec<[u128; 2]> = groups.collect();
    let (positives, negatives) = totals(&groups);
    if positives == 0 || negatives == 0 {
        let found = format!("{positives} and {negatives}");
        return Err(Error::argument("the numbers of positive and negative rows", "at least 1 each", found));
    }
    Ok(groups)
}

fn totals(groups: &[[u128; 2]]) -> (u128, u128) {
    groups.iter().fold((0, 0), |(p, n), [positive, negative]| (p + positive, n + negative))
}

fn check_numbers(argument: &str, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|x| x.is_nan()) {
        Some(i) => Err(Error::argument(&format!("element {i} of the {argument}"), "a number", f32::NAN)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By all pairs, and by all thresholds.
    #[test]
    fn areas_by_their_definitions() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for rows in [2, 3, 10, 57] {
            let scores: Vec<f32> = (0..rows).map(|_| random(8) as f32 / 4.0 - 1.0).collect();
            let kinds: Vec<bool> = (0..rows).map(|row| row == 0 || row > 1 && random(3) == 0).collect();
            let of = |kind: bool| (0..rows).filter(|&row| kinds[row] == kind).collect::<Vec<usize>>();
            let (mut sum, mut count) = (0.0, 0.0);
            for p in of(true) {
                for n in of(false) {
                    let order = scores[p].partial_cmp(&scores[n]).unwrap();
                    sum += [0.0, 0.5, 1.0][(order as i8 + 1) as usize];
                    count += 1.0;
                }
            }
            assert!((area_under_roc(&scores, &kinds).unwrap() - sum / count).abs() < 1e-12);
            let precision = |row: usize| {
                let chosen: Vec<usize> = (0..rows).filter(|&other| scores[other] >= scores[row]).collect();
                chosen.iter().filter(|&&row| kinds[row]).count() as f64 / chosen.len() as f64
            };
            let mean = of(true).into_iter().map(precision).sum::<f64>() / of(true).len() as f64;
            assert!((average_precision(&scores, &kinds).unwrap() - mean).abs() < 1e-12);
        }
        assert_eq!(area_under_roc(&[0.0, -0.0], &[true, false]).unwrap(), 0.5);
    }

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        for (scores, kinds) in [(&[][..], &[][..]), (&[1.0], &[true, false]), (&[1.0, f32::NAN], &[true, false])] {
            assert!(area_under_roc(scores, kinds).is_err() && average_precision(scores, kinds).is_err());
        }
        let error = area_under_roc(&[1.0, 2.0], &[true, true]).unwrap_err().to_string();
        assert_eq!(error, "the numbers of positive and negative rows is 2 and 0, expected at least 1 each");
        assert!(coverage(&[0.0], &[f32::NAN], &[1.0]).is_err());
        assert!(coverage(&[0.0], &[1.0, 2.0], &[1.0]).is_err());
    }
}
