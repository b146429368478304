//! What was said in the chat: who said it is proved there, what they may is found here, by the roster of that moment, and
//! they are answered where they said it. Pure. Leaves what follows from a request to the core.

use std::collections::BTreeSet;

use crate::case::approval::Roster;
use crate::case::command::{Authority, Request};
use crate::case::dossier::Dossier;
use crate::case::id::{AnswerUrl, GroupName, PersonId, Place, ReleaseId, ServiceId, Timestamp};
use crate::case::settings::SharedSettings;
use crate::case::thread::Thread;
use crate::case::turn::{Disposition, Manner, Whisper};

/// The request, with the groups of whoever made it; or why it is not taken.
pub(super) fn authorised<'d>(
    request: Request,
    (place, serving): (Option<&Place>, Option<&ReleaseId>),
    roster: Option<&Roster>,
    shared: &SharedSettings,
    dossier: impl Fn(&ServiceId) -> Option<&'d Dossier>,
    now: Timestamp,
) -> Result<Request, Disposition> {
    let Some(roster) = roster.filter(|roster| roster.is_fresh(now)) else {
        return Err(Disposition::Conflict(
            "who may act could not be read within the last minute: say it again, or act by the command line"
                .into(),
        ));
    };
    match request {
        Request::Of(service, mut ask) => {
            let dossier = dossier(&service);
            if let (Some(place), Some(case), Some(dossier)) = (place, ask.what.case(), dossier) {
                pressed_in_its_thread(place, dossier.case(case).and_then(|case| case.thread.as_ref()))?;
            }
            let serves = dossier.and_then(|dossier| dossier.ledger.current.as_ref());
            if serving.is_some() && serves != serving {
                return Err(Disposition::Conflict(
                    "something else serves now than when this was shown".into(),
                ));
            }
            (ask.groups, ask.authority) = (groups_of(roster, &ask.by), Authority::Groups);
            Ok(Request::Of(service, ask))
        }
        Request::Pause { everything: false, ref by, .. }
        | Request::Resume { everything: false, ref by, .. } => {
            let groups = groups_of(roster, by);
            if shared.approvals.values().any(|policy| policy.names(&groups, false)) {
                return Ok(request);
            }
            Err(Disposition::Forbidden(format!("{by} is in no group that decides anything")))
        }
        Request::Pause { .. }
        | Request::Resume { .. }
        | Request::Release { .. }
        | Request::Replay { .. }
        | Request::Spoken { .. } => {
            Err(Disposition::Forbidden("that takes an admin, by the command line".into()))
        }
    }
}

/// A button counts in the one message that shows the case now: copies of it elsewhere, and older ones, do not.
fn pressed_in_its_thread(place: &Place, thread: Option<&Place>) -> Result<(), Disposition> {
    match thread {
        // A workspace that is renamed has other links to the same messages.
        Some(thread) if Thread::of(thread) == Thread::of(place) => Ok(()),
        Some(_) => Err(Disposition::Conflict("this button is of another message than the case's own".into())),
        // The case is told to the end, or unknown: what follows from the request itself says so.
        None => Ok(()),
    }
}

fn groups_of(roster: &Roster, person: &PersonId) -> BTreeSet<GroupName> {
    let members = roster.members.iter().filter(|(_, members)| members.contains(person));
    members.map(|(group, _)| group.clone()).collect()
}

/// What whoever said it is answered. What a case's own thread tells is not said beside it; what changes something outside of
/// a thread is for everybody to read; refusals are private.
pub(super) fn answer(
    to: AnswerUrl,
    by: &PersonId,
    became: &Disposition,
    place: Option<Place>,
    of_one_case: bool,
) -> Vec<Whisper> {
    let whisper = |says: String, manner| Whisper { to: to.clone(), says, manner };
    let beside = if place.is_some() { Manner::Private } else { Manner::Replacing };
    match became {
        Disposition::Done(_) if of_one_case && place.is_some() => Vec::new(),
        Disposition::Done(says) if of_one_case => vec![whisper(says.clone(), Manner::Replacing)],
        Disposition::Done(says) => {
            // What was asked back is gone at once, so that it is not pressed again.
            let asked_back = place.is_none().then(|| whisper("done".into(), Manner::Replacing));
            let public = whisper(format!("{by}: {says}"), Manner::Public(place));
            asked_back.into_iter().chain([public]).collect()
        }
        Disposition::Forbidden(why)
        | Disposition::Conflict(why)
        | Disposition::Unmapped(why)
        | Disposition::Dead(why)
        | Disposition::TooMany(why) => vec![whisper(format!("not done: {why}"), beside)],
        Disposition::Taken(_)
        | Disposition::Repeated(_)
        | Disposition::Idle(_)
        | Disposition::Aside(_)
        | Disposition::OutOfScope(_) => Vec::new(),
    }
}
