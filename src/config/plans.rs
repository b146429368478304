//! `[plans.NAME]`: steps of the user's own before and after what a provider does. Leaves to `execute::step` how each is
//! done.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::fault::quoted;
use super::later::argv;
use super::read::{At, Table};
use super::secret::{Secret, secret_of, secrets_by_name};
use super::server::public_url;
use super::services::unknown_name;
use crate::case::id::Duration;
use crate::case::own_step::{Spec, Work};
use crate::case::step::{Doer, OnFailure, Step};

/// A request waits so long for its answer where it says nothing.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);
/// Nobody keeps a connection open for longer, and what takes longer is better asked to begin than waited for.
const HTTP_TIMEOUT_MAX: Duration = Duration::from_mins(1);
/// A program runs so long at most where it says nothing.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// A rollback that waits for longer is none.
const COMMAND_TIMEOUT_MAX: Duration = Duration::from_mins(30);
/// More than this is a pipeline, and belongs into one.
const STEPS_MAX: usize = 16;
/// A request's body is a switch or a purge, and no upload.
const BODY_MAX: usize = 16 << 10;
/// The methods that a step may use.
const METHODS: [(&str, &str); 5] =
    [("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE"), ("GET", "GET")];
/// What Snapback says itself to a program, and to whoever is asked.
const OURS: [&str; 2] = ["SNAPBACK_", "idempotency-key"];

/// A plan's own steps, and the secrets that they need.
#[derive(Clone, Debug, Default)]
pub struct PlanSettings {
    /// Before what the provider does.
    pub before: Vec<Step>,
    /// After it.
    pub after: Vec<Step>,
    /// What stands in them by where it comes from.
    pub secrets: Vec<Secret>,
}

/// Reads `[plans.NAME]`.
pub(super) fn plans(root: &Table<'_>) -> BTreeMap<String, PlanSettings> {
    let read = |(name, table): (At<&str>, Table<'_>)| {
        // Before it, nothing was done yet, and a failure stops; after it, what is left to do is done all the same.
        let mut secrets = Vec::new();
        let before = steps(&table, "before", OnFailure::Stop, &mut secrets);
        let after = steps(&table, "after", OnFailure::Continue, &mut secrets);
        (name.value.to_owned(), PlanSettings { before, after, secrets })
    };
    root.named_tables("plans").into_iter().map(read).collect()
}

/// The plan that a service names.
pub(super) fn of_service(table: &Table<'_>, known: &BTreeMap<String, PlanSettings>) -> PlanSettings {
    let Some(name) = table.text("plan") else { return PlanSettings::default() };
    known.get(name.value).cloned().unwrap_or_else(|| {
        unknown_name(table.page(), &name, "plan", "plans", known.keys().map(String::as_str));
        PlanSettings::default()
    })
}

fn steps(table: &Table<'_>, key: &'static str, default: OnFailure, secrets: &mut Vec<Secret>) -> Vec<Step> {
    let tables = table.tables(key);
    if tables.len() > STEPS_MAX {
        table.page().fault(
            table.key_span(key),
            format!("{} steps in `{key}`: more than {STEPS_MAX} is a pipeline", tables.len()),
            "put them into one program, and name that",
        );
    }
    tables.iter().filter_map(|table| step(table, default, secrets)).collect()
}

fn step(table: &Table<'_>, default: OnFailure, secrets: &mut Vec<Secret>) -> Option<Step> {
    let words = [("stop", OnFailure::Stop), ("continue", OnFailure::Continue)];
    let on_failure = table.word("on_failure", &words).map_or(default, |word| word.value);
    let http = table.table("http").map(|inner| http(&inner, secrets));
    let command = table.table("command").map(|inner| command(&inner, secrets));
    let (what, remedy) = match (http, command) {
        (Some(spec), None) | (None, Some(spec)) => {
            let spec = spec?;
            return Some(Step { doer: Doer::User, act: spec.act(), deadline: spec.timeout, on_failure });
        }
        (None, None) => ("does nothing", "give it `http` or `command`"),
        (Some(_), Some(_)) => ("does two things", "make a step of each of `http` and `command`"),
    };
    table.page().fault(table.span(), format!("a step {what}"), remedy);
    None
}

fn http(table: &Table<'_>, needed: &mut Vec<Secret>) -> Option<Spec> {
    let name = name(table);
    let method = table.word("method", &METHODS).map_or("POST", |method| method.value);
    let body = table.text("body");
    if let Some(body) = body.as_ref().filter(|body| body.value.len() > BODY_MAX) {
        table.page().fault(
            body.span.clone(),
            format!("a `body` of more than {} KiB is an upload", BODY_MAX >> 10),
            "let a `command` send it",
        );
    }
    let (headers, secrets) = headers(table);
    let timeout = timeout(table, HTTP_TIMEOUT, HTTP_TIMEOUT_MAX);
    let repeatable = table.flag("repeatable").is_some_and(|flag| flag.value);
    if !table.has("url") {
        table.missing("url", "write what is asked, such as url = \"https://flags.example.com/new-checkout\"");
    }
    let url = table.text("url")?;
    public_url(table.page(), &url)?;
    let work = Work::Http {
        method: method.to_owned(),
        url: url.value.to_owned(),
        headers,
        body: body.map(|body| body.value.to_owned()),
    };
    Some(Spec { name: name?, work, secrets: noted(secrets, needed), timeout, repeatable })
}

