//! A run: one thing that went out or is on its way, an execution of a pipeline or a task that undoes a rollout, read from what Orca keeps.
//! Leaves to `history` what follows from all of them.

use serde_json::Value;

use super::{Site, Way};
use crate::case::id::{Mark, ReleaseId, Timestamp};
use crate::case::plan::Plan;
use crate::case::release::{MigrationMarks, RollbackMark};

/// How an execution stands (Orca's `ExecutionStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not begun: it waits for another one of its pipeline, or for a queue.
    Waiting,
    /// At it.
    Running,
    /// Stopped in the middle, until somebody lets it go on.
    Paused,
    /// Every stage ended well.
    Succeeded,
    /// A stage failed, whether or not others went on.
    Failed,
    /// Somebody ended it, or the pipeline did.
    Canceled,
    /// It did nothing.
    Skipped,
}

/// The words, with what they mean here. `FAILED_CONTINUE` went on over a failure: nobody can call that a release that went out whole.
const STATUSES: [(&str, Status); 12] = [
    ("NOT_STARTED", Status::Waiting),
    ("BUFFERED", Status::Waiting),
    ("RUNNING", Status::Running),
    ("REDIRECT", Status::Running),
    ("PAUSED", Status::Paused),
    ("SUSPENDED", Status::Paused),
    ("SUCCEEDED", Status::Succeeded),
    ("TERMINAL", Status::Failed),
    ("STOPPED", Status::Failed),
    ("FAILED_CONTINUE", Status::Failed),
    ("CANCELED", Status::Canceled),
    ("SKIPPED", Status::Skipped),
];

/// Stages that change nothing that serves. Whatever else began may have.
const HARMLESS: [&str; 11] = [
    "bake",
    "bakeManifest",
    "checkPreconditions",
    "evaluateVariables",
    "findArtifactFromExecution",
    "findArtifactsFromResource",
    "findImage",
    "findImageFromTags",
    "manualJudgment",
    "restrictExecutionDuringTimeWindow",
    "wait",
];

impl Status {
    /// Reads the word; `None`: nobody here knows it.
    pub(super) fn parse(word: &str) -> Option<Status> {
        STATUSES.iter().find(|(known, _)| *known == word).map(|(_, status)| *status)
    }

    /// The word for people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Status::Waiting => "waits",
            Status::Running => "goes out",
            Status::Paused => "is paused",
            Status::Succeeded => "went out",
            Status::Failed => "failed",
            Status::Canceled => "was cancelled",
            Status::Skipped => "was skipped",
        }
    }

    /// It goes on, or will.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Status::Waiting | Status::Running | Status::Paused)
    }
}

/// What put a run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The pipeline that puts releases out.
    Deploy,
    /// The rollback pipeline, or a rollout that was undone.
    Rollback,
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) status: Status,
    /// Somebody asked for its end already.
    pub(super) is_canceled: bool,
    /// When it began; where it has not, when it was asked for.
    pub(super) began: Timestamp,
    pub(super) has_begun: bool,
    pub(super) ended: Option<Timestamp>,
    /// What it puts out; `None`: it does not say.
    pub(super) release: Option<ReleaseId>,
    pub(super) commit: Option<String>,
    pub(super) link: Option<String>,
    pub(super) by: Option<String>,
    pub(super) marks: MigrationMarks,
    /// Our mark.
    pub(super) mark: Option<Mark>,
    /// Something of it may be there.
    has_touched: bool,
    /// When the last stage that changes something ended.
    touched: Option<Timestamp>,
}

/// Orca calls an execution a success in which a stage failed whose failure its pipeline ignores, and one that a stage stopped (Orca's
/// `CompleteExecutionHandler`). What it should have put out is not there, or half.
fn as_its_stages_ended(status: Status, stages: Option<&Vec<Value>>) -> Status {
    let well = |stage: &Value| matches!(stage["status"].as_str(), None | Some("SUCCEEDED" | "SKIPPED"));
    let all_well = stages.is_none_or(|stages| stages.iter().all(well));
    if status == Status::Succeeded && !all_well { Status::Failed } else { status }
}

