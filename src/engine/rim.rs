//! The rim: where errands are carried out, and how each ended. It asks again at pace until there is an answer, and is
//! cut from outside when nothing lists the command any more. A mutation is never asked twice here.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::case::command::{Command, Ending};
use crate::case::exhibit::{BUDGET, Collected};
use crate::case::face::Face;
use crate::case::id::{CaseId, Place, ProbeName, ReleaseId, ServiceId, SourceName, Timestamp};
use crate::case::pager::Summons;
use crate::case::plan::{Choice, Proposal};
use crate::case::probe::Health;
use crate::case::signal::Signal;
use crate::case::thread::Patience;
use crate::case::turn::{Bulletin, Whisper};
use crate::case::words::Note;
use crate::clock::{Clock, sleep};
use crate::engine::desk::Arrival;
use crate::engine::errand::Errand;
use crate::engine::hand::{begin, find, watch};
use crate::engine::lane::{Lanes, Load};
use crate::engine::pace::Pace;
use crate::execute::step::Steps;
use crate::execute::{Provider, Target};
use crate::outbound::Trouble;
use crate::probe::Probe;
use crate::probe::prometheus::Prometheus;
use crate::report::Voice;
use crate::report::rollcall::Rollcall;
use crate::report::slack::{Edited, Posted, Slack, Sought};

/// A provider's history is read so far back: longer than any service's `max_back` age by default, and bounded.
const HISTORY: crate::case::id::Duration = crate::case::id::Duration::from_hours(30 * 24);

/// A note whose answer was lost is sought so often before it is posted again: what was taken shows at once, and once more
/// a moment later.
const SEEKS: u8 = 2;

/// A face is tried so often; then the one of that moment is.
const SHOWS: u8 = 8;

/// A pager is tried so often, within about two minutes; then with what there is to tell at that moment.
const PAGES: u8 = 8;

/// What Slack refuses for good is asked for so often, an hour, before the case is looked at anew: it may be over by now.
const REFUSALS: u8 = 60;

/// An answer to one person is tried so often: it may be used five times, within half an hour (signals §10.4).
const WHISPERS: u8 = 3;

/// A little less than an act waits, so that why nothing is shown is told before it.
const SHOWN_WITHIN: std::time::Duration = std::time::Duration::from_secs(BUDGET.as_secs().unsigned_abs() - 1);

/// Everything that errands reach.
pub struct Rim {
    /// Providers and places of the services.
    pub services: BTreeMap<ServiceId, (Arc<Provider>, Target)>,
    /// Who does the steps of the user's own.
    pub steps: Arc<Steps>,
    /// Who says notes.
    pub voice: Voice,
    /// How fast.
    pub lanes: Arc<Lanes>,
    /// Who knows who belongs to which group.
    pub rollcall: Arc<Rollcall>,
    /// Who knows when the alerts of a source began.
    pub prometheus: BTreeMap<SourceName, Arc<Prometheus>>,
    /// The checks of the probes.
    pub probes: BTreeMap<ProbeName, Arc<Probe>>,
    /// The time.
    pub clock: Clock,
}

/// Carries out one errand to its end.
pub(super) async fn carry_out(errand: Errand, rim: Arc<Rim>) -> Arrival {
    let command = errand.command();
    match errand {
        Errand::Describe(service) => describe(&rim, service).await,
        Errand::Propose(choice) => ended(command, propose(&rim, &choice).await),
        Errand::Collect(case) => ended(command, Ending::Collected(collect(&rim, &case).await)),
        Errand::RollCall(_, groups) => {
            let roster = rim.rollcall.read(&groups, rim.clock.now()).await;
            ended(command, Ending::Roster(roster))
        }
        Errand::Begin(permit) => ended(command, begin(&rim, permit).await),
        Errand::Find(order) => ended(command, find(&rim, &order).await),
        Errand::Watch(order, handle) => ended(command, watch(&rim, &order, &handle).await),
        Errand::Say(note, thread, face, patience) => {
            ended(command, say(&rim, &note, thread.as_ref(), &face, patience).await)
        }
        Errand::Show(thread, face, patience) => ended(command, show(&rim, &thread, &face, patience).await),
        Errand::Page(summons) => ended(command, page(&rim, &summons).await),
        Errand::Probe(_, probe) => ended(command, run(&rim, &probe).await),
        Errand::Onset(service, signal) => ended(command, onset(&rim, &service, &signal).await),
    }
}

