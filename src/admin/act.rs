//! Acting over the admin API (product §4): a request of a token's principal becomes a delivery like any sender's, and is
//! answered by what became of it. Checks the role; whether somebody may decide is the core's to say.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, FromRequest, Path, Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream::once;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::access::{Principal, Role};
use super::shapes::{DoctorShape, PreviewShape};
use super::{Problem, View, one_case, only, stored};
use crate::case::approval::PersonVote;
use crate::case::command::{Ask, Authority, Request, Wish};
use crate::case::event::Settlement;
use crate::case::id::{CaseId, DeliveryId, Digest, Duration, ReleaseId, ServiceId};
use crate::case::turn::Disposition;
use crate::journal::inbox::{Delivery, NotStored, Received};

/// An answer is waited for so long; then it is told where to look (house, "Answering askers").
const ANSWER_WITHIN: StdDuration = StdDuration::from_secs(5);
/// Nobody is waited for longer: whoever asked looks into the channel.
const CLICK_SECONDS_MAX: u32 = 120;
/// Reasons are sentences.
const REASON_MAX: usize = 1000;

type Shared = State<Arc<View>>;
type Who = Extension<Option<Principal>>;

/// The routes that change something, beside those of services, which share a path with a reading.
pub(super) fn router() -> Router<Arc<View>> {
    Router::new()
        .route("/v1/cases/{id}/{verb}", only("POST", post(of_case)))
        .route("/v1/deadletters/{id}/replay", only("POST", post(replay)))
        .route("/v1/doctor", only("POST", post(doctor)))
        .route("/v1/pause", only("POST", post(pause)))
        .route("/v1/resume", only("POST", post(resume)))
}

/// `POST /v1/cases/{id}/{approve|deny|cancel|snooze|exonerate|settle}`.
async fn of_case(
    State(view): Shared,
    Extension(who): Who,
    path: Result<Path<(String, String)>, PathRejection>,
    sent: Sent,
) -> Result<Response, Problem> {
    let who = acting(who, Role::Operator)?;
    let Path((id, verb)) = path.map_err(|_| Problem::NoRoute)?;
    let case = CaseId::new(id);
    let what = match verb.as_str() {
        "approve" | "deny" => {
            let VoteBody { plan, break_glass, confirm } = sent.read()?;
            let break_glass = break_glass.map(|reason| sentence(&reason)).transpose()?;
            let confirm = confirm.map(|typed| sentence(&typed)).transpose()?;
            let vote = PersonVote { yes: verb == "approve", digest: Digest::new(plan), break_glass, confirm };
            Wish::Vote { case: case.clone(), vote }
        }
        "cancel" => sent.nothing_more(Wish::Cancel(case.clone()))?,
        "snooze" => sent.nothing_more(Wish::Snooze(case.clone()))?,
        "exonerate" => sent.nothing_more(Wish::Exonerate(case.clone()))?,
        "settle" => Wish::Settle(case.clone(), sent.read::<SettleBody>()?.how.settlement()),
        _ => return Err(Problem::NoRoute),
    };
    // What names nothing is told as when it is read, and is not stored.
    let (case, _) = one_case(&view, &case).await?;
    ask(&view, case.id.service(), who, what).await
}

/// `POST /v1/services/{service}/{rollback|rollforward|freeze|unfreeze|mark|unlock}`. The verb is the last part, because a service's
/// name may hold a slash.
pub(super) async fn of_service(
    State(view): Shared,
    Extension(who): Who,
    path: Result<Path<String>, PathRejection>,
    sent: Sent,
) -> Result<Response, Problem> {
    let who = acting(who, Role::Operator)?;
    let Path(path) = path.map_err(|_| Problem::NoRoute)?;
    let (service, verb) = path.rsplit_once('/').ok_or(Problem::NoRoute)?;
    let known = |service: &ServiceId| view.status.borrow().services.contains_key(service);
    let service =
        ServiceId::parse(service).filter(known).ok_or_else(|| Problem::NoService(service.to_owned()));
    let what = match verb {
        "rollback" => {
            let body: RollbackBody = sent.read()?;
            let preview = body.preview;
            let what = body.wish()?;
            if preview {
                return show(&view, service?, who, what).await;
            }
            what
        }
        "rollforward" => {
            let RollforwardBody { reason } = sent.read()?;
            Wish::Rollforward { reason: sentence(&reason)? }
        }
        "freeze" => {
            let FreezeBody { seconds, reason } = sent.read()?;
            let length = Duration::from_secs(i64::from(seconds));
            Wish::Freeze { length, reason: sentence(&reason)? }
        }
        "unfreeze" => sent.nothing_more(Wish::Unfreeze)?,
        "mark" => {
            let MarkBody { good, release, reason } = sent.read()?;
            Wish::Mark { release: ReleaseId::new(release), good, reason: sentence(&reason)? }
        }
        "unlock" => {
            let UnlockBody { release, reason } = sent.read()?;
            Wish::Unlock { release: ReleaseId::new(release), reason: sentence(&reason)? }
        }
        _ => return Err(Problem::NoRoute),
    };
    ask(&view, service?, who, what).await
}

