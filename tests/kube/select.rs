//! Label and field selectors: which objects a list or a watch is about. It owns how they are read.

use serde_json::Value;

use super::json::text;
use super::status::Refusal;

/// What a list or a watch is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Need>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
struct Need {
    label: String,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    /// Reads both selectors as they stand in a query.
    pub(crate) fn read(labels: &str, fields: &str) -> Result<Selector, Refusal> {
        let mut selector = Selector::default();
        for part in outside_brackets(labels) {
            selector.labels.push(need(&part).ok_or_else(|| {
                Refusal::bad(format!("unable to parse requirement: found '{part}', which is no requirement"))
            })?);
        }
        for part in fields.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, equal, value) = if let Some((name, value)) = part.split_once("!=") {
                (name, false, value)
            } else if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (name, true, value)
            } else {
                return Err(Refusal::bad(format!("invalid field selector: '{part}'; can't understand it")));
            };
            selector.fields.push((name.trim().to_owned(), equal, value.trim().to_owned()));
        }
        Ok(selector)
    }

    /// What `matchLabels` and `matchExpressions` of an object select.
    pub(crate) fn of_object(selector: &Value) -> Selector {
        let mut labels = Vec::new();
        for (label, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let wanted = Wanted::In(vec![value.as_str().unwrap_or_default().to_owned()]);
            labels.push(Need { label: label.clone(), wanted });
        }
        for one in super::json::list(selector, "/matchExpressions") {
            let values = super::json::list(one, "/values");
            let values = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let wanted = match text(one, "/operator") {
                "In" => Wanted::In(values),
                "NotIn" => Wanted::NotIn(values),
                "DoesNotExist" => Wanted::Missing,
                _ => Wanted::Exists,
            };
            labels.push(Need { label: text(one, "/key").to_owned(), wanted });
        }
        Selector { labels, fields: Vec::new() }
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = self.labels.iter().all(|need| {
            let value = object["metadata"]["labels"][need.label.as_str()].as_str();
            match &need.wanted {
                Wanted::Exists => value.is_some(),
                Wanted::Missing => value.is_none(),
                Wanted::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
                Wanted::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
            }
        });
        labels
            && self.fields.iter().all(|(name, equal, value)| {
                let at = format!("/{}", name.replace('.', "/"));
                (text(object, &at) == value) == *equal
            })
    }
}

/// The requirements, parted by commas that are in no brackets.
fn outside_brackets(of: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for letter in of.chars() {
        match letter {
            ',' if !inside => parts.push(String::new()),
            _ => {
                inside = (inside || letter == '(') && letter != ')';
                parts.last_mut().expect("a part").push(letter);
            }
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn need(of: &str) -> Option<Need> {
    let one = |label: &str, wanted| Some(Need { label: label.trim().to_owned(), wanted });
    if let Some((left, values)) = of.split_once('(') {
        let values = values.trim().strip_suffix(')')?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (label, operator) = left.trim().rsplit_once(' ')?;
        return match operator {
            "in" => one(label, Wanted::In(values)),
            "notin" => one(label, Wanted::NotIn(values)),
            _ => None,
        };
    }
    if let Some(label) = of.strip_prefix('!') {
        return one(label, Wanted::Missing);
    }
    if let Some((label, value)) = of.split_once("!=") {
        return one(label, Wanted::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((label, value)) = of.split_once("==").or_else(|| of.split_once('=')) {
        return one(label, Wanted::In(vec![value.trim().to_owned()]));
    }
    one(of, Wanted::Exists)
}
