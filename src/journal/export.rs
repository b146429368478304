//! The audit as lines for people and other tools. Leaves to `verify` whether it is whole.

use std::io::Write;
use std::path::Path;

use super::audit::{AuditEntry, Contents};
use super::moment;
use super::reader::{ReadError, Reader};
use super::verify::VerifyError;

/// Entries that an export reads at once.
const PAGE: u32 = 256;

/// Writes the whole audit, one JSON object a line: each entry with the events that it speaks of.
pub fn export(store: &Path, to: &mut impl Write) -> Result<u64, VerifyError> {
    let reader = Reader::open(store).map_err(ReadError::from)?;
    let mut written = 0;
    loop {
        let page = reader.audit_entries(written + 1, PAGE)?;
        if page.is_empty() {
            return Ok(written);
        }
        for entry in page {
            let line = exported(&reader, &entry)?;
            to.write_all(line.as_bytes())
                .map_err(|cause| VerifyError::File { path: store.to_owned(), cause })?;
            written = entry.height;
        }
    }
}

fn exported(reader: &Reader, entry: &AuditEntry) -> Result<String, VerifyError> {
    let contents: Contents = serde_json::from_str(&entry.contents)
        .map_err(|cause| VerifyError::Broken { height: entry.height, why: cause.to_string() })?;
    let events = match &contents.events {
        Some(span) => reader.event_texts(span.first, span.last)?,
        None => Vec::new(),
    };
    let events: Vec<&str> = events.iter().map(|(_, text)| text.as_str()).collect();
    // Contents and events are stored as JSON already.
    Ok(format!(
        "{{\"height\":{},\"at\":\"{}\",\"contents\":{},\"prev\":\"{}\",\"hash\":\"{}\",\"events\":[{}]}}\n",
        entry.height,
        moment(entry.at),
        entry.contents,
        entry.prev,
        entry.hash,
        events.join(",")
    ))
}
