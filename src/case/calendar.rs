//! A calendar: named times of the week, month and year in one place of the world, as in Alertmanager's time
//! intervals. Everything that is written must hold; of each list, one entry must. Leaves to `rules` what it bars.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::digest::Canon;
use super::id::Timestamp;

/// One `[times.NAME]`. An empty list sets no condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Days of the week, 0 is Sunday.
    pub weekdays: Vec<Span>,
    /// Minutes of the day; the end is not part of it.
    pub times: Vec<Span>,
    /// Days of the month from 1; negative ones count from its end, -1 is the last.
    pub days_of_month: Vec<Span>,
    /// Months from 1.
    pub months: Vec<Span>,
    /// Years.
    pub years: Vec<Span>,
    /// Where its clock hangs on the wall.
    pub location: TimeZone,
}

/// From one number to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: i16,
    /// The last; of times of the day, the first that is no longer in it.
    pub to: i16,
}

impl Default for Calendar {
    /// No condition, in UTC.
    fn default() -> Calendar {
        Calendar {
            weekdays: Vec::new(),
            times: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            location: TimeZone::UTC,
        }
    }
}

impl Calendar {
    /// Whether this moment lies in it.
    pub fn holds(&self, now: Timestamp) -> bool {
        let there = now.to_zoned(self.location.clone());
        let minute = i16::from(there.hour()) * 60 + i16::from(there.minute());
        let weekday = i16::from(there.weekday().to_sunday_zero_offset());
        let day = i16::from(there.day());
        let last_day = i16::from(there.days_in_month());
        any(&self.weekdays, |span| span.has(weekday))
            && any(&self.times, |span| span.from <= minute && minute < span.to)
            && any(&self.days_of_month, |span| span.has_day(day, last_day))
            && any(&self.months, |span| span.has(i16::from(there.month())))
            && any(&self.years, |span| span.has(there.year()))
    }

    /// Writes it into a digest.
    pub fn canon(&self, canon: &mut Canon) {
        let lists = [
            ("weekdays", &self.weekdays),
            ("times", &self.times),
            ("days_of_month", &self.days_of_month),
            ("months", &self.months),
            ("years", &self.years),
        ];
        for (name, spans) in lists {
            for span in spans {
                canon.number(name, i64::from(span.from)).number("to", i64::from(span.to));
            }
        }
        canon.text("location", self.location.iana_name().unwrap_or("UTC"));
    }
}

fn any(spans: &[Span], has: impl Fn(&Span) -> bool) -> bool {
    spans.is_empty() || spans.iter().any(has)
}

impl Span {
    fn has(self, number: i16) -> bool {
        (self.from..=self.to).contains(&number)
    }

    /// A day that the month does not have is its last one at the end of a span, and none at its beginning.
    fn has_day(self, day: i16, last_day: i16) -> bool {
        let of_month = |day: i16| if day < 0 { last_day + day + 1 } else { day };
        let (from, to) = (of_month(self.from), of_month(self.to).min(last_day));
        from <= last_day && (from..=to).contains(&day)
    }
}

/// Reads days of the week: `monday:friday`, or one of them. The week begins on Sunday.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn weekdays(text: &str) -> Result<Span, String> {
    span(text, |day| {
        (0..7)
            .find(|at| weekday(*at).is_some_and(|name| name == day.to_ascii_lowercase()))
            .ok_or_else(|| format!("{day:?} is no day of the week; write sunday, monday, tuesday and so on"))
    })
}

/// Reads times of the day: `09:00-17:00`, the end not part of it; `24:00` is the end of the day.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn times(text: &str) -> Result<Span, String> {
    let (from, to) = text.split_once('-').ok_or_else(|| format!("{text:?} is no time; write 09:00-17:00"))?;
    let span = Span { from: minute(from)?, to: minute(to)? };
    if span.from >= span.to {
        return Err(format!("{text:?} ends before it begins; write two, to midnight and from it"));
    }
    Ok(span)
}

/// Reads days of the month: `1:5`, `-3:-1` for the last three, or one of them.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn days_of_month(text: &str) -> Result<Span, String> {
    let day = |day: &str| match day.parse::<i16>() {
        Ok(number) if number != 0 && (-31..=31).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(format!("{day:?} is no day of a month; write 1 to 31, or -1 for the last")),
    };
    let (from, to) = ends(text, day)?;
    if from < 0 && to > 0 {
        return Err(format!("{text:?} begins from the month's end, so it must end there too"));
    }
    if (from < 0) == (to < 0) && from > to {
        return Err(format!("{text:?} ends before it begins"));
    }
    Ok(Span { from, to })
}

/// Reads months: `1:3`, `may:august`, or one of them.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn months(text: &str) -> Result<Span, String> {
    span(text, |month| {
        let named = MONTHS.iter().position(|name| *name == month.to_ascii_lowercase());
        let number = named.and_then(|at| i16::try_from(at + 1).ok()).or_else(|| month.parse().ok());
        number
            .filter(|number| (1..=12).contains(number))
            .ok_or_else(|| format!("{month:?} is no month; write january, or 1 to 12"))
    })
}

/// Reads years: `2026:2028`, or one of them.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn years(text: &str) -> Result<Span, String> {
    span(text, |year| match year.parse::<i16>() {
        Ok(number) if (1..=9999).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(format!("{year:?} is no year")),
    })
}

