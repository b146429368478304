//! The admin room: what people and their tools may read and ask for, as JSON. Owns the shapes of the API and who may use
//! it; decides nothing: what is asked for goes into the journal like any delivery. What is stored it reads from there;
//! what only the process knows it is told by whoever runs it.

mod access;
mod act;
mod cursor;
mod events;
mod gate;
mod metrics;
mod problem;
pub mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use hyper::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::case::command::Ask;
use crate::case::decide::LOGIC;
use crate::case::dossier::Dossier;
use crate::case::id::{CaseId, DeliveryId, ServiceId, SourceName, Timestamp};
use crate::case::ledger::Ledger;
use crate::case::plan::Plan;
use crate::case::rules::RuleTable;
use crate::case::settings::{Mode, ServiceSettings};
use crate::case::standing::Standing;
use crate::case::story::Case;
use crate::case::turn::Disposition;
use crate::journal::inbox::Inbox;
use crate::journal::reader::{CaseFilter, ReadError, Reader};
use crate::telemetry::Tally;
use crate::telemetry::metrics::Metrics;

pub use access::{Access, Principal, Role, Token, host_of_url};
pub use events::{EventShape, Written};
pub use problem::Problem;

use cursor::Cursor;
use shapes::{
    CasePlanShape, CaseShape, CasesShape, CheckShape, DeadLetterShape, DeadLettersShape, DeploymentShape,
    DeploymentsShape, ExplanationShape,
};
use shapes::{RulesShape, ServiceShape, ServicesShape, StateShape};

/// Cases of one page. A case has at most 512 events of some 150 bytes: the largest page stays below the 8 MiB that
/// our own client takes.
const CASES_PAGE: u32 = 50;
/// Dead letters on a page.
const DEAD_LETTERS_PAGE: u32 = 100;
/// The largest body of a request (failure model §6).
const BODY_MAX: usize = 64 << 10;
/// Deployments of one page: each is some 300 bytes.
const DEPLOYMENTS_PAGE: usize = 500;

/// What the process knows beside what is stored; replaced whole when it changes.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether anything acts at all.
    pub mode: Mode,
    /// The rule table in force.
    pub rules: Arc<RuleTable>,
    /// What is wrong with the configuration on disk, where the old one is kept for it.
    pub config_error: Option<String>,
    /// When the configuration in force was taken.
    pub taken_at: Timestamp,
    /// What became of the deliveries of each configured source.
    pub sources: BTreeMap<SourceName, Arc<Tally>>,
    /// The sources that have a heartbeat.
    pub heartbeats: BTreeSet<SourceName>,
    /// The configured services.
    pub services: BTreeMap<ServiceId, Arc<ServiceSettings>>,
    /// Services whose provider cannot be read now, and why.
    pub troubles: BTreeMap<ServiceId, String>,
}

/// Whether deliveries can be stored now; the reason if not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
/// How many deliveries are stored and not decided.
pub type Undecided = Arc<dyn Fn() -> u64 + Send + Sync>;
/// The plan that a request would lead to, without making it; or what it would be answered. The provider is read for it.
pub type Previews = Arc<
    dyn Fn(ServiceId, Ask) -> Pin<Box<dyn Future<Output = Result<Arc<Plan>, Disposition>> + Send>>
        + Send
        + Sync,
>;
/// Tries everything that is connected, and waits so long for a press of a button, if at all. `None`: it is at work already.
pub type Doctor = Arc<
    dyn Fn(Option<StdDuration>) -> Option<Pin<Box<dyn Future<Output = Vec<CheckShape>> + Send>>>
        + Send
        + Sync,
>;
/// What time it is.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Everything that the admin routes look at.
#[derive(Clone)]
pub struct View {
    /// What is stored.
    pub reader: Reader,
    /// What the process knows.
    pub status: watch::Receiver<Arc<Status>>,
    /// Who may read.
    pub access: watch::Receiver<Arc<Access>>,
    /// Whether deliveries can be stored.
    pub readiness: Readiness,
    /// How many wait for a decision.
    pub undecided: Undecided,
    /// How far the store is written.
    pub written: Written,
    /// Where requests are handed over.
    pub inbox: Inbox,
    /// What a request would lead to.
    pub previews: Previews,
    /// What tries everything.
    pub doctor: Doctor,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Told at each commit.
    pub commits: watch::Receiver<u64>,
    /// What time it is.
    pub now: Now,
}

