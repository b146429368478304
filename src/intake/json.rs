//! JSON as it must be before any sender's parser reads it: UTF-8 without a mark, not deep, text borrowed where it
//! can be, no name twice in one map. Two readers that take different values of a doubled name would act on what
//! nobody checked.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Values nest at most this deep; no sender needs half of it.
const DEPTH_MAX: usize = 32;

/// Why bytes are no JSON that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsound {
    /// Nothing at all.
    #[error("the body is empty")]
    Empty,
    /// RFC 8259 §8.1 forbids it.
    #[error("the body begins with a byte order mark")]
    Mark,
    /// RFC 8259 §8.1 demands it.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Beyond [`DEPTH_MAX`].
    #[error("the body nests deeper than 32")]
    TooDeep,
}

/// The body as text that a parser may read.
pub(super) fn sound(body: &[u8]) -> Result<&str, Unsound> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(Unsound::Mark);
    }
    if body.trim_ascii().is_empty() {
        return Err(Unsound::Empty);
    }
    let text = std::str::from_utf8(body).map_err(|_| Unsound::NotUtf8)?;
    if is_deep(body) { Err(Unsound::TooDeep) } else { Ok(text) }
}

/// Whether anything nests too deep, by brackets outside of texts. The parser's own limit spares what it skips.
fn is_deep(body: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A map with known names. Without this a list of the values alone would do as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object<T>, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        from.deserialize_map(Reader(PhantomData))
    }
}

/// A text, borrowed from the body unless it holds escapes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text<'a>, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Reader)
    }
}

/// A map from names to texts, sorted by name, with no name twice. Nulls are absences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs<'a> {
    /// The first [`Pairs::MAX`] of them, in the sender's order, then sorted.
    pub(super) kept: Vec<(Text<'a>, Text<'a>)>,
    /// So many were beyond that.
    pub(super) beyond: usize,
}

impl Pairs<'_> {
    /// So many pairs of one map are kept. Prometheus sets no limit; Mimir allows a series 30 labels by default.
    pub(super) const MAX: usize = 64;

    /// The kept pairs as plain texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kept.iter().map(|(name, value)| (&*name.0, &*value.0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Pairs<'a>, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from names to texts")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'de>, M::Error> {
                let mut pairs = Pairs::default();
                while let Some((name, value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
                    if pairs.kept.len() == Pairs::MAX {
                        pairs.beyond += 1;
                    } else {
                        let absent = Text(Cow::Borrowed(""));
                        pairs.kept.push((name, value.unwrap_or(absent)));
                    }
                }
                pairs.kept.sort_by(|(one, _), (other, _)| one.cmp(other));
                if pairs.kept.windows(2).any(|two| two[0].0 == two[1].0) {
                    return Err(M::Error::custom("a name stands twice in one map"));
                }
                pairs.kept.retain(|(_, value)| !value.0.is_empty());
                Ok(pairs)
            }
        }
        from.deserialize_map(Reader)
    }
}

/// A text, or a number or truth as a text: templates write either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Scalar, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar(truth.to_string()))
            }
        }
        from.deserialize_any(Reader)
    }
}

/// A list of texts, or one of them alone; nulls and empty texts are absences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "ListedWire")]
pub(super) struct Listed(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum ListedWire {
    Many(Vec<Option<Scalar>>),
    One(Scalar),
}

impl From<ListedWire> for Listed {
    fn from(wire: ListedWire) -> Listed {
        let all = match wire {
            ListedWire::Many(all) => all,
            ListedWire::One(one) => vec![Some(one)],
        };
        Listed(all.into_iter().flatten().map(|one| one.0).filter(|text| !text.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_json_is_read() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let brackets = format!(r#"["\"{}"]"#, "[".repeat(99));
        assert_eq!(sound(nested(32).as_bytes()), Ok(nested(32).as_str()));
        assert_eq!(sound(nested(33).as_bytes()), Err(Unsound::TooDeep));
        assert_eq!(sound(brackets.as_bytes()), Ok(brackets.as_str()), "brackets in texts do not nest");
        assert_eq!(sound(b"\xef\xbb\xbf{}"), Err(Unsound::Mark));
        assert_eq!(sound(b"\"\xff\""), Err(Unsound::NotUtf8));
        assert_eq!(sound(b" \n"), Err(Unsound::Empty));
    }

    #[test]
    fn text_is_borrowed_unless_escaped() {
        let plain: Text<'_> = serde_json::from_str(r#""checkout""#).expect("a text");
        let escaped: Text<'_> = serde_json::from_str(r#""a\u003cb""#).expect("a text");
        assert!(matches!(plain.0, Cow::Borrowed("checkout")));
        assert!(matches!(escaped.0, Cow::Owned(text) if text == "a<b"));
    }

    #[test]
    fn a_map_has_each_name_once_and_no_nulls() {
        let read = |text| serde_json::from_str::<Pairs<'_>>(text);
        let pairs = read(r#"{"b":"2","a":"1","c":null,"d":""}"#).expect("pairs");
        let names: Vec<&str> = pairs.kept.iter().map(|(name, _)| &*name.0).collect();
        assert_eq!(names, ["a", "b"]);
        for bad in [r#"{"a":"1","a":"1"}"#, r#"{"a":null,"a":"1"}"#, r#"{"a":1}"#, r#"{"a":{}}"#, r#"["a"]"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
