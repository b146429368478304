//! Moments and lengths of time in every spelling that senders use (RFC 3339 with any offset, offsets without a
//! colon, epoch seconds and milliseconds, `date`'s own form). The year 1 means "none": it is Go's zero time; so does
//! a year beyond 2200, which is how some write "never".

use std::fmt;

use jiff::fmt::strtime;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::case::id::{Duration, Timestamp};

/// Epoch numbers from here on are milliseconds: as seconds they would be beyond the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;

/// The beginning of the year 2, in epoch seconds: anything before is Go's zero time in some offset.
const NONE_BEFORE: i64 = -62_104_060_800;

/// The beginning of the year 2200, in epoch seconds: anything from there on is how somebody writes "never". What is added to a moment of a
/// message stays far from the end of what a moment can hold.
const NEVER_FROM: i64 = 7_258_118_400;

/// A text that is no moment in any spelling we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment in any known spelling")]
pub(super) struct NotAMoment;

/// Reads a moment; `None` is a sender's way to say that there is none.
pub(super) fn moment(text: &str) -> Result<Option<Timestamp>, NotAMoment> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse::<Timestamp>().ok().or_else(|| spelled(text)).or_else(|| {
        let number = text.parse::<f64>().ok()?;
        epoch(number)
    });
    parsed.map(some).ok_or(NotAMoment)
}

/// Reads an epoch number, in seconds or milliseconds.
fn epoch(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() >= MILLISECONDS_FROM { number / 1000.0 } else { number };
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    // A float keeps microseconds of our century and no more.
    let whole = Duration::from_micros(i64::try_from((since.as_nanos() + 500).div_euclid(1000)).ok()?);
    Timestamp::UNIX_EPOCH.checked_add(whole).ok()
}

/// The spellings that no RFC knows.
fn spelled(text: &str) -> Option<Timestamp> {
    ["%Y-%m-%dT%H:%M:%S%.f%z", "%a %b %d %H:%M:%S UTC %Y"].iter().find_map(|form| {
        let broken = strtime::parse(form, text).ok()?;
        match broken.offset() {
            Some(_) => broken.to_timestamp().ok(),
            None => broken
                .to_datetime()
                .ok()?
                .to_zoned(jiff::tz::TimeZone::UTC)
                .ok()
                .map(|zoned| zoned.timestamp()),
        }
    })
}

fn some(moment: Timestamp) -> Option<Timestamp> {
    (NONE_BEFORE..NEVER_FROM).contains(&moment.as_second()).then_some(moment)
}

/// A moment as a field of somebody's JSON: a text or an epoch number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spelled(pub(super) Option<Timestamp>);

impl<'de> Deserialize<'de> for Spelled {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Spelled, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Spelled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a moment")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Spelled, E> {
                moment(text).map(Spelled).map_err(E::custom)
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Spelled, E> {
                epoch(number).map(|at| Spelled(some(at))).ok_or(NotAMoment).map_err(E::custom)
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Spelled, E> {
                self.visit_f64(number as f64)
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Spelled, E> {
                self.visit_f64(number as f64)
            }
            fn visit_unit<E: Error>(self) -> Result<Spelled, E> {
                Ok(Spelled(None))
            }
        }
        from.deserialize_any(Reader)
    }
}

/// The longest length of time that an alert may claim: a lag beyond a week is a slip of the pen.
const LENGTH_MAX: Duration = Duration::from_hours(7 * 24);

/// Reads a length of time in Prometheus' spelling, such as `90s`, `5m` or `1h30m`; each unit once, largest first.
pub(super) fn length(text: &str) -> Option<Duration> {
    const UNITS: [(&str, i64); 6] =
        [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = text.trim();
    let (mut total, mut from) = (0_i64, 0);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    while from == 0 || !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let (number, unit) = (rest[..digits].parse::<i64>().ok()?, &rest[digits..digits + letters]);
        let at = UNITS.iter().skip(from).position(|(name, _)| *name == unit)? + from;
        total = total.checked_add(number.checked_mul(UNITS[at].1)?)?;
        from = at + 1;
        rest = &rest[digits + letters..];
    }
    let length = Duration::from_millis(total);
    (length <= LENGTH_MAX).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_spelling() {
        for (text, expected) in [
            ("2026-03-02T09:14:05.103Z", "2026-03-02T09:14:05.103Z"),
            ("2026-03-02T09:14:05.123456789Z", "2026-03-02T09:14:05.123456789Z"),
            ("2016-04-07T10:08:52-06:00", "2016-04-07T16:08:52Z"),
            ("2026-03-02T09:20:41.7+09:00", "2026-03-02T00:20:41.7Z"),
            ("2026-03-02T09:14:20.532+0000", "2026-03-02T09:14:20.532Z"),
            ("2026-03-02T09:14:20-0130", "2026-03-02T10:44:20Z"),
            ("Wed Aug 10 18:39:05 UTC 2016", "2016-08-10T18:39:05Z"),
            ("1772442860532", "2026-03-02T09:14:20.532Z"),
            ("1772442860", "2026-03-02T09:14:20Z"),
            ("1772442860.532", "2026-03-02T09:14:20.532Z"),
        ] {
            assert_eq!(moment(text), Ok(Some(expected.parse().expect("a moment"))), "{text}");
        }
    }

    #[test]
    fn never_is_none() {
        for text in ["9999-12-30T22:00:00Z", "2200-01-01T00:00:00Z", "7258118400"] {
            assert_eq!(moment(text), Ok(None), "{text}");
        }
        assert!(matches!(moment("2199-12-31T23:59:59Z"), Ok(Some(_))));
    }

    #[test]
    fn the_year_one_is_none() {
        for text in ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00-08:00", "", " "] {
            assert_eq!(moment(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in
            ["yesterday", "2026-13-02T09:14:05Z", "2026-03-02", "1e300", "NaN", "-", "2026-03-02T09:14:05"]
        {
            assert_eq!(moment(text), Err(NotAMoment), "{text}");
        }
    }

    #[test]
    fn lengths_are_spelled_as_in_prometheus() {
        for (text, expected) in [
            ("90s", Some(90_000)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1m250ms", Some(60_250)),
            ("7d", Some(604_800_000)),
            ("1w", Some(604_800_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("8d", None),
            ("", None),
            ("5", None),
            ("m", None),
            ("-5m", None),
            ("5m1h", None),
            ("5m5m", None),
            ("5 m", None),
            ("1.5h", None),
            ("99999999999999999999s", None),
            ("5µ", None),
        ] {
            assert_eq!(length(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