/// The admin routes. Each request must carry its peer as `ConnectInfo<SocketAddr>`; one without is not taken for
/// local.
pub fn router(view: View) -> Router {
    let guarded = Router::new()
        .route("/v1/cases", only(READS, get(cases)))
        .route("/v1/cases/{id}", only(READS, get(case)))
        .route("/v1/cases/{id}/explanation", only(READS, get(explanation)))
        .route("/v1/gate/{*service}", only(READS, get(gate::gate)))
        .route("/v1/services", only(READS, get(services)))
        .route("/v1/services/{*service}", only("GET, HEAD, POST", get(service).post(act::of_service)))
        .route("/v1/deployments", only(READS, get(deployments)))
        .route("/v1/rules", only(READS, get(rules)))
        .route("/v1/state", only(READS, get(state)))
        .route("/v1/deadletters", only(READS, get(dead_letters)))
        .route("/metrics", only(READS, get(async |State(view): Shared| metrics::scrape(&view).await)))
        .route(
            "/v1/events",
            only(READS, get(async |State(view): Shared, headers| events::stream(view, &headers))),
        )
        .merge(act::router())
        .fallback(async || Problem::NoRoute)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(view.access.clone(), access::admit));
    Router::new()
        .route("/healthz", only(READS, get(async || Json(serde_json::json!({ "status": "alive" })))))
        .route("/readyz", only(READS, get(ready)))
        .merge(guarded)
        .layer(middleware::map_response(plain))
        .with_state(Arc::new(view))
}

/// Answers are of the moment, and are never guessed to be anything but what they say.
async fn plain(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// What a path takes that is only read.
const READS: &str = "GET, HEAD";

/// A path that takes these methods and says so to others.
fn only(methods: &'static str, takes: MethodRouter<Arc<View>>) -> MethodRouter<Arc<View>> {
    takes.fallback(async move || Problem::Method(methods))
}

type Shared = State<Arc<View>>;
type Id = Result<Path<String>, PathRejection>;
type Asked<T> = Result<Query<T>, QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|why| Problem::Query(why.body_text()))
}

fn named(id: Id) -> Result<String, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::NoRoute)
}

/// A question to the store, off the threads that serve: it may wait for the disk.
async fn stored<T: Send + 'static>(
    view: &View,
    question: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Problem> {
    let reader = view.reader.clone();
    let answered = tokio::task::spawn_blocking(move || question(&reader)).await;
    match answered {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::error!(%error, "the store could not be read for the admin API");
            Err(Problem::Store)
        }
        Err(error) => {
            tracing::error!(%error, "reading the store for the admin API ended early");
            Err(Problem::Store)
        }
    }
}

/// Which cases are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesQuery {
    service: Option<String>,
    open: Option<bool>,
    next: Option<Cursor>,
}

/// `GET /v1/cases`: the newest first.
async fn cases(State(view): Shared, query: Asked<CasesQuery>) -> Result<Json<CasesShape>, Problem> {
    let query = asked(query)?;
    let before = query.next.map(|Cursor(place)| place.parse()).transpose();
    let filter = CaseFilter {
        service: query.service.as_deref().map(service_id).transpose()?,
        open: query.open.unwrap_or(false),
        before: before.map_err(|_| Problem::Query("`next` is not one that was given".to_owned()))?,
    };
    let (page, ledgers) =
        stored(&view, move |reader| Ok((reader.cases(&filter, CASES_PAGE)?, ledgers(reader.dossiers()?))))
            .await?;
    let shape = |case: &Case| CaseShape::of(case, ledgers.get(&case.id.service()));
    let cases = page.cases.iter().map(shape).collect();
    let next = page.next.map(|place| Cursor(place.to_string()).opaque());
    Ok(Json(CasesShape { cases, next }))
}

