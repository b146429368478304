//! A matcher: one condition on one label, in Alertmanager's syntax. Leaves to `index` how many of them are looked up
//! at once, and to `rules` and `map` what follows when they hold.
//!
//! The syntax is the one of Alertmanager's `matchers`: names and values bare or in double quotes, `=`, `!=`, `=~` and
//! `!~`, the escapes `\"`, `\\` and `\n`, regular expressions that must match the whole value. A label that is missing
//! equals the empty text.

use std::fmt;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::signal::Labels;

/// The longest regular expression that is read: longer ones were not written by hand.
pub const PATTERN_MAX: usize = 1024;
/// The largest compiled expression, in bytes: a short pattern such as `(a{99}){99}` can grow without end.
pub const PROGRAM_MAX: usize = 1024 * 1024;
/// The longest value that a regular expression is tried on; a longer one does not match, neither `=~` nor `!~`.
pub const VALUE_MAX: usize = 8 * 1024;

/// One condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    value: String,
    test: Test,
}

/// How the label's value is compared.
#[derive(Clone, Debug)]
enum Test {
    Equal,
    NotEqual,
    Like(Regex),
    NotLike(Regex),
}

/// What is wrong with a matcher's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MatcherFault {
    /// Where in the text, in bytes from 0.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
}

impl Matcher {
    /// Reads exactly one matcher; braces around it are allowed.
    ///
    /// # Errors
    /// When the text is not one matcher, or its expression is beyond the limits.
    pub fn parse(text: &str) -> Result<Matcher, MatcherFault> {
        let mut all = Matcher::parse_all(text)?;
        match (all.pop(), all.len()) {
            (Some(matcher), 0) => Ok(matcher),
            (Some(_), _) => Err(fault(0, "several matchers where one is expected")),
            (None, _) => Err(fault(0, "a matcher is expected, such as severity=\"critical\"")),
        }
    }

    /// Reads matchers separated by commas, with or without braces around them.
    ///
    /// # Errors
    /// As [`Matcher::parse`].
    pub fn parse_all(text: &str) -> Result<Vec<Matcher>, MatcherFault> {
        Reader { text, at: 0 }.matchers()
    }

    /// Whether it holds for these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        match &self.test {
            Test::Equal => value == self.value,
            Test::NotEqual => value != self.value,
            Test::Like(regex) => value.len() <= VALUE_MAX && regex.is_match(value),
            Test::NotLike(regex) => value.len() <= VALUE_MAX && !regex.is_match(value),
        }
    }

    /// The label and the value that it must have, for an equality that a missing label does not satisfy: only such
    /// a matcher can be looked up.
    pub fn equality(&self) -> Option<(&str, &str)> {
        match &self.test {
            Test::Equal if !self.value.is_empty() => Some((&self.name, &self.value)),
            Test::Equal | Test::NotEqual | Test::Like(_) | Test::NotLike(_) => None,
        }
    }

    /// The label that it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the label is compared with: a text, or an expression.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// `=`, `!=`, `=~` or `!~`.
    pub fn operator(&self) -> &'static str {
        match &self.test {
            Test::Equal => "=",
            Test::NotEqual => "!=",
            Test::Like(_) => "=~",
            Test::NotLike(_) => "!~",
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.name == other.name && self.operator() == other.operator() && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    /// In one spelling, whatever was written: two equal matchers print alike.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if self.name.chars().all(plain) && !self.name.starts_with(|c: char| c.is_ascii_digit()) {
            f.write_str(&self.name)?;
        } else {
            quoted(f, &self.name)?;
        }
        f.write_str(self.operator())?;
        quoted(f, &self.value)
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

fn fault(at: usize, message: impl Into<String>) -> MatcherFault {
    MatcherFault { at, message: message.into() }
}

