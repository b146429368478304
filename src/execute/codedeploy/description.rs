//! The description of a deployment: where our mark stands, and where pipelines may say what they know about a release.
//! At most 256 characters, by the user guide; foreign text.

use crate::case::id::{ChangeId, Mark};
use crate::case::release::{Release, RollbackMark};
use crate::case::step::Order;

/// The longest description that CodeDeploy takes.
const LONGEST: usize = 256;
/// Our marks begin so, and go on with 24 hexadecimal digits.
const SIGN: &str = "snapback/";
const SIGN_DIGITS: usize = 24;

/// What we write into the description of a deployment that we create: the mark first, so that nothing cuts it.
pub(super) fn of(order: &Order) -> String {
    let text = format!(
        "{} case={} step={} from={} to={}",
        order.mark, order.case, order.step.0, order.expected, order.to
    );
    text.chars().take(LONGEST).collect()
}

/// Our mark, where the description begins with one.
pub(super) fn mark(description: Option<&str>) -> Option<Mark> {
    let sign = description?.split_whitespace().next()?;
    let digits = sign.strip_prefix(SIGN)?;
    let whole = digits.len() == SIGN_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then(|| Mark::new(sign))
}

/// Fills in what a pipeline wrote about the release, as words `key=value`: `version`, `commit`, `author`, `change`, `link`
/// and the migration marks `rollback`, `schema_version`, `min_compatible_schema`. Anything else is prose.
pub(super) fn read_into(release: &mut Release, description: Option<&str>) {
    let words = description.into_iter().flat_map(|text| text.split(|c: char| c.is_whitespace() || c == ','));
    for (key, value) in words.filter_map(|word| word.split_once('=')).filter(|(_, value)| !value.is_empty()) {
        match key {
            "version" => release.version = Some(value.to_owned()),
            "commit" => release.commit = Some(value.to_owned()),
            "author" => release.author = Some(value.to_owned()),
            "change" => release.change = Some(ChangeId::new(value)),
            "link" => release.links = vec![value.to_owned()],
            "rollback" => release.marks.rollback = RollbackMark::parse(value),
            "schema_version" => release.marks.schema_version = value.parse().ok(),
            "min_compatible_schema" => release.marks.min_compatible_schema = value.parse().ok(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_ours_only_whole_and_at_the_beginning() {
        let ours = "snapback/0123456789abcdef01234567 case=checkout@production.1";
        assert_eq!(mark(Some(ours)), Some(Mark::new("snapback/0123456789abcdef01234567")));
        for other in [
            "",
            "see snapback/0123456789abcdef01234567",
            "snapback/0123",
            "snapback/0123456789abcdef0123456z",
        ] {
            assert_eq!(mark(Some(other)), None, "{other}");
        }
        assert_eq!(mark(None), None);
    }

    #[test]
    fn pipelines_say_what_they_know() {
        let mut release = Release::bare("r".into());
        read_into(
            &mut release,
            Some("version=v42 commit=ab12, author=ann rollback=irreversible schema_version=7 x=y"),
        );
        assert_eq!(release.version.as_deref(), Some("v42"));
        assert_eq!((release.commit.as_deref(), release.author.as_deref()), (Some("ab12"), Some("ann")));
        assert_eq!(release.marks.rollback, Some(RollbackMark::Irreversible));
        assert_eq!(release.marks.schema_version, Some(7));
    }
}