fn ended_at(stage: &Value) -> Option<Timestamp> {
    let millis = stage["endTime"].as_i64().filter(|millis| *millis > 0)?;
    Timestamp::from_millisecond(millis).ok()
}

impl Run {
    /// An execution as Gate shows it. `None`: it is none, or its status is a word that nobody knows.
    pub(super) fn execution(told: &Value, kind: Kind, site: &Site) -> Option<Run> {
        Run::read(told, told, kind, site)
    }

    /// A task of this site's kind of act; `Some(None)`: a task that does something else.
    pub(super) fn task(told: &Value, site: &Site) -> Option<Option<Run>> {
        let Way::Manifest { account, location, deployment } = &site.way else { return Some(None) };
        let stages = told.pointer("/execution/stages").and_then(Value::as_array)?;
        let name = format!("deployment {deployment}");
        let undoes = |stage: &&Value| {
            let context = &stage["context"];
            stage["type"] == UNDO
                && context["account"] == account.as_str()
                && context["location"] == location.as_str()
                && context["manifestName"].as_str().is_some_and(|of| of.eq_ignore_ascii_case(&name))
        };
        if stages.iter().find(undoes).is_none() {
            return Some(None);
        }
        Run::read(told, &told["execution"], Kind::Rollback, site).map(Some)
    }

    /// `told` has the state and the times, `execution` trigger and stages: of a pipeline's execution they are one.
    fn read(told: &Value, execution: &Value, kind: Kind, site: &Site) -> Option<Run> {
        let id = told["id"].as_str().filter(|id| sound(id))?.to_owned();
        let stages = execution["stages"].as_array();
        let status = as_its_stages_ended(Status::parse(told["status"].as_str()?)?, stages);
        let moment = |name: &str| {
            let millis = told[name].as_i64().filter(|millis| *millis > 0)?;
            Timestamp::from_millisecond(millis).ok()
        };
        let started = moment("startTime");
        let began = started.or_else(|| moment("buildTime"))?;
        let trigger = &execution["trigger"];
        let text = |of: &Value| of.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let touches = |stage: &Value| {
            let has_begun =
                stage["status"].as_str().is_some_and(|of| !matches!(of, "NOT_STARTED" | "SKIPPED"));
            has_begun && !stage["type"].as_str().is_some_and(|of| HARMLESS.contains(&of))
        };
        let parameters = &trigger["parameters"];
        Some(Run {
            id,
            kind,
            status,
            is_canceled: told["canceled"] == Value::Bool(true),
            began,
            has_begun: started.is_some(),
            ended: (!status.is_open()).then(|| moment("endTime").unwrap_or(began).max(began)),
            touched: stages.into_iter().flatten().filter(|stage| touches(stage)).filter_map(ended_at).max(),
            release: release(trigger, site),
            commit: text(&trigger["buildInfo"]["scm"][0]["sha1"]).or_else(|| text(&trigger["hash"])),
            link: text(&trigger["buildInfo"]["url"]),
            by: text(&trigger["user"]).or_else(|| text(&execution["authentication"]["user"])),
            marks: marks(parameters),
            mark: mark(trigger, site),
            has_touched: stages.is_none_or(|stages| stages.iter().any(touches)),
        })
    }

    /// It went out whole, or ended in the middle: it is, at least in part, what serves since then.
    pub(super) fn is_there(&self) -> bool {
        match self.status {
            // Stages that a condition skips let an execution succeed that put nothing out.
            Status::Succeeded => self.has_touched,
            Status::Failed | Status::Canceled => self.has_begun && self.has_touched,
            Status::Waiting | Status::Running | Status::Paused | Status::Skipped => false,
        }
    }

    /// When it was put out: what waits or checks after that changes nothing any more.
    pub(super) fn put_out_at(&self) -> Option<Timestamp> {
        self.touched.or(self.ended)
    }

