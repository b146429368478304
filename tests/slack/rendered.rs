//! What a person sees of a message: its blocks as text, buttons as `[Label]`, mentions by name. Emphasis stays as it is
//! written. Leaves what may be posted to `blocks`.

use serde_json::Value;

use super::state::State;

/// Text and blocks as a person reads them; where there are blocks, the text is not seen.
pub(super) fn rendered(state: &State, text: &str, blocks: &[Value]) -> String {
    if blocks.is_empty() {
        return mrkdwn(state, text);
    }
    let lines: Vec<String> = blocks.iter().map(|block| block_text(state, block)).collect();
    lines.join("\n")
}

fn block_text(state: &State, block: &Value) -> String {
    let each = |name: &str, glue: &str| {
        let list = block[name].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().map(|element| element_text(state, element)).collect::<Vec<_>>().join(glue)
    };
    match block["type"].as_str().unwrap_or_default() {
        "header" => format!("# {}", element_text(state, &block["text"])),
        "context" => format!("  {}", each("elements", " · ")),
        "actions" => each("elements", " "),
        "divider" => "----".to_owned(),
        "rich_text" => super::rich::rendered(state, block),
        "image" => format!("({})", block["alt_text"].as_str().unwrap_or_default()),
        "markdown" => block["text"].as_str().unwrap_or_default().to_owned(),
        _ => {
            let parts = [
                block.get("text").map(|text| element_text(state, text)),
                block.get("fields").map(|_| each("fields", "\n")),
                block.get("accessory").map(|accessory| element_text(state, accessory)),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
        }
    }
}

fn element_text(state: &State, element: &Value) -> String {
    match element["type"].as_str().unwrap_or_default() {
        "button" => format!("[{}]", element_text(state, &element["text"])),
        "image" => format!("({})", element["alt_text"].as_str().unwrap_or_default()),
        "mrkdwn" => mrkdwn(state, element["text"].as_str().unwrap_or_default()),
        // Plain text knows no mentions, but Slack reads its three entities there too.
        _ => unescaped(element["text"].as_str().unwrap_or_default()),
    }
}

/// Slack's markup as it shows: `<@U…>`, `<!subteam^S…>`, `<#C…>`, `<!date^…|fallback>`, `<url|label>`.
fn mrkdwn(state: &State, text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        shown.push_str(&unescaped(before));
        let Some((inside, after)) = after.split_once('>') else {
            shown.push('<');
            rest = after;
            continue;
        };
        shown.push_str(&special(state, inside));
        rest = after;
    }
    shown.push_str(&unescaped(rest));
    shown
}

fn special(state: &State, inside: &str) -> String {
    let (target, label) = inside.split_once('|').map_or((inside, None), |(t, l)| (t, Some(unescaped(l))));
    if let Some(id) = target.strip_prefix('@') {
        let name = state.people.get(id).map(|person| person.name.as_str());
        return format!("@{}", name.unwrap_or("unknown user"));
    }
    if let Some(id) = target.strip_prefix("!subteam^") {
        let handle = state.groups.get(id).map(|group| group.handle.as_str());
        return format!("@{}", handle.unwrap_or("unknown group"));
    }
    if let Some(id) = target.strip_prefix('#') {
        let name = state.channels.get(id).map(|channel| channel.name.as_str());
        return format!("#{}", name.unwrap_or("unknown-channel"));
    }
    if let Some(command) = target.strip_prefix('!') {
        return label.unwrap_or_else(|| format!("@{command}"));
    }
    let target = unescaped(target);
    label.map_or(target.clone(), |label| format!("{label} ({target})"))
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
