//! Looks for what a request did whose answer was lost. An execution that Echo was told of comes into being later, and Echo tries for half a
//! minute: that nothing is there proves something only after the quarantine.

use super::Spinnaker;
use super::begin::nobody_else;
use super::run::Kind;
use super::work::{Doing, Work};
use crate::case::gate::WIRE_DEADLINE;
use crate::case::step::Order;
use crate::execute::Sighting;
use crate::outbound::Trouble;
use crate::outbound::api::CALL_MAX;

impl Spinnaker {
    pub(super) async fn search(&self, work: &Work, order: &Order) -> Result<Sighting, Trouble> {
        let looked_at = self.now();
        let until = order.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine;
        let not_there = if looked_at < until { Sighting::TooEarly(until) } else { Sighting::Absent };
        if let Doing::Cancel { execution } = &work.doing {
            let Some((run, _)) = self.whole(&work.site, Kind::Deploy, execution).await? else {
                return Err(Trouble::Moved(format!("execution {execution} is gone")));
            };
            if !run.status.is_open() {
                nobody_else(&self.scene(&work.site).await?, order, &work.to)?;
            }
            let is_there = run.is_canceled || !run.status.is_open();
            return if is_there { work.handle(order, None).map(Sighting::Found) } else { Ok(not_there) };
        }
        let scene = self.scene(&work.site).await?;
        if let Some(ours) = scene.under(&order.mark) {
            return work.handle(order, Some(&ours.id)).map(Sighting::Found);
        }
        let current = scene.current();
        let alone = scene.open().next().is_none();
        if alone && current.as_ref() == Some(&work.to) {
            // Somebody was quicker, or it is ours without our mark; ours may still come, and would take a later release back.
            return match not_there {
                Sighting::Absent => work.handle(order, None).map(Sighting::Found),
                early @ (Sighting::TooEarly(_) | Sighting::Found(_)) => Ok(early),
            };
        }
        // What is gone back from does not serve any more. What was put out by somebody meanwhile does not tell whether ours comes as well: that
        // takes the quarantine too.
        if matches!(not_there, Sighting::Absent) && current.as_ref() != Some(&order.expected) {
            return Err(Trouble::Moved(scene.called()));
        }
        Ok(not_there)
    }
}
