//! Looks for what a request did whose answer was lost. The API is the one authority and shows a write at once; a request that still
//! travels does not: that nothing is there proves something only after the quarantine.

use super::Kubernetes;
use super::cluster::CALL_MAX;
use super::work::{How, Work};
use crate::case::gate::WIRE_DEADLINE;
use crate::case::step::Order;
use crate::execute::Sighting;
use crate::outbound::Trouble;

impl Kubernetes {
    pub(super) async fn search(&self, work: &Work, order: &Order) -> Result<Sighting, Trouble> {
        let looked_at = self.now();
        match self.still_as_planned(work, order).await? {
            None => work.handle().map(Sighting::Found),
            // Nothing was sent that could still arrive.
            Some(_) if matches!(work.way.how, How::Gate { .. }) => Ok(Sighting::Absent),
            Some(_) => {
                let until = order.intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine;
                Ok(if looked_at < until { Sighting::TooEarly(until) } else { Sighting::Absent })
            }
        }
    }
}
