//! Fractions, as texts: read back to the last bit, which JSON's own numbers do not promise, and never refused for
//! being infinite. A decision that is computed again must see exactly what the first one saw.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    // The shortest text that reads back as the same number.
    to.collect_str(value)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a number")))
}

/// The same for a map of them.
pub(super) mod map {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Exact(#[serde(with = "super")] f64);

    pub(in super::super) fn serialize<S: Serializer>(
        map: &BTreeMap<String, f64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(map.iter().map(|(name, value)| (name, Exact(*value))))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, f64>, D::Error> {
        let map = BTreeMap::<String, Exact>::deserialize(from)?;
        Ok(map.into_iter().map(|(name, Exact(value))| (name, value)).collect())
    }
}
