//! The way back: proposed, run, looked for, followed; and the commands of a person.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use serde_json::json;

use super::history::{Kept, MARK};
use super::program::{Ran, end_of};
use super::record::Status;
use super::work::{Receipt, Work};
use super::{Helm, Settings, Site};
use crate::case::command::Progress;
use crate::case::gate::WIRE_DEADLINE;
use crate::case::id::{Duration, Handle, ReleaseId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::{Act, Order};
use crate::execute::kubernetes::Cluster;
use crate::execute::{Sighting, shell, unsent};
use crate::outbound::Trouble;

/// A rollback that ends at once is waited for: what it refuses, it refuses before it writes a record. One that goes on is followed.
const BEGUN_WITHIN: StdDuration = StdDuration::from_secs(8);
/// Between Helm's own end and the one who says so.
const BEYOND: Duration = Duration::from_mins(1);
/// What Helm says, or the API through it, where asking again says the same.
const FOR_GOOD: [&str; 6] = ["forbidden", "BadRequest", "invalid", "not found", "has no", "unknown flag"];
/// An operation of somebody else's is asked about so often.
const AGAIN: Duration = Duration::from_secs(10);

impl Helm {
    pub(super) async fn proposal(
        &self,
        site: &Site,
        from: &ReleaseId,
        to: &ReleaseId,
    ) -> Result<Proposal, Trouble> {
        let records = self.records_there(site).await?;
        let newest = &records[records.len() - 1];
        if newest.status() == Status::Uninstalled {
            return Err(Trouble::Refused(format!("{site} is uninstalled")));
        }
        if newest.status() == Status::Pending && !self.is_stale(site, newest) {
            // Helm has no way to stop another Helm: two of them at one release write over each other.
            let why = format!(
                "revision {} of {site} is {} since {}",
                newest.version(),
                newest.record.status_word(),
                newest.began_at
            );
            return Err(Trouble::Busy { why, after: Some(AGAIN) });
        }
        if let Some(owner) = self.owner(site, newest).await? {
            return Err(Trouble::Refused(format!(
                "{site} is owned by {owner}: it goes back there, or is undone"
            )));
        }
        let Some(back) = records.iter().rev().find(|kept| kept.release == *to && kept.is_whole()) else {
            return Err(Trouble::Refused(gone(site, &records, to)));
        };
        let work =
            Work { site: site.clone(), revision: back.version(), newest: newest.version(), to: to.clone() };
        let mut says = format!("helm rollback of {site} to revision {} ({})", back.version(), back.called());
        if newest.status() == Status::Pending {
            says = format!(
                "{says}; takes over revision {}, {} since {}, which nobody finishes",
                newest.version(),
                newest.record.status_word(),
                newest.began_at
            );
        }
        match back.record.hooks_of_rollback() {
            0 => {}
            1 => says.push_str("; runs a hook of that revision"),
            hooks => says = format!("{says}; runs {hooks} hooks of that revision"),
        }
        if newest.release != *from {
            return Err(Trouble::Moved(newest.called()));
        }
        Ok(Proposal { within: self.settings.longest() + BEYOND, ..Proposal::of(vec![work.act(says)]) })
    }

    /// Runs Helm, once. Everything that can be refused is refused before.
    pub(super) async fn send(&self, work: &Work, permit: &Permit) -> Result<Handle, Trouble> {
        let order = permit.order();
        let site = &work.site;
        let records = unsent(self.records(site).await)?;
        match self.standing(work, order, &records) {
            Standing::Done => return work.handle(order),
            Standing::Moved(what) => return Err(Trouble::Moved(what)),
            Standing::Open => {}
        }
        let newest = &records[records.len() - 1];
        if newest.status() == Status::Pending && !self.is_stale(site, newest) {
            let why = format!("revision {} of {site} is {}", newest.version(), newest.record.status_word());
            return Err(Trouble::Busy { why, after: Some(AGAIN) });
        }
        if let Some(owner) = unsent(self.owner(site, newest).await)? {
            return Err(Trouble::Refused(format!("{site} is owned by {owner}")));
        }
        let back = records.iter().find(|kept| kept.version() == work.revision);
        if !back.is_some_and(|kept| kept.release == work.to && kept.is_whole()) {
            return Err(Trouble::Refused(gone(site, &records, &work.to)));
        }
        let not_begun = |why| Trouble::Busy { why, after: None };
        let flags = self.program.flags(&self.settings).await.map_err(not_begun)?;
        if self.now() > permit.wire_deadline() {
            return Err(Trouble::Busy { why: "the permit is over".into(), after: None });
        }
        let mut words = self.settings.words(site, work.revision);
        if flags.description {
            words.extend(["--description".to_owned(), describing(order, work.revision)]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let child = self.settings.spawn(&words).map_err(not_begun)?;
        let wrote = Noting {
            cluster: self.noting(),
            site: site.clone(),
            resource: self.settings.keep.resource(),
            mark: order.mark.to_string(),
        };
        let after = newest.version();
        let described = flags.description;
        let longest = self.settings.longest().unsigned_abs();
        let ended = self.children.follow(work, order, after, child, longest, move |ran| async move {
            if ran.well && !described {
                wrote.note(after + 1).await;
            }
        });
        match end_of(ended, BEGUN_WITHIN).await {
            Some(ran) if !ran.well => self.ended_badly(work, order, after, ran).await,
            Some(_) | None => work.handle(order),
        }
    }

    /// It ended at once, and not well. The record is the first thing that it writes: where there is none, nothing was done.
    async fn ended_badly(&self, work: &Work, order: &Order, after: i64, ran: Ran) -> Result<Handle, Trouble> {
        let site = &work.site;
        let records = self.records(site).await?;
        if records.iter().any(|kept| kept.version() > after) {
            return work.handle(order);
        }
        // Everything else may be otherwise in a moment: an API that is away, two that wanted the same number.
        if FOR_GOOD.iter().any(|word| ran.says.contains(word)) {
            return Err(Trouble::Refused(format!("helm rollback of {site}: {}", ran.says)));
        }
        Err(Trouble::Busy { why: ran.says, after: None })
    }

    /// Looks for what a run did that nobody saw end. Whatever wrote the target anew did what we wanted.
    pub(super) async fn search(&self, work: &Work, order: &Order) -> Result<Sighting, Trouble> {
        // Both before the records are read: what they lack may have come since.
        let looked_at = self.now();
        let is_at = self.children.is_at(&work.site);
        let records = self.records(&work.site).await?;
        match self.standing(work, order, &records) {
            Standing::Done => {
                if let Some(newest) = records.last() {
                    self.children.is_followed(&work.site, newest.version(), order.mark.as_str());
                }
                work.handle(order).map(Sighting::Found)
            }
            Standing::Moved(what) => Err(Trouble::Moved(what)),
            Standing::Open if is_at => work.handle(order).map(Sighting::Found),
            Standing::Open => {
                let newest = &records[records.len() - 1];
                let begun = order.intended_at + WIRE_DEADLINE + self.settings.quarantine;
                // Its own record that nobody finished: stale is proved by now.
                let until = if newest.version() > work.newest {
                    newest.began_at + self.settings.longest()
                } else {
                    begun
                };
                let until = until.max(begun);
                Ok(if looked_at <= until { Sighting::TooEarly(until) } else { Sighting::Absent })
            }
        }
    }

    /// What the history says of an order.
    fn standing(&self, work: &Work, order: &Order, records: &[Kept]) -> Standing {
        let since: Vec<&Kept> = records.iter().filter(|kept| kept.version() > work.newest).collect();
        let Some(last) = since.last() else {
            // Nothing came since.
            return match records.last() {
                Some(newest) if newest.version() == work.newest && newest.release == order.expected => {
                    Standing::Open
                }
                Some(newest) => Standing::Moved(newest.called()),
                None => Standing::Moved("nothing".into()),
            };
        };
        if last.release != work.to {
            return Standing::Moved(last.called());
        }
        if self.is_stale(&work.site, last) {
            // Ours, or another's that wanted the same: nobody finishes it.
            return Standing::Open;
        }
        Standing::Done
    }

    /// How it goes on.
    pub(super) async fn follow(&self, receipt: &Receipt) -> Result<Progress, Trouble> {
        let site = receipt.site();
        // Before the records are read: what they lack may have come since.
        let looked_at = self.now();
        let is_at = self.children.is_at(&site);
        let ended = self.children.end_of(&site, receipt.newest);
        let records = self.records(&site).await?;
        let Some(last) = records.iter().rev().find(|kept| kept.version() > receipt.newest) else {
            if is_at {
                return Ok(Progress::Running("helm has not written its revision yet".into()));
            }
            return Ok(self.without_a_record(&site, receipt, ended, looked_at));
        };
        if last.release != receipt.to() {
            return Ok(Progress::Superseded(format!(
                "revision {} of {site} is {}",
                last.version(),
                last.called()
            )));
        }
        let revision = last.version();
        self.children.is_followed(&site, revision, &receipt.mark);
        Ok(match last.status() {
            Status::Deployed | Status::Superseded => Progress::Serving(receipt.to()),
            Status::Failed => Progress::Failed(last.record.description()),
            Status::Uninstalled => Progress::Superseded(format!("{site} is uninstalled")),
            Status::Pending if self.is_stale(&site, last) => {
                let ended =
                    self.children.end_of(&site, revision - 1).map_or_else(String::new, |ran| ran.says);
                let says = [": ", &ended].concat();
                let says = if ended.is_empty() { "" } else { &says };
                Progress::NeedsHuman {
                    why: format!(
                        "helm was ended in the middle{says}: revision {revision} of {site} stays {}; look again, and it is taken over",
                        last.record.status_word()
                    ),
                    url: None,
                }
            }
            Status::Pending => {
                Progress::Running(format!("revision {revision} is {}", last.record.status_word()))
            }
        })
    }

    /// Helm was started, it runs no more, and no record of it was there.
    fn without_a_record(
        &self,
        site: &Site,
        receipt: &Receipt,
        ended: Option<Ran>,
        looked_at: Timestamp,
    ) -> Progress {
        match ended {
            Some(ran) if ran.well => {
                return Progress::Superseded(format!("the revision that helm wrote of {site} is gone"));
            }
            Some(ran) => return Progress::Failed(format!("helm rollback of {site}: {}", ran.says)),
            None => {}
        }
        let until = receipt.intended_at + WIRE_DEADLINE + self.settings.quarantine;
        if looked_at <= until {
            return Progress::Running("helm has not written its revision yet".into());
        }
        Progress::Failed(format!("helm wrote no revision of {site}: it was ended before"))
    }

    pub(in crate::execute) fn by_hand(&self, act: &Act, to: &ReleaseId) -> Result<String, String> {
        let work = Work::of(act, to).map_err(|trouble| trouble.to_string())?;
        self.settings.line("rollback", &work.site, Some(&work.revision.to_string()))
    }

    /// For a service of which nothing could be read.
    pub(in crate::execute) fn by_hand_unplanned(&self, site: &Site) -> Vec<String> {
        let lines = [
            self.settings.line("history", site, None),
            self.settings.line("rollback", site, Some("REVISION")),
            self.settings.line("status", site, None),
        ];
        lines.into_iter().filter_map(Result::ok).collect()
    }
}

/// What the history says of an order.
enum Standing {
    /// It was taken, whatever becomes of it.
    Done,
    /// Something else came; what.
    Moved(String),
    /// It was not, or it was and nobody finishes it.
    Open,
}

/// Writes our mark on the record that a rollback of ours wrote, where Helm takes no description. Nothing that serves depends on it.
struct Noting {
    cluster: Arc<Cluster>,
    site: Site,
    resource: &'static str,
    mark: String,
}

impl Noting {
    async fn note(self, version: i64) {
        let (Site { namespace, release }, resource) = (&self.site, self.resource);
        let path =
            format!("/api/v1/namespaces/{namespace}/{resource}/sh.helm.release.v1.{release}.v{version}");
        let patch = json!({ "metadata": { "annotations": { (MARK): self.mark } } });
        if let Err(trouble) = self.cluster.annotate(&path, &patch).await {
            tracing::warn!(%trouble, "could not write our mark on a Helm record");
        }
    }
}

fn gone(site: &Site, records: &[Kept], to: &ReleaseId) -> String {
    format!(
        "the history of {site} holds no revision that went out whole with {to}: it keeps {} revisions (--history-max)",
        records.len()
    )
}

fn describing(order: &Order, revision: i64) -> String {
    format!("Rollback to {revision} by Snapback, {} ({})", order.case, order.mark)
}

impl Settings {
    /// An operation lasts no longer: hooks before, the wait, hooks after, each as long as Helm is told.
    pub(super) fn longest(&self) -> Duration {
        self.timeout + self.timeout + Duration::from_secs(30)
    }

    fn words(&self, site: &Site, revision: i64) -> Vec<String> {
        let timeout = format!("{}s", self.timeout.as_secs());
        let history = self.history_max.to_string();
        [
            "rollback",
            &site.release,
            &revision.to_string(),
            "--namespace",
            &site.namespace,
            "--wait",
            "--timeout",
            &timeout,
            "--history-max",
            &history,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// A line of a shell.
    fn line(&self, verb: &str, site: &Site, revision: Option<&str>) -> Result<String, String> {
        let mut words = vec!["helm".to_owned(), verb.to_owned(), site.release.clone()];
        if let Some(revision) = revision {
            words.extend([revision.to_owned(), "--wait".to_owned()]);
        }
        words.extend(["--namespace".to_owned(), site.namespace.clone()]);
        if let Some(path) = &self.kubeconfig {
            words.extend(["--kubeconfig".to_owned(), path.display().to_string()]);
        }
        if let Some(context) = &self.context {
            words.extend(["--kube-context".to_owned(), context.clone()]);
        }
        shell(words.iter().map(String::as_str))
    }
}
