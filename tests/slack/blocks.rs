//! What Slack takes as blocks, by its documented limits, and what it makes of them: ids and defaults. It is stricter than
//! Slack where that costs a client nothing: an element that the workspace does not know is refused.
//! Leaves the wire's words for a refusal to `methods`, and reading them as a person does to `rendered`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Blocks of one message.
const BLOCKS: usize = 50;
/// What one block costs of the whole message's characters, and how many there may be. Source: bolt-js#2509, measured:
/// 13,297 characters in one block, 125 fewer when a divider is added.
const EACH_BLOCK: usize = 125;
const WHOLE: usize = 13_297 + EACH_BLOCK;

/// Why blocks are not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// No list, or no JSON.
    Format,
    /// One line for each fault, in Slack's words: the fault and where it is.
    Blocks(Vec<String>),
    /// Each is right, and together they are too long.
    TooLong,
}

/// Takes blocks as Slack would, with `block_id`s of their own from `id` where they have none.
pub(super) fn taken(blocks: &Value, mut id: impl FnMut() -> String) -> Result<Vec<Value>, Wrong> {
    let Some(list) = blocks.as_array() else { return Err(Wrong::Format) };
    let mut check = Check::default();
    if list.len() > BLOCKS {
        check.fault("no more than 50 items allowed", "/blocks");
    }
    for (nth, block) in list.iter().enumerate() {
        check.block(block, &format!("/blocks/{nth}"));
    }
    if !check.faults.is_empty() {
        return Err(Wrong::Blocks(check.faults));
    }
    if check.characters + list.len() * EACH_BLOCK > WHOLE {
        return Err(Wrong::TooLong);
    }
    Ok(list.iter().map(|block| completed(block, &mut id)).collect())
}

/// The block with what Slack adds to it.
fn completed(block: &Value, id: &mut impl FnMut() -> String) -> Value {
    let mut block = block.clone();
    defaults(&mut block, id);
    if let Some(fields) = block.as_object_mut() {
        fields.entry("block_id").or_insert_with(|| id().into());
    }
    block
}

fn defaults(value: &mut Value, id: &mut impl FnMut() -> String) {
    if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(|one| defaults(one, id));
    }
    if let Some(fields) = value.as_object_mut() {
        let kind = fields.get("type").and_then(Value::as_str).map(str::to_owned);
        match kind.as_deref() {
            Some("plain_text") => {
                fields.entry("emoji").or_insert(true.into());
            }
            Some("mrkdwn") => {
                fields.entry("verbatim").or_insert(false.into());
            }
            Some("button") => {
                fields.entry("action_id").or_insert_with(|| id().into());
            }
            Some(_) | None => {}
        }
        fields.values_mut().for_each(|one| defaults(one, id));
    }
}

#[derive(Default)]
struct Check {
    faults: Vec<String>,
    characters: usize,
    block_ids: BTreeSet<String>,
    action_ids: BTreeSet<String>,
}

/// Which text an object may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Plain,
    Either,
}

impl Check {
    fn fault(&mut self, what: &str, at: &str) {
        self.faults.push(format!("{what} [json-pointer:{at}]"));
    }