/// Asks once: a case is judged with what is known, and says that the lag is assumed where nothing better is.
async fn onset(rim: &Rim, service: &ServiceId, signal: &Signal) -> Ending {
    let (source, name) = (&signal.source, &signal.name);
    let Some(prometheus) = rim.prometheus.get(source) else {
        return Ending::Refused("the source has no prometheus_url any more".into());
    };
    match prometheus.onset(signal).await {
        Ok(Some(onset)) => Ending::Began(onset),
        Ok(None) => {
            tracing::info!(%source, %service, alert = %name, "no alert of its Prometheus is surely this one: how late it tells stays assumed");
            Ending::Refused("no alert there is surely this one".into())
        }
        Err(why) => {
            tracing::warn!(%source, %service, alert = %name, error = %why, "its Prometheus could not be asked when this began: how late it tells stays assumed");
            Ending::Unclear(why.to_string())
        }
    }
}

/// Runs a probe once, within its own deadline, when it is its turn.
async fn run(rim: &Rim, probe: &ProbeName) -> Ending {
    let _turn = Probe::turn().await;
    let began_at = rim.clock.now();
    let found = match rim.probes.get(probe) {
        Some(check) => check.run().await,
        None => Health::Unknown("the probe is not configured any more".into()),
    };
    Ending::Probed { began_at, found }
}

fn ended(command: Command, ending: Ending) -> Arrival {
    Arrival::Ended(command, Box::new(ending))
}

async fn describe(rim: &Rim, service: ServiceId) -> Arrival {
    let Some((provider, target)) = rim.services.get(&service) else {
        return Arrival::Unreadable(service, "the service is not configured any more".into());
    };
    let since = rim.clock.now().checked_sub(HISTORY).unwrap_or(Timestamp::MIN);
    match provider.describe(target, since).await {
        Ok(picture) => ended(Command::Describe(service), Ending::Described(Box::new(picture))),
        Err(trouble) => {
            let why = trouble.to_string();
            tracing::warn!(service = %service, provider = provider.kind(), error = %why, "the provider could not be read");
            Arrival::Unreadable(service, why)
        }
    }
}

/// What each provider proposes for its part of the choice. One that will not is the end of the whole.
async fn propose(rim: &Rim, choice: &Choice) -> Ending {
    let mut proposal = match proposal(rim, &choice.service, &choice.from, &choice.to).await {
        Ok(proposal) => proposal,
        Err(why) => return Ending::Refused(why),
    };
    for leg in &choice.with {
        match self::proposal(rim, &leg.service, &leg.from, &leg.to).await {
            Ok(one) => proposal.with.push(one),
            Err(why) => return Ending::Refused(format!("{}: {why}", leg.service)),
        }
    }
    Ending::Proposed(proposal)
}

async fn proposal(
    rim: &Rim,
    service: &ServiceId,
    from: &ReleaseId,
    to: &ReleaseId,
) -> Result<Proposal, String> {
    let Some((provider, target)) = rim.services.get(service) else {
        return Err("the service is not configured any more".into());
    };
    let mut pace = Pace::after_trouble();
    loop {
        match provider.propose(target, from, to).await {
            Ok(proposal) => return Ok(proposal),
            Err(Trouble::Refused(why)) => return Err(why),
            Err(Trouble::Moved(what)) => return Err(what),
            Err(Trouble::Busy { after, .. }) => sleep(pace.wait(after.map(|wait| wait.unsigned_abs()))).await,
            Err(Trouble::Unclear(_)) => sleep(pace.wait(None)).await,
        }
    }
}

/// Asks once, within its budget: an act waits for it no longer.
async fn collect(rim: &Rim, case: &CaseId) -> Collected {
    let service = case.service();
    let Some((provider, target)) = rim.services.get(&service) else {
        return Collected::nothing("the service is not configured any more".into());
    };
    let shown = tokio::time::timeout(SHOWN_WITHIN, provider.evidence(target, None)).await;
    let why = match shown {
        Ok(Ok(exhibits)) => return Collected::of(exhibits),
        Ok(Err(trouble)) => trouble.to_string(),
        Err(_) => format!("it was not shown within {} s", SHOWN_WITHIN.as_secs()),
    };
    tracing::warn!(case.id = %case, %service, provider = provider.kind(), error = why, "what the provider shows cannot be read before the act");
    Collected::nothing(why)
}

