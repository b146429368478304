//! Looks for what a request did whose answer was lost. That nothing is there proves something only when the request can
//! no longer arrive and a list would show it by now: after the quarantine.

use super::CodeDeploy;
use super::account::CALL_MAX;
use super::begin::{Ended, finished, stopped_last};
use super::group::{is_over, succeeded};
use super::work::{Create, Doing, Work};
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::{Duration, Timestamp};
use crate::case::step::Order;
use crate::execute::Sighting;
use crate::outbound::Trouble;

/// Earlier attempts at the same step carry the same mark: deployments are listed from so long before this attempt. AWS's
/// clock is much less than that from ours, or it would take no signature.
const EARLIER: Duration = Duration::from_hours(24);

impl CodeDeploy {
    pub(super) async fn search(&self, work: &Work, order: &Order) -> Result<Sighting, Trouble> {
        match &work.act {
            Doing::Stop { deployment, back } => self.search_stop(work, deployment, *back, order).await,
            Doing::Create(create) => self.search_created(work, create, order).await,
        }
    }

    /// When the absence of a request's effect is proof that it never took any.
    fn quarantine_ends(&self, order: &Order) -> Timestamp {
        order.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine
    }

    async fn search_stop(
        &self,
        work: &Work,
        id: &str,
        back: bool,
        order: &Order,
    ) -> Result<Sighting, Trouble> {
        let suspect = self.deployment(id).await?;
        if succeeded(&suspect) {
            return Err(finished(id));
        }
        if is_over(&suspect) {
            return match self.ended(&suspect, back) {
                Ended::AsWished => work.handle(id).map(Sighting::Found),
                Ended::Soon(until) => Ok(Sighting::TooEarly(until)),
                Ended::ByItself(how) => Err(Trouble::Moved(how)),
            };
        }
        let until = self.quarantine_ends(order);
        Ok(if self.now() < until { Sighting::TooEarly(until) } else { Sighting::Absent })
    }

    async fn search_created(&self, work: &Work, create: &Create, order: &Order) -> Result<Sighting, Trouble> {
        let since = order.intended_at.checked_sub(EARLIER).unwrap_or(order.intended_at);
        let looked_at = self.now();
        let group = self.group_afresh(&work.site, since).await?;
        let ours = group.marked(&order.mark).and_then(|deployment| deployment.deployment_id());
        if let Some(id) = ours {
            return work.handle(id).map(Sighting::Found);
        }
        let until = self.quarantine_ends(order);
        if looked_at < until {
            return Ok(Sighting::TooEarly(until));
        }
        let serving = self.serving(&work.site, &group).await?.release;
        if serving.as_ref() == Some(&order.expected) || stopped_last(&group, create.after.as_deref()) {
            return Ok(Sighting::Absent);
        }
        Err(Trouble::Moved(
            serving.map_or("nothing that CodeDeploy knows".to_owned(), |release| release.to_string()),
        ))
    }
}