fn command(table: &Table<'_>, needed: &mut Vec<Secret>) -> Option<Spec> {
    let name = name(table);
    let secrets = secrets_by_name(table, "environment");
    for (variable, _) in secrets.iter().filter(|(variable, _)| is_ours(variable)) {
        table.page().fault(
            table.key_span("environment"),
            format!("{} is a variable that Snapback sets itself", quoted(variable)),
            "give it another name",
        );
    }
    for (variable, _) in secrets.iter().filter(|(variable, _)| !is_variable(variable)) {
        table.page().fault(
            table.key_span("environment"),
            format!("{} is no name of a variable", quoted(variable)),
            "use letters, digits and `_`, no digit first",
        );
    }
    let timeout = timeout(table, COMMAND_TIMEOUT, COMMAND_TIMEOUT_MAX);
    let repeatable = table.flag("repeatable").is_some_and(|flag| flag.value);
    if !table.has("argv") {
        table.missing("argv", "write the program and its words: argv = [\"./purge.sh\"]");
    }
    let work = Work::Command { argv: argv(table)?, folder: table.page().path(".") };
    Some(Spec { name: name?, work, secrets: noted(secrets, needed), timeout, repeatable })
}

/// Names with where the value of each comes from.
fn noted(secrets: Vec<(String, Secret)>, needed: &mut Vec<Secret>) -> BTreeMap<String, String> {
    let named = secrets.iter().map(|(name, secret)| (name.clone(), secret.origin.to_string())).collect();
    needed.extend(secrets.into_iter().map(|(_, secret)| secret));
    named
}

/// People read it in the plan that they approve.
fn name(table: &Table<'_>) -> Option<String> {
    if !table.has("name") {
        table.missing(
            "name",
            "write what it does, such as name = \"new-checkout flag off\": people approve it by this",
        );
    }
    let name = table.text("name")?;
    if name.value.trim().is_empty() || name.value.len() > 100 || name.value.chars().any(char::is_control) {
        table.page().fault(
            name.span,
            "a step's `name` is one line of at most 100 letters",
            "write what it does, such as \"new-checkout flag off\"",
        );
        return None;
    }
    Some(name.value.to_owned())
}

/// Each header is a text, or a secret. One that sounds like a secret is one.
fn headers(table: &Table<'_>) -> (BTreeMap<String, String>, Vec<(String, Secret)>) {
    let (mut plain, mut secret) = (BTreeMap::new(), Vec::new());
    let Some(inner) = table.table("headers") else { return (plain, secret) };
    for (name, item) in inner.open_entries() {
        if !is_header(name.value) || is_ours(name.value) {
            inner.page().fault(
                name.span,
                format!("{} is no header that a step can have", quoted(name.value)),
                "name one such as Authorization; Idempotency-Key and how the body is sent are Snapback's",
            );
            continue;
        }
        match header(&inner, name.value, item) {
            Some(Header::Plain(value)) => drop(plain.insert(name.value.to_owned(), value)),
            Some(Header::Secret(value)) => secret.push((name.value.to_owned(), value)),
            None => {}
        }
    }
    (plain, secret)
}

enum Header {
    Plain(String),
    Secret(Secret),
}

fn header<'a>(table: &Table<'a>, name: &str, item: &'a Spanned<DeValue<'a>>) -> Option<Header> {
    let is_plain = matches!(item.get_ref(), DeValue::String(_)) && !sounds_secret(name);
    if !is_plain {
        return secret_of(table.page(), name, item).map(|secret| Header::Secret(secret.value));
    }
    let value = table.text_of(name, item)?;
    if value.value.chars().any(char::is_control) {
        table.page().fault(
            value.span,
            format!("the value of `{name}` is no header's"),
            "write it on one line",
        );
        return None;
    }
    Some(Header::Plain(value.value.to_owned()))
}

fn sounds_secret(name: &str) -> bool {
    super::read::sounds_secret(name)
        || ["authorization", "cookie"].iter().any(|word| name.to_lowercase().contains(word))
}

/// A token of HTTP (RFC 9110 §5.6.2), and none of those by which a request is framed.
fn is_header(name: &str) -> bool {
    let framing = ["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"];
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        && !framing.contains(&name.to_lowercase().as_str())
}

/// A name that every shell takes too.
fn is_variable(name: &str) -> bool {
    let digit_first = name.bytes().next().is_none_or(|first| first.is_ascii_digit());
    !digit_first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| name.get(..ours.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(ours)))
}

fn timeout(table: &Table<'_>, default: Duration, most: Duration) -> Duration {
    let Some(timeout) = table.some_length("timeout") else { return default };
    if timeout.value > most {
        table.page().fault(
            timeout.span,
            format!("a rollback that waits for one step longer than {most:#} is none"),
            format!("write {most:#} or less, and let the step begin what takes longer"),
        );
    }
    timeout.value
}
