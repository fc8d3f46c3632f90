//! Comparing numbers so that what is not a number never passes unseen.

/// The largest of some numbers, such as errors; not a number if one of them is none, where [`f64::max`] would leave
/// that out. 0 of none.
///
/// ```
/// use bayeslift_ir::arbitrary::largest;
/// assert_eq!(largest([0.5, 2.0, 1.0]), 2.0);
/// assert!(largest([0.5, f64::NAN, 1.0]).is_nan());
/// ```
pub fn largest(numbers: impl IntoIterator<Item = f64>) -> f64 {
    numbers.into_iter().fold(0.0, |largest, x| if largest.is_nan() || x <= largest { largest } else { x })
}

/// Whether a number is another but for `allowed`: both are not numbers, or neither; an infinity is only itself.
///
/// ```
/// use bayeslift_ir::arbitrary::is_near;
/// assert!(is_near(1.5, 1.0, 0.5) && is_near(f64::NAN, f64::NAN, 0.5));
/// assert!(!is_near(f64::NAN, 1.0, 0.5) && !is_near(1.0, f64::NAN, 0.5));
/// assert!(!is_near(f64::INFINITY, 1.0, f64::INFINITY));
/// ```
pub fn is_near(found: f64, wanted: f64, allowed: f64) -> bool {
    let finite = found.is_finite() && wanted.is_finite();
    found == wanted || found.is_nan() && wanted.is_nan() || finite && (found - wanted).abs() <= allowed
}
