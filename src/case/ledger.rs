//! The ledger: what Snapback knows about each release of one service, and the deployments that put it there.
//! Provider history is only the list of candidates; good and bad are our own judgement, kept by artifact.

use std::collections::BTreeMap;

use super::deployment::{ChangeKind, Deployment, DeploymentOrigin, DeploymentStatus};
use super::id::{DeploymentId, Duration, ReleaseId, Timestamp};
use super::release::Release;
use super::settings::MaxBack;

/// Releases kept for one service: beyond it the oldest that nobody asks about are forgotten.
pub const RELEASES_MAX: usize = 200;
/// Deployments kept for one service, with the same reason.
pub const DEPLOYMENTS_MAX: usize = 200;
/// Changes of other kinds kept for one service: more than a day of flags.
pub const CHANGES_MAX: usize = 100;

/// What is known about one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Serving, its soak not over.
    Baking,
    /// Served its soak and raised nothing.
    Good,
    /// Served its soak before Snapback knew the service.
    Inherited,
    /// Rolled back for cause, or a person said so.
    Bad,
    /// Nothing speaks for it or against it.
    Unknown,
}

impl Grade {
    /// The word in the API, tables and threads.
    pub fn word(self) -> &'static str {
        match self {
            Grade::Baking => "baking",
            Grade::Good => "good",
            Grade::Inherited => "inherited",
            Grade::Bad => "bad",
            Grade::Unknown => "unknown",
        }
    }
}

/// One release's page in the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The release.
    pub release: Release,
    /// What we hold of it.
    pub grade: Grade,
    /// Why, in a sentence.
    pub why: String,
    /// It may not go out again until somebody unlocks it; holds the reason.
    pub lock: Option<String>,
    /// A signal whose onset fell into its window: it cannot become good by soaking alone.
    pub tainted_at: Option<Timestamp>,
}

/// The ledger of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Pages by artifact.
    pub pages: BTreeMap<ReleaseId, Page>,
    /// Deployments, oldest first by beginning.
    pub deployments: Vec<Deployment>,
    /// Changes that no provider lists, and none takes back: configuration, flags, infrastructure; oldest first by beginning.
    pub changes: Vec<Change>,
    /// What serves now, by the last picture or our own act.
    pub current: Option<ReleaseId>,
    /// Whether the provider's own history was read once: only then is `inherited` decided.
    pub first_sight_over: bool,
}

/// A change that is no release of the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When, by whom, of what kind.
    pub deployment: Deployment,
    /// What was changed: what people call it, and where they can look.
    pub what: Release,
}

/// What a picture or a notice adds to a ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// Deployments that are new or changed.
    pub deployments: Vec<Deployment>,
    /// Releases that are new or better known.
    pub releases: Vec<Release>,
}

/// Where one would go back to.
#[derive(Clone, Debug, PartialEq)]
pub struct Target<'a> {
    /// The release's page.
    pub page: &'a Page,
    /// Whether it counts as proven.
    pub proven: bool,
    /// How many releases back it lies: 1 is the one before.
    pub releases_back: u32,
    /// Its last deployment before the suspect.
    pub deployed_at: Option<Timestamp>,
    /// Somebody went back from it, and nobody has put it out since.
    pub left: bool,
}

impl Ledger {
    /// The page of this release.
    pub fn page(&self, release: &ReleaseId) -> Option<&Page> {
        self.pages.get(release)
    }

    /// What is held of this release.
    pub fn grade(&self, release: &ReleaseId) -> Grade {
        self.page(release).map_or(Grade::Unknown, |page| page.grade)
    }

    /// The deployment of this id.
    pub fn deployment(&self, id: &DeploymentId) -> Option<&Deployment> {
        self.all().find(|deployment| deployment.id == *id)
    }

    /// Releases that were put out and changes of other kinds, the newest of each kind first.
    pub fn all(&self) -> impl Iterator<Item = &Deployment> {
        let changes = self.changes.iter().rev().map(|change| &change.deployment);
        self.deployments.iter().rev().chain(changes)
    }

    /// What a deployment put there.
    pub fn release_of(&self, deployment: &Deployment) -> Option<&Release> {
        match deployment.change {
            ChangeKind::Code => self.page(&deployment.release).map(|page| &page.release),
            ChangeKind::Config | ChangeKind::Flag | ChangeKind::Infra => {
                let change = self.changes.iter().find(|change| change.deployment.id == deployment.id);
                change.map(|change| &change.what)
            }
        }
    }

