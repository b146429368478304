//! The line of a shell by which a person does a step of the user's own, where Snapback is away.

use reqwest::header::CONTENT_TYPE;

use super::{told, unreadable};
use crate::case::id::{ReleaseId, ServiceId};
use crate::case::own_step::{Spec, Work};
use crate::case::step::Act;
use crate::execute::shell;

/// One line of a POSIX shell. A secret stands in it by where it comes from: its variable, or its file. It carries no key of ours, because
/// nobody would know it.
///
/// # Errors
/// Why it cannot be written as one.
pub fn by_hand(
    act: &Act,
    service: &ServiceId,
    (from, to): (&ReleaseId, &ReleaseId),
) -> Result<String, String> {
    let spec = Spec::read(act).ok_or_else(|| unreadable(act))?;
    match &spec.work {
        Work::Http { .. } => request(&spec),
        Work::Command { argv, folder } => {
            let place = shell(["cd", &folder.display().to_string()])?;
            let mut line = format!("{place} && ");
            for (name, value) in told(service, from, to) {
                line.push_str(&format!("{name}={} ", shell([value.as_str()])?));
            }
            for (name, origin) in &spec.secrets {
                line.push_str(&format!("{name}={} ", value(origin)?));
            }
            Ok(line + &shell(argv.iter().map(String::as_str))?)
        }
    }
}

fn request(spec: &Spec) -> Result<String, String> {
    let Work::Http { method, url, headers, body } = &spec.work else { return Err("no request".into()) };
    let mut words = vec!["curl".to_owned(), "--fail-with-body".into(), "--request".into(), method.clone()];
    for (name, value) in headers {
        words.extend(["--header".to_owned(), format!("{name}: {value}")]);
    }
    if let Some(body) = body {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        let typed = headers.keys().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
        if !typed {
            // Without one curl would call it a form.
            let kind = if is_json { "content-type: application/json" } else { "content-type:" };
            words.extend(["--header".to_owned(), kind.into()]);
        }
        words.extend(["--data-raw".to_owned(), body.clone()]);
    }
    words.push(url.clone());
    let mut line = shell(words.iter().map(String::as_str))?;
    for (name, origin) in &spec.secrets {
        line.push_str(&format!(" --header {}{}", shell([format!("{name}: ").as_str()])?, value(origin)?));
    }
    Ok(line)
}

/// The value of a secret, as a shell finds it where it comes from.
fn value(origin: &str) -> Result<String, String> {
    if let Some(file) = origin.strip_prefix("file ") {
        return Ok(format!("\"$(cat {})\"", shell([file])?));
    }
    let name = origin.strip_prefix("variable ").unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(format!("no shell knows {origin}"));
    }
    Ok(format!("\"${name}\""))
}