/// Says a note: in the log at once, and in Slack until it is there. After an answer that was lost, or a process that ended
/// in the middle, it is sought before it is said again. What Slack refuses for good is asked again slowly, because somebody may
/// mend it; where nobody did in time, it is let go.
async fn say(rim: &Rim, note: &Note, thread: Option<&Place>, face: &Face, patience: Patience) -> Ending {
    let log = rim.voice.log.say(note).await;
    let Some(slack) = &rim.voice.slack else { return Ending::Said { place: log, face: None } };
    let channel = slack.channel(&note.case.service());
    let (mut pace, mut refused) = (Pace::of_speaking(), Pace::of_refused());
    let mut refusals = 0;
    let mut to_seek = if slack.may_have_said(note) { SEEKS } else { 0 };
    loop {
        rim.lanes.turn(channel, Load::Words, &rim.clock).await;
        let seeks = to_seek > 0;
        let answered = if seeks {
            sought(slack, note, thread).await
        } else {
            match (slack.post(note, thread, face).await, thread) {
                (Ok(Posted::There(place)), _) => Ok(Some(place)),
                (Ok(Posted::Strayed(stray)), Some(lost)) if patience.may_move => {
                    slack.withdraw(&stray).await;
                    return reopen(rim, lost, face, patience).await;
                }
                (Ok(Posted::Strayed(_)), lost) => Ok(lost.cloned()),
                (Ok(Posted::ThreadGone(_)), Some(lost)) if patience.may_move => {
                    return reopen(rim, lost, face, patience).await;
                }
                (Ok(Posted::ThreadGone(code)), _) => Err(Trouble::Refused(format!("Slack says {code}"))),
                (Err(trouble), _) => Err(trouble),
            }
        };
        let trouble = match answered {
            // What was found may show an older face: it is edited next.
            Ok(Some(place)) => {
                let face = (thread.is_none() && !seeks).then(|| face.digest());
                return Ending::Said { place, face };
            }
            Ok(None) => {
                to_seek -= 1;
                sleep(pace.wait(None)).await;
                continue;
            }
            Err(trouble) => trouble,
        };
        tracing::warn!(case.id = %note.case, note = note.number.0, error = %trouble, "a note is not in Slack yet");
        match &trouble {
            Trouble::Busy { after: Some(after), .. } => rim.lanes.hold(channel, *after, rim.clock.now()),
            Trouble::Refused(why) => {
                if let Some(ending) = let_go(rim, &note.case, patience, why) {
                    return ending;
                }
                sleep(refused.wait(None)).await;
                refusals += 1;
                if refusals == REFUSALS {
                    return Ending::Unclear(why.clone());
                }
            }
            Trouble::Unclear(_) | Trouble::Busy { after: None, .. } | Trouble::Moved(_) => {
                if matches!(trouble, Trouble::Unclear(_)) && to_seek == 0 {
                    to_seek = SEEKS;
                }
                sleep(pace.wait(None)).await;
            }
        }
    }
}

/// The end of a case that Slack refuses for good, where nobody mended that in time.
fn let_go(rim: &Rim, case: &CaseId, patience: Patience, why: &str) -> Option<Ending> {
    patience.is_over(rim.clock.now()).then(|| {
        tracing::error!(case.id = %case, why, "Slack refuses this case for good: what it still had to tell is let go, and is in the log and the API alone");
        Ending::Unsayable(why.to_owned())
    })
}

/// Opens the thread again, below another first message.
async fn reopen(rim: &Rim, lost: &Place, face: &Face, patience: Patience) -> Ending {
    let Some(slack) = &rim.voice.slack else { return Ending::Unclear("Slack is not configured".into()) };
    let channel = slack.channel(&face.case.service());
    let (mut pace, mut refused) = (Pace::of_speaking(), Pace::of_refused());
    for _ in 0..SHOWS {
        rim.lanes.turn(channel, Load::Words, &rim.clock).await;
        let trouble = match slack.reopen(lost, face).await {
            Ok((place, Sought::Absent)) => {
                tracing::warn!(case.id = %face.case, %place, "the first message of a thread was deleted: it goes on below another one");
                return Ending::Elsewhere { place, face: Some(face.digest()) };
            }
            Ok((place, Sought::Found(_))) => return Ending::Elsewhere { place, face: None },
            Err(trouble) => trouble,
        };
        tracing::warn!(case.id = %face.case, error = %trouble, "a thread is not opened again yet");
        match trouble {
            Trouble::Busy { after: Some(after), .. } => rim.lanes.hold(channel, after, rim.clock.now()),
            Trouble::Refused(why) => {
                if let Some(ending) = let_go(rim, &face.case, patience, &why) {
                    return ending;
                }
                sleep(refused.wait(None)).await;
            }
            Trouble::Busy { .. } | Trouble::Moved(_) | Trouble::Unclear(_) => sleep(pace.wait(None)).await,
        }
    }
    Ending::Unclear("the thread could not be opened again".into())
}

async fn sought(slack: &Slack, note: &Note, thread: Option<&Place>) -> Result<Option<Place>, Trouble> {
    match slack.seek(note, thread).await {
        Ok(Sought::Found(found)) => slack.link(&found).await.map(Some),
        Ok(Sought::Absent) => Ok(None),
        // What may not be searched is said rather twice than never.
        Err(Trouble::Refused(why)) => {
            tracing::warn!(case.id = %note.case, why, "what was posted cannot be searched");
            Ok(None)
        }
        Err(trouble) => Err(trouble),
    }
}

