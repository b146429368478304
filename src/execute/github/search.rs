//! Looks for what an earlier request did: our mark in the name of a run, or of one of its jobs, or in a deployment's payload. What is not
//! there proves nothing before the quarantine is over: a run shows some seconds after it was asked for.

use super::GitHub;
use super::begin::known_of;
use super::record::is_told;
use super::work::{Doing, Known, Work};
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::Timestamp;
use crate::case::step::Order;
use crate::execute::Sighting;
use crate::outbound::Trouble;
use crate::outbound::api::CALL_MAX;

impl GitHub {
    pub(super) async fn search(&self, work: &Work, order: &Order) -> Result<Sighting, Trouble> {
        let looked_at = self.now();
        let site = &work.site;
        let found = match work.doing {
            Doing::Cancel { run, attempt } => {
                let stands = self.run(site, run).await?;
                // What was started again is somebody else's doing; ours has ended.
                let is_over = stands.is_some_and(|stands| stands.is_over() || stands.attempt != attempt);
                is_over.then_some(Known { run: Some(run), ..Known::default() })
            }
            Doing::Dispatch => {
                let runs = self.marked(site, &order.mark, order.intended_at).await?;
                (!runs.is_empty()).then(|| known_of(&runs))
            }
            Doing::Record => self.written(site, &order.mark).await?.map(|_| Known::default()),
            Doing::Confirm => self.is_confirmed(work).await?.then(Known::default),
        };
        if let Some(known) = found {
            return work.handle(order, known).map(Sighting::Found);
        }
        let scene = self.scene(site).await?;
        let is_done = match work.doing {
            Doing::Cancel { .. } => false,
            Doing::Dispatch => scene.going_out().is_none() && scene.current.as_ref() == Some(&work.to),
            Doing::Record | Doing::Confirm => is_told(work, &scene),
        };
        if is_done {
            return work.handle(order, Known::default()).map(Sighting::Found);
        }
        let until = self.surely(order.intended_at);
        if looked_at < until {
            return Ok(Sighting::TooEarly(until));
        }
        let still = [&order.expected, &work.to];
        let going_out = scene.going_out().map(|went| went.release.as_ref());
        if [going_out, Some(scene.current.as_ref())]
            .into_iter()
            .flatten()
            .flatten()
            .all(|of| !still.contains(&of))
        {
            return Err(Trouble::Moved(scene.called()));
        }
        Ok(Sighting::Absent)
    }

    /// What left with a permit of that time is over then, and shows.
    pub(super) fn surely(&self, intended_at: Timestamp) -> Timestamp {
        intended_at + WIRE_DEADLINE + CALL_MAX + self.settings.quarantine
    }
}
