//! Numbers and names for people.

use bayeslift_ir::Foreign;
use std::time::Duration;

/// Three significant digits and a decimal prefix: `51.2k`. Nothing for zero.
pub fn short(x: f64) -> String {
    if x <= 0.0 || !x.is_finite() {
        return String::new();
    }
    let mut scaled = x;
    let mut prefixes = ["", "k", "M", "G", "T", "P", "E"].into_iter();
    let mut prefix = prefixes.next().unwrap_or_default();
    while scaled >= 999.5 {
        let Some(next) = prefixes.next() else { break };
        (scaled, prefix) = (scaled / 1e3, next);
    }
    let digits = match scaled {
        _ if prefix.is_empty() && x.fract() == 0.0 => 0,
        99.95.. => 0,
        9.995.. => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{prefix}")
}

/// A time in the unit that suits it.
pub fn time(time: Duration) -> String {
    seconds(time.as_secs_f64())
}

/// As [`time`], of a number of seconds.
pub fn seconds(seconds: f64) -> String {
    let (scaled, unit) = match seconds {
        1.0.. => (seconds, "s"),
        1e-3.. => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "µs"),
    };
    match scaled {
        99.95.. => format!("{scaled:.0}{unit}"),
        9.995.. => format!("{scaled:.1}{unit}"),
        _ => format!("{scaled:.2}{unit}"),
    }
}

/// A part in percent.
pub fn percent(part: f64) -> String {
    if part > 0.9995 { "100%".to_owned() } else { format!("{:.1}%", part * 100.0) }
}

/// The text in one line, with escapes for what is not seen.
pub fn visible(text: &str) -> String {
    Foreign::whole(text).to_string()
}

/// At most `width` characters of a text; the middle goes where it is longer.
pub fn shorten(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let (head, tail) = (text.chars().take(head), text.chars().skip(length - tail));
    head.chain(['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.0, 7.0, 999.0, 999.4, 999.6, 1_000.0, 9_994.0, 9_996.0, 123_456.0, 99_960_000.0, 2e12];
        let texts = ["", "7", "999", "999", "1.00k", "1.00k", "9.99k", "10.0k", "123k", "100M", "2.00T"];
        assert_eq!(numbers.map(short), texts);
        let times = [150, 9_999, 999_940, 1_500_000, 2_000_000_000].map(Duration::from_nanos);
        assert_eq!(times.map(time), ["0.15µs", "10.0µs", "1000µs", "1.50ms", "2.00s"]);
    }

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(shorten("affine/kernel/loc", 17), "affine/kernel/loc");
        assert_eq!(shorten("affine/kernel/loc", 8), "affi…loc");
        assert_eq!([shorten("ααα", 2), shorten("ααα", 1), shorten("ααα", 0)], ["α…", "…", ""]);
        assert_eq!(visible("a\n\u{1b}b"), "a\\n\\u{1b}b");
    }
}
