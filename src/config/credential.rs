//! What a source or a feed must show: a token, a name and a password, or a signature over the body. Each has its own, and
//! no two share one: a secret says who speaks, and so what may be changed.

use super::fault::quoted;
use super::read::{At, Page, Table};
use super::secret::{Secret, secrets};

/// What proves a delivery: any of its secrets, of which several are for rotation.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// `Authorization: Bearer …`.
    Bearer(Vec<Secret>),
    /// `Authorization: Basic …`.
    Basic {
        /// The user, no secret; holds no colon.
        user: String,
        /// The passwords.
        passwords: Vec<Secret>,
    },
    /// A signature over the body, in its sender's way.
    Signed {
        /// What signs it.
        secrets: Vec<Secret>,
        /// The header of the signature, where the sender lets people name it.
        signature_header: Option<String>,
        /// The header of the time that is signed, where there is one.
        timestamp_header: Option<String>,
        /// What stands before the signature, where the sender says so.
        prefix: Option<String>,
    },
}

/// What a kind of sender can show; each is one way of `snapback.toml`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `bearer_token`.
    Bearer,
    /// `basic`.
    Basic,
    /// `secrets`.
    Secrets,
    /// `secret`: one, or several for rotation.
    Secret,
}

impl Way {
    fn key(self) -> &'static str {
        match self {
            Way::Bearer => "bearer_token",
            Way::Basic => "basic",
            Way::Secrets => "secrets",
            Way::Secret => "secret",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Way::Bearer => "bearer_token = { env = \"NAME\" }",
            Way::Basic => "basic = { user = \"NAME\", password = { env = \"NAME\" } }",
            Way::Secrets => "secrets = [{ env = \"NAME\" }]",
            Way::Secret => "secret = { env = \"NAME\" }",
        }
    }
}

/// The secrets so far, with whose they are.
pub(super) type SeenSecrets = Vec<(Secret, String)>;

/// Reads the credential in one of these ways; none, two, and one of another kind's are faults.
pub(super) fn credential(
    table: &Table<'_>,
    ways: &[Way],
    seen: &mut SeenSecrets,
    whose: &str,
) -> Option<Credential> {
    let page = table.page();
    let mut shown = ways.iter().copied().filter(|way| table.has(way.key()));
    let Some(way) = shown.next() else {
        let examples: Vec<&str> = ways.iter().map(|way| way.example()).collect();
        page.fault(
            table.span(),
            "no credential: anybody could speak for it",
            format!("add {}", examples.join(", or ")),
        );
        return None;
    };
    for second in shown {
        let (one, other) = (way.key(), second.key());
        page.fault(table.key_span(other), format!("`{other}` beside `{one}`"), "keep one of them");
        take(table, second, seen, whose);
    }
    take(table, way, seen, whose)
}

fn take(table: &Table<'_>, way: Way, seen: &mut SeenSecrets, whose: &str) -> Option<Credential> {
    let page = table.page();
    let mut taken = |found: Vec<At<Secret>>| -> Option<Vec<Secret>> {
        found.iter().for_each(|secret| note_secret(page, secret, seen, whose));
        let found: Vec<Secret> = found.into_iter().map(|secret| secret.value).collect();
        (!found.is_empty()).then_some(found)
    };
    match way {
        Way::Bearer => taken(secrets(table, "bearer_token")).map(Credential::Bearer),
        Way::Basic => {
            let basic = table.table("basic")?;
            let passwords = taken(secrets(&basic, "password"));
            let user = basic.text("user");
            for key in ["user", "password"] {
                if !basic.has(key) {
                    basic.missing(key, format!("write {}", Way::Basic.example()));
                }
            }
            let user = user?;
            if user.value.contains(':') {
                page.fault(
                    user.span,
                    "a user with a colon",
                    "take the colon out: it ends the user in basic credentials",
                );
                return None;
            }
            passwords.map(|passwords| Credential::Basic { user: user.value.to_owned(), passwords })
        }
        Way::Secret => {
            let secrets = taken(secrets(table, "secret"))?;
            Some(Credential::Signed { secrets, signature_header: None, timestamp_header: None, prefix: None })
        }
        Way::Secrets => {
            let secrets = taken(secrets(table, way.key()))?;
            Some(Credential::Signed {
                secrets,
                signature_header: header(table, "signature_header"),
                timestamp_header: header(table, "timestamp_header"),
                prefix: table.text("signature_prefix").map(|prefix| prefix.value.to_owned()),
            })
        }
    }
}

/// The name of a header; faults are said where it is used.
fn header(table: &Table<'_>, key: &'static str) -> Option<String> {
    let name = table.text(key)?;
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.value.is_empty() || name.value.len() > 64 || !name.value.bytes().all(sound) {
        table.page().fault(
            name.span,
            format!("{} is no header's name", quoted(name.value)),
            "write it as the sender does, such as \"X-Grafana-Alerting-Signature\"",
        );
        return None;
    }
    Some(name.value.to_owned())
}

fn note_secret(page: Page<'_>, secret: &At<Secret>, seen: &mut SeenSecrets, whose: &str) {
    if let Some((_, other)) = seen.iter().find(|(other, of)| of != whose && other.is_same(&secret.value)) {
        page.fault(
            secret.span.clone(),
            format!("this secret is that of {other} too"),
            "give each its own: a secret says who speaks, and so what may be changed",
        );
    }
    seen.push((secret.value.clone(), whose.to_owned()));
}