    /// The last deployment that put this release out.
    pub fn last_deployment_of(&self, release: &ReleaseId) -> Option<&Deployment> {
        self.deployments.iter().rev().find(|deployment| deployment.release == *release)
    }

    /// What a picture tells that is not known yet.
    pub fn news(&self, deployments: &[Deployment], releases: &[Release]) -> News {
        // A deployment older than everything kept was forgotten on purpose: it is no news again and again.
        let forgotten = |deployment: &Deployment| {
            self.deployments.len() >= DEPLOYMENTS_MAX
                && self.deployments.first().is_some_and(|oldest| deployment.started_at < oldest.started_at)
        };
        let newest = deployments.len().saturating_sub(DEPLOYMENTS_MAX);
        News {
            deployments: deployments[newest..]
                .iter()
                .map(|told| self.as_seen(told))
                .filter(|deployment| {
                    self.deployment(&deployment.id) != Some(deployment) && !forgotten(deployment)
                })
                .collect(),
            releases: releases
                .iter()
                .filter(|release| match self.page(&release.id) {
                    Some(page) => {
                        let mut learned = page.release.clone();
                        learned.learn(release);
                        learned != page.release
                    }
                    None => self.pages.len() < RELEASES_MAX,
                })
                .cloned()
                .collect(),
        }
    }

    /// A deployment as it is told, beside what was seen of it. One that is over with no end is one whose provider keeps none
    /// (Kubernetes): it is as it was seen last, and was replaced if it was still going out. An end that was seen stays.
    fn as_seen(&self, told: &Deployment) -> Deployment {
        let Some(known) = self.deployment(&told.id) else { return told.clone() };
        match (told.status, told.finished_at) {
            (DeploymentStatus::Finished, None) => Deployment {
                status: match known.status {
                    DeploymentStatus::GoingOut => DeploymentStatus::Stopped,
                    seen @ (DeploymentStatus::Finished
                    | DeploymentStatus::Failed
                    | DeploymentStatus::Stopped) => seen,
                },
                ..known.clone()
            },
            (DeploymentStatus::Finished, Some(told_at)) if known.status == DeploymentStatus::Finished => {
                Deployment { finished_at: known.finished_at.or(Some(told_at)), ..told.clone() }
            }
            _ => told.clone(),
        }
    }

    /// Takes news. Deployments stay sorted by beginning; what is beyond the limits is forgotten, oldest first.
    pub fn learn(&mut self, news: &News) {
        let is_code = |deployment: &&Deployment| deployment.change == ChangeKind::Code;
        let (code, changes): (Vec<&Deployment>, Vec<&Deployment>) =
            news.deployments.iter().partition(is_code);
        let named = |release: &ReleaseId, by: &[&Deployment]| by.iter().any(|by| by.release == *release);
        for release in &news.releases {
            match self.pages.get_mut(&release.id) {
                Some(page) => page.release.learn(release),
                // What a change alone names is no release of the service.
                None if named(&release.id, &changes) && !named(&release.id, &code) => {}
                None => {
                    self.pages.insert(release.id.clone(), Page::new(release.clone()));
                }
            }
        }
        for deployment in changes {
            let what = news.releases.iter().find(|release| release.id == deployment.release).cloned();
            let what = what.unwrap_or_else(|| Release::bare(deployment.release.clone()));
            self.change(Change { deployment: deployment.clone(), what });
        }
        for deployment in code {
            if !self.pages.contains_key(&deployment.release) {
                let bare = Release::bare(deployment.release.clone());
                self.pages.insert(deployment.release.clone(), Page::new(bare));
            }
            match self.deployments.iter_mut().find(|known| known.id == deployment.id) {
                Some(known) => known.clone_from(deployment),
                None => self.deployments.push(deployment.clone()),
            }
        }
        self.deployments.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        let beyond = self.deployments.len().saturating_sub(DEPLOYMENTS_MAX);
        self.deployments.drain(..beyond);
        self.forget_pages();
    }

