//! Lengths of time as people write them: `500ms`, `30s`, `10m`, `2h`, `90d`, and largest first together, `1h30m`.

use crate::case::id::Duration;

/// No length in a configuration is longer: ten years.
const LONGEST_MS: i64 = 3650 * 24 * 3_600_000;

/// The units, largest first, in milliseconds.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is no length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LengthFault {
    /// Nothing is there.
    #[error("a length of time is missing")]
    Empty,
    /// Something else than digits stands where a number belongs.
    #[error("a length of time is whole numbers with their units")]
    NoNumber,
    /// No unit follows a number, or one that is not known.
    #[error("a number without one of the units ms, s, m, h, d")]
    NoUnit,
    /// A unit stands twice or after a smaller one.
    #[error("units are written once each, largest first")]
    Order,
    /// Ten years and more.
    #[error("longer than ten years")]
    TooLong,
}

/// Reads a length of time. Strict: whole numbers, known units, each once and largest first, nothing between them.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(text: &str) -> Result<Duration, LengthFault> {
    if text.is_empty() {
        return Err(LengthFault::Empty);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    let mut units_left = &UNITS[..];
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Err(LengthFault::NoNumber);
        }
        let number: i64 = rest[..digits].parse().map_err(|_| LengthFault::TooLong)?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = &rest[..letters];
        rest = &rest[letters..];
        let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(LengthFault::NoUnit)?;
        let at = units_left.iter().position(|(name, _)| *name == unit).ok_or(LengthFault::Order)?;
        units_left = &units_left[at + 1..];
        total = number
            .checked_mul(*milliseconds)
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST_MS)
            .ok_or(LengthFault::TooLong)?;
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_written() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
            ("90d", 90 * 86_400_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, fault) in [
            ("", LengthFault::Empty),
            ("s", LengthFault::NoNumber),
            ("-5s", LengthFault::NoNumber),
            ("1.5h", LengthFault::NoUnit),
            ("5", LengthFault::NoUnit),
            ("5 m", LengthFault::NoUnit),
            ("5min", LengthFault::NoUnit),
            ("5m1h", LengthFault::Order),
            ("5m5m", LengthFault::Order),
            ("1h 30m", LengthFault::NoNumber),
            ("4000d", LengthFault::TooLong),
            ("99999999999999999999d", LengthFault::TooLong),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }
}
