//! The way back: asked for under a key, looked for and followed by it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::carrier::Answer;
use super::contract::{Action, Begun, Question, Stands, State, Taken};
use super::{Own, Site};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::{Duration, Handle, ReleaseId, ServiceId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::{Act, Class, Order};
use crate::execute::{Sighting, shell, unsent};
use crate::outbound::api::CALL_MAX;
use crate::outbound::{CallError, Trouble};

/// The one act.
const ROLLBACK: &str = "rollback";
/// A key that no rollback ever has: who knows it answers without looking.
const NO_KEY: &str = "snapback/000000000000000000000000";

/// The history in which a target is looked for: as long as anybody goes back.
const HISTORY: Duration = Duration::from_hours(30 * 24);
/// Before an act the deployments of so long are read: what is on its way is among them.
const LATELY: Duration = Duration::from_hours(24);

/// What is on its way, else what serves: a rollback goes back from that.
fn serves(picture: &Picture) -> Option<ReleaseId> {
    let going_out = picture.in_flight.as_ref();
    let going_out = going_out.and_then(|id| picture.deployments.iter().find(|one| one.id == *id));
    going_out.map(|one| one.release.clone()).or_else(|| picture.current.clone())
}

fn named(picture: &Picture) -> String {
    serves(picture).map_or_else(|| "nothing that it names".to_owned(), |release| release.to_string())
}

impl Own {
    pub(super) async fn proposal(
        &self,
        service: &ServiceId,
        site: &Site,
        from: &ReleaseId,
        to: &ReleaseId,
    ) -> Result<Proposal, Trouble> {
        let (picture, remembers) = self.seen(service, site, self.now() - HISTORY).await?;
        if serves(&picture).as_ref() != Some(from) {
            return Err(Trouble::Moved(named(&picture)));
        }
        let Some(back) = picture.releases.iter().find(|release| release.id == *to) else {
            return Err(Trouble::Refused(format!("{site} tells of no release {to} any more")));
        };
        let class = if remembers { Class::B } else { Class::C };
        let says = format!("rollback by {site} to {}", back.called());
        let mut arguments = arguments(site, service);
        // For a person: the order holds it anyway.
        arguments.insert("from".to_owned(), from.to_string());
        let act = Act { kind: ROLLBACK.into(), arguments, class, says };
        Ok(Proposal { within: self.settings.deadline, ..Proposal::of(vec![act]) })
    }

    /// Asks for it, once. What serves is looked at before.
    pub(super) async fn send(&self, permit: &Permit) -> Result<Handle, Trouble> {
        let order = permit.order();
        let site = site(&order.act)?;
        let service = &order.service;
        let picture = unsent(self.picture(service, &site, order.intended_at - LATELY).await)?;
        if picture.current.as_ref() == Some(&order.to) && picture.in_flight.is_none() {
            return handle(order, &site);
        }
        if serves(&picture).as_ref() != Some(&order.expected) {
            return Err(Trouble::Moved(named(&picture)));
        }
        if self.now() >= permit.wire_deadline() {
            return Err(Trouble::Busy {
                why: "its permit ran out before it could leave".into(),
                after: None,
            });
        }
        let action = Action::Rollback {
            key: order.mark.as_str(),
            case: order.case.as_str(),
            attempt: order.attempt,
            from: order.expected.as_str(),
            to: order.to.as_str(),
            deadline: permit.wire_deadline(),
        };
        let asked = self.carrier.send::<Begun>(&site, &Question::of(service, action), self.now()).await?;
        let Answer::Told(Begun { state, says }) = asked else { return handle(order, &site) };
        match state {
            Taken::Begun => handle(order, &site),
            Taken::Busy => Err(Trouble::Busy { why: format!("{site}: {says}"), after: None }),
            Taken::Refused => Err(Trouble::Refused(format!("{site}: {says}"))),
            Taken::Moved => Err(Trouble::Moved(says)),
        }
    }

    /// Whether it took a rollback under this key.
    pub(super) async fn search(&self, order: &Order) -> Result<Sighting, Trouble> {
        let looked_at = self.now();
        let site = site(&order.act)?;
        let (from, to) = (order.expected.as_str(), order.to.as_str());
        let action = Action::Status { key: order.mark.as_str(), from, to };
        let stands: Stands =
            self.carrier.read(&site, &Question::of(&order.service, action), self.now()).await?;
        if stands.state != State::Unknown {
            return handle(order, &site).map(Sighting::Found);
        }
        let picture = self.picture(&order.service, &site, order.intended_at - LATELY).await?;
        if picture.current.as_ref() == Some(&order.to) && picture.in_flight.is_none() {
            return handle(order, &site).map(Sighting::Found);
        }
        if serves(&picture).as_ref() != Some(&order.expected) {
            return Err(Trouble::Moved(named(&picture)));
        }
        let until = order.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine;
        Ok(if looked_at < until { Sighting::TooEarly(until) } else { Sighting::Absent })
    }

    pub(super) async fn follow(&self, handle: &Handle) -> Result<Progress, Trouble> {
        let receipt = Receipt::read(handle)?;
        let (service, site) = (receipt.service()?, receipt.site());
        let action = Action::Status { key: &receipt.key, from: &receipt.from, to: &receipt.to };
        let looked_at = self.now();
        let Stands { state, says, url } =
            self.carrier.read(&site, &Question::of(&service, action), looked_at).await?;
        let until = receipt.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine;
        Ok(match state {
            State::Running => Progress::Running(says),
            State::Failed => Progress::Failed(says),
            State::NeedsHuman => Progress::NeedsHuman { why: says, url },
            State::Superseded => Progress::Superseded(says),
            // Done is its word; what serves is read.
            State::Done | State::Unknown => {
                let described = self.described(&service, &site).await?;
                let is_alone = described.in_flight.is_none();
                match described.current.filter(|_| is_alone) {
                    Some(current) if current == receipt.to => Progress::Serving(ReleaseId::new(current)),
                    _ if looked_at < until => Progress::Running("not shown as serving yet".to_owned()),
                    Some(current) if state == State::Done => Progress::Serving(ReleaseId::new(current)),
                    _ => Progress::NeedsHuman {
                        why: format!(
                            "{site} cannot tell what became of the rollback, and the target does not serve alone"
                        ),
                        url,
                    },
                }
            }
        })
    }

    /// Whether it knows a rollback that nobody ever asked for.
    pub(super) async fn knows_a_key_that_never_was(
        &self,
        service: &ServiceId,
        site: &Site,
    ) -> Result<bool, Trouble> {
        let action = Action::Status { key: NO_KEY, from: "", to: "" };
        let stands: Stands = self.carrier.read(site, &Question::of(service, action), self.now()).await?;
        Ok(stands.state != State::Unknown)
    }
}

fn arguments(site: &Site, service: &ServiceId) -> BTreeMap<String, String> {
    let own = match site {
        Site::Program { argv, folder } => [
            ("argv", serde_json::to_string(argv).unwrap_or_default()),
            ("folder", folder.display().to_string()),
        ]
        .to_vec(),
        Site::Url(url) => vec![("url", url.clone())],
    };
    let all = own.into_iter().chain([("service", service.to_string())]);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Where an act is done; refuses what was not made by `propose`.
fn site(act: &Act) -> Result<Site, Trouble> {
    let argument = |name: &str| act.arguments.get(name).cloned();
    let missing = || Trouble::Refused(format!("the act {} does not say where", act.kind));
    if act.kind != ROLLBACK {
        return Err(Trouble::Refused(format!("a deployer of your own knows no act {}", act.kind)));
    }
    if let Some(url) = argument("url") {
        return Ok(Site::Url(url));
    }
    let argv = argument("argv").and_then(|argv| serde_json::from_str(&argv).ok()).ok_or_else(missing)?;
    Ok(Site::Program { argv, folder: PathBuf::from(argument("folder").ok_or_else(missing)?) })
}

fn handle(order: &Order, site: &Site) -> Result<Handle, Trouble> {
    let receipt = Receipt {
        arguments: arguments(site, &order.service),
        key: order.mark.to_string(),
        from: order.expected.to_string(),
        to: order.to.to_string(),
        intended_at: order.intended_at,
    };
    serde_json::to_string(&receipt)
        .map(Handle::new)
        .map_err(|error| CallError::Io { doing: "write a receipt".into(), source: error.into() }.into())
}

/// What a handle holds.
#[derive(Serialize, Deserialize)]
struct Receipt {
    arguments: BTreeMap<String, String>,
    key: String,
    from: String,
    to: String,
    intended_at: Timestamp,
}

impl Receipt {
    fn read(handle: &Handle) -> Result<Receipt, Trouble> {
        let receipt: Receipt = serde_json::from_str(handle.as_str())
            .map_err(|_| Trouble::Refused(format!("{handle} is no receipt of a deployer of your own")))?;
        receipt.service()?;
        Ok(receipt)
    }

    fn service(&self) -> Result<ServiceId, Trouble> {
        let named = self.arguments.get("service").and_then(|service| ServiceId::parse(service));
        named.ok_or_else(|| Trouble::Refused("a receipt names no service".to_owned()))
    }

    fn site(&self) -> Site {
        let argument = |name: &str| self.arguments.get(name).cloned();
        match argument("url") {
            Some(url) => Site::Url(url),
            None => Site::Program {
                argv: argument("argv").and_then(|argv| serde_json::from_str(&argv).ok()).unwrap_or_default(),
                folder: PathBuf::from(argument("folder").unwrap_or_default()),
            },
        }
    }
}

/// Stands for the moment at which a person asks.
const AT: &str = "AT-THIS-MOMENT";

/// The question as a person sends it, in the words of a shell: under a key of the moment at which it is sent, for which nobody looks.
fn question(service: &ServiceId, from: &str, to: &str) -> Result<String, String> {
    let key = format!("by-hand/{service}/{AT}");
    let question = serde_json::json!({
        "snapback": 1, "action": "rollback", "key": key, "service": service.name(),
        "environment": service.environment(), "from": from, "to": to,
    });
    let question = shell([question.to_string().as_str()])?;
    let (before, after) = question.split_once(AT).ok_or("the question names no moment")?;
    // Whichever quotes the shell's words are in, they are closed around what is run.
    let quote = if question.starts_with('\'') { "'" } else { "\"" };
    Ok(format!("{before}{quote}\"$(date +%s)\"{quote}{after}"))
}

pub(super) fn by_hand(act: &Act, to: &ReleaseId) -> Result<String, String> {
    let site = site(act).map_err(|trouble| trouble.to_string())?;
    let service = act.arguments.get("service").and_then(|service| ServiceId::parse(service));
    let service = service.ok_or("the act names no service")?;
    let from = act.arguments.get("from").map_or("", String::as_str);
    line(&site, &question(&service, from, to.as_str())?)
}

pub(super) fn by_hand_unplanned(service: &ServiceId, site: &Site) -> Vec<String> {
    let question = question(service, "WHAT-SERVES", "RELEASE");
    question.and_then(|question| line(site, &question)).into_iter().collect()
}

fn line(site: &Site, question: &str) -> Result<String, String> {
    match site {
        Site::Program { argv, folder } => {
            let place = shell(["cd", &folder.display().to_string()])?;
            Ok(format!("{place} && printf %s {question} | {}", shell(argv.iter().map(String::as_str))?))
        }
        // What signs it is a secret, and stands in no command.
        Site::Url(url) => Ok(format!("curl --fail-with-body --json {question} {}", shell([url.as_str()])?)),
    }
}