/// `POST /v1/pause`. Everything, people's acts too, takes an admin.
async fn pause(State(view): Shared, Extension(who): Who, sent: Sent) -> Result<Response, Problem> {
    let who = acting(who, Role::Operator)?;
    let PauseBody { everything, reason } = sent.read()?;
    if everything {
        needs(&who, Role::Admin)?;
    }
    let at = (view.now)();
    hand_over(&view, Request::Pause { by: who.person, at, reason: sentence(&reason)?, everything }).await
}

/// `POST /v1/resume`. A hold takes an admin, and so does a pause of everything, which the core looks at.
async fn resume(State(view): Shared, Extension(who): Who, sent: Sent) -> Result<Response, Problem> {
    let who = acting(who, Role::Operator)?;
    let ResumeBody { hold } = sent.read()?;
    let at = (view.now)();
    if hold {
        needs(&who, Role::Admin)?;
        return hand_over(&view, Request::Release { by: who.person, at }).await;
    }
    let everything = who.role >= Role::Admin;
    hand_over(&view, Request::Resume { by: who.person, at, everything }).await
}

/// `POST /v1/doctor`: tries everything that is connected. It posts to the chat and to pagers, and changes nothing.
/// The answer begins at once, so that nobody takes it for lost, and ends when everything was tried.
async fn doctor(State(view): Shared, Extension(who): Who, sent: Sent) -> Result<Response, Problem> {
    acting(who, Role::Operator)?;
    let DoctorBody { click_seconds } = sent.read()?;
    if click_seconds.is_some_and(|seconds| !(1..=CLICK_SECONDS_MAX).contains(&seconds)) {
        return Err(Problem::Body(format!("click_seconds is 1 to {CLICK_SECONDS_MAX}")));
    }
    let click = click_seconds.map(|seconds| StdDuration::from_secs(seconds.into()));
    let Some(looking) = (view.doctor)(click) else {
        return Err(Problem::Conflict("the doctor is at work already: ask again in a moment".to_owned()));
    };
    let report = once(async move { serde_json::to_vec(&DoctorShape { checks: looking.await }) });
    Ok(([(CONTENT_TYPE, "application/json")], Body::from_stream(report)).into_response())
}

/// `POST /v1/deadletters/{id}/replay`.
async fn replay(
    State(view): Shared,
    id: Result<Path<u64>, PathRejection>,
    Extension(who): Who,
    sent: Sent,
) -> Result<Response, Problem> {
    let who = acting(who, Role::Operator)?;
    let letter = DeliveryId(id.map(|Path(id)| id).map_err(|_| Problem::NoRoute)?);
    sent.read::<Nothing>()?;
    let at = (view.now)();
    hand_over(&view, Request::Replay { by: who.person, at, letter }).await
}

/// Whoever acts shows a token, and has the role.
fn acting(who: Option<Principal>, role: Role) -> Result<Principal, Problem> {
    let who = who.ok_or(Problem::Token)?;
    needs(&who, role)?;
    Ok(who)
}

fn needs(who: &Principal, role: Role) -> Result<(), Problem> {
    if who.role >= role {
        return Ok(());
    }
    let (has, takes) = (who.role.word(), role.word());
    Err(Problem::Forbidden(format!("{} has the role {has}, and this takes {takes}", who.person)))
}

async fn ask(view: &View, service: ServiceId, who: Principal, what: Wish) -> Result<Response, Problem> {
    let ask = asked_by(view, who, what);
    hand_over(view, Request::Of(service, ask)).await
}

fn asked_by(view: &View, who: Principal, what: Wish) -> Ask {
    Ask { by: who.person, at: (view.now)(), groups: who.groups, authority: Authority::Operator, what }
}

/// Shows what would be asked. Nothing is stored, and the provider is only read.
async fn show(view: &View, service: ServiceId, who: Principal, what: Wish) -> Result<Response, Problem> {
    match (view.previews)(service, asked_by(view, who, what)).await {
        Ok(plan) => Ok(Json(PreviewShape::of(&plan)).into_response()),
        Err(refused) => told(refused),
    }
}