    /// It went out whole.
    pub(super) fn is_whole(&self) -> bool {
        self.status == Status::Succeeded && self.has_touched
    }

    /// What people call what it puts out.
    pub(super) fn called(&self) -> String {
        match &self.release {
            Some(release) => called(release.as_str()),
            None => format!("something that execution {} does not name", self.id),
        }
    }
}

/// The stage, and the job of a task, that undoes a rollout.
pub(super) const UNDO: &str = "undoRolloutManifest";

/// An id as Spinnaker makes them, ULID or UUID: it stands in a path.
pub(super) fn sound(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A parameter: Spinnaker keeps what was given, whether text or number.
fn parameter(parameters: &Value, name: &str) -> Option<String> {
    let value = parameters.get(name)?;
    let text = value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()));
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty() && text.len() <= RELEASE_MAX)
}

/// No version and no reference of an image is longer.
const RELEASE_MAX: usize = 512;

/// What a trigger puts out. By the image where the site names one, or undoes rollouts: a manifest knows nothing else. Else by the parameter, and
/// without it by the one image that came along.
fn release(trigger: &Value, site: &Site) -> Option<ReleaseId> {
    let given = || parameter(&trigger["parameters"], &site.version_parameter);
    let by_image = site.artifact.is_some() || matches!(site.way, Way::Manifest { .. });
    let image = image(trigger, site.artifact.as_deref());
    // A rollback is told by the parameter: an image that came along may be the newest one, which the pipeline looks for by itself.
    let told = if by_image && !is_back(trigger, site) { image } else { given().or(image) };
    told.map(ReleaseId::new)
}

/// Whether a trigger is one of ours: then its parameter is the release as this provider names it.
fn is_back(trigger: &Value, site: &Site) -> bool {
    mark(trigger, site).is_some() || trigger["parameters"].get(site.rollback_id()).is_some()
}

/// The one image among a trigger's artifacts, or the one of this name. Two are none: nobody could say which one it is.
fn image(trigger: &Value, named: Option<&str>) -> Option<String> {
    let all = trigger["artifacts"].as_array().into_iter().flatten();
    let of_images = all.filter(|one| one["type"] == "docker/image");
    let references = of_images.filter_map(|one| one["reference"].as_str());
    let mut fitting: Vec<&str> =
        references.filter(|reference| named.is_none_or(|named| repository(reference) == named)).collect();
    fitting.sort_unstable();
    fitting.dedup();
    match fitting[..] {
        [one] if one.len() <= RELEASE_MAX => Some(one.to_owned()),
        _ => None,
    }
}

/// An image's name, without tag and digest.
pub(super) fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    let last = name.rfind('/').map_or(0, |at| at + 1);
    name[last..].find(':').map_or(name, |at| &name[..last + at])
}

/// What people call a release: of an image its tag, or the beginning of its digest; whatever else it is, itself.
pub(super) fn called(release: &str) -> String {
    let name = repository(release);
    let short = name.rsplit('/').next().unwrap_or(name);
    let rest = &release[name.len()..];
    if let Some((_, digest)) = rest.split_once("@sha256:") {
        let digest: String = digest.chars().take(12).collect();
        return format!("{short}@{digest}");
    }
    match rest.strip_prefix(':') {
        Some(tag) if name.contains('/') => tag.to_owned(),
        _ => release.to_owned(),
    }
}

fn mark(trigger: &Value, site: &Site) -> Option<Mark> {
    let of_parameter = parameter(&trigger["parameters"], site.rollback_id());
    let correlated = trigger["correlationId"].as_str().map(str::to_owned);
    correlated.into_iter().chain(of_parameter).find(|text| Plan::is_mark(text)).map(Mark::new)
}

