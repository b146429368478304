//! JSON Schema (draft 2020-12) of the configuration and of the rules, for editors. The shapes are documentation: the
//! reading itself is done by hand, and a test holds that both know the same keys.

mod later;
mod pages;
mod policies;
mod rules;
mod services;
mod shapes;
mod slack;

use schemars::generate::SchemaSettings;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// `snapback.toml`.
    Config,
    /// `rules.toml`.
    Rules,
}

/// The schema of a file.
pub fn schema(of: SchemaOf) -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = match of {
        SchemaOf::Config => generator.into_root_schema_for::<shapes::Config>(),
        SchemaOf::Rules => generator.into_root_schema_for::<rules::Rules>(),
    };
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// Every key of a schema by its path, `*` for names that people choose and `[]` for elements; as `read` does.
    fn paths(root: &Value, node: &Value, path: &str, found: &mut BTreeSet<String>) {
        if let Some(name) = node["$ref"].as_str() {
            let name = name.rsplit('/').next().expect("a name");
            // Secrets are read by a cursor of their own.
            if name == "Secret" {
                found.extend(["secret.env".to_owned(), "secret.file".to_owned()]);
            } else {
                paths(root, &root["$defs"][name], path, found);
            }
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            for part in node[key].as_array().into_iter().flatten() {
                paths(root, part, path, found);
            }
        }
        for (key, inner) in node["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            found.insert(path.clone());
            paths(root, inner, &path, found);
        }
        if node["additionalProperties"].is_object() {
            paths(root, &node["additionalProperties"], &format!("{path}.*"), found);
        }
        if node["items"].is_object() {
            paths(root, &node["items"], &format!("{path}[]"), found);
        }
    }

    fn keys_of(of: SchemaOf) -> BTreeSet<String> {
        let schema = schema(of);
        let mut found = BTreeSet::new();
        paths(&schema, &schema, "", &mut found);
        found
    }

    #[test]
    fn the_schema_and_the_reading_know_the_same_keys() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/config/every-key.toml");
        let (_, asked) = super::super::load_noting(&path, &|name| Some(name.to_owned()));
        let mut known = keys_of(SchemaOf::Config);
        known.extend(keys_of(SchemaOf::Rules));
        let only_read: Vec<_> = asked.difference(&known).collect();
        let only_told: Vec<_> = known.difference(&asked).collect();
        assert!(only_read.is_empty(), "read and not in the schema: {only_read:?}");
        assert!(only_told.is_empty(), "in the schema and not read (or not in every-key.toml): {only_told:?}");
    }

    #[test]
    fn unknown_keys_are_refused_and_every_key_is_explained() {
        for of in [SchemaOf::Config, SchemaOf::Rules] {
            let schema = schema(of);
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
            let shapes = schema["$defs"].as_object().expect("definitions").values().chain([&schema]);
            for shape in shapes.filter(|shape| shape["properties"].is_object()) {
                assert_eq!(shape["additionalProperties"], Value::Bool(false), "{shape}");
                for (key, inner) in shape["properties"].as_object().expect("properties") {
                    assert!(inner["description"].is_string(), "{key} in {}", shape["description"]);
                }
            }
        }
    }
}
