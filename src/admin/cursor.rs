//! Where the next page begins: a place in an order, made opaque, so that nobody builds upon what it is made of.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, de::Error};

/// No place is longer; a longer text is not one that we gave.
const OPAQUE_MAX: usize = 1024;

/// A place in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor(pub(super) String);

impl Cursor {
    /// As the API gives it.
    pub(super) fn opaque(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    fn read(text: &str) -> Option<Cursor> {
        let bytes = (text.len() <= OPAQUE_MAX).then(|| URL_SAFE_NO_PAD.decode(text).ok())??;
        String::from_utf8(bytes).ok().map(Cursor)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Cursor, D::Error> {
        let text = String::deserialize(from)?;
        Cursor::read(&text).ok_or_else(|| D::Error::custom("`next` is not one that was given"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_read_again() {
        let cursor = Cursor("0000/checkout@production/d-7".to_owned());
        assert_eq!(Cursor::read(&cursor.opaque()), Some(cursor));
        for bad in ["ä", "=", &"A".repeat(2000)] {
            assert_eq!(Cursor::read(bad), None, "{bad}");
        }
    }
}