/// What a release says of its schema: parameters of the pipeline that put it out.
fn marks(parameters: &Value) -> MigrationMarks {
    let number = |name: &str| parameter(parameters, name).map(|text| text.parse::<i64>());
    let (schema, least) = (number("schema_version"), number("min_compatible_schema"));
    // What is written and cannot be read must not let somebody go back who may not.
    let is_unread = [&schema, &least].into_iter().flatten().any(Result::is_err);
    let word = parameter(parameters, "rollback");
    let word = word.map(|word| RollbackMark::parse(&word).unwrap_or(RollbackMark::Irreversible));
    MigrationMarks {
        rollback: if is_unread { Some(RollbackMark::Irreversible) } else { word },
        schema_version: schema.and_then(Result::ok),
        min_compatible_schema: least.and_then(Result::ok),
    }
}

impl Site {
    /// The parameter that keeps our mark.
    pub(super) fn rollback_id(&self) -> &str {
        match &self.way {
            Way::Pipeline { rollback_id_parameter, .. } => rollback_id_parameter,
            Way::Manifest { .. } => ROLLBACK_ID,
        }
    }
}

/// What the parameter of our mark is called where nobody says otherwise.
pub(super) const ROLLBACK_ID: &str = "rollback_id";

/// Reasons that are told; of more their number is no news.
const REASONS_MAX: usize = 4;

/// Why it failed, in Spinnaker's own words: of an execution that was read whole, or of a task.
pub(super) fn reasons(told: &Value) -> String {
    let execution = told.get("execution").unwrap_or(told);
    let mut said: Vec<String> = Vec::new();
    let mut say = |text: &Value| {
        if let Some(text) = text.as_str().map(str::trim).filter(|text| !text.is_empty())
            && !said.iter().any(|known| known == text)
        {
            said.push(text.to_owned());
        }
    };
    for stage in execution["stages"].as_array().into_iter().flatten() {
        let failed = stage["status"].as_str().and_then(Status::parse) == Some(Status::Failed);
        if failed {
            of_context(&stage["context"], &mut say);
        }
    }
    // A task keeps the same beside its stages, each under its name.
    for variable in told["variables"].as_array().into_iter().flatten() {
        match variable["key"].as_str() {
            Some("exception") => of_exception(&variable["value"], &mut say),
            Some("kato.tasks") => of_operations(&variable["value"], &mut say),
            _ => {}
        }
    }
    say(&execution["cancellationReason"]);
    if said.is_empty() {
        return "Spinnaker does not say why".to_owned();
    }
    said.truncate(REASONS_MAX);
    said.join("; ")
}

fn of_context(context: &Value, say: &mut impl FnMut(&Value)) {
    of_exception(&context["exception"], say);
    say(&context["failureMessage"]);
    of_operations(&context["kato.tasks"], say);
}

fn of_exception(exception: &Value, say: &mut impl FnMut(&Value)) {
    let details = &exception["details"];
    let errors = details["errors"].as_array();
    errors.into_iter().flatten().for_each(&mut *say);
    if errors.is_none_or(Vec::is_empty) {
        say(&details["error"]);
    }
}

/// Clouddriver's own tasks.
fn of_operations(operations: &Value, say: &mut impl FnMut(&Value)) {
    for operation in operations.as_array().into_iter().flatten() {
        say(&operation["exception"]["message"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_called_by_what_tells_it_from_others() {
        let digest = format!("docker.io/acme/checkout@sha256:{}", "ab".repeat(32));
        assert_eq!(called(&digest), "checkout@abababababab");
        assert_eq!(called("docker.io:5000/acme/checkout:v41"), "v41");
        assert_eq!(called("v41"), "v41");
        assert_eq!(repository("docker.io:5000/acme/checkout:v41"), "docker.io:5000/acme/checkout");
        assert_eq!(repository(&digest), "docker.io/acme/checkout");
    }

    #[test]
    fn every_status_of_orca_is_known_and_no_other() {
        assert_eq!(Status::parse("FAILED_CONTINUE"), Some(Status::Failed));
        assert_eq!(Status::parse("SUSPENDED"), Some(Status::Paused));
        assert_eq!(Status::parse("NEW_ONE"), None);
    }
}
