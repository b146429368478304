//! A step of the user's own: one request or one program, as it is configured, and as it is pinned in a plan. Owns the spelling; leaves to
//! `execute::step` the doing. A secret stands in it by where it comes from and never by its value: plans are stored and shown.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::id::Duration;
use super::step::{Act, Class};

/// The kind of an act that is a request.
const HTTP: &str = "http";
/// The kind of an act that is a program.
const COMMAND: &str = "command";

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// One request.
    Http {
        /// The method.
        method: String,
        /// Where.
        url: String,
        /// What goes along.
        headers: BTreeMap<String, String>,
        /// What is sent.
        body: Option<String>,
    },
    /// One program, without a shell.
    Command {
        /// Its words.
        argv: Vec<String>,
        /// Where it runs.
        folder: PathBuf,
    },
}

/// A step as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What people call it.
    pub name: String,
    /// What is done.
    pub work: Work,
    /// Headers or variables that are secret, each with where its value comes from.
    pub secrets: BTreeMap<String, String>,
    /// Within so long.
    pub timeout: Duration,
    /// To do it twice does no harm.
    pub repeatable: bool,
}

impl Spec {
    /// The act of a plan that does it.
    pub fn act(&self) -> Act {
        let mut arguments = BTreeMap::from([("timeout_ms".to_owned(), self.timeout.as_millis().to_string())]);
        let secret = |(name, origin): (&String, &String)| (format!("secret {name}"), origin.clone());
        arguments.extend(self.secrets.iter().map(secret));
        let (kind, how) = match &self.work {
            Work::Http { method, url, headers, body } => {
                let header = |(name, value): (&String, &String)| (format!("header {name}"), value.clone());
                arguments.extend(headers.iter().map(header));
                arguments.extend(body.iter().map(|body| ("body".to_owned(), body.clone())));
                arguments.insert("method".into(), method.clone());
                arguments.insert("url".into(), url.clone());
                (HTTP, format!("{method} to {}", host(url)))
            }
            Work::Command { argv, folder } => {
                // Sorted as text, and so in order.
                let word = |(nth, word): (usize, &String)| (format!("argv {nth:03}"), word.clone());
                arguments.extend(argv.iter().enumerate().map(word));
                arguments.insert("folder".into(), folder.display().to_string());
                (COMMAND, format!("run {}", argv.first().map_or("nothing", String::as_str)))
            }
        };
        let class = if self.repeatable { Class::B } else { Class::C };
        Act { kind: kind.into(), arguments, class, says: format!("{} ({how})", self.name) }
    }

    /// Reads an act; nothing where [`Spec::act`] did not make it.
    pub fn read(act: &Act) -> Option<Spec> {
        let argument = |name: &str| act.arguments.get(name).cloned();
        let named = |prefix: &'static str| -> BTreeMap<String, String> {
            let of = |(name, value): (&String, &String)| {
                name.strip_prefix(prefix).map(|name| (name.to_owned(), value.clone()))
            };
            act.arguments.iter().filter_map(of).collect()
        };
        let work = match act.kind.as_str() {
            HTTP => Work::Http {
                method: argument("method")?,
                url: argument("url")?,
                headers: named("header "),
                body: argument("body"),
            },
            COMMAND => Work::Command {
                argv: Some(named("argv ").into_values().collect())
                    .filter(|argv: &Vec<String>| !argv.is_empty())?,
                folder: argument("folder").map(PathBuf::from)?,
            },
            _ => return None,
        };
        let timeout = argument("timeout_ms").and_then(|millis| millis.parse().ok())?;
        Some(Spec {
            name: act.says.clone(),
            work,
            secrets: named("secret "),
            timeout: Duration::from_millis(timeout),
            repeatable: act.class != Class::C,
        })
    }
}

/// The host of an address, for people: what stands behind it may be nobody else's business.
pub fn host(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let authority = behind.split(['/', '?', '#']).next().unwrap_or(behind);
    authority.rsplit('@').next().unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_read_back() {
        let http = Work::Http {
            method: "PATCH".into(),
            url: "https://user@flags.example.com:8443/api?k=v".into(),
            headers: BTreeMap::from([("Content-Type".to_owned(), "text/plain".to_owned())]),
            body: Some("off".into()),
        };
        let argv = (0..12).map(|nth| format!("word {nth}")).collect();
        let command = Work::Command { argv, folder: PathBuf::from("/etc/snapback") };
        for (work, repeatable, says) in
            [(http, true, "it (PATCH to flags.example.com:8443)"), (command, false, "it (run word 0)")]
        {
            let secrets = BTreeMap::from([("Authorization".to_owned(), "variable TOKEN".to_owned())]);
            let timeout = Duration::from_millis(1500);
            let spec = Spec { name: "it".into(), work, secrets, timeout, repeatable };
            let act = spec.act();
            assert_eq!(act.says, says);
            assert_eq!(Spec::read(&act), Some(Spec { name: says.into(), ..spec }));
            let spoilt = Act { kind: "switch".into(), ..act };
            assert_eq!(Spec::read(&spoilt), None);
        }
    }
}
