//! The program `helm` as it is run: without a shell, with nothing in its environment but what is named here, in a process group of its
//! own, ended at its deadline. It outlives us when we are killed: then its record tells how it ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration as StdDuration;

use tokio::process::Child;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;

use super::history::Kept;
use super::work::Work;
use super::{Keep, Settings, Site};
use crate::case::id::Mark;
use crate::case::step::Order;
use crate::outbound::process::{self, How};

/// Of what it says the last part is kept.
const OUTPUT_MAX: usize = 16 * 1024;
/// Asking it about itself takes half a second.
const ASKED_WITHIN: StdDuration = StdDuration::from_secs(20);
/// Where no HOME is configured: a folder that is not there, in which it finds nothing of somebody's.
const NO_HOME: &str = "/nonexistent";
/// Where a pod finds the API (Kubernetes' documentation, "Accessing the API from a Pod").
const IN_CLUSTER: [(&str, &str); 2] =
    [("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc"), ("KUBERNETES_SERVICE_PORT", "443")];

/// How a run of it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) well: bool,
    /// What it said last, or how it was ended.
    pub(super) says: String,
}

/// One rollback of ours under way, or just over.
#[derive(Debug)]
struct ChildOf {
    /// The revision before the one that it writes.
    newest: i64,
    mark: Mark,
    ended: watch::Receiver<Option<Ran>>,
}

/// The rollbacks that this process began, the last of each release.
#[derive(Debug, Default)]
pub(super) struct Children {
    known: Mutex<BTreeMap<Site, ChildOf>>,
    /// Revisions that rollbacks of ours wrote, begun here or by another process of ours, that are followed here; and their marks.
    followed: Mutex<BTreeMap<Site, (i64, Mark)>>,
    watchers: Mutex<JoinSet<()>>,
}

impl Children {
    /// Follows a child to its end, and then does what is left to do.
    pub(super) fn follow<F>(
        &self,
        work: &Work,
        order: &Order,
        newest: i64,
        child: Child,
        longest: StdDuration,
        then: impl FnOnce(Ran) -> F + Send + 'static,
    ) -> watch::Receiver<Option<Ran>>
    where
        F: Future<Output = ()> + Send,
    {
        let (tell, ended) = watch::channel(None);
        let known = ChildOf { newest, mark: order.mark.clone(), ended: ended.clone() };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(work.site.clone(), known);
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        while watchers.try_join_next().is_some() {}
        watchers.spawn(async move {
            let ran = ran(child, longest).await;
            then(ran.clone()).await;
            // Whoever waited may have gone.
            let _ = tell.send(Some(ran));
        });
        ended
    }

    /// The last one that this process began is over: the revision after which it began.
    pub(super) fn over_after(&self, site: &Site) -> Option<i64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(site).filter(|child| child.ended.borrow().is_some()).map(|child| child.newest)
    }

    /// Whether one is under way.
    pub(super) fn is_at(&self, site: &Site) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(site).is_some_and(|child| child.ended.borrow().is_none())
    }

    /// How the one that began after this revision ended, if this process saw it.
    pub(super) fn end_of(&self, site: &Site, newest: i64) -> Option<Ran> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let child = known.get(site).filter(|child| child.newest == newest)?;
        child.ended.borrow().clone()
    }

    /// Remembers whose rollback it is that is followed.
    pub(super) fn is_followed(&self, site: &Site, revision: i64, mark: &str) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.insert(site.clone(), (revision, Mark::new(mark)));
    }

    /// The mark of the rollback that wrote this record, where its record does not bear it yet.
    pub(super) fn mark_of(&self, site: &Site, kept: &Kept) -> Option<Mark> {
        if !kept.record.is_rollback() {
            return None;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let own = known.get(site).map(|child| (child.newest + 1, child.mark.clone()));
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        own.into_iter()
            .chain(followed.get(site).cloned())
            .find(|(revision, _)| kept.version() == *revision)
            .map(|(_, mark)| mark)
    }
}

async fn ran(child: Child, longest: StdDuration) -> Ran {
    let ended = process::follow(child, None, longest, OUTPUT_MAX).await;
    let last = ended.output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let last: String = last.chars().take(500).collect();
    match ended.how {
        How::Exited(status) if status.success() => Ran { well: true, says: last },
        how @ (How::Exited(_) | How::Killed(_) | How::Unknown(_)) => {
            let says = if last.is_empty() { format!("helm {how}") } else { last };
            Ran { well: false, says }
        }
    }
}

/// What this `helm` understands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    /// `--description`: only after 4.2.4.
    pub(super) description: bool,
}

/// The program, and what was found out about it.
#[derive(Debug, Default)]
pub(super) struct Program {
    flags: OnceCell<Flags>,
}

impl Program {
    /// What it understands, asked once.
    pub(super) async fn flags(&self, settings: &Settings) -> Result<Flags, String> {
        let asked = self.flags.get_or_try_init(|| async {
            let child = settings.spawn(&["rollback", "--help"])?;
            let ended = process::follow(child, None, ASKED_WITHIN, OUTPUT_MAX).await;
            match ended.how {
                How::Exited(status) if status.success() => {
                    Ok(Flags { description: ended.output.contains("--description") })
                }
                how @ (How::Exited(_) | How::Killed(_) | How::Unknown(_)) => {
                    Err(format!("{} rollback --help {how}", settings.program))
                }
            }
        });
        asked.await.copied()
    }
}

impl Settings {
    /// Runs it with these words, to its end.
    pub(super) async fn runs(&self, words: &[&str]) -> Result<Ran, String> {
        Ok(ran(self.spawn(words)?, ASKED_WITHIN).await)
    }

    pub(super) fn spawn(&self, words: &[&str]) -> Result<Child, String> {
        let mut argv = vec![self.program.clone()];
        argv.extend(words.iter().map(|&word| word.to_owned()));
        if let Some(path) = &self.kubeconfig {
            argv.extend(["--kubeconfig".to_owned(), path.display().to_string()]);
        }
        if let Some(context) = &self.context {
            argv.extend(["--kube-context".to_owned(), context.clone()]);
        }
        process::spawn_with(&argv, Path::new("/"), &self.environment())
            .map_err(|error| format!("start {}: {error}", self.program))
    }

    /// Everything in its environment beside `PATH`.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let home = self.home.as_ref().map_or_else(|| NO_HOME.to_owned(), |home| home.display().to_string());
        let driver = match self.keep {
            Keep::Secrets => "secret",
            Keep::ConfigMaps => "configmap",
        };
        let mut environment = vec![("HOME", home), ("HELM_DRIVER", driver.to_owned())];
        if self.kubeconfig.is_none() {
            environment.extend(IN_CLUSTER.map(|(name, value)| (name, value.to_owned())));
        }
        environment
    }
}

/// For who waits for an end.
pub(super) async fn end_of(mut ended: watch::Receiver<Option<Ran>>, within: StdDuration) -> Option<Ran> {
    let ended = tokio::time::timeout(within, ended.wait_for(Option::is_some)).await;
    ended.ok()?.ok()?.clone()
}
