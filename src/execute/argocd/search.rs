//! Looks for what a request did whose answer was lost. Argo CD shows a write at once; a request that still travels it does not show: that
//! nothing is there proves something only after the quarantine.

use super::ArgoCd;
use super::begin::{Standing, serving, under_way};
use super::work::{Doing, Off, Work};
use crate::case::gate::WIRE_DEADLINE;
use crate::case::step::Order;
use crate::execute::Sighting;
use crate::outbound::Trouble;
use crate::outbound::api::CALL_MAX;

impl ArgoCd {
    pub(super) async fn search(&self, work: &Work, order: &Order) -> Result<Sighting, Trouble> {
        let looked_at = self.now();
        let application = self.application(&work.site).await?;
        if application.uid() != work.uid {
            return Err(Trouble::Moved(format!("another {}", work.site)));
        }
        let is_there = match &work.doing {
            Doing::Prepare { .. } => application.note().has(&order.mark),
            Doing::Terminate { started_at } => {
                under_way(&application, *started_at).is_none_or(|operation| operation.is_ending)
            }
            Doing::Resume { .. } => application.syncs_by_itself(),
            Doing::Rollback { after, before, .. } => {
                match Standing::of(&application, (&order.expected, &work.to), *after, *before) {
                    Standing::Asked | Standing::UnderWay(_) | Standing::Ended(_) | Standing::Done => true,
                    Standing::Other(what) => return Err(Trouble::Moved(what)),
                    Standing::Another => false,
                    Standing::Open => serving(&application).as_ref() == Some(&work.to),
                }
            }
        };
        if is_there {
            return work.handle(order).map(Sighting::Found);
        }
        // What the plan goes back from does not serve any more: there is nothing to go back from.
        let begun_last = application.operation().and_then(|operation| operation.release);
        let last = serving(&application);
        if [&begun_last, &last].iter().all(|of| of.as_ref() != Some(&order.expected)) {
            let what = application.history().last().map(|entry| entry.content.called());
            return Err(Trouble::Moved(what.unwrap_or_else(|| "nothing".to_owned())));
        }
        // Whoever makes the Application anew takes our note off; that auto-sync is off is what it is for.
        if matches!(work.doing, Doing::Prepare { off, .. } if off != Off::Already)
            && !application.syncs_by_itself()
        {
            return work.handle(order).map(Sighting::Found);
        }
        let until = order.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine;
        Ok(if looked_at < until { Sighting::TooEarly(until) } else { Sighting::Absent })
    }
}