/// Stores a request, and answers by what became of it, or where to look: nothing that went wrong after the storing may sound
/// as if it had not been stored, because whoever hears that asks again.
async fn hand_over(view: &View, request: Request) -> Result<Response, Problem> {
    let not_stored = |why: NotStored| {
        tracing::warn!(%why, "a request could not be stored");
        Problem::NotReady
    };
    let delivery = Delivery::request(request, (view.now)()).map_err(not_stored)?;
    let id = match view.inbox.receive(delivery).await.map_err(not_stored)? {
        Received::New(id) => id,
        Received::Seen => return Err(Problem::Conflict("the same request was made a moment ago".to_owned())),
    };
    if let Ok(Some(became)) = timeout(ANSWER_WITHIN, disposition(view, id)).await {
        return told(became);
    }
    let says = format!("stored as delivery {}, and not decided yet: see /v1/cases and /v1/state", id.0);
    let body = serde_json::json!({ "status": "accepted", "says": says });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// What became of a request; nothing where that cannot be read.
async fn disposition(view: &View, id: DeliveryId) -> Option<Disposition> {
    let mut commits = view.commits.clone();
    loop {
        // Marked as seen before looking: a commit in between is not missed.
        commits.borrow_and_update();
        let became = stored(view, move |reader| reader.disposition(id)).await.ok()?;
        if let Some(became) = became.and_then(|all| all.into_iter().next()) {
            return Some(became);
        }
        // A journal that ended commits nothing more.
        commits.changed().await.ok()?;
    }
}

fn told(became: Disposition) -> Result<Response, Problem> {
    match became {
        Disposition::Done(says) => {
            Ok(Json(serde_json::json!({ "status": "done", "says": says })).into_response())
        }
        Disposition::Forbidden(why) => Err(Problem::Forbidden(why)),
        Disposition::Conflict(why)
        | Disposition::Unmapped(why)
        | Disposition::Dead(why)
        | Disposition::Aside(why)
        | Disposition::TooMany(why) => Err(Problem::Conflict(why)),
        Disposition::Taken(service)
        | Disposition::Repeated(service)
        | Disposition::Idle(service)
        | Disposition::OutOfScope(service) => {
            Err(Problem::Conflict(format!("{service} took it for a signal")))
        }
    }
}

/// What came with a request: JSON, or nothing.
pub(super) struct Sent(Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, state: &S) -> Result<Sent, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_owned());
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|why| match why.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
            _ => Problem::Body(why.body_text()),
        })?;
        let kind = kind.as_deref().and_then(|kind| kind.split(|byte| *byte == b';').next());
        let json = kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/json"));
        if json || body.is_empty() {
            return Ok(Sent(body));
        }
        Err(Problem::Body("it must be application/json".to_owned()))
    }
}

impl Sent {
    /// Reads it; nothing counts as an empty object.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body = if self.0.is_empty() { b"{}".as_slice() } else { &self.0 };
        serde_json::from_slice(body).map_err(|error| Problem::Body(error.to_string()))
    }

    /// The wish, if nothing came that would change it.
    fn nothing_more(&self, wish: Wish) -> Result<Wish, Problem> {
        self.read::<Nothing>()?;
        Ok(wish)
    }
}

/// A reason that people will read: there, and not a book.
fn sentence(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_MAX {
        return Err(Problem::Body(format!("a reason has 1 to {REASON_MAX} characters")));
    }
    Ok(text.to_owned())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DoctorBody {
    /// Somebody is asked to press a button in the chat, and has so long.
    click_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteBody {
    /// The digest of the plan that they saw.
    plan: String,
    /// They decide alone, for this reason.
    break_glass: Option<String>,
    /// What they typed, where the plan names what is to be typed.
    confirm: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleBody {
    how: How,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum How {
    LookAgain,
    TookEffect,
    GiveUp,
}

impl How {
    fn settlement(self) -> Settlement {
        match self {
            How::LookAgain => Settlement::LookAgain,
            How::TookEffect => Settlement::TookEffect,
            How::GiveUp => Settlement::GiveUp,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    to: Option<String>,
    reason: String,
    /// Nothing is done: the plan is shown.
    #[serde(default)]
    preview: bool,
    /// The digest of the plan that they were shown: their yes is to that one.
    plan: Option<String>,
    /// What they typed with it, where the plan names what is to be typed.
    confirm: Option<String>,
}

impl RollbackBody {
    fn wish(self) -> Result<Wish, Problem> {
        let confirm = self.confirm.map(|typed| sentence(&typed)).transpose()?;
        let shown = self.plan.map(|plan| PersonVote { confirm, ..PersonVote::yes(Digest::new(plan)) });
        Ok(Wish::Rollback { to: self.to.map(ReleaseId::new), reason: sentence(&self.reason)?, shown })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollforwardBody {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeBody {
    /// For so many seconds.
    seconds: u32,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkBody {
    good: bool,
    release: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnlockBody {
    release: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    #[serde(default)]
    everything: bool,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeBody {
    #[serde(default)]
    hold: bool,
}
