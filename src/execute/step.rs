//! Steps of the user's own in a plan: one request, or one program, before or after what a provider does. Owns its doing; leaves to
//! the core how such an act is spelled (`case::own_step`), when it is due and what its failure means.
//!
//! It is done whole in `begin`: once the answer is there, or the program ended, nothing is left to follow. Our mark goes along
//! (`Idempotency-Key`, `SNAPBACK_KEY`), and nobody can be asked for it later: a step whose end was not seen is done again only where its
//! owner says that this is harmless, and otherwise a person is asked. A program outlives us, as a restart does: half of it is worse.
//!
//! Secrets stand in no act, because acts are stored and shown; what stands there is where each comes from, and the value is taken from
//! the configuration in force.

mod by_hand;

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Request, StatusCode};
use secrecy::{ExposeSecret, SecretString};

pub use self::by_hand::by_hand;
use super::{Clock, Sighting};
use crate::case::command::Progress;
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::{Duration, Handle, ReleaseId, ServiceId};
use crate::case::obeyed::is_obeyed;
use crate::case::own_step::{Spec, Work, host};
use crate::case::permit::Permit;
use crate::case::step::{Act, Order};
use crate::outbound::http::{NO_AUTHORITIES, body, client};
use crate::outbound::process::{How, follow_lasting, spawn_lasting};
use crate::outbound::{CallError, Trouble, causes};

/// A connection is there within this, or nobody is.
const CONNECT: std::time::Duration = std::time::Duration::from_secs(2);
/// Of an answer so much is read: why something was refused stands at its beginning.
const ANSWER_MAX: usize = 64 << 10;
/// Of what a program wrote so much is kept, from its end.
const OUTPUT_MAX: usize = 64 << 10;
/// Of somebody's own words so many characters are told.
const SAID_MAX: usize = 300;
/// Between a deadline and the end that was seen: the kill, the last words, the clocks.
const GRACE: Duration = Duration::from_secs(10);

/// Does the steps of the user's own.
pub struct Steps {
    /// By where each comes from.
    secrets: BTreeMap<String, SecretString>,
    clock: Clock,
}

impl Steps {
    /// With these secrets, by where each comes from.
    pub fn new(secrets: BTreeMap<String, SecretString>, clock: Clock) -> Steps {
        Steps { secrets, clock }
    }

    /// Does the step, once, to its end.
    ///
    /// # Errors
    /// `Busy` when nothing left; `Refused` when it failed, for good; `Unclear` when nobody saw how it ended.
    pub async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        let order = permit.order();
        let spec = read(&order.act)?;
        let secrets = self.secrets_of(&spec)?;
        if (self.clock)() >= permit.wire_deadline() {
            return Err(Trouble::Busy {
                why: "its permit ran out before it could leave".into(),
                after: None,
            });
        }
        match &spec.work {
            Work::Http { .. } => self.ask(&spec, &secrets, order).await,
            Work::Command { argv, folder } => run(&spec, (argv, folder), secrets, order).await,
        }
    }

    /// Nobody can be asked whether it was done. Once it surely is over, a search finds nothing.
    pub async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        let spec = read(&order.act)?;
        let until = order.intended_at + WIRE_DEADLINE + spec.timeout + GRACE;
        Ok(if (self.clock)() < until { Sighting::TooEarly(until) } else { Sighting::Absent })
    }

    /// What was begun is done.
    pub async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        Ok(Progress::Done(handle.to_string()))
    }

    /// A secret that is gone from the configuration is in nobody's plan any more.
    fn secrets_of<'s>(&'s self, spec: &Spec) -> Result<Vec<(String, &'s SecretString)>, Trouble> {
        let value = |(name, origin): (&String, &String)| {
            let gone = || {
                Trouble::Refused(format!("{} needs {origin}, which is not in the configuration", spec.name))
            };
            Ok((name.clone(), self.secrets.get(origin).ok_or_else(gone)?))
        };
        spec.secrets.iter().map(value).collect()
    }

    async fn ask(
        &self,
        spec: &Spec,
        secrets: &[(String, &SecretString)],
        order: &Order,
    ) -> Result<Handle, Trouble> {
        let Work::Http { url, .. } = &spec.work else { return Err(Trouble::Refused("no request".into())) };
        let doing = format!("{}: {}", spec.name, host(url));
        let request =
            request(spec, secrets, order).map_err(|why| Trouble::Refused(format!("{doing}: {why}")))?;
        let limits = |client: reqwest::ClientBuilder| {
            client.connect_timeout(CONNECT).timeout(spec.timeout.unsigned_abs())
        };
        let client = client(url, limits).ok_or_else(|| Trouble::Refused(NO_AUTHORITIES.into()))?;
        let answer = match client.execute(request).await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => {
                let why = format!("{doing}: {}", causes(&error.without_url()));
                return Err(Trouble::Busy { why, after: None });
            }
            Err(error) if error.is_timeout() => {
                return Err(CallError::Deadline { doing, within: spec.timeout }.into());
            }
            Err(error) => return Err(CallError::Answer { doing, said: causes(&error.without_url()) }.into()),
        };
        let status = answer.status();
        let after =
            answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.trim().parse().ok());
        // A body that breaks off changes nothing about the status.
        let said = body(answer, ANSWER_MAX).await.ok().flatten().unwrap_or_default();
        let said = format!("{doing} answered {status}{}", words(&String::from_utf8_lossy(&said), secrets));
        match status {
            _ if status.is_success() => Ok(Handle::new(format!("{} answered {status}", host(url)))),
            StatusCode::TOO_MANY_REQUESTS => {
                Err(Trouble::Busy { why: said, after: after.map(Duration::from_secs) })
            }
            // Cut on its way, by whoever stands between: what became of it nobody says.
            StatusCode::REQUEST_TIMEOUT => Err(CallError::Answer { doing, said }.into()),
            _ if status.is_client_error() => Err(Trouble::Refused(said)),
            _ => Err(CallError::Answer { doing, said }.into()),
        }
    }
}

