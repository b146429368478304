//! What a number must be: a comparison, such as `< 0.01`, in PromQL's signs.

use std::fmt;

/// What a number must be, such as `< 0.01`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    comparison: Comparison,
    number: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    NotEqual,
}

/// What is written, longest first.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::More),
];

impl Expectation {
    /// Reads a comparison and a number, as in PromQL. `None`: it is none.
    pub fn parse(text: &str) -> Option<Expectation> {
        let text = text.trim();
        let (rest, comparison) = COMPARISONS
            .iter()
            .find_map(|(sign, comparison)| Some((text.strip_prefix(sign)?, *comparison)))?;
        let number: f64 = rest.trim().parse().ok()?;
        number.is_finite().then_some(Expectation { comparison, number })
    }

    /// Whether this number is as expected.
    #[expect(clippy::float_cmp, reason = "whoever writes == means the very number")]
    pub fn holds(self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.number,
            Comparison::AtMost => value <= self.number,
            Comparison::More => value > self.number,
            Comparison::AtLeast => value >= self.number,
            Comparison::Equal => value == self.number,
            Comparison::NotEqual => value != self.number,
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = COMPARISONS.iter().find(|(_, comparison)| *comparison == self.comparison);
        write!(f, "{} {}", sign.map_or("", |(sign, _)| sign), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_a_comparison_and_a_number() {
        for (text, value, holds) in [
            ("< 0.01", 0.009, true),
            ("< 0.01", 0.01, false),
            ("<=0.01", 0.01, true),
            ("> -1", 0.0, true),
            (">= 3", 3.0, true),
            ("== 1", 1.0, true),
            ("!= 1", 1.0, false),
            (" <  1e3 ", 999.0, true),
            ("< 5", f64::INFINITY, false),
        ] {
            let expected = Expectation::parse(text).expect(text);
            assert_eq!(expected.holds(value), holds, "{value} {text}");
        }
        for text in ["", "0.01", "=< 1", "< ", "< x", "< NaN", "< inf", "= 1", "<> 1"] {
            assert_eq!(Expectation::parse(text), None, "{text}");
        }
    }
}
