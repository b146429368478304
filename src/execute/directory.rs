//! Provider `directory`: `ROOT/releases/<release>/` side by side, `ROOT/current` a link to the one that serves, and
//! a command that makes the service take it up.
//!
//! Our mark stands in the switch's line of `ROOT/deployments.jsonl`; until that line is written, in an announcement
//! under `ROOT/.snapback/`, which is written before the link is switched. So a switch of ours is known as ours after
//! a crash at any moment. A restart's mark is the name of its record there. Both acts are of class B: a late copy
//! leads to the same release. Of one root, one thing is done or read at a time, so that no search overtakes a switch.

mod by_hand;
mod check;
mod history;
mod link;
mod log;
mod restart;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) use self::by_hand::{by_hand, by_hand_unplanned};
use self::link::Current;
use self::log::Line;
use self::restart::{Restart, Restarts, Standing};
use self::work::{Doing, Receipt, ReceiptAct, Work};
use super::{Clock, Deployer, Finding, Sighting, Target};
use crate::case::command::Progress;
use crate::case::deployment::Picture;
use crate::case::exhibit::Exhibit;
use crate::case::id::{Duration, Handle, ReleaseId, ServiceId, Timestamp};
use crate::case::permit::Permit;
use crate::case::plan::Proposal;
use crate::case::step::{Act, Class, Order};
use crate::outbound::{CallError, Trouble};

/// Work on a root takes milliseconds; a root that does not answer for so long is on a file system in trouble.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

/// Where a service lives in a file system of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The folder that holds `releases` and `current`.
    pub root: PathBuf,
    /// The command that makes the service take up the release, program first; run without a shell.
    pub restart: Option<Vec<String>>,
    /// A restart is killed after so long.
    pub restart_timeout: Duration,
}

/// The provider.
pub struct Directory {
    clock: Clock,
    roots: Mutex<BTreeMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
    restarts: Arc<Restarts>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

impl Directory {
    /// A provider by this clock, which must be the one that permits are written by.
    pub fn new(clock: Clock) -> Directory {
        Directory { clock, roots: Mutex::default(), restarts: Arc::default() }
    }

    fn site(of: &Target) -> Result<&Site, Trouble> {
        if let super::Site::Directory(site) = &of.site { Ok(site) } else { Err(super::of_another_kind(of)) }
    }

    /// Does blocking work on a root, when nobody else is at it, within the deadline.
    async fn at<T: Send + 'static>(
        &self,
        root: &Path,
        doing: &'static str,
        work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let root_lock = {
            // Roots come from the configuration and from plans made by it: as many as there are services.
            let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
            roots.entry(root.to_owned()).or_default().clone()
        };
        let Ok(alone) = tokio::time::timeout(DEADLINE, root_lock.lock_owned()).await else {
            let why = format!("{} is being worked on", root.display());
            return Err(Trouble::Busy { why, after: None });
        };
        let job = tokio::task::spawn_blocking(move || {
            // Held by the work itself: whoever looks after a lost answer looks after the work has ended.
            let _alone = alone;
            work()
        });
        let doing = || format!("{doing} {}", root.display());
        match tokio::time::timeout(DEADLINE, job).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallError::Lost { doing: doing() }.into()),
            Err(_) => {
                let within = Duration::try_from(DEADLINE).unwrap_or(Duration::MAX);
                Err(CallError::Deadline { doing: doing(), within }.into())
            }
        }
    }
}

impl Deployer for Directory {
    async fn describe(&self, of: &Target, since: Timestamp) -> Result<Picture, Trouble> {
        let site = Directory::site(of)?;
        let (root, service, now) = (site.root.clone(), of.service.clone(), (self.clock)());
        self.at(&site.root, "look at", move || Ok(history::describe(&root, &service, since, now)?)).await
    }

    async fn propose(&self, of: &Target, _from: &ReleaseId, to: &ReleaseId) -> Result<Proposal, Trouble> {
        let site = Directory::site(of)?;
        let (site, service, to) = (site.clone(), of.service.clone(), to.clone());
        self.at(&site.root.clone(), "look at", move || propose(&site, &service, &to)).await
    }