/// Which dead letters are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLettersQuery {
    next: Option<Cursor>,
}

/// `GET /v1/deadletters`: the newest first. Their bodies stay in the store: they may hold anything.
async fn dead_letters(
    State(view): Shared,
    query: Asked<DeadLettersQuery>,
) -> Result<Json<DeadLettersShape>, Problem> {
    let before = asked(query)?.next.map(|Cursor(place)| place.parse().map(DeliveryId)).transpose();
    let before = before.map_err(|_| Problem::Query("`next` is not one that was given".to_owned()))?;
    let mut letters = stored(&view, move |reader| reader.dead_letters(before, DEAD_LETTERS_PAGE + 1)).await?;
    let more = letters.len() > DEAD_LETTERS_PAGE as usize;
    letters.truncate(DEAD_LETTERS_PAGE as usize);
    let last = letters.last().filter(|_| more).map(|letter| Cursor(letter.id.0.to_string()).opaque());
    Ok(Json(DeadLettersShape { dead_letters: letters.iter().map(DeadLetterShape::of).collect(), next: last }))
}

fn ledgers(dossiers: Vec<Dossier>) -> BTreeMap<ServiceId, Ledger> {
    dossiers.into_iter().map(|dossier| (dossier.service, dossier.ledger)).collect()
}

fn service_id(text: &str) -> Result<ServiceId, Problem> {
    ServiceId::parse(text).ok_or_else(|| Problem::NoService(text.to_owned()))
}

/// `GET /v1/cases/{id}`.
async fn case(State(view): Shared, id: Id) -> Result<Json<CaseShape>, Problem> {
    let id = CaseId::new(named(id)?);
    let (case, ledgers) = one_case(&view, &id).await?;
    Ok(Json(CaseShape::of(&case, ledgers.get(&id.service()))))
}

async fn one_case(view: &View, id: &CaseId) -> Result<(Case, BTreeMap<ServiceId, Ledger>), Problem> {
    let wanted = id.clone();
    let (case, ledgers) =
        stored(view, move |reader| Ok((reader.case(&wanted)?, ledgers(reader.dossiers()?)))).await?;
    let case = case.ok_or_else(|| Problem::NoCase(id.to_string()))?;
    Ok((case, ledgers))
}

/// `GET /v1/cases/{id}/explanation`. Every row where the table is still the one that decided; an older decision is
/// shown with the rows that were stored, never recomputed.
async fn explanation(State(view): Shared, id: Id) -> Result<Json<ExplanationShape>, Problem> {
    let id = CaseId::new(named(id)?);
    let (case, _) = one_case(&view, &id).await?;
    let decision = case.decision.as_deref().ok_or_else(|| Problem::NotJudged(id.to_string()))?;
    let plan = case.plan.as_deref().map(CasePlanShape::of);
    let rules = Arc::clone(&view.status.borrow().rules);
    let same = rules.digest() == decision.rules && decision.logic == LOGIC;
    let explained = if same {
        ExplanationShape::in_full(decision, &rules, plan)
    } else {
        ExplanationShape::of(decision, plan)
    };
    Ok(Json(explained))
}

/// `GET /v1/services`: the configured ones.
async fn services(State(view): Shared) -> Result<Json<ServicesShape>, Problem> {
    let (dossiers, standing) = stored(&view, |reader| Ok((reader.dossiers()?, reader.standing()?))).await?;
    let known = Known::new(&view, dossiers, standing);
    Ok(Json(ServicesShape { services: known.services(), next: None }))
}

/// `GET /v1/services/{service}`. The rest of the path, because a service's name may hold a slash.
async fn service(State(view): Shared, id: Id) -> Result<Json<ServiceShape>, Problem> {
    let id = named(id)?;
    let (dossiers, standing) = stored(&view, |reader| Ok((reader.dossiers()?, reader.standing()?))).await?;
    let known = Known::new(&view, dossiers, standing);
    let found = known.services().into_iter().find(|service| service.service == id);
    found.map(Json).ok_or(Problem::NoService(id))
}

