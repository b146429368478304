//! The directory provider against real folders, links and processes: what it reads, the one effect of an order, and
//! that a crash at any moment leaves something that tells what happened.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, Owner, Picture};
use snapback::case::id::{CaseId, Duration, Handle, Mark, ReleaseId, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::release::RollbackMark;
use snapback::case::step::{Act, Class, Doer, Order};
use snapback::execute::directory::{Directory, Site};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

const MARK: &str = "snapback/0123456789abcdef01234567";
const SIGN: &str = "0123456789abcdef01234567";
const START: &str = "2026-03-01T12:00:00Z";

/// A root with the releases 41 and 42, of which 42 serves, and a clock that stands still until a test moves it.
struct World {
    folder: tempfile::TempDir,
    seconds: Arc<AtomicI64>,
    provider: Provider,
    restart: Option<Vec<String>>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        for release in ["41", "42"] {
            fs::create_dir_all(folder.path().join("releases").join(release)).unwrap();
        }
        symlink("releases/42", folder.path().join("current")).unwrap();
        let seconds = Arc::new(AtomicI64::new(0));
        let provider = provider(seconds.clone());
        World { folder, seconds, provider, restart: None }
    }

    fn with_log(self, lines: &[&str]) -> World {
        fs::write(self.path("deployments.jsonl"), lines.join("\n")).unwrap();
        self
    }

    fn with_restart(mut self, argv: &[&str]) -> World {
        self.restart = Some(argv.iter().map(|&word| word.to_owned()).collect());
        self
    }

    /// What a new process would see: the same folders, nothing remembered.
    fn reborn(mut self) -> World {
        self.provider = provider(self.seconds.clone());
        self
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn current(&self) -> String {
        fs::read_link(self.path("current")).unwrap().display().to_string()
    }

    fn point_current(&self, aim: &str) {
        fs::remove_file(self.path("current")).unwrap();
        symlink(aim, self.path("current")).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("deployments.jsonl")).unwrap_or_default()
    }

    fn now(&self) -> Timestamp {
        start() + Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn target(&self) -> Target {
        Target {
            service: ServiceId::of("checkout", "production"),
            site: snapback::execute::Site::Directory(Site {
                root: self.folder.path().to_owned(),
                restart: self.restart.clone(),
                restart_timeout: Duration::from_secs(2),
            }),
        }
    }

    async fn picture(&self) -> Picture {
        self.provider.describe(&self.target(), Timestamp::UNIX_EPOCH).await.unwrap()
    }

    async fn acts(&self, to: &str) -> Result<Vec<Act>, Trouble> {
        Ok(self.provider.propose(&self.target(), &"42".into(), &to.into()).await?.acts)
    }

    async fn switch_order(&self) -> Order {
        self.order(self.acts("41").await.unwrap().remove(0), 0)
    }

    async fn restart_order(&self) -> Order {
        self.order(self.acts("41").await.unwrap().remove(1), 1)
    }

    fn order(&self, act: Act, step: u16) -> Order {
        let service = ServiceId::of("checkout", "production");
        Order {
            case: CaseId::of(&service, 1),
            step: StepNo(step),
            attempt: 1,
            mark: Mark::new(MARK),
            doer: Doer::Provider(service.clone()),
            act,
            service,
            expected: "42".into(),
            to: "41".into(),
            intended_at: self.now(),
        }
    }

    async fn begin(&self, order: &Order) -> Result<Handle, Trouble> {
        let permit = Permit::committed(order.clone(), self.now() + Duration::from_secs(10));
        self.provider.begin(permit).await
    }

    /// Follows work until it ends; a restart ends at its deadline at the latest.
    async fn end_of(&self, handle: &Handle) -> Progress {
        let ended = async {
            loop {
                match self.provider.watch(handle).await.unwrap() {
                    Progress::Running(_) => tokio::task::yield_now().await,
                    progress @ (Progress::Serving(_)
                    | Progress::Done(_)
                    | Progress::Failed(_)
                    | Progress::NeedsHuman { .. }
                    | Progress::Superseded(_)) => return progress,
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), ended)
            .await
            .expect("it ends by its deadline")
    }
}

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn provider(seconds: Arc<AtomicI64>) -> Provider {
    let clock = move || start() + Duration::from_secs(seconds.load(Ordering::SeqCst));
    Provider::Directory(Directory::new(Arc::new(clock)))
}

fn history(picture: &Picture) -> Vec<(String, String)> {
    let told = |deployment: &snapback::case::deployment::Deployment| {
        (deployment.release.to_string(), deployment.by.clone().unwrap_or_default())
    };
    picture.deployments.iter().map(told).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

const LOG: [&str; 3] = [
    r#"{"release":"41","at":"2026-03-01T10:00:00Z","by":"alice"}"#,
    r#"{"release":"42","at":"2026-03-01T11:00:00+00:00","by":"bob","ticket":"X-1"}"#,
    "",
];

#[tokio::test]
async fn the_log_tells_what_went_out() {
    let world = World::new().with_log(&LOG);
    fs::write(
        world.path("releases/42/release.toml"),
        "version = 'v42'\nrollback = 'contract'\nauthor = 'bob'",
    )
    .unwrap();
    let picture = world.picture().await;
    assert_eq!(picture.current, Some("42".into()));
    assert_eq!((picture.owner.clone(), picture.at), (Owner::Nobody, start()));
    assert_eq!(history(&picture), pairs(&[("41", "alice"), ("42", "bob")]));
    let newest = picture.deployments.last().unwrap();
    assert_eq!(newest.id.as_str(), "42@2026-03-01T11:00:00Z");
    assert!(newest.our_clock);
    assert_eq!(newest.finished_at, Some(newest.started_at));
    let release = picture.releases.iter().find(|release| release.id.as_str() == "42").unwrap();
    assert_eq!((release.called(), release.marks.rollback), ("v42", Some(RollbackMark::Contract)));
    assert_eq!(release.artifact_exists, Some(true));
}

#[tokio::test]
async fn without_a_log_folders_and_the_link_tell() {
    let world = World::new();
    let picture = world.picture().await;
    assert_eq!(history(&picture), pairs(&[("41", ""), ("42", "")]));
    assert!(picture.deployments.iter().all(|deployment| !deployment.our_clock));
}

/// Whoever deploys unpacks the next release before it goes out: it is no deployment, no suspect and nothing to undo.
#[tokio::test]
async fn without_a_log_what_was_only_unpacked_never_went_out() {
    let world = World::new();
    fs::create_dir(world.path("releases/43")).unwrap();
    // Clearly after the switch, whatever the grain of this file system's clock.
    let switched = fs::symlink_metadata(world.path("current")).unwrap().modified().unwrap();
    let later = switched + std::time::Duration::from_secs(60);
    fs::File::open(world.path("releases/43")).unwrap().set_modified(later).unwrap();
    assert_eq!(history(&world.picture().await), pairs(&[("41", ""), ("42", "")]));
    world.point_current("releases/43");
    let picture = world.picture().await;
    assert_eq!(history(&picture), pairs(&[("41", ""), ("42", ""), ("43", "")]));
}

#[tokio::test]
async fn a_switch_by_hand_that_nobody_logged_is_told_by_the_link() {
    let world = World::new().with_log(&LOG);
    world.point_current("releases/41");
    assert_eq!(history(&world.picture().await), pairs(&[("41", "alice"), ("42", "bob"), ("41", "")]));
}

#[tokio::test]
async fn torn_and_strange_lines_are_passed_over() {
    let world = World::new().with_log(&[
        LOG[0],
        "not json",
        r#"{"release":"../../etc","at":"2026-03-01T10:30:00Z"}"#,
        r#"{"release":"a/b","at":"2026-03-01T10:30:00Z"}"#,
        r#"{"release":"41","at":"yesterday"}"#,
        "\u{0}\u{0}\u{0}",
        LOG[1],
        r#"{"release":"43","at":"2026-0"#,
    ]);
    assert_eq!(history(&world.picture().await), pairs(&[("41", "alice"), ("42", "bob")]));
    // Our own line after the torn one is whole.
    let order = world.switch_order().await;
    world.begin(&order).await.unwrap();
    let picture = world.picture().await;
    assert_eq!(history(&picture), pairs(&[("41", "alice"), ("42", "bob"), ("41", "snapback")]));
}

#[tokio::test]
async fn a_log_of_any_length_is_read_from_its_end() {
    let filler =
        format!("{{\"release\":\"40\",\"at\":\"2026-02-01T00:00:00Z\",\"by\":\"{}\"}}\n", "x".repeat(100));
    let world = World::new().with_log(&[&filler.repeat(20_000), LOG[0], LOG[1]]);
    let picture = world.picture().await;
    // The filler is one deployment told again and again.
    assert_eq!(picture.deployments.len(), 3);
    assert_eq!(picture.deployments.last().unwrap().release.as_str(), "42");
}

#[tokio::test]
async fn a_switch_is_one_rename_with_our_mark() {
    let world = World::new().with_log(&LOG);
    let order = world.switch_order().await;
    assert_eq!((order.act.kind.as_str(), order.act.class), ("switch", Class::B));
    let handle = world.begin(&order).await.unwrap();
    assert_eq!(world.current(), "releases/41");
    assert_eq!(world.provider.watch(&handle).await.unwrap(), Progress::Serving("41".into()));
    let last: serde_json::Value = serde_json::from_str(world.log().lines().last().unwrap()).unwrap();
    assert_eq!(last, serde_json::json!({"release": "41", "at": START, "by": "snapback", "mark": MARK}));
    let picture = world.picture().await;
    assert_eq!(picture.our_marks().collect::<Vec<_>>(), [&Mark::new(MARK)]);
    // Nothing of ours is left lying about.
    assert_eq!(fs::read_dir(world.path(".snapback")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 4);
}

#[tokio::test]
async fn the_same_order_again_has_no_second_effect() {
    let world = World::new().with_log(&LOG);
    let order = world.switch_order().await;
    let first = world.begin(&order).await.unwrap();
    let log = world.log();
    assert_eq!(world.begin(&order).await.unwrap(), first);
    assert_eq!(world.log(), log);
}

#[tokio::test]
async fn nothing_leaves_after_the_wire_deadline() {
    let world = World::new();
    let order = world.switch_order().await;
    let permit = Permit::committed(order.clone(), world.now());
    world.seconds.store(1, Ordering::SeqCst);
    assert!(matches!(world.provider.begin(permit).await, Err(Trouble::Busy { .. })));
    assert_eq!(world.current(), "releases/42");
    assert_eq!(world.log(), "");
    assert_eq!(world.provider.find(&order).await.unwrap(), Sighting::Absent);
}

#[tokio::test]
async fn moved_meanwhile_is_left_alone() {
    let world = World::new();
    let order = world.switch_order().await;
    fs::create_dir(world.path("releases/43")).unwrap();
    world.point_current("releases/43");
    let Err(Trouble::Moved(what)) = world.begin(&order).await else { panic!("it has to see that") };
    assert_eq!(what, "43");
    assert_eq!(world.current(), "releases/43");
    assert!(matches!(world.provider.find(&order).await, Err(Trouble::Moved(_))));
}

#[tokio::test]
async fn somebody_elses_switch_after_ours_supersedes_it() {
    let world = World::new();
    let handle = world.begin(&world.switch_order().await).await.unwrap();
    world.point_current("releases/42");
    assert_eq!(world.provider.watch(&handle).await.unwrap(), Progress::Superseded("42".into()));
    // It was taken all the same, and stays so.
    assert!(matches!(world.provider.find(&world.switch_order().await).await.unwrap(), Sighting::Found(_)));
}

#[tokio::test]
async fn a_target_that_is_gone_is_refused() {
    let world = World::new();
    let order = world.switch_order().await;
    fs::remove_dir(world.path("releases/41")).unwrap();
    let Err(Trouble::Refused(why)) = world.acts("41").await else { panic!("it is gone") };
    assert!(why.starts_with("release 41 is not in "), "{why}");
    assert!(matches!(world.begin(&order).await, Err(Trouble::Refused(_))));
    assert_eq!(world.current(), "releases/42");
    // A link is no release: it may lead anywhere.
    symlink("/", world.path("releases/41")).unwrap();
    assert!(matches!(world.begin(&order).await, Err(Trouble::Refused(_))));
}

/// `/sys` lets nobody write there, the superuser included; so does a root that is mounted read-only.
#[tokio::test]
async fn where_nothing_may_be_written_nothing_is_switched() {
    let world = World::new();
    let order = world.switch_order().await;
    symlink("/sys/kernel/notes", world.path("deployments.jsonl")).unwrap();
    let Err(Trouble::Refused(why)) = world.begin(&order).await else { panic!("it was written all the same") };
    assert!(why.starts_with("open the log: "), "{why}");
    assert_eq!(world.current(), "releases/42");
}

#[tokio::test]
async fn what_stands_in_the_way_for_now_is_waited_out() {
    let world = World::new();
    let order = world.switch_order().await;
    fs::create_dir(world.path("deployments.jsonl")).unwrap();
    assert!(
        matches!(world.begin(&order).await, Err(Trouble::Busy { .. })),
        "surely not done, and not for good"
    );
    assert_eq!(world.current(), "releases/42");
    fs::remove_dir(world.path("deployments.jsonl")).unwrap();
    world.begin(&order).await.unwrap();
    assert_eq!(world.current(), "releases/41");
}

/// A pipe that nobody reads never answers a writer, as a network file system in trouble never does. What hangs is
/// unclear at its deadline, holds up no other root, and when it wakes after the wire deadline it does nothing.
#[tokio::test]
async fn a_file_system_that_hangs_holds_nobody_up_and_acts_no_more_when_it_wakes() {
    let (world, healthy) = (World::new(), World::new());
    let order = world.switch_order().await;
    let pipe = world.path("deployments.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (hung, read) = tokio::join!(
        world.begin(&order),
        tokio::time::timeout(std::time::Duration::from_secs(5), healthy.picture()),
    );
    let Err(Trouble::Unclear(error)) = hung else { panic!("it answered: {hung:?}") };
    assert!(error.to_string().contains("10s"), "{error}");
    assert_eq!(read.unwrap().current, Some("42".into()), "another root waited for it");
    world.seconds.fetch_add(60, Ordering::SeqCst);
    // Somebody reads at last: the writer goes on where it hung, a minute late.
    let reader = fs::OpenOptions::new().read(true).open(&pipe).unwrap();
    fs::remove_file(&pipe).unwrap();
    // Who comes next to this root waits until the late one is through.
    let sighting = world.provider.find(&order).await;
    assert!(matches!(sighting, Ok(Sighting::Absent)), "{sighting:?}");
    assert_eq!(world.current(), "releases/42", "it switched after its deadline");
    drop(reader);
}

#[tokio::test]
async fn names_never_lead_out_of_the_releases() {
    let world = World::new();
    for name in ["..", ".", "", "../42", "/etc", "a/../../b", ".hidden", "x\n", "x\u{0}", &"x".repeat(300)] {
        assert!(matches!(world.acts(name).await, Err(Trouble::Refused(_))), "{name:?}");
        let order = Order { to: ReleaseId::new(name), ..world.switch_order().await };
        assert!(matches!(world.begin(&order).await, Err(Trouble::Refused(_))), "{name:?}");
    }
    for mark in ["snapback/../../x", "other/0123", "snapback/", "snapback/a/b"] {
        let order = Order { mark: Mark::new(mark), ..world.switch_order().await };
        assert!(matches!(world.begin(&order).await, Err(Trouble::Refused(_))), "{mark:?}");
    }
    assert_eq!(world.current(), "releases/42");
    assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_current_that_leads_elsewhere_is_nothing_that_we_know() {
    let world = World::new();
    let order = world.switch_order().await;
    fs::create_dir(world.path("elsewhere")).unwrap();
    for aim in ["elsewhere", "/etc", "releases/..", "releases/../elsewhere", "..", "releases"] {
        world.point_current(aim);
        assert_eq!(world.picture().await.current, None, "{aim}");
        assert!(matches!(world.begin(&order).await, Err(Trouble::Moved(_))), "{aim}");
        assert_eq!(world.provider.check(&world.target()).await.len(), 1, "{aim}");
    }
    fs::remove_file(world.path("current")).unwrap();
    assert_eq!(world.picture().await.current, None);
    fs::create_dir(world.path("current")).unwrap();
    assert_eq!(world.picture().await.current, None);
    // An absolute link into the releases is as good as a relative one.
    fs::remove_dir(world.path("current")).unwrap();
    symlink(world.path("releases/42"), world.path("current")).unwrap();
    assert_eq!(world.picture().await.current, Some("42".into()));
}

#[tokio::test]
async fn a_missing_root_is_unclear_and_never_reads_as_nothing() {
    let world = World::new();
    let order = world.switch_order().await;
    fs::rename(world.folder.path(), world.folder.path().with_extension("away")).unwrap();
    let seen = world.provider.describe(&world.target(), start()).await;
    assert!(matches!(seen, Err(Trouble::Unclear(_))), "{seen:?}");
    assert!(matches!(world.provider.find(&order).await, Err(Trouble::Unclear(_))));
    fs::rename(world.folder.path().with_extension("away"), world.folder.path()).unwrap();
}

#[tokio::test]
async fn a_crash_before_the_switch_is_absent_and_the_next_attempt_goes() {
    let world = World::new().with_log(&LOG);
    let order = world.switch_order().await;
    // Announced, the new link made, and then the end.
    announce_by_hand(&world);
    symlink("releases/41", world.path(&format!(".current.{SIGN}"))).unwrap();
    let world = world.reborn();
    assert_eq!(history(&world.picture().await), pairs(&[("41", "alice"), ("42", "bob")]));
    assert_eq!(world.provider.find(&order).await.unwrap(), Sighting::Absent);
    world.begin(&Order { attempt: 2, ..order }).await.unwrap();
    assert_eq!(world.current(), "releases/41");
    assert_eq!(world.log().matches(MARK).count(), 1);
}

#[tokio::test]
async fn a_crash_between_switch_and_line_is_found_and_was_ours_all_along() {
    let world = World::new().with_log(&LOG);
    let order = world.switch_order().await;
    announce_by_hand(&world);
    world.point_current("releases/41");
    let world = world.reborn();
    world.seconds.store(30, Ordering::SeqCst);
    // Whoever looks before the search sees one deployment, ours, and the same one after it.
    let before = world.picture().await;
    assert_eq!(before.our_marks().count(), 1);
    assert_eq!(history(&before), pairs(&[("41", "alice"), ("42", "bob"), ("41", "snapback")]));
    let Sighting::Found(handle) = world.provider.find(&order).await.unwrap() else { panic!("it was taken") };
    assert_eq!(world.provider.watch(&handle).await.unwrap(), Progress::Serving("41".into()));
    assert_eq!(world.log().matches(MARK).count(), 1);
    assert_eq!(world.picture().await.deployments, before.deployments);
    // Looking again finds it again and writes nothing more.
    assert!(matches!(world.provider.find(&order).await.unwrap(), Sighting::Found(_)));
    assert_eq!(world.log().matches(MARK).count(), 1);
}

fn announce_by_hand(world: &World) {
    fs::create_dir_all(world.path(".snapback")).unwrap();
    let line = serde_json::json!({"release": "41", "at": START, "by": "snapback", "mark": MARK});
    fs::write(world.path(&format!(".snapback/{SIGN}.switch")), line.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_never_a_moment_without_a_current() {
    let world = World::new();
    let root = world.folder.path().to_owned();
    let done = Arc::new(AtomicBool::new(false));
    let looking = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut looks = 0_u32;
            while !done.load(Ordering::SeqCst) || looks == 0 {
                let aim = fs::read_link(root.join("current")).expect("always a link");
                assert!(root.join(aim).is_dir());
                looks += 1;
            }
        }
    });
    for turn in 0..50 {
        let (expected, to) = if turn % 2 == 0 { ("42", "41") } else { ("41", "42") };
        let mark = Mark::new(format!("snapback/turn{turn}"));
        let order = Order { mark, expected: expected.into(), to: to.into(), ..world.switch_order().await };
        let (begun, seen) = tokio::join!(world.begin(&order), world.picture());
        begun.unwrap();
        assert!(seen.current.is_some());
        // Never one of ours told as somebody's.
        assert!(seen.deployments.iter().skip(2).all(|d| matches!(d.origin, DeploymentOrigin::Ours(_))));
    }
    done.store(true, Ordering::SeqCst);
    looking.join().unwrap();
}

#[tokio::test]
async fn acts_are_pinned_in_full() {
    let world = World::new().with_restart(&["systemctl", "restart", "checkout; rm -rf /"]);
    let acts = world.acts("41").await.unwrap();
    let root = world.folder.path().to_str().unwrap().to_owned();
    assert_eq!(acts[0].arguments, BTreeMap::from([("root".to_owned(), root.clone())]));
    assert_eq!(acts[1].arguments["argv"], r#"["systemctl","restart","checkout; rm -rf /"]"#);
    assert_eq!((acts[1].arguments["root"].as_str(), acts[1].class), (root.as_str(), Class::B));
    assert_eq!(acts[1].arguments["timeout_s"], "2");
}

#[tokio::test]
async fn a_restart_runs_once_in_the_root_without_our_environment() {
    let script = r#"env > seen; pwd >> seen; echo "$0 $1" >> seen; echo run >> runs"#;
    let world = World::new().with_restart(&["sh", "-c", script, "a b", "*"]);
    world.point_current("releases/41");
    let order = world.restart_order().await;
    let handle = world.begin(&order).await.unwrap();
    assert_eq!(world.end_of(&handle).await, Progress::Serving("41".into()));
    let seen = fs::read_to_string(world.path("seen")).unwrap();
    assert!(seen.contains("\na b *\n"), "no shell of ours reads the arguments: {seen}");
    assert!(seen.contains(&format!("{}\n", world.folder.path().canonicalize().unwrap().display())));
    let names: Vec<&str> =
        seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| ["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)), "{names:?}");
    // The same order again, also by a new process, is the same restart.
    let world = world.reborn();
    assert_eq!(world.begin(&order).await.unwrap(), handle);
    assert_eq!(world.provider.find(&order).await.unwrap(), Sighting::Found(handle));
    assert_eq!(fs::read_to_string(world.path("runs")).unwrap(), "run\n");
}

#[tokio::test]
async fn a_restart_that_fails_says_so_in_its_own_words() {
    let world = World::new().with_restart(&["sh", "-c", "echo starting; echo 'no such unit' >&2; exit 5"]);
    world.point_current("releases/41");
    let handle = world.begin(&world.restart_order().await).await.unwrap();
    let Progress::Failed(why) = world.end_of(&handle).await else { panic!("it failed") };
    assert!(why.starts_with("the restart ended with status 5: "), "{why}");
}

#[tokio::test]
async fn a_restart_that_hangs_is_killed_with_all_its_children() {
    // The child would write after the deadline; its end is seen by the pipe that it holds.
    let world =
        World::new().with_restart(&["sh", "-c", "mkfifo pipe; sh -c 'exec 3>pipe; cat pipe' & cat < pipe"]);
    world.point_current("releases/41");
    let handle = world.begin(&world.restart_order().await).await.unwrap();
    let Progress::Failed(why) = world.end_of(&handle).await else { panic!("it hung") };
    assert_eq!(why, "the restart was killed after 2s");
    // With every reader dead, a writer that does not wait is told that nobody reads.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let nobody_reads = async {
        while rustix::fs::open(world.path("pipe"), flags, rustix::fs::Mode::empty()).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), nobody_reads)
        .await
        .expect("all of them are dead");
}

#[tokio::test]
async fn a_restart_that_floods_is_not_stopped_by_it() {
    let world =
        World::new().with_restart(&["sh", "-c", "head -c 3000000 /dev/zero; echo; echo the end; exit 1"]);
    world.point_current("releases/41");
    let handle = world.begin(&world.restart_order().await).await.unwrap();
    assert_eq!(
        world.end_of(&handle).await,
        Progress::Failed("the restart ended with status 1: the end".into())
    );
    let record = fs::metadata(world.path(&format!(".snapback/{SIGN}.json"))).unwrap();
    assert!(record.len() < 8 * 64 * 1024);
}

#[tokio::test]
async fn a_restart_of_which_nobody_saw_the_end_waits_and_then_goes_again() {
    let world = World::new().with_restart(&["true"]);
    world.point_current("releases/41");
    let order = world.restart_order().await;
    assert_eq!(world.provider.find(&order).await.unwrap(), Sighting::Absent);
    let handle = world.begin(&order).await.unwrap();
    assert_eq!(world.end_of(&handle).await, Progress::Serving("41".into()));
    // As if we had died before it ended.
    let path = world.path(&format!(".snapback/{SIGN}.json"));
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["status"] = serde_json::Value::Null;
    fs::write(&path, record.to_string()).unwrap();
    let world = world.reborn();
    let until = start() + Duration::from_secs(12);
    assert_eq!(world.provider.find(&order).await.unwrap(), Sighting::TooEarly(until));
    assert!(matches!(world.provider.watch(&handle).await.unwrap(), Progress::Running(_)));
    world.seconds.store(12, Ordering::SeqCst);
    assert_eq!(world.provider.find(&order).await.unwrap(), Sighting::Absent);
    assert!(matches!(world.provider.watch(&handle).await.unwrap(), Progress::NeedsHuman { .. }));
    let handle = world.begin(&Order { attempt: 2, ..order }).await.unwrap();
    assert_eq!(world.end_of(&handle).await, Progress::Serving("41".into()));
}

#[tokio::test]
async fn no_restart_of_what_was_not_switched_and_none_by_a_program_that_is_not_there() {
    let world = World::new().with_restart(&["snapback-no-such-program"]);
    let order = world.restart_order().await;
    assert!(matches!(world.begin(&order).await, Err(Trouble::Moved(what)) if what == "42"));
    world.point_current("releases/41");
    let Err(Trouble::Refused(why)) = world.begin(&order).await else { panic!("there is none") };
    assert_eq!(why, "there is no program snapback-no-such-program");
    assert_eq!(world.provider.find(&order).await.unwrap(), Sighting::Absent);
}

#[tokio::test]
async fn check_finds_what_is_wrong_by_looking_alone() {
    let world = World::new().with_restart(&["sh"]);
    assert_eq!(world.provider.check(&world.target()).await, []);
    assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 2);
    fs::write(world.path("releases/42/release.toml"), "rollback = 'never'").unwrap();
    fs::create_dir(world.path("deployments.jsonl")).unwrap();
    let world = world.with_restart(&["snapback-no-such-program"]);
    let says: Vec<String> =
        world.provider.check(&world.target()).await.into_iter().map(|finding| finding.says).collect();
    assert_eq!(says.len(), 3, "{says:?}");
    assert!(says[0].contains("release.toml of 42"), "{says:?}");
    assert!(says[1].contains("no plain file"), "{says:?}");
    assert_eq!(says[2], "there is no program snapback-no-such-program");
    assert_missing_root_is_found(&world.path("nowhere")).await;
}

async fn assert_missing_root_is_found(root: &Path) {
    let provider = provider(Arc::default());
    let site = Site { root: root.to_owned(), restart: None, restart_timeout: Duration::from_secs(1) };
    let target = Target { service: "a@b".into(), site: snapback::execute::Site::Directory(site) };
    assert!(provider.check(&target).await.len() >= 2);
}