    async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        let work = Work::of(order)?;
        let (root, order, now) = (work.root.clone(), order.clone(), (self.clock)());
        self.at(&root, "search", move || match &work.act {
            Doing::Switch => find_switch(&work, &order),
            Doing::Restart { .. } => find_restart(&work, now),
        })
        .await
    }

    async fn begin(&self, permit: Permit) -> Result<Handle, Trouble> {
        let work = Work::of(permit.order())?;
        let root = work.root.clone();
        let (clock, restarts) = (self.clock.clone(), self.restarts.clone());
        self.at(&root, "change", move || match &work.act {
            Doing::Switch => switch(&work, &permit, &clock),
            Doing::Restart { argv, timeout } => {
                let restart = Restart {
                    root: work.root.clone(),
                    sign: work.sign.clone(),
                    argv: argv.clone(),
                    timeout: *timeout,
                };
                begin_restart(&work, &restart, &permit, &restarts, &clock)
            }
        })
        .await
    }

    async fn watch(&self, handle: &Handle) -> Result<Progress, Trouble> {
        let receipt = Receipt::read(handle)?;
        let root = PathBuf::from(&receipt.root);
        let now = (self.clock)();
        self.at(&root, "watch", move || watch(&receipt, now)).await
    }

    /// A switch leaves nothing behind that its log and the restart's own end do not tell.
    async fn evidence(&self, _of: &Target, _handle: Option<&Handle>) -> Result<Vec<Exhibit>, Trouble> {
        Ok(Vec::new())
    }

    async fn check(&self, of: &Target) -> Vec<Finding> {
        let site = match Directory::site(of) {
            Ok(site) => site.clone(),
            Err(trouble) => return vec![check::finding(trouble.to_string(), "see `snapback check`")],
        };
        let looked = self.at(&site.root.clone(), "check", move || Ok(check::check(&site))).await;
        looked.unwrap_or_else(|trouble| vec![check::finding(trouble.to_string(), "look at the file system")])
    }
}

fn propose(site: &Site, service: &ServiceId, to: &ReleaseId) -> Result<Proposal, Trouble> {
    if !link::exists(&site.root, to)? {
        return Err(Trouble::Refused(format!("release {to} is not in {}/releases", site.root.display())));
    }
    let Some(root) = site.root.to_str() else {
        return Err(Trouble::Refused(format!("{} cannot be written down as text", site.root.display())));
    };
    let switch = Act {
        kind: "switch".into(),
        arguments: BTreeMap::from([("root".into(), root.into())]),
        class: Class::B,
        says: format!("switch {root}/current to releases/{to}"),
    };
    let Some(argv) = &site.restart else { return Ok(Proposal { fast: true, ..Proposal::of(vec![switch]) }) };
    let pinned = serde_json::Value::from(argv.clone()).to_string();
    let restart = Act {
        kind: "restart".into(),
        arguments: BTreeMap::from([
            ("root".into(), root.into()),
            ("argv".into(), pinned.clone()),
            ("timeout_s".into(), site.restart_timeout.as_secs().to_string()),
        ]),
        class: Class::B,
        says: format!("run {pinned} so that {service} takes it up"),
    };
    Ok(Proposal { fast: true, ..Proposal::of(vec![switch, restart]) })
}

/// Switches the link, once. Everything that can be refused is refused before the one rename.
fn switch(work: &Work, permit: &Permit, clock: &Clock) -> Result<Handle, Trouble> {
    let (root, order) = (&work.root, permit.order());
    let handle = work.handle()?;
    if !link::exists(root, &work.to)? {
        return Err(Trouble::Refused(format!("release {} is not in {}/releases", work.to, root.display())));
    }
    match link::read(root)? {
        Current::Serves(release) if release == work.to => {
            complete(work)?;
            return Ok(handle);
        }
        Current::Serves(release) if release == order.expected => {}
        other @ (Current::Serves(_) | Current::Nothing | Current::Astray(_)) => {
            return Err(Trouble::Moved(other.says()));
        }
    }
    let line = Line::ours(&work.to, clock(), &order.mark);
    log::open_to_append(root).map_err(not_done("open the log"))?;
    log::announce(root, &work.sign, &line).map_err(not_done("announce a switch"))?;
    let prepared = link::prepare(root, &work.to, &work.sign).map_err(not_done("prepare a switch"))?;
    if clock() > permit.wire_deadline() {
        prepared.cancel();
        log::renounce(root, &work.sign);
        return Err(too_late());
    }
    prepared.commit().map_err(CallError::io(format!("switch {}/current", root.display())))?;
    if let Err(error) = log::append(root, &line) {
        // It took effect, and the announcement says so until the line can be written.
        tracing::warn!(%error, root = %root.display(), "switched, but could not write the line to the log");
        return Ok(handle);
    }
    log::renounce(root, &work.sign);
    Ok(handle)
}

