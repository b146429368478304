//! Secrets: `{ env = "NAME" }` or `{ file = "PATH" }`, never a literal. Read when the configuration is; shown nowhere.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a TOML value of any other kind, whatever comes, is the same fault"
)]

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use toml::Spanned;
use toml::de::DeValue;

use super::fault::{Severity, quoted};
use super::read::{At, Page, Table, wrong_kind};

/// No secret is longer; a bigger file is some other file.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret and where it comes from. Two are equal when their values are.
#[derive(Clone)]
pub struct Secret {
    /// Where it comes from, for people.
    pub origin: SecretOrigin,
    /// The value; `None` when it was not there.
    pub value: Option<SecretString>,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretOrigin {
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File(PathBuf),
}

impl Secret {
    /// Whether two secrets are one: the same place, or the same value.
    pub(super) fn is_same(&self, other: &Secret) -> bool {
        let values = self.value.as_ref().zip(other.value.as_ref());
        self.origin == other.origin || values.is_some_and(|(a, b)| a.expose_secret() == b.expose_secret())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        let exposed = |secret: &Secret| secret.value.as_ref().map(|value| value.expose_secret().to_owned());
        self.origin == other.origin && exposed(self) == exposed(other)
    }
}

impl Eq for Secret {}

impl fmt::Display for SecretOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretOrigin::Variable(name) => write!(f, "variable {name}"),
            SecretOrigin::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// The secret of a key.
pub(super) fn secret(table: &Table<'_>, key: &'static str) -> Option<At<Secret>> {
    let item = table.item(key)?;
    read(table.page(), key, item)
}

/// One secret or a list of them, for rotation.
pub(super) fn secrets(table: &Table<'_>, key: &'static str) -> Vec<At<Secret>> {
    let Some(item) = table.item(key) else { return Vec::new() };
    match item.get_ref() {
        DeValue::Array(array) => {
            if array.is_empty() {
                table.page().fault(item.span(), format!("`{key}` is empty"), "name at least one secret");
            }
            array.iter().filter_map(|item| read(table.page(), key, item)).collect()
        }
        _ => read(table.page(), key, item).into_iter().collect(),
    }
}

/// Secrets by the names that people choose, such as variables of a program's environment.
pub(super) fn secrets_by_name(table: &Table<'_>, key: &'static str) -> Vec<(String, Secret)> {
    let Some(named) = table.table(key) else { return Vec::new() };
    let entries = named.open_entries();
    entries
        .into_iter()
        .filter_map(|(name, item)| Some((name.value.to_owned(), read(named.page(), name.value, item)?.value)))
        .collect()
}

/// The secret of a key that people choose.
pub(super) fn secret_of<'a>(page: Page<'a>, key: &str, item: &'a Spanned<DeValue<'a>>) -> Option<At<Secret>> {
    read(page, key, item)
}

/// Reads `{ env = "NAME" }` or `{ file = "PATH" }` and the value behind it.
fn read<'a>(page: Page<'a>, key: &str, item: &'a Spanned<DeValue<'a>>) -> Option<At<Secret>> {
    let remedy = "write { env = \"NAME\" } or { file = \"PATH\" } and put the secret there";
    let entries = match item.get_ref() {
        DeValue::Table(entries) => entries,
        DeValue::String(_) => {
            page.findings.mask(page.file, item.span());
            page.fault(item.span(), format!("`{key}` is a secret written out in the file"), remedy);
            return None;
        }
        other => {
            page.findings.mask(page.file, item.span());
            wrong_kind(page, key, item.span(), "{ env = \"NAME\" } or { file = \"PATH\" }", other);
            return None;
        }
    };
    let table = Table::inline(page, entries, item.span());
    let variable = table.text("env");
    let file = table.text("file");
    let origin = match (variable, file) {
        (Some(name), None) => SecretOrigin::Variable(name.value.to_owned()),
        (None, Some(path)) => SecretOrigin::File(page.path(path.value)),
        (Some(_), Some(_)) => {
            page.fault(item.span(), format!("`{key}` names two places"), "keep either `env` or `file`");
            return None;
        }
        (None, None) => {
            page.fault(item.span(), format!("`{key}` names no place"), remedy);
            return None;
        }
    };
    let value = fetch(page, key, item.span(), &origin)?;
    Some(At { value: Secret { origin, value }, span: item.span() })
}

/// The value behind a place. `Some(None)`: it is not there, which is noted. `None`: it is there and no secret.
fn fetch(
    page: Page<'_>,
    key: &str,
    span: std::ops::Range<usize>,
    origin: &SecretOrigin,
) -> Option<Option<SecretString>> {
    let found = match origin {
        SecretOrigin::Variable(name) => (page.variables)(name)
            .ok_or_else(|| (format!("the variable {} is not set", quoted(name)), "set it")),
        SecretOrigin::File(path) => {
            read_file(path).inspect(|text| page.findings.secret_file(path, text)).map_err(|cause| {
                (
                    format!("{} cannot be read: {cause}", quoted(&path.to_string_lossy())),
                    "put the secret there",
                )
            })
        }
    };
    let text = match found {
        Ok(text) => text,
        Err((what, remedy)) => {
            let message = format!("the secret of `{key}` is missing: {what}");
            let remedy = format!("{remedy} before the server starts");
            page.findings.missing(page.make(Severity::Warning, span, message, remedy, None));
            return Some(None);
        }
    };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        page.fault(span, format!("the secret of `{key}` is empty ({origin})"), "put the secret there");
        return None;
    }
    Some(Some(SecretString::from(text.to_owned())))
}

/// The text of a small file.
pub(super) fn read_file(path: &std::path::Path) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read =
        file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if read as u64 > SECRET_BYTES_MAX {
        return Err("it is larger than 64 KiB".into());
    }
    Ok(text)
}
