//! The hands that do a step: the provider of the service that it changes, or the user's own request or program. Sends what a permit
//! allows, looks for it, and follows it, each to an ending; a mutation is never asked twice here.

use crate::case::command::{Ending, Progress};
use crate::case::id::Handle;
use crate::case::permit::Permit;
use crate::case::step::{Doer, Order};
use crate::clock::{pause_until, sleep};
use crate::engine::pace::Pace;
use crate::engine::rim::Rim;
use crate::execute::step::Steps;
use crate::execute::{Provider, Sighting, Target};
use crate::outbound::Trouble;

/// A failure is told in so many characters: a reason, and the ends of a few logs.
const EVIDENCE_MAX: usize = 2000;

/// Sends the one request. Whatever the answer, no second one leaves under this permit.
pub(super) async fn begin(rim: &Rim, permit: Permit) -> Ending {
    let order = permit.order().clone();
    let Some(hand) = Hand::of(rim, &order) else { return Ending::NotSent };
    if rim.clock.now() >= permit.wire_deadline() {
        return Ending::NotSent;
    }
    let kind = hand.kind();
    tracing::info!(case.id = %order.case, service = %order.service, provider = kind, step = order.step.0, attempt = order.attempt, "begin");
    match hand.begin(permit).await {
        Ok(handle) => Ending::Accepted(handle),
        Err(Trouble::Refused(why)) => Ending::Refused(why),
        Err(Trouble::Moved(what)) => Ending::Moved(what),
        Err(Trouble::Busy { after, why }) => {
            tracing::info!(case.id = %order.case, service = %order.service, provider = kind, step = order.step.0, attempt = order.attempt, %why, "not sent; the gate is asked again");
            // Surely not sent. The gate is asked again, later each time, and not sooner than the other side wishes.
            sleep(Pace::nth(u32::from(order.attempt), after.map(|wait| wait.unsigned_abs()))).await;
            Ending::NotSent
        }
        Err(Trouble::Unclear(error)) => {
            tracing::warn!(case.id = %order.case, service = %order.service, provider = kind, step = order.step.0, attempt = order.attempt, error = %error, "whether the request took effect is not known");
            Ending::Unclear(error.to_string())
        }
    }
}

pub(super) async fn find(rim: &Rim, order: &Order) -> Ending {
    let Some(hand) = Hand::of(rim, order) else {
        // Asked for again as long as it is listed.
        sleep(Pace::after_trouble().wait(None)).await;
        return Ending::Unclear("the service is not configured any more".into());
    };
    let mut pace = Pace::after_trouble();
    loop {
        // A search that found nothing is followed by another one: the wait is between the two.
        sleep(pace.wait(None)).await;
        match hand.find(order).await {
            Ok(Sighting::Found(handle)) => return Ending::Found(handle),
            Ok(Sighting::Absent) => return Ending::Absent,
            Ok(Sighting::TooEarly(until)) => {
                pause_until(&rim.clock, until, std::time::Duration::from_secs(60)).await;
            }
            Err(Trouble::Moved(what)) => return Ending::Moved(what),
            Err(Trouble::Busy { after, .. }) => sleep(pace.wait(after.map(|wait| wait.unsigned_abs()))).await,
            Err(Trouble::Refused(_) | Trouble::Unclear(_)) => {}
        }
    }
}

pub(super) async fn watch(rim: &Rim, order: &Order, handle: &Handle) -> Ending {
    let Some(hand) = Hand::of(rim, order) else {
        // Asked for again as long as it is listed.
        sleep(Pace::after_trouble().wait(None)).await;
        return Ending::Unclear("the service is not configured any more".into());
    };
    let mut pace = Pace::of_watching();
    loop {
        match hand.watch(handle).await {
            Ok(Progress::Running(_)) | Err(Trouble::Busy { .. } | Trouble::Unclear(_)) => {}
            Ok(Progress::Failed(why)) => {
                let why = match hand {
                    Hand::Provider(provider, target) => {
                        with_evidence(provider, target, order, handle, why).await
                    }
                    Hand::User(_) => why,
                };
                return Ending::Progress(Progress::Failed(why));
            }
            Ok(progress) => return Ending::Progress(progress),
            Err(Trouble::Moved(what)) => return Ending::Moved(what),
            Err(Trouble::Refused(why)) => return Ending::Refused(why),
        }
        sleep(pace.wait(None)).await;
    }
}

/// Whoever does a step.
#[derive(Clone, Copy)]
enum Hand<'r> {
    /// The provider of the service that it changes.
    Provider(&'r Provider, &'r Target),
    /// The user's own request or program.
    User(&'r Steps),
}

impl<'r> Hand<'r> {
    /// `None`: the service is not configured any more, or the step is Snapback's own, of which nothing leaves.
    fn of(rim: &'r Rim, order: &Order) -> Option<Hand<'r>> {
        match &order.doer {
            Doer::Provider(service) => {
                let (provider, target) = rim.services.get(service)?;
                Some(Hand::Provider(provider, target))
            }
            Doer::User => Some(Hand::User(&rim.steps)),
            Doer::Ledger(_) => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Hand::Provider(provider, _) => provider.kind(),
            Hand::User(_) => "step",
        }
    }

    async fn begin(self, permit: Permit) -> Result<Handle, Trouble> {
        match self {
            Hand::Provider(provider, _) => provider.begin(permit).await,
            Hand::User(steps) => steps.begin(permit).await,
        }
    }

    async fn find(self, order: &Order) -> Result<Sighting, Trouble> {
        match self {
            Hand::Provider(provider, _) => provider.find(order).await,
            Hand::User(steps) => steps.find(order).await,
        }
    }

    async fn watch(self, handle: &Handle) -> Result<Progress, Trouble> {
        match self {
            Hand::Provider(provider, _) => provider.watch(handle).await,
            Hand::User(steps) => steps.watch(handle).await,
        }
    }
}

/// Why work failed, with what the provider shows of it, where it can be read: people need it beside the failure.
async fn with_evidence(
    provider: &Provider,
    target: &Target,
    order: &Order,
    handle: &Handle,
    why: String,
) -> String {
    match provider.evidence(target, Some(handle)).await {
        Ok(exhibits) => {
            let shown: Vec<String> =
                exhibits.iter().map(|exhibit| format!("{}: {}", exhibit.name, exhibit.text)).collect();
            let text = std::iter::once(why).chain(shown).collect::<Vec<_>>().join("; ");
            text.chars().take(EVIDENCE_MAX).collect()
        }
        Err(trouble) => {
            tracing::warn!(case.id = %order.case, service = %order.service, provider = provider.kind(), step = order.step.0, attempt = order.attempt, error = %trouble, "what the provider shows of the failure cannot be read");
            why
        }
    }
}
