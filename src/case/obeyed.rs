//! Which characters a terminal or a reader of logs would obey instead of show, in text that others wrote. Leaves to each
//! voice what it puts in their place.

/// Control characters, line ends of Unicode, and what turns the direction of text around.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::is_obeyed;

    #[test]
    fn what_steers_is_told_from_what_is_only_strange() {
        let steers = "\0\t\n\r\u{7}\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\
             \u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}";
        assert!(steers.chars().all(is_obeyed), "{:?}", steers.chars().find(|c| !is_obeyed(*c)));
        let shown = "a é 日本 עברית العربية → … \u{a0}🙂";
        assert!(!shown.chars().any(is_obeyed), "{:?}", shown.chars().find(|c| is_obeyed(*c)));
    }
}