/// Lets the first message of a thread show how its case stands. Without Slack there is nothing to edit.
async fn show(rim: &Rim, thread: &Place, face: &Face, patience: Patience) -> Ending {
    let Some(slack) = &rim.voice.slack else { return Ending::Shown(face.digest()) };
    let channel = slack.channel(&face.case.service());
    let (mut pace, mut refused) = (Pace::of_speaking(), Pace::of_refused());
    // What can be pressed must be seen in time: it waits for nothing.
    let load = if face.buttons.is_empty() { Load::Looks } else { Load::Words };
    for _ in 0..SHOWS {
        rim.lanes.turn(channel, load, &rim.clock).await;
        let trouble = match slack.show(thread, face).await {
            Ok(Edited::Gone) if patience.may_move => return reopen(rim, thread, face, patience).await,
            // Nobody sees it; the replies go on.
            Ok(Edited::Gone | Edited::Shows) => return Ending::Shown(face.digest()),
            Err(trouble) => trouble,
        };
        tracing::warn!(case.id = %face.case, error = %trouble, "the first message of a thread is not up to date");
        match trouble {
            Trouble::Busy { after: Some(after), .. } => rim.lanes.hold(channel, after, rim.clock.now()),
            Trouble::Refused(why) => {
                if let Some(ending) = let_go(rim, &face.case, patience, &why) {
                    return ending;
                }
                sleep(refused.wait(None)).await;
            }
            Trouble::Busy { .. } | Trouble::Moved(_) | Trouble::Unclear(_) => sleep(pace.wait(None)).await,
        }
    }
    // Asked again as the case is then, which is perhaps another face.
    Ending::Unclear("the first message of the thread could not be edited".into())
}

/// Tells a pager why somebody is needed, or that nobody is any more. To tell it twice is harmless: by its key it is one
/// incident.
async fn page(rim: &Rim, summons: &Summons) -> Ending {
    let unclear = |why: &str| Ending::Unclear(format!("{} could not be told: {why}", summons.pager));
    let Some(pager) = rim.voice.pagers.get(&summons.pager) else { return unclear("it is not configured") };
    let mut pace = Pace::after_trouble();
    for _ in 0..PAGES {
        match pager.summon_in_turn(summons).await {
            Ok(()) => return Ending::Paged,
            Err(Trouble::Refused(why) | Trouble::Moved(why)) => {
                tracing::error!(pager = %summons.pager, about = summons.about.key(), error = why, "a pager will not wake people");
                return Ending::Refused(why);
            }
            Err(trouble) => {
                tracing::warn!(pager = %summons.pager, about = summons.about.key(), error = %trouble, "a pager is not told yet");
                let after = match trouble {
                    Trouble::Busy { after, .. } => after.map(|wait| wait.unsigned_abs()),
                    Trouble::Refused(_) | Trouble::Moved(_) | Trouble::Unclear(_) => None,
                };
                sleep(pace.wait(after)).await;
            }
        }
    }
    // Asked again as the case is then: perhaps nobody is needed any more.
    unclear("it did not answer")
}

/// Tells people something of a service beside any case: in the log, and in its channel. It is of the moment: what cannot be told
/// soon is in the log and in what the service's readiness says.
pub(super) async fn announce(bulletin: Bulletin, rim: Arc<Rim>) {
    let service = &bulletin.service;
    tracing::warn!(%service, says = bulletin.lines.join(" | "), "a bulletin");
    let Some(slack) = &rim.voice.slack else { return };
    let mut pace = Pace::of_speaking();
    for _ in 0..WHISPERS {
        rim.lanes.turn(slack.channel(service), Load::Words, &rim.clock).await;
        match slack.announce(&bulletin).await {
            Ok(()) => return,
            Err(trouble @ (Trouble::Refused(_) | Trouble::Moved(_) | Trouble::Unclear(_))) => {
                // One that may be there is not said twice.
                return tracing::warn!(%service, error = %trouble, "a bulletin is not surely in Slack");
            }
            Err(trouble) => {
                tracing::warn!(%service, error = %trouble, "a bulletin is not in Slack yet");
                sleep(pace.wait(None)).await;
            }
        }
    }
}

/// Answers one person. Nothing depends on it, and whoever is not answered asks again.
pub(super) async fn whisper(whisper: Whisper, rim: Arc<Rim>) {
    let Some(slack) = &rim.voice.slack else { return };
    let mut pace = Pace::of_speaking();
    for _ in 0..WHISPERS {
        match slack.whisper(&whisper).await {
            Ok(()) => return,
            Err(trouble @ (Trouble::Refused(_) | Trouble::Moved(_))) => {
                return tracing::warn!(error = %trouble, "somebody could not be answered in Slack");
            }
            Err(trouble) => {
                tracing::warn!(error = %trouble, "somebody is not answered in Slack yet");
                sleep(pace.wait(None)).await;
            }
        }
    }
}