/// Finds a place of the IANA time zone database, such as `Europe/Berlin`.
///
/// # Errors
/// That it is not in the database.
pub fn location(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        format!("{name:?} is not in the time zone database; write a name such as Europe/Berlin or UTC")
    })
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

fn weekday(at: i16) -> Option<&'static str> {
    let day = Weekday::from_sunday_zero_offset(i8::try_from(at).ok()?).ok()?;
    Some(match day {
        Weekday::Sunday => "sunday",
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
    })
}

/// Both ends of `a:b`, or of `a` alone.
fn ends(text: &str, read: impl Fn(&str) -> Result<i16, String>) -> Result<(i16, i16), String> {
    match text.split_once(':') {
        Some((from, to)) => Ok((read(from.trim())?, read(to.trim())?)),
        None => read(text.trim()).map(|one| (one, one)),
    }
}

fn span(text: &str, read: impl Fn(&str) -> Result<i16, String>) -> Result<Span, String> {
    let (from, to) = ends(text, read)?;
    if from > to {
        return Err(format!("{text:?} ends before it begins"));
    }
    Ok(Span { from, to })
}

fn minute(text: &str) -> Result<i16, String> {
    let wrong = || format!("{text:?} is no time of the day; write 09:00");
    let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u8>().ok()).flatten().map(i16::from);
    let total = two(hour).zip(two(minute)).filter(|(_, minute)| *minute < 60).map(|(h, m)| h * 60 + m);
    total.filter(|total| *total <= 24 * 60).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(calendar: &Calendar, at: &str, expected: bool) {
        let now: Timestamp = at.parse().expect(at);
        assert_eq!(calendar.holds(now), expected, "{at}");
    }

    fn business_hours() -> Calendar {
        Calendar {
            weekdays: vec![weekdays("monday:friday").expect("days")],
            times: vec![times("09:00-17:00").expect("times")],
            location: location("Europe/Berlin").expect("Berlin is known"),
            ..Calendar::default()
        }
    }

    #[test]
    fn business_hours_follow_the_clock_on_the_wall() {
        let calendar = business_hours();
        // Winter: one hour ahead of UTC.
        check(&calendar, "2026-03-27T07:59:59Z", false);
        check(&calendar, "2026-03-27T08:00:00Z", true);
        check(&calendar, "2026-03-27T15:59:59Z", true);
        check(&calendar, "2026-03-27T16:00:00Z", false);
        // The clock went forward on Sunday the 29th: two hours ahead.
        check(&calendar, "2026-03-30T06:59:59Z", false);
        check(&calendar, "2026-03-30T07:00:00Z", true);
        check(&calendar, "2026-03-30T15:00:00Z", false);
        // Saturday.
        check(&calendar, "2026-03-28T10:00:00Z", false);
    }

    #[test]
    fn an_hour_that_comes_twice_counts_twice() {
        let calendar = Calendar { times: vec![times("02:00-03:00").expect("times")], ..business_hours() };
        let calendar = Calendar { weekdays: Vec::new(), ..calendar };
        for at in ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"] {
            check(&calendar, at, true);
        }
        // And one that the spring leaves out never comes.
        check(&calendar, "2026-03-29T00:59:59Z", false);
        check(&calendar, "2026-03-29T01:00:00Z", false);
    }

    #[test]
    fn days_count_from_the_months_end_as_well() {
        let days = |text: &str| Calendar {
            days_of_month: vec![days_of_month(text).expect(text)],
            ..Calendar::default()
        };
        check(&days("-1"), "2028-02-29T12:00:00Z", true);
        check(&days("-1"), "2028-02-28T12:00:00Z", false);
        check(&days("28:31"), "2026-02-28T12:00:00Z", true);
        check(&days("30:31"), "2026-02-28T12:00:00Z", false);
        check(&days("1:-1"), "2026-02-28T12:00:00Z", true);
        check(&days("1:5"), "2026-02-06T12:00:00Z", false);
    }

    #[test]
    fn months_and_years_must_hold_too() {
        let calendar = Calendar {
            months: vec![months("november:december").expect("months"), months("1").expect("a month")],
            years: vec![years("2026:2027").expect("years")],
            ..Calendar::default()
        };
        check(&calendar, "2026-12-31T23:59:59Z", true);
        check(&calendar, "2027-01-01T00:00:00Z", true);
        check(&calendar, "2028-01-01T00:00:00Z", false);
        check(&calendar, "2026-06-01T00:00:00Z", false);
        check(&Calendar::default(), "2026-06-01T00:00:00Z", true);
    }

    #[test]
    fn faults_are_said() {
        for text in ["mon", "friday:monday", "monday:", ""] {
            assert!(weekdays(text).is_err(), "{text}");
        }
        for text in ["9:00-17:00", "17:00-09:00", "09:00", "09:00-24:01", "09:60-10:00", "-", "09:00-09:00"] {
            assert!(times(text).is_err(), "{text}");
        }
        for text in ["0", "32", "5:1", "-1:5", "-1:-3", "x"] {
            assert!(days_of_month(text).is_err(), "{text}");
        }
        for text in ["13", "0", "mai", "december:january"] {
            assert!(months(text).is_err(), "{text}");
        }
        assert!(years("2027:2026").is_err());
        assert!(location("Europe/Atlantis").is_err());
        assert_eq!(times("22:00-24:00"), Ok(Span { from: 22 * 60, to: 24 * 60 }));
    }
}
