//! Rich text: which elements it may hold (docs.slack.dev, "Rich text block"), and how a person reads them. Its texts are
//! literal: nothing in them is ever markup.

use serde_json::Value;

use super::state::State;

/// What is wrong with a rich text block, each with its place in it; and how many characters it holds.
pub(super) fn faults(block: &Value, at: &str) -> (Vec<String>, usize) {
    let mut found = Found::default();
    found.each(block, at, |found, element, at| match element["type"].as_str() {
        Some("rich_text_section" | "rich_text_quote" | "rich_text_preformatted") => {
            found.each(element, at, Found::inline)
        }
        Some("rich_text_list") => {
            if !matches!(element["style"].as_str(), Some("bullet" | "ordered")) {
                found.fault("must be one of: bullet, ordered", &format!("{at}/style"));
            }
            found.each(element, at, |found, item, at| {
                if item["type"] != "rich_text_section" {
                    found.fault("must be a rich_text_section", at);
                }
                found.each(item, at, Found::inline);
            });
        }
        other => found.fault(&format!("unsupported type: {other:?}"), at),
    });
    (found.faults, found.characters)
}

#[derive(Default)]
struct Found {
    faults: Vec<String>,
    characters: usize,
}

impl Found {
    fn fault(&mut self, what: &str, at: &str) {
        self.faults.push(format!("{what} [json-pointer:{at}]"));
    }

    fn each(&mut self, of: &Value, at: &str, then: fn(&mut Found, &Value, &str)) {
        let Some(elements) = of["elements"].as_array().filter(|elements| !elements.is_empty()) else {
            return self.fault("no fewer than 1 items allowed", &format!("{at}/elements"));
        };
        for (nth, element) in elements.iter().enumerate() {
            then(self, element, &format!("{at}/elements/{nth}"));
        }
    }

    fn inline(&mut self, element: &Value, at: &str) {
        let (field, is_there) = match element["type"].as_str() {
            Some("text") => ("text", element["text"].as_str().is_some_and(|text| !text.is_empty())),
            Some("user") => {
                ("user_id", element["user_id"].as_str().is_some_and(|id| id.starts_with(['U', 'W'])))
            }
            Some("emoji") => ("name", element["name"].is_string()),
            Some("date") => ("timestamp", element["timestamp"].is_i64() && element["format"].is_string()),
            Some("link") => ("url", element["url"].is_string()),
            Some("broadcast") => ("range", element["range"].is_string()),
            other => return self.fault(&format!("unsupported type: {other:?}"), at),
        };
        if !is_there {
            self.fault("missing required field", &format!("{at}/{field}"));
        }
        self.characters += element["text"].as_str().map_or(0, |text| text.chars().count());
    }
}

/// As a person reads it.
pub(super) fn rendered(state: &State, block: &Value) -> String {
    let parts = block["elements"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let lines = parts.map(|element| match element["type"].as_str() {
        Some("rich_text_list") => {
            let items = element["elements"].as_array().map_or(&[][..], Vec::as_slice).iter();
            items.map(|item| format!("\u{2022} {}", inline(state, item))).collect::<Vec<_>>().join("\n")
        }
        Some("rich_text_quote") => {
            inline(state, element).lines().map(|line| format!("| {line}")).collect::<Vec<_>>().join("\n")
        }
        _ => inline(state, element),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn inline(state: &State, of: &Value) -> String {
    let elements = of["elements"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let shown = elements.map(|element| match element["type"].as_str().unwrap_or_default() {
        "user" => {
            let id = element["user_id"].as_str().unwrap_or_default();
            format!("@{}", state.people.get(id).map_or("unknown user", |person| person.name.as_str()))
        }
        "emoji" => format!(":{}:", element["name"].as_str().unwrap_or_default()),
        "date" => element["fallback"].as_str().unwrap_or_default().to_owned(),
        "broadcast" => format!("@{}", element["range"].as_str().unwrap_or_default()),
        "link" => element["url"].as_str().unwrap_or_default().to_owned(),
        _ => element["text"].as_str().unwrap_or_default().to_owned(),
    });
    shown.collect()
}