/// What is stored and what is configured, side by side.
struct Known {
    status: Arc<Status>,
    dossiers: BTreeMap<ServiceId, Dossier>,
    standing: Standing,
    now: Timestamp,
}

impl Known {
    fn new(view: &View, dossiers: Vec<Dossier>, standing: Standing) -> Known {
        let status = Arc::clone(&view.status.borrow());
        let mut dossiers: BTreeMap<ServiceId, Dossier> =
            dossiers.into_iter().map(|dossier| (dossier.service.clone(), dossier)).collect();
        for id in status.services.keys() {
            dossiers.entry(id.clone()).or_insert_with(|| Dossier::new(id.clone()));
        }
        Known { status, dossiers, standing, now: (view.now)() }
    }

    /// Services that are configured; of another nothing can be said that would hold.
    fn services(&self) -> Vec<ServiceShape> {
        let of = |(id, settings): (&ServiceId, &Arc<ServiceSettings>)| {
            let dossier = self.dossiers.get(id)?;
            let trouble = self.status.troubles.get(id).map(String::as_str);
            Some(ServiceShape::of(dossier, settings, &self.standing, trouble, self.now))
        };
        self.status.services.iter().filter_map(of).collect()
    }
}

/// Which deployments are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentsQuery {
    service: Option<String>,
    next: Option<Cursor>,
}

/// `GET /v1/deployments`: the newest first.
async fn deployments(
    State(view): Shared,
    query: Asked<DeploymentsQuery>,
) -> Result<Json<DeploymentsShape>, Problem> {
    let query = asked(query)?;
    let service = query.service.as_deref().map(service_id).transpose()?;
    let dossiers = stored(&view, |reader| reader.dossiers()).await?;
    let mut all: Vec<(String, DeploymentShape)> = dossiers
        .iter()
        .filter(|dossier| service.as_ref().is_none_or(|service| dossier.service == *service))
        .flat_map(|dossier| dossier.ledger.all().map(|deployment| (deployment, &dossier.ledger)))
        .map(|(deployment, ledger)| {
            // A place in the order, by what never changes of a deployment.
            let place = format!(
                "{:020}/{}/{}",
                deployment.started_at.as_microsecond(),
                deployment.service,
                deployment.id
            );
            (place, DeploymentShape::of(deployment, ledger))
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| b.cmp(a));
    if let Some(Cursor(after)) = query.next {
        all.retain(|(place, _)| *place < after);
    }
    let more = all.len() > DEPLOYMENTS_PAGE;
    all.truncate(DEPLOYMENTS_PAGE);
    let next = all.last().filter(|_| more).map(|(place, _)| Cursor(place.clone()).opaque());
    Ok(Json(DeploymentsShape { deployments: all.into_iter().map(|(_, shape)| shape).collect(), next }))
}

/// `GET /v1/rules`.
async fn rules(State(view): Shared) -> Json<RulesShape> {
    let rules = Arc::clone(&view.status.borrow().rules);
    Json(RulesShape::of(&rules))
}

/// `GET /v1/state`.
async fn state(State(view): Shared) -> Result<Json<StateShape>, Problem> {
    let standing = stored(&view, |reader| reader.standing()).await?;
    let status = Arc::clone(&view.status.borrow());
    let digest = status.rules.digest();
    let undecided = (view.undecided)();
    Ok(Json(StateShape::of(status.mode, &standing, &digest, status.config_error.clone(), undecided)))
}

/// `GET /readyz`: whether deliveries can be stored, and whether there is a hold. Asked by machines that show no token, so it
/// says neither why nor anything else.
async fn ready(State(view): Shared) -> Response {
    #[derive(Serialize)]
    struct Ready {
        status: &'static str,
        /// Deliveries are stored all the same: a hold stops acts and no intake. `None`: it cannot be read now.
        hold: Option<bool>,
    }
    let hold = stored(&view, |reader| Ok(reader.standing()?.hold.is_some())).await.ok();
    match (view.readiness)() {
        Ok(()) => Json(Ready { status: "ready", hold }).into_response(),
        Err(why) => {
            tracing::debug!(%why, "not ready");
            Problem::NotReady.into_response()
        }
    }
}
