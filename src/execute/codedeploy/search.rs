//! Looks for what a request did whose answer was lost. That nothing is there proves something only when the request can
//! no longer arrive and a list would show it by now: after the quarantine.

use super::begin::stopped_last;
use super::group::{is_over, succeeded};
use super::work::{Create, Doing, Work};
use super::{CodeDeploy, description};
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::{Duration, Timestamp};
use crate::case::step::Order;
use crate::execute::Sighting;
use crate::outbound::Trouble;

/// AWS's clock may be so far from ours.
const CLOCKS: Duration = Duration::from_mins(2);

impl CodeDeploy {
    pub(super) async fn search(&self, work: &Work, order: &Order) -> Result<Sighting, Trouble> {
        match &work.act {
            Doing::Stop { deployment, .. } => self.search_stop(work, deployment, order).await,
            Doing::Create(create) => self.search_created(work, create, order).await,
        }
    }

    /// When the absence of a request's effect is proof that it never took any.
    fn quarantine_ends(&self, order: &Order) -> Timestamp {
        order.intended_at + WIRE_DEADLINE + self.settings.quarantine
    }

    async fn search_stop(&self, work: &Work, id: &str, order: &Order) -> Result<Sighting, Trouble> {
        let suspect = self.deployment(id).await?;
        if succeeded(&suspect) {
            return Err(Trouble::Moved(format!("deployment {id} finished before it could be stopped")));
        }
        if is_over(&suspect) {
            // Whoever stopped it: it is.
            return work.handle(id).map(Sighting::Found);
        }
        let until = self.quarantine_ends(order);
        Ok(if self.now() < until { Sighting::TooEarly(until) } else { Sighting::Absent })
    }

    async fn search_created(&self, work: &Work, create: &Create, order: &Order) -> Result<Sighting, Trouble> {
        let since = order.intended_at.checked_sub(CLOCKS).unwrap_or(order.intended_at);
        let looked_at = self.now();
        let group = self.group(&work.site, since).await?;
        let ours = group
            .deployments
            .iter()
            .find(|deployment| description::mark(deployment.description()).as_ref() == Some(&order.mark));
        if let Some(id) = ours.and_then(|deployment| deployment.deployment_id()) {
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
