//! Where inside a quoted TOML string a byte of its value stands in the file, so that a fault in a matcher or an
//! expression is drawn under the very character.

/// The offset in `raw`, which is the string as the file spells it with its quotes, of the byte `at` of its value.
pub(super) fn offset_in(raw: &str, at: usize) -> usize {
    let quote = if raw.starts_with('"') { '"' } else { '\'' };
    let long = raw.starts_with("\"\"\"") || raw.starts_with("'''");
    let mut from = if long { 3 } else { 1 };
    if long {
        // A newline right after the opening quotes is no part of the value.
        from += if raw[from.min(raw.len())..].starts_with("\r\n") {
            2
        } else {
            usize::from(raw[from.min(raw.len())..].starts_with('\n'))
        };
    }
    let at_most = raw.len().saturating_sub(1);
    if quote == '\'' {
        return (from + at).min(at_most);
    }
    let mut value_bytes = 0;
    let mut rest = from;
    while rest < at_most {
        let (spelt, meant) = next_character(&raw[rest..]);
        // What spells nothing is passed over even at the goal: the character itself stands behind it.
        if value_bytes >= at && meant > 0 {
            break;
        }
        rest += spelt;
        value_bytes += meant;
    }
    rest.min(at_most)
}

/// How many bytes the next character of a basic string takes as spelt, and as meant.
fn next_character(raw: &str) -> (usize, usize) {
    let Some(first) = raw.chars().next() else { return (1, 1) };
    if first != '\\' {
        return (first.len_utf8(), first.len_utf8());
    }
    let code = |digits: usize| {
        let hex = raw.get(2..2 + digits).unwrap_or("0");
        let meant = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).map_or(1, char::len_utf8);
        (2 + digits, meant)
    };
    match raw[1..].chars().next() {
        Some('x') => code(2),
        Some('u') => code(4),
        Some('U') => code(8),
        Some(c) if c.is_whitespace() => {
            // A backslash at the end of a line swallows all white space up to the next character.
            let rest = raw[1..].trim_start();
            (raw.len() - rest.len(), 0)
        }
        Some(c) => (1 + c.len_utf8(), 1),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the byte of the value where `needle` stands is found where the file spells it.
    fn check(raw: &str, needle: &str) {
        let document = format!("k = {raw}\n");
        let table: toml::Table = document.parse().expect("a TOML document");
        let value = table["k"].as_str().expect("a string");
        let at = value.find(needle).expect("the needle");
        assert!(raw[offset_in(raw, at)..].starts_with(needle), "{raw}: {}", offset_in(raw, at));
    }

    #[test]
    fn every_spelling_leads_back_to_its_place() {
        check("'a=~\"(\"'", "(");
        check("\"a=~\\\"(\\\"\"", "(");
        check("\"\\u00e9\\t\\U0001F600 X\"", "X");
        check("'''\nab\nX'''", "X");
        check("\"\"\"\nab \\\n   X\"\"\"", "X");
        check("\"é ü X\"", "X");
    }

    #[test]
    fn a_place_behind_the_end_is_the_closing_quote() {
        assert_eq!(offset_in("'ab'", 99), 3);
        assert_eq!(offset_in("\"\"", 0), 1);
    }
}