/// Sorts what went wrong before anything was done: what stays wrong is refused, the rest may be tried again.
fn not_done(doing: &'static str) -> impl FnOnce(io::Error) -> Trouble {
    move |error| {
        if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
            return Trouble::Refused(format!("{doing}: {error}"));
        }
        tracing::warn!(%error, doing, "not done");
        Trouble::Busy { why: format!("{doing}: {error}"), after: None }
    }
}

fn too_late() -> Trouble {
    Trouble::Busy { why: "its permit ran out before it could leave".into(), after: None }
}

/// Writes the line of a switch that was announced and took effect, if it is not written yet.
fn complete(work: &Work) -> Result<(), Trouble> {
    let Some(line) = log::announced(&work.root, &work.sign) else { return Ok(()) };
    if !is_logged(work)? {
        log::append(&work.root, &line).map_err(CallError::io("write the line of a switch"))?;
    }
    log::renounce(&work.root, &work.sign);
    Ok(())
}

fn is_logged(work: &Work) -> Result<bool, Trouble> {
    let mark =
        |line: &Line| line.mark.as_ref().is_some_and(|mark| log::sign(mark.as_str()) == Some(&work.sign));
    Ok(log::read(&work.root)?.iter().any(mark))
}

fn find_switch(work: &Work, order: &Order) -> Result<Sighting, Trouble> {
    let current = link::read(&work.root)?;
    if current.release() == Some(&work.to) {
        complete(work)?;
        return Ok(Sighting::Found(work.handle()?));
    }
    if is_logged(work)? {
        return Ok(Sighting::Found(work.handle()?));
    }
    if current.release() == Some(&order.expected) {
        log::renounce(&work.root, &work.sign);
        return Ok(Sighting::Absent);
    }
    Err(Trouble::Moved(current.says()))
}

fn begin_restart(
    work: &Work,
    restart: &Restart,
    permit: &Permit,
    restarts: &Restarts,
    clock: &Clock,
) -> Result<Handle, Trouble> {
    let handle = work.handle()?;
    // A restart takes up what the switch before it put there, whatever served before that.
    let current = link::read(&work.root)?;
    if current.release() != Some(&work.to) {
        return Err(Trouble::Moved(current.says()));
    }
    match restart::standing(&work.root, &work.sign)? {
        Standing::Done | Standing::Failed(_) => return Ok(handle),
        Standing::Begun { until } if clock() < until => return Ok(handle),
        Standing::Begun { .. } | Standing::Unbegun => {}
    }
    if clock() > permit.wire_deadline() {
        return Err(too_late());
    }
    restarts.begin(restart, clock).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let program = restart.argv.first().map_or("", String::as_str);
            return Trouble::Refused(format!("there is no program {program}"));
        }
        not_done("start the restart")(error)
    })?;
    Ok(handle)
}

fn find_restart(work: &Work, now: Timestamp) -> Result<Sighting, Trouble> {
    match restart::standing(&work.root, &work.sign)? {
        Standing::Done | Standing::Failed(_) => Ok(Sighting::Found(work.handle()?)),
        Standing::Begun { until } if now < until => Ok(Sighting::TooEarly(until)),
        Standing::Begun { .. } | Standing::Unbegun => {
            let current = link::read(&work.root)?;
            if current.release() == Some(&work.to) {
                Ok(Sighting::Absent)
            } else {
                Err(Trouble::Moved(current.says()))
            }
        }
    }
}

fn watch(receipt: &Receipt, now: Timestamp) -> Result<Progress, Trouble> {
    let root = Path::new(&receipt.root);
    let current = link::read(root)?;
    let to = ReleaseId::new(&receipt.to);
    if current.release() != Some(&to) {
        return Ok(Progress::Superseded(current.says()));
    }
    let unseen = |why: &str| Progress::NeedsHuman { why: why.into(), url: None };
    Ok(match receipt.act {
        ReceiptAct::Switch => Progress::Serving(to),
        ReceiptAct::Restart => match restart::standing(root, &receipt.sign)? {
            Standing::Done => Progress::Serving(to),
            Standing::Failed(why) => Progress::Failed(why),
            Standing::Begun { until } if now < until => Progress::Running("the restart runs".into()),
            Standing::Begun { .. } => {
                unseen("nobody saw how the restart ended; see whether the service runs")
            }
            Standing::Unbegun => unseen("the record of the restart is gone; see whether the service runs"),
        },
    })
}
