//! Numbers as people read them.

/// The space that keeps a number and its unit on one line.
const NO_BREAK: char = '\u{a0}';

/// `1,234,567`.
pub(crate) fn thousands(value: usize) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Three significant digits: `0.0123`, `1.23`, `12.3`, `123`, `1,234`.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    // The bounds are where rounding reaches the next power of ten.
    let decimals = match size {
        0.0 => 0,
        size if size < 9.995e-3 => return format!("{value:.2e}").replace('-', "−"),
        size if size < 0.09995 => 4,
        size if size < 0.9995 => 3,
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    let sign = if value < 0.0 { "−" } else { "" };
    let digits = format!("{size:.decimals$}");
    if decimals > 0 {
        return sign.to_owned() + &digits;
    }
    // A count with more digits than `usize` has is no count.
    let grouped = digits.parse().map_or(digits, thousands);
    sign.to_owned() + &grouped
}

/// `92.4 %`. What is not 0 is never shown as 0 %, and what is not 100 never as 100 %.
pub(crate) fn percent(value: f64) -> String {
    let digits = match value {
        value if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        100.0 => "100".to_owned(),
        value if value > 0.0 && value < 0.05 => "<0.1".to_owned(),
        value if (99.95..100.0).contains(&value) => ">99.9".to_owned(),
        value => format!("{value:.1}"),
    };
    format!("{digits}{NO_BREAK}%")
}

/// A difference of two percentages, with its sign: `−0.72`.
pub(crate) fn signed(difference: f64) -> String {
    let digits = format!("{:.2}", difference.abs());
    let sign = match difference {
        _ if digits == "0.00" => "±",
        difference if difference < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{digits}")
}

/// `1 layer`, `2 layers`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(count))
}

/// `41.2 s`, `2 min 31 s`, `3 h 12 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let space = NO_BREAK;
    if !seconds.is_finite() {
        return "–".to_owned();
    }
    if seconds < 59.95 {
        return format!("{:.1}{space}s", seconds.max(0.0));
    }
    let whole = seconds.round();
    let (minutes, rest) = ((whole / 60.0).floor(), whole % 60.0);
    if minutes < 60.0 {
        return format!("{minutes}{space}min {rest}{space}s");
    }
    let minutes = (whole / 60.0).round();
    let (hours, rest) = ((minutes / 60.0).floor(), minutes % 60.0);
    format!("{hours}{space}h {rest}{space}min")
}

/// A count to compute with.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
pub(crate) fn real(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}

/// The nearest count: of a mean of counts, or of counts that were summed as floats.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is no count becomes the nearest"
)]
pub(crate) fn rounded(value: f64) -> usize {
    value.round() as usize
}

/// The nearest `f32`.
#[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
pub(crate) fn single(value: f64) -> f32 {
    value as f32
}

/// `part` of `whole`, 0…1; 0 where both are 0.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    real(part) / real(whole.max(1))
}

/// `part` of `whole` in per cent; 0 where both are 0.
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    100.0 * real(part) / real(whole.max(1))
}

/// Two digits per byte, as hashes are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_say_it() {
        let cases = [
            (0.0, "0"),
            (0.001_234, "1.23e−3"),
            (0.012_34, "0.0123"),
            (0.5, "0.500"),
            (0.9996, "1.00"),
            (9.999, "10.0"),
            (92.44, "92.4"),
            (-1.5, "−1.50"),
            (99.96, "100"),
            (123_456.7, "123,457"),
            (f64::NAN, "–"),
        ];
        for (value, expected) in cases {
            assert_eq!(significant(value), expected);
        }
    }

    #[test]
    fn only_all_is_a_hundred_per_cent() {
        let cases = [
            (100.0, "100"),
            (99.96, ">99.9"),
            (92.37, "92.4"),
            (0.04, "<0.1"),
            (0.0, "0"),
            (f64::NAN, "–"),
        ];
        for (value, expected) in cases {
            assert_eq!(percent(value), format!("{expected}\u{a0}%"));
        }
    }

    #[test]
    fn differences_have_signs() {
        let cases = [(-0.716, "−0.72"), (0.3, "+0.30"), (-0.001, "±0.00")];
        for (difference, expected) in cases {
            assert_eq!(signed(difference), expected);
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [
            (0.0, "0.0 s"),
            (41.23, "41.2 s"),
            (59.97, "1 min 0 s"),
            (151.4, "2 min 31 s"),
            (3_599.8, "1 h 0 min"),
            (11_520.0, "3 h 12 min"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds).replace('\u{a0}', " "), expected);
        }
    }
}