    /// Takes a change of another kind.
    pub fn change(&mut self, change: Change) {
        match self.changes.iter_mut().find(|known| known.deployment.id == change.deployment.id) {
            Some(known) => *known = change,
            None => self.changes.push(change),
        }
        let began = |change: &Change| (change.deployment.started_at, change.deployment.id.clone());
        self.changes.sort_by_key(began);
        let beyond = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..beyond);
    }

    /// The grades that provider history earns on first sight of a service: a release that served at least its soak
    /// and was replaced by an ordinary deployment, not by a rollback, is inherited.
    pub fn inherited(&self, soak: Duration) -> Vec<ReleaseId> {
        let went_out: Vec<&Deployment> =
            self.deployments.iter().filter(|d| d.status == DeploymentStatus::Finished).collect();
        let mut inherited: Vec<ReleaseId> = went_out
            .windows(2)
            .filter(|pair| {
                let (one, next) = (pair[0], pair[1]);
                let served = next.started_at.duration_since(one.finished_at.unwrap_or(one.started_at));
                served >= soak && next.origin == DeploymentOrigin::Ordinary && next.release != one.release
            })
            .map(|pair| pair[0].release.clone())
            .collect();
        inherited.sort();
        inherited.dedup();
        inherited
    }

    /// The release that is baking and has soaked by `now`, if any. `heard_since` is when Snapback began to listen:
    /// a release that served while nobody listened has proven nothing.
    pub fn soaked(&self, soak: Duration, heard_since: Timestamp, now: Timestamp) -> Option<&ReleaseId> {
        let until = self.soaks_until(soak, heard_since)?;
        (now >= until).then_some(self.current.as_ref()).flatten()
    }

    /// When the current release will have soaked, if it is baking.
    pub fn soaks_until(&self, soak: Duration, heard_since: Timestamp) -> Option<Timestamp> {
        let current = self.current.as_ref()?;
        if self.grade(current) != Grade::Baking {
            return None;
        }
        let finished = self.last_deployment_of(current)?.finished_at?;
        Some(finished.max(heard_since) + soak)
    }

    /// Where one would go back to from this suspect: the newest proven release before it that is within reach; else
    /// the newest finished one that is not bad, unproven.
    pub fn target(&self, suspect: &Deployment, rules: TargetRules, now: Timestamp) -> Option<Target<'_>> {
        let before = self.releases_before(suspect);
        let sound = |target: &Target<'_>| {
            target.page.grade != Grade::Bad
                && !target.left
                && target.page.release.artifact_exists != Some(false)
        };
        let within = |target: &Target<'_>| {
            target.releases_back <= rules.max_back.releases
                && target.deployed_at.is_none_or(|at| now.duration_since(at) <= rules.max_back.age)
        };
        let targets: Vec<Target<'_>> = before
            .into_iter()
            .map(|target| Target { proven: rules.proves(target.page.grade), ..target })
            .collect();
        let proven = targets.iter().find(|target| target.proven && sound(target) && within(target));
        proven.or_else(|| targets.iter().find(|target| sound(target))).cloned()
    }

    /// Distinct releases that finished going out before this deployment began, newest first, itself left out.
    fn releases_before(&self, suspect: &Deployment) -> Vec<Target<'_>> {
        let mut found: Vec<Target<'_>> = Vec::new();
        let earlier = self.deployments.iter().rev().filter(|deployment| {
            deployment.started_at < suspect.started_at
                && deployment.status == DeploymentStatus::Finished
                && deployment.release != suspect.release
        });
        for deployment in earlier {
            let Some(page) = self.page(&deployment.release) else { continue };
            if found.iter().any(|target| target.page.release.id == deployment.release) {
                continue;
            }
            let releases_back = u32::try_from(found.len()).unwrap_or(u32::MAX).saturating_add(1);
            found.push(Target {
                page,
                proven: false,
                releases_back,
                deployed_at: Some(deployment.started_at),
                left: self.was_left(deployment),
            });
        }
        found
    }

    /// Whether the next deployment after this one went back from it.
    pub(super) fn was_left(&self, deployment: &Deployment) -> bool {
        let after = self.deployments.iter().filter(|later| {
            later.started_at > deployment.started_at && later.status == DeploymentStatus::Finished
        });
        let next = after.min_by_key(|later| later.started_at);
        next.is_some_and(|next| {
            next.release != deployment.release && next.origin != DeploymentOrigin::Ordinary
        })
    }

    /// Every release that going back to `target` takes away, newest first.
    pub fn undone(&self, target: &ReleaseId, suspect: &Deployment) -> Vec<&Page> {
        let mut taken: Vec<&Page> = Vec::new();
        let last_good = self
            .deployments
            .iter()
            .rev()
            .find(|d| d.release == *target && d.started_at < suspect.started_at)
            .map(|d| d.started_at);
        let later = self.deployments.iter().rev().filter(|deployment| {
            last_good.is_none_or(|at| deployment.started_at > at)
                && deployment.release != *target
                && matches!(deployment.status, DeploymentStatus::Finished | DeploymentStatus::GoingOut)
        });
        for deployment in later {
            let Some(page) = self.page(&deployment.release) else { continue };
            if !taken.iter().any(|known| known.release.id == deployment.release) {
                taken.push(page);
            }
        }
        taken
    }

    /// Forgets pages beyond the limit: those that no kept deployment names, never bad or locked ones first.
    fn forget_pages(&mut self) {
        while self.pages.len() > RELEASES_MAX {
            let named = |id: &ReleaseId| self.deployments.iter().any(|deployment| deployment.release == *id);
            let heavy = |page: &Page| page.lock.is_some() || page.grade == Grade::Bad;
            let victim = self
                .pages
                .iter()
                .find(|(id, page)| !named(id) && !heavy(page))
                .or_else(|| self.pages.iter().find(|(id, _)| !named(id)))
                .map(|(id, _)| id.clone());
            let Some(victim) = victim else { return };
            self.pages.remove(&victim);
        }
    }
}