/// Characters that end a bare name or value.
fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn matchers(mut self) -> Result<Vec<Matcher>, MatcherFault> {
        let braces = self.takes("{");
        let mut all = Vec::new();
        while !self.is_at_end(braces) {
            all.push(self.matcher()?);
            if !self.takes(",") && !self.is_at_end(braces) {
                return Err(fault(self.at, "a comma is expected between matchers"));
            }
        }
        if braces && !self.takes("}") {
            return Err(fault(self.at, "the closing brace is missing"));
        }
        self.skip_spaces();
        match self.rest() {
            "" => Ok(all),
            rest => Err(fault(self.at, format!("nothing may follow, but {rest:?} does"))),
        }
    }

    fn matcher(&mut self) -> Result<Matcher, MatcherFault> {
        let name = self.word("a label's name")?;
        if name.is_empty() {
            return Err(fault(self.at, "a label's name cannot be empty"));
        }
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| self.takes(operator));
        let Some(operator) = operator else {
            return Err(fault(self.at, "one of =, !=, =~ and !~ is expected"));
        };
        self.skip_spaces();
        let value_at = self.at;
        let value = self.word("a value")?;
        let test = match operator {
            "=" => Test::Equal,
            "!=" => Test::NotEqual,
            "=~" => Test::Like(compile(&value, value_at)?),
            _ => Test::NotLike(compile(&value, value_at)?),
        };
        Ok(Matcher { name, value, test })
    }

    /// A bare or a quoted word.
    fn word(&mut self, what: &str) -> Result<String, MatcherFault> {
        self.skip_spaces();
        if self.takes("\"") {
            return self.rest_of_quoted();
        }
        let rest = self.rest();
        let length = rest.find(is_reserved).unwrap_or(rest.len());
        if length == 0 {
            return Err(fault(self.at, format!("{what} is expected")));
        }
        let word = rest[..length].to_owned();
        self.at += length;
        Ok(word)
    }

    /// What follows an opening quote, up to the closing one.
    fn rest_of_quoted(&mut self) -> Result<String, MatcherFault> {
        let begin = self.at - 1;
        let mut word = String::new();
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices() {
            let at = self.at + offset;
            match (escaped, c) {
                (true, '"' | '\\') => word.push(c),
                (true, 'n') => word.push('\n'),
                (true, _) => {
                    return Err(fault(at - 1, format!("\\{c} is no escape; there are \\\", \\\\ and \\n")));
                }
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, '"') => {
                    self.at = at + 1;
                    return Ok(word);
                }
                (false, _) => word.push(c),
            }
            escaped = false;
        }
        Err(fault(begin, "the closing quote is missing"))
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Skips spaces, and then this token if it comes next.
    fn takes(&mut self, token: &str) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn is_at_end(&mut self, braces: bool) -> bool {
        self.skip_spaces();
        self.rest().is_empty() || (braces && self.rest().starts_with('}'))
    }
}

fn compile(pattern: &str, at: usize) -> Result<Regex, MatcherFault> {
    if pattern.len() > PATTERN_MAX {
        let message = format!("the expression has {} bytes; {PATTERN_MAX} are allowed", pattern.len());
        return Err(fault(at, message));
    }
    // Alone first: `a)|(b` is only an expression once the anchors are around it, and then another one.
    if let Err(error) = syntax::parse(pattern) {
        return Err(fault(at, format!("the expression cannot be read: {}", last_line(&error.to_string()))));
    }
    Regex::builder()
        .configure(Regex::config().nfa_size_limit(Some(PROGRAM_MAX)))
        .build(&format!("^(?:{pattern})$"))
        .map_err(|error| match error.size_limit() {
            Some(_) => fault(at, format!("the expression needs more than {PROGRAM_MAX} bytes when compiled")),
            None => fault(at, format!("the expression cannot be compiled: {error}")),
        })
}