    /// The fields of an object that has these, and no others.
    fn object<'a>(&mut self, value: &'a Value, may: &[&str], at: &str) -> Option<&'a Map<String, Value>> {
        let Some(fields) = value.as_object() else {
            self.fault("must be an object", at);
            return None;
        };
        for name in fields.keys().filter(|name| !may.contains(&name.as_str())) {
            self.fault(&format!("invalid additional property: {name}"), at);
        }
        Some(fields)
    }

    fn block(&mut self, block: &Value, at: &str) {
        let kind = block["type"].as_str().unwrap_or_default();
        let may: &[&str] = match kind {
            "section" => &["type", "block_id", "text", "fields", "accessory", "expand"],
            "header" | "markdown" => &["type", "block_id", "text"],
            "context" | "actions" => &["type", "block_id", "elements"],
            "divider" => &["type", "block_id"],
            "image" => &["type", "block_id", "image_url", "alt_text", "title"],
            "rich_text" => &["type", "block_id", "elements"],
            other => return self.fault(&format!("unsupported type: {other}"), at),
        };
        let Some(fields) = self.object(block, may, at) else { return };
        if let Some(id) = fields.get("block_id") {
            self.id(id, "block_id", at);
        }
        match kind {
            "section" => self.section(fields, at),
            "header" => self.text(fields.get("text"), Text::Plain, 150, &format!("{at}/text")),
            "markdown" => {
                self.characters += block["text"].as_str().map_or(0, |text| text.chars().count());
                self.words(fields.get("text"), 12_000, &format!("{at}/text"));
            }
            "context" => self.list(fields.get("elements"), 10, &format!("{at}/elements"), Check::in_context),
            "actions" => self.list(fields.get("elements"), 25, &format!("{at}/elements"), Check::button),
            "image" => self.image(fields, at),
            "rich_text" => {
                let (faults, characters) = super::rich::faults(block, at);
                self.faults.extend(faults);
                self.characters += characters;
            }
            // A divider has nothing else.
            _ => {}
        }
    }

    fn section(&mut self, fields: &Map<String, Value>, at: &str) {
        if fields.get("text").or(fields.get("fields")).is_none() {
            self.fault("missing required field: text", at);
        }
        if let Some(text) = fields.get("text") {
            self.text(Some(text), Text::Either, 3000, &format!("{at}/text"));
        }
        if let Some(list) = fields.get("fields") {
            self.list(Some(list), 10, &format!("{at}/fields"), |check, field, at| {
                check.text(Some(field), Text::Either, 2000, at);
            });
        }
        if let Some(accessory) = fields.get("accessory") {
            let at = format!("{at}/accessory");
            match accessory["type"].as_str() {
                Some("image") => self.in_context(accessory, &at),
                Some(_) | None => self.button(accessory, &at),
            }
        }
    }

    fn list(&mut self, list: Option<&Value>, most: usize, at: &str, each: fn(&mut Check, &Value, &str)) {
        let Some(list) = list.and_then(Value::as_array) else {
            return self.fault("must provide an array", at);
        };
        if list.is_empty() {
            self.fault("no fewer than 1 items allowed", at);
        }
        if list.len() > most {
            self.fault(&format!("no more than {most} items allowed"), at);
        }
        for (nth, one) in list.iter().enumerate() {
            each(self, one, &format!("{at}/{nth}"));
        }
    }

    fn in_context(&mut self, element: &Value, at: &str) {
        match element["type"].as_str() {
            Some("image") => {
                if let Some(fields) = self.object(element, &["type", "image_url", "alt_text"], at) {
                    self.image(fields, at);
                }
            }
            Some(_) | None => self.text(Some(element), Text::Either, 3000, at),
        }
    }

    fn image(&mut self, fields: &Map<String, Value>, at: &str) {
        self.words(fields.get("image_url"), 3000, &format!("{at}/image_url"));
        self.words(fields.get("alt_text"), 2000, &format!("{at}/alt_text"));
        if let Some(title) = fields.get("title") {
            self.text(Some(title), Text::Plain, 2000, &format!("{at}/title"));
        }
    }

    fn button(&mut self, button: &Value, at: &str) {
        if button["type"] != "button" {
            return self.fault(&format!("unsupported type: {}", button["type"]), at);
        }
        let may = ["type", "text", "action_id", "value", "url", "style", "confirm", "accessibility_label"];
        let Some(fields) = self.object(button, &may, at) else { return };
        self.text(fields.get("text"), Text::Plain, 75, &format!("{at}/text"));
        if let Some(id) = fields.get("action_id") {
            self.id(id, "action_id", at);
        }
        for (name, most) in [("value", 2000), ("url", 3000), ("accessibility_label", 75)] {
            if let Some(words) = fields.get(name) {
                self.words(Some(words), most, &format!("{at}/{name}"));
            }
        }
        self.style(fields.get("style"), at);
        if let Some(confirm) = fields.get("confirm") {
            self.confirm(confirm, &format!("{at}/confirm"));
        }
    }

    fn confirm(&mut self, confirm: &Value, at: &str) {
        let Some(fields) = self.object(confirm, &["title", "text", "confirm", "deny", "style"], at) else {
            return;
        };
        let parts = [
            ("title", Text::Plain, 100),
            ("text", Text::Either, 300),
            ("confirm", Text::Plain, 30),
            ("deny", Text::Plain, 30),
        ];
        for (name, may, most) in parts {
            self.text(fields.get(name), may, most, &format!("{at}/{name}"));
        }
        self.style(fields.get("style"), at);
    }

    fn style(&mut self, style: Option<&Value>, at: &str) {
        if style.is_some_and(|style| style != "primary" && style != "danger") {
            self.fault("must be one of: primary, danger", &format!("{at}/style"));
        }
    }

    /// An id: at most 255 characters, and the only one of its sort in the message.
    fn id(&mut self, id: &Value, sort: &str, at: &str) {
        self.words(Some(id), 255, &format!("{at}/{sort}"));
        let ids = if sort == "block_id" { &mut self.block_ids } else { &mut self.action_ids };
        if !ids.insert(id.as_str().unwrap_or_default().to_owned()) {
            self.fault(&format!("`{sort}` {id} already exists"), &format!("{at}/{sort}"));
        }
    }

    /// A text object.
    fn text(&mut self, text: Option<&Value>, may: Text, most: usize, at: &str) {
        let Some(text) = text else { return self.fault("missing required field: text", at) };
        let known: &[&str] = match text["type"].as_str() {
            Some("plain_text") => &["type", "text", "emoji"],
            Some("mrkdwn") if may == Text::Either => &["type", "text", "verbatim"],
            Some(_) | None => return self.fault("failed to match all allowed schemas", at),
        };
        let Some(fields) = self.object(text, known, at) else { return };
        self.characters += fields.get("text").and_then(Value::as_str).map_or(0, |text| text.chars().count());
        self.words(fields.get("text"), most, &format!("{at}/text"));
    }

    /// A text by itself, of at least one character.
    fn words(&mut self, words: Option<&Value>, most: usize, at: &str) {
        let Some(words) = words.and_then(Value::as_str) else { return self.fault("must be a string", at) };
        let long = words.chars().count();
        if long == 0 {
            self.fault("must be more than 0 characters", at);
        }
        if long > most {
            self.fault(&format!("must be less than {} characters", most + 1), at);
        }
    }
}