impl Page {
    /// A release of which nothing is held.
    pub fn new(release: Release) -> Page {
        Page { release, grade: Grade::Unknown, why: "first seen".into(), lock: None, tainted_at: None }
    }
}

/// What counts as a target for a service.
#[derive(Clone, Copy, Debug)]
pub struct TargetRules {
    /// How far back it may lie.
    pub max_back: MaxBack,
    /// Whether inherited releases count as proven.
    pub inherit_good: bool,
}

impl TargetRules {
    pub(super) fn proves(self, grade: Grade) -> bool {
        match grade {
            Grade::Good => true,
            Grade::Inherited => self.inherit_good,
            Grade::Baking | Grade::Bad | Grade::Unknown => false,
        }
    }
}

impl Grade {
    /// Reads the word.
    pub fn parse(word: &str) -> Option<Grade> {
        [Grade::Baking, Grade::Good, Grade::Inherited, Grade::Bad, Grade::Unknown]
            .into_iter()
            .find(|grade| grade.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::id::ServiceId;
    use crate::case::signal::Labels;

    #[test]
    fn what_was_seen_of_a_deployment_is_kept_where_its_provider_notes_no_end() {
        let at = |minute: i64| Timestamp::UNIX_EPOCH + Duration::from_mins(minute);
        let told = |status: DeploymentStatus, finished_at: Option<Timestamp>| Deployment {
            id: DeploymentId::new("web-7d9@3"),
            service: ServiceId::of("checkout", "production"),
            release: ReleaseId::new("template:1"),
            started_at: at(0),
            traffic_at: None,
            finished_at,
            status,
            by: None,
            origin: DeploymentOrigin::Ordinary,
            change: ChangeKind::Code,
            labels: Labels::new(),
            our_clock: false,
        };
        let past = told(DeploymentStatus::Finished, None);
        for (seen, kept) in [
            (told(DeploymentStatus::GoingOut, None), told(DeploymentStatus::Stopped, None)),
            (told(DeploymentStatus::Failed, None), told(DeploymentStatus::Failed, None)),
            (told(DeploymentStatus::Finished, Some(at(5))), told(DeploymentStatus::Finished, Some(at(5)))),
        ] {
            let mut ledger = Ledger::default();
            ledger.learn(&ledger.news(std::slice::from_ref(&seen), &[]));
            ledger.learn(&ledger.news(std::slice::from_ref(&past), &[]));
            assert_eq!(ledger.deployments, std::slice::from_ref(&kept), "seen as {:?}", seen.status);
            // And told again and again it is no news.
            assert!(ledger.news(std::slice::from_ref(&past), &[]).deployments.is_empty(), "{seen:?}");
        }
        // An end that was seen does not move, however its provider counts.
        let mut ledger = Ledger::default();
        ledger.learn(&ledger.news(&[told(DeploymentStatus::Finished, Some(at(5)))], &[]));
        ledger.learn(&ledger.news(&[told(DeploymentStatus::Finished, Some(at(9)))], &[]));
        assert_eq!(ledger.deployments[0].finished_at, Some(at(5)));
        // Of one that nobody saw, its beginning is all that is known.
        let mut ledger = Ledger::default();
        ledger.learn(&ledger.news(&[past], &[]));
        assert_eq!(
            (ledger.deployments[0].status, ledger.deployments[0].over_at()),
            (DeploymentStatus::Finished, Some(at(0)))
        );
    }
}