/// The parser draws the pattern with a caret above the sentence that says what is wrong.
fn last_line(text: &str) -> &str {
    text.lines().last().map_or(text, |line| line.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn matchers_hold_as_in_alertmanager() {
        let given =
            labels(&[("severity", "critical"), ("alertname", "HighErrorRate"), ("odd name", "a\"b\\c\nd")]);
        for (text, expected) in [
            ("severity=critical", true),
            ("severity=\"critical\"", true),
            (" severity = \"critical\" ", true),
            ("{severity=\"critical\"}", true),
            ("{ severity=\"critical\", }", true),
            ("severity!=\"critical\"", false),
            ("severity!=\"warning\"", true),
            ("alertname=~\"High.*|Burn\"", true),
            ("alertname=~\"High\"", false),
            ("alertname=~\"igh.*\"", false),
            ("alertname!~\"High\"", true),
            ("alertname!~\"High.*\"", false),
            ("missing=\"\"", true),
            ("missing!=\"\"", false),
            ("missing=~\".*\"", true),
            ("missing=~\".+\"", false),
            ("\"odd name\"=\"a\\\"b\\\\c\\nd\"", true),
            ("größe=\"\"", true),
        ] {
            let matcher = Matcher::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
            assert_eq!(matcher.matches(&given), expected, "{text}");
        }
    }

    #[test]
    fn several_matchers_stand_between_braces() {
        let all = Matcher::parse_all(r#"{a="b",c=~"d|e", f!~"g.*" ,h!="i"}"#).expect("four matchers");
        let printed: Vec<String> = all.iter().map(Matcher::to_string).collect();
        assert_eq!(printed, [r#"a="b""#, r#"c=~"d|e""#, r#"f!~"g.*""#, r#"h!="i""#]);
        assert_eq!(Matcher::parse_all("{}"), Ok(Vec::new()));
        assert!(Matcher::parse(r#"a="b",c="d""#).is_err());
    }

    #[test]
    fn faults_say_where() {
        for (text, at) in [
            ("", 0),
            ("=\"x\"", 0),
            ("\"\"=\"x\"", 2),
            ("severity", 8),
            ("severity==\"x\"", 9),
            ("severity=", 9),
            ("severity=\"x", 9),
            ("severity=\"\\t\"", 10),
            ("severity=\"x\" y", 13),
            ("{severity=\"x\"", 13),
            ("severity=\"x\"}", 12),
            ("severity=~\"(\"", 10),
            ("severity=~\"a)|(b\"", 10),
            ("a=\"1\" b=\"2\"", 6),
        ] {
            let fault = Matcher::parse(text).expect_err(text);
            assert_eq!(fault.at, at, "{text}: {}", fault.message);
        }
    }

    #[test]
    fn an_expression_is_bounded_in_pattern_program_and_input() {
        assert!(Matcher::parse(&format!("a=~\"{}\"", "x".repeat(PATTERN_MAX + 1))).is_err());
        assert!(Matcher::parse(r#"a=~"((x{50}){50}){50}""#).is_err());
        let long = labels(&[("a", &"x".repeat(VALUE_MAX + 1))]);
        assert!(!Matcher::parse("a=~\".*\"").expect("sound").matches(&long));
        assert!(!Matcher::parse("a!~\"y\"").expect("sound").matches(&long));
    }

    #[test]
    fn printing_and_reading_give_the_same_matcher() {
        for text in [r#"a="b""#, r#""odd name"=~"x\\.y|\"z\"""#, "b!~\"\\n\"", "9=\"x\""] {
            let once = Matcher::parse(text).expect(text);
            assert_eq!(Matcher::parse(&once.to_string()), Ok(once.clone()), "{text}");
        }
    }

    #[test]
    fn only_an_equality_that_needs_the_label_can_be_looked_up() {
        let equality = |text: &str| Matcher::parse(text).expect(text).equality().is_some();
        assert!(equality("a=\"b\""));
        assert!(!equality("a=\"\""));
        assert!(!equality("a=~\"b\""));
    }
}
