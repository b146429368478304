//! What the provider and its notices tell: the ledger learns, grades move, and somebody else's act is noticed.

use super::command::Ending;
use super::deployment::{ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus, Picture};
use super::dossier::Dossier;
use super::event::Event;
use super::id::{Duration, ReleaseId, Timestamp};
use super::ledger::{Grade, Ledger, News};
use super::notice::{Notice, informed};
use super::phase::{Outcome, Phase};
use super::readiness::blind;
use super::release::Release;
use super::scribe::{Scribe, View};
use super::signal::EpisodeKey;
use super::turn::{Bulletin, Disposition};

/// A deployment that becomes known so long after a signal, and began before it, re-opens the question of blame.
const LATE_NOTICE: Duration = Duration::from_mins(10);

impl Scribe<'_> {
    /// The provider was read. A reading that failed is live knowledge, kept by the desk.
    pub(super) fn described(&mut self, ending: &Ending) {
        if let Ending::Described(picture) = ending {
            self.refresh(picture);
        }
    }

    fn refresh(&mut self, picture: &Picture) {
        let notices = &self.dossier.notices;
        let releases: Vec<Release> =
            picture.releases.iter().map(|release| informed(release, notices)).collect();
        let news = self.dossier.ledger.news(&picture.deployments, &releases);
        let first_sight = !self.dossier.ledger.first_sight_over;
        let is_unseen = |deployment: &&Deployment| self.dossier.ledger.deployment(&deployment.id).is_none();
        let unseen: Vec<Deployment> = news.deployments.iter().filter(is_unseen).cloned().collect();
        let moved = self.dossier.ledger.current != picture.current || self.dossier.owner != picture.owner;
        if first_sight || moved || news != News::default() {
            self.write(Event::LedgerRefreshed {
                at: picture.at,
                current: picture.current.clone(),
                deployments: news.deployments.clone(),
                releases: news.releases,
                owner: picture.owner.clone(),
            });
        }
        if first_sight {
            self.inherit();
        }
        if !first_sight {
            self.tell_blindness(&unseen);
        }
        self.reported(picture);
        self.reopen_for(&news.deployments);
    }

    /// A release goes out, or went out just now, and nobody would notice what it does: people are told while they look at it.
    fn tell_blindness(&mut self, unseen: &[Deployment]) {
        let now = self.view.now;
        let is_young = |deployment: &&Deployment| {
            deployment.origin == DeploymentOrigin::Ordinary
                && now.duration_since(deployment.started_at) <= LATE_NOTICE
        };
        let newest = unseen.iter().filter(is_young).max_by_key(|deployment| deployment.started_at);
        let Some(newest) = newest else { return };
        let reasons = blind(self.dossier, self.view.settings, self.view.standing);
        if reasons.is_empty() {
            return;
        }
        let service = self.dossier.service.clone();
        let called = self.dossier.ledger.release_of(newest).map_or(newest.release.as_str(), Release::called);
        let by = newest.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let first = format!("{service}: {called}{by} goes out, and what it breaks would not be noticed");
        let lines = std::iter::once(first).chain(reasons).collect();
        self.written.bulletins.push(Bulletin { service, lines });
    }

    /// A notice of a deployment, from a feed. Of a release of the service's, the provider is read at once, and what is said of it
    /// is learned; a change of another kind is a deployment by this notice alone.
    pub(super) fn noticed(&mut self, notice: &Notice) {
        let service = self.dossier.service.clone();
        let known = self.dossier.notices.iter().find(|known| known.is_of(notice));
        let together = known.map_or_else(|| notice.clone(), |known| known.with(notice));
        let said = |notice: &Notice| Notice { received_at: Timestamp::UNIX_EPOCH, ..notice.clone() };
        if known.is_some_and(|known| said(known) == said(&together)) {
            self.written.dispositions.push(Disposition::Repeated(service));
            return;
        }
        self.written.dispositions.push(Disposition::Taken(service.clone()));
        let change = (together.change != ChangeKind::Code).then(|| together.deployment(&service));
        self.write(Event::Noticed(Box::new(together)));
        if let Some(change) = change {
            self.reopen_for(&[change]);
        }
        self.inform();
    }

    /// Lets the releases that are known learn what notices say of them.
    fn inform(&mut self) {
        let informed: Vec<Release> = self
            .dossier
            .ledger
            .pages
            .values()
            .map(|page| informed(&page.release, &self.dossier.notices))
            .collect();
        let news = self.dossier.ledger.news(&[], &informed);
        if !news.releases.is_empty() {
            self.write(Event::LedgerRefreshed {
                at: self.view.now,
                current: self.dossier.ledger.current.clone(),
                deployments: Vec::new(),
                releases: news.releases,
                owner: self.dossier.owner.clone(),
            });
        }
    }

    fn inherit(&mut self) {
        for release in self.dossier.ledger.inherited(self.view.settings.soak) {
            let unknown = self.dossier.ledger.grade(&release) == Grade::Unknown;
            if unknown && self.dossier.ledger.current.as_ref() != Some(&release) {
                let why = "served its soak before Snapback knew the service".to_owned();
                self.write(Event::Graded { release, grade: Grade::Inherited, why });
            }
        }
    }

    /// Signals whose case found nobody to blame are judged anew when a deployment becomes known that began before
    /// them.
    fn reopen_for(&mut self, news: &[Deployment]) {
        let now = self.view.now;
        let reopened: Vec<EpisodeKey> = self
            .dossier
            .episodes
            .iter()
            .filter(|(_, episode)| {
                episode.is_firing() && now.duration_since(episode.opened_at) <= LATE_NOTICE
            })
            .filter(|(_, episode)| {
                let case = episode.case.as_ref();
                self.dossier.outcomes.iter().any(|past| {
                    Some(&past.case) == case && past.outcome == Outcome::LeftAlone && past.suspect.is_none()
                })
            })
            .filter(|(_, episode)| {
                news.iter().any(|deployment| {
                    deployment.started_at <= episode.started_at
                        && deployment.origin == DeploymentOrigin::Ordinary
                })
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in reopened {
            self.write(Event::EpisodeReopened { key });
        }
    }

    /// Moves the grades that time moves: what serves begins to bake, and what has soaked is good.
    pub(super) fn grade_by_time(&mut self) {
        let Some(current) = self.dossier.ledger.current.clone() else { return };
        if self.finished(&current) && self.dossier.may_soak(&current) {
            let why = format!("serving; good after {:#} without trouble", self.soak());
            self.write(Event::Graded { release: current, grade: Grade::Baking, why });
        }
        self.stop_baking();
        let soak = self.soak();
        let (since, now) = (self.view.live.since, self.view.now);
        let blamed = self.dossier.open.as_ref().is_some_and(|case| !case.phase.is_before_the_act());
        let proves = !blamed && self.dossier.may_prove_itself(self.view);
        let soaked = self.dossier.ledger.soaked(soak, since, now).filter(|_| proves).cloned();
        if let Some(release) = soaked {
            let why = format!("served {soak:#} and raised nothing");
            self.write(Event::Graded { release, grade: Grade::Good, why });
        }
    }

    /// A release that left before its soak was over has proven nothing.
    fn stop_baking(&mut self) {
        let ledger: &Ledger = &self.dossier.ledger;
        let left: Vec<ReleaseId> = ledger
            .pages
            .iter()
            .filter(|(id, page)| page.grade == Grade::Baking && ledger.current.as_ref() != Some(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for release in left {
            let why = "left before its soak was over".to_owned();
            self.write(Event::Graded { release, grade: Grade::Unknown, why });
        }
    }

    pub(super) fn soak(&self) -> Duration {
        self.view
            .settings
            .cadence
            .map_or(self.view.settings.soak, |cadence| cadence.max(self.view.settings.soak))
    }

    fn finished(&self, release: &ReleaseId) -> bool {
        self.dossier
            .ledger
            .last_deployment_of(release)
            .is_some_and(|deployment| deployment.status == DeploymentStatus::Finished)
    }

    /// What serves instead, if it is not what the plan under way expects.
    pub(super) fn moved_away(&self) -> Option<Moved> {
        let case = self.dossier.open.as_ref()?;
        let expected = match &case.phase {
            Phase::Planning { choice, .. } => &choice.from,
            Phase::AwaitingApproval { .. } | Phase::Countdown { .. } => &case.plan.as_ref()?.from.id,
            Phase::Weighing { .. } => &case.suspect.as_ref()?.release.id,
            Phase::Gathering { .. }
            | Phase::Ready { .. }
            | Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::Verifying(_)
            | Phase::NeedsHuman { .. }
            | Phase::Closed(_) => return None,
        };
        let serving = self.dossier.ledger.current.as_ref()?;
        let suspect = &case.suspect.as_ref()?.deployment;
        let suspect_out = self.dossier.ledger.deployment(&suspect.id).is_some_and(Deployment::is_going_out);
        if serving == expected || suspect_out {
            return None;
        }
        let newer = self.dossier.ledger.last_deployment_of(serving)?;
        // While it is on its way nobody knows whether it will get there.
        if newer.is_going_out() {
            return None;
        }
        // Our own rollback is told by its own case.
        if newer.started_at <= suspect.started_at || matches!(newer.origin, DeploymentOrigin::Ours(_)) {
            return None;
        }
        let was_there_before = self
            .dossier
            .ledger
            .deployments
            .iter()
            .any(|d| d.release == *serving && d.started_at < suspect.started_at);
        let reverted =
            serving != &suspect.release && (was_there_before || newer.origin == DeploymentOrigin::Rollback);
        let under_way = !matches!(case.phase, Phase::Weighing { .. });
        match (reverted, under_way) {
            (true, _) => Some(Moved::Reverted(serving.clone())),
            (false, true) => Some(Moved::Replaced(serving.clone())),
            // Told by a guard, and watched on: a fix going forward.
            (false, false) => None,
        }
    }
}

impl Dossier {
    /// Whether what serves can prove itself by going on: its probes pass, and who would tell of trouble is heard.
    pub(super) fn may_prove_itself(&self, view: &View<'_>) -> bool {
        view.standing.deaf_to(&self.service).next().is_none() && self.probes_passed(view)
    }
}

/// What happened to the suspect without us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Somebody went back from it.
    Reverted(ReleaseId),
    /// Somebody put something new over it.
    Replaced(ReleaseId),
}