fn read(act: &Act) -> Result<Spec, Trouble> {
    Spec::read(act).ok_or_else(|| Trouble::Refused(unreadable(act)))
}

fn unreadable(act: &Act) -> String {
    format!("\"{}\" is no step of your own that can be read", act.says)
}

fn request(spec: &Spec, secrets: &[(String, &SecretString)], order: &Order) -> Result<Request, String> {
    let Work::Http { method, url, headers, body } = &spec.work else { return Err("no request".into()) };
    let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
    let url = reqwest::Url::parse(url).map_err(|error| error.to_string())?;
    let mut request = Request::new(method, url);
    let plain = headers.iter().map(|(name, value)| (name.as_str(), value.as_str(), false));
    let secret = secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret(), true));
    let mark = std::iter::once(("idempotency-key", order.mark.as_str(), false));
    for (name, value, hidden) in mark.chain(plain).chain(secret) {
        let named = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name} is no header"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_| format!("the value of {name} cannot be a header's"))?;
        value.set_sensitive(hidden);
        request.headers_mut().insert(named, value);
    }
    if let Some(body) = body {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        let heads = request.headers_mut();
        if is_json && !heads.contains_key(CONTENT_TYPE) {
            heads.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *request.body_mut() = Some(body.clone().into());
    }
    Ok(request)
}

/// What a program is told of the rollback that it belongs to.
fn told(service: &ServiceId, from: &ReleaseId, to: &ReleaseId) -> [(&'static str, String); 4] {
    [
        ("SNAPBACK_SERVICE", service.name().to_owned()),
        ("SNAPBACK_ENVIRONMENT", service.environment().to_owned()),
        ("SNAPBACK_FROM", from.to_string()),
        ("SNAPBACK_TO", to.to_string()),
    ]
}

async fn run(
    spec: &Spec,
    (argv, folder): (&[String], &Path),
    secrets: Vec<(String, &SecretString)>,
    order: &Order,
) -> Result<Handle, Trouble> {
    let ours = [("SNAPBACK_CASE", order.case.to_string()), ("SNAPBACK_KEY", order.mark.to_string())];
    let told = told(&order.service, &order.expected, &order.to).into_iter().chain(ours);
    let secret = secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret().to_owned()));
    let environment: Vec<(&str, String)> = secret.chain(told).collect();
    let program = argv.first().map_or("nothing", String::as_str);
    let child = spawn_lasting(argv, folder, &environment, Vec::new()).map_err(|error| {
        Trouble::Refused(format!("{}: {program} could not be started: {error}", spec.name))
    })?;
    let last = follow_lasting(child, spec.timeout.unsigned_abs(), OUTPUT_MAX).await;
    let wrote = if last.stderr.trim().is_empty() { &last.stdout } else { &last.stderr };
    match &last.how {
        How::Exited(status) if status.success() => Ok(Handle::new(format!("{program} ended well"))),
        // Whatever it did, it is over, and it did not do what it was to do.
        How::Exited(_) | How::Killed(_) => {
            let last_line = wrote.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Err(Trouble::Refused(format!(
                "{}: {program} {}{}",
                spec.name,
                last.how,
                words(last_line, &secrets)
            )))
        }
        How::Unknown(_) => {
            let said = format!("{program} {}", last.how);
            Err(CallError::Answer { doing: spec.name.clone(), said }.into())
        }
    }
}

/// Somebody's own words behind ours: without a secret that was sent along and came back, bounded, on one line, and without what a terminal
/// obeys.
fn words(said: &str, secrets: &[(String, &SecretString)]) -> String {
    let mut said = said.trim().to_owned();
    for (name, secret) in secrets {
        said = said.replace(secret.expose_secret(), &format!("(the secret of {name})"));
    }
    let harmless = said.chars().map(|c| if is_obeyed(c) { ' ' } else { c });
    let said: String = harmless.take(SAID_MAX).collect();
    if said.is_empty() { said } else { format!(": {said}") }
}
