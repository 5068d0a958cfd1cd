//! Decimal fractions as integers, exactly: thresholds and temperatures never become floats. Reads
//! plain digits with at most one point; no sign, no exponent.

/// `text` times ten to the power `places`, rounded up where there are more digits: a threshold
/// that cannot be kept exactly is tightened, never loosened.
pub(super) fn scaled_up(text: &str, places: usize) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let (kept, rest) = fraction.split_at(fraction.len().min(places));
    let whole: u32 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let kept: u32 = format!("{kept:0<places$}").parse().ok()?;
    let up = u32::from(rest.bytes().any(|byte| byte != b'0'));
    whole
        .checked_mul(10_u32.checked_pow(places.try_into().ok()?)?)?
        .checked_add(kept)?
        .checked_add(up)
}

/// A share of one, in basis points.
pub(super) fn basis_points(text: &str) -> Option<u16> {
    let points = scaled_up(text, 4)?;
    u16::try_from(points)
        .ok()
        .filter(|points| *points <= 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact_or_tightened() {
        let table = [
            ("0.97", Some(9_700)),
            (".5", Some(5_000)),
            ("1", Some(10_000)),
            ("1.0000", Some(10_000)),
            ("0", Some(0)),
            ("0.97001", Some(9_701)),
            ("0.970000", Some(9_700)),
            ("1.00001", None),
            ("1.5", None),
            ("abc", None),
            ("", None),
            (".", None),
            ("-0.5", None),
            ("1e-1", None),
            ("0.9.7", None),
            ("99999999999", None),
        ];
        for (text, points) in table {
            assert_eq!(basis_points(text), points, "{text}");
        }
    }
}
