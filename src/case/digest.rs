//! Digests over canonical bytes: the same values give the same digest in every version and on every machine.
//! Each field is written with its name and its length, so that no two different values read alike.

use super::id::Digest;

/// Collects fields and digests them.
pub struct Canon {
    context: aws_lc_rs::digest::Context,
}

impl Canon {
    /// Begins a value of this kind; two kinds never share a digest.
    pub fn new(kind: &str) -> Canon {
        let mut canon = Canon { context: aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256) };
        canon.text("kind", kind);
        canon
    }

    /// A text field.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Canon {
        self.bytes(name, value.as_bytes())
    }

    /// A field of raw bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) -> &mut Canon {
        for part in [name.as_bytes(), value] {
            self.context.update(&(part.len() as u64).to_le_bytes());
            self.context.update(part);
        }
        self
    }

    /// A text field that may be absent; absent differs from empty.
    pub fn option(&mut self, name: &str, value: Option<&str>) -> &mut Canon {
        match value {
            Some(value) => self.text("some", "").text(name, value),
            None => self.text("none", "").text(name, ""),
        }
    }

    /// A whole number.
    pub fn number(&mut self, name: &str, value: i64) -> &mut Canon {
        self.bytes(name, &value.to_le_bytes())
    }

    /// Yes or no.
    pub fn flag(&mut self, name: &str, value: bool) -> &mut Canon {
        self.number(name, i64::from(value))
    }

    /// The digest of everything so far.
    pub fn digest(&self) -> Digest {
        let bytes = self.context.clone().finish();
        let mut text = String::with_capacity(64);
        for byte in bytes.as_ref() {
            use std::fmt::Write;
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Digest::new(text)
    }
}

/// The digest of these bytes alone.
pub fn of_bytes(kind: &str, bytes: &[u8]) -> Digest {
    Canon::new(kind).bytes("bytes", bytes).digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_values_read_alike() {
        let split = |a: &str, b: &str| Canon::new("k").text(a, b).digest();
        assert_ne!(split("ab", "c"), split("a", "bc"));
        assert_ne!(Canon::new("a").digest(), Canon::new("b").digest());
        assert_ne!(
            Canon::new("k").option("x", None).digest(),
            Canon::new("k").option("x", Some("")).digest()
        );
    }
}
