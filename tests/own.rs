//! The providers `command` and `http`, with the examples that people copy: they keep the contract, and what breaks it is noticed.

mod own_bed;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use own_bed::{Bed, By, MARK, SECRET, all, example, program, provider, python};
use snapback::case::command::Progress;
use snapback::case::deployment::{DeploymentOrigin, DeploymentStatus};
use snapback::case::id::Mark;
use snapback::case::step::Class;
use snapback::execute::Sighting;
use snapback::execute::own::Site;
use snapback::outbound::Trouble;

#[tokio::test]
async fn a_release_goes_back_by_each_example() {
    for by in all() {
        let bed = Bed::new(by);
        assert_eq!(bed.provider.check(&bed.target()).await, [], "{by:?}");
        let before = bed.picture().await;
        assert_eq!(before.current, Some("v2".into()), "{by:?}");
        let order = bed.way_back().await;
        assert_eq!(order.act.class, Class::B, "{by:?}");
        let Ok(Sighting::TooEarly(_)) = bed.find(&order).await else { panic!("{by:?}: not begun yet") };
        let handle = bed.begin(&order).await.expect("taken");
        assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving("v1".into()), "{by:?}");
        // Done is done, and a second copy does nothing.
        bed.begin(&order).await.expect("already there");
        assert!(matches!(bed.find(&order).await, Ok(Sighting::Found(_))), "{by:?}");
        let after = bed.picture().await;
        let newest = after.deployments.last().expect("one");
        assert_eq!((after.current, after.deployments.len()), (Some("v1".into()), 3), "{by:?}");
        assert_eq!(newest.origin, DeploymentOrigin::Ours(Mark::new(MARK)), "{by:?}");
        assert_eq!(newest.status, DeploymentStatus::Finished, "{by:?}");
    }
}

#[tokio::test]
async fn whoever_deploys_first_comes_first() {
    for by in all() {
        let bed = Bed::new(by);
        let order = bed.way_back().await;
        own_bed::furnish(by, bed.folder.path(), &[("v1", own_bed::real_now()), ("v3", own_bed::real_now())]);
        assert!(matches!(bed.begin(&order).await, Err(Trouble::Moved(what)) if what == "v3"), "{by:?}");
        assert!(matches!(bed.find(&order).await, Err(Trouble::Moved(_))), "{by:?}");
        assert!(matches!(bed.propose("v2", "v1").await, Err(Trouble::Moved(_))), "{by:?}");
        assert!(matches!(bed.propose("v3", "v9").await, Err(Trouble::Refused(_))), "{by:?}");
    }
}

/// What users run against their own deployer says yes to the examples, and no to one that forgets.
#[test]
fn the_check_knows_who_keeps_the_contract() {
    let Some(python) = python() else { return };
    for by in all() {
        let bed = Bed::new(by);
        let (code, said) = check(&python, &bed, &["--to", "v1"]);
        assert!(code == Some(0) && said.contains("it keeps the contract"), "{by:?}: {said}");
    }
    let bed = Bed::new(By::Shell);
    let forgetful = bed.folder.path().join("forgetful.sh");
    let mut text = std::fs::read_to_string(example("own-deployer.sh")).expect("the example");
    for (careful, careless) in [
        ("if [ \"$(stands \"$key\")\" != unknown ]; then", "if false; then"),
        (
            "if [ \"$(current)\" != \"$from\" ] && [ \"${named%%@*}\" != \"$from\" ]; then",
            "if [ \"$(field from)\" = nothing-that-serves ]; then",
        ),
        ("mkdir \"$folder\"", "mkdir -p \"$folder\""),
        ("\"remembers\":true", "\"remembers\":false"),
    ] {
        assert!(text.contains(careful), "{careful}");
        text = text.replace(careful, careless);
    }
    std::fs::write(&forgetful, text).expect("written");
    std::fs::set_permissions(&forgetful, std::fs::Permissions::from_mode(0o755)).expect("a program");
    let site = program(&[forgetful.to_str().expect("text")], bed.folder.path());
    let mut bed = bed;
    bed.provider = provider(&site, None);
    bed.site = site;
    let (code, said) = check(&python, &bed, &["--to", "v1"]);
    assert_eq!(code, Some(1), "{said}");
    for word in ["WRONG describe says that keys are remembered", "WRONG five questions"] {
        assert!(said.contains(word), "no {word}: {said}");
    }
}

fn check(python: &std::ffi::OsStr, bed: &Bed, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(python);
    command.arg(example("own-deployer-check.py")).arg("checkout@production").args(more);
    match &bed.site {
        Site::Program { argv, folder } => command.arg("--").args(argv).current_dir(folder),
        Site::Url(url) => command.args(["--url", url]),
    };
    let ended =
        command.env("SNAPBACK_SECRET", SECRET).env("NO_PROXY", "127.0.0.1").output().expect("it starts");
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// One that forgets keys is asked once, and then a person.
#[tokio::test]
async fn who_remembers_no_keys_is_asked_once() {
    let bed = Bed::new(By::Shell);
    let bed = answering(
        bed,
        "case $(cat) in *history*) echo '{\"deployments\":[{\"release\":\"v1\",\"started_at\":\"2026-11-01T00:00:00Z\",\"finished_at\":\"2026-11-01T00:00:00Z\"}]}';; *) echo '{\"current\":\"v2\"}';; esac",
    );
    assert_eq!(bed.propose("v2", "v1").await.expect("a way").acts[0].class, Class::C);
}

/// The same bed with another program.
fn answering(mut bed: Bed, script: &str) -> Bed {
    bed.site = program(&["sh", "-c", script], bed.folder.path());
    bed.provider = provider(&bed.site, None);
    bed
}

#[tokio::test]
async fn how_a_program_ends_says_what_it_did() {
    let bed = Bed::new(By::Shell);
    let order = bed.way_back().await;
    let describes = "q=$(cat); case $q in *describe*) echo '{\"current\":\"v2\",\"remembers\":true}'; exit;; \
        *history*) echo '{\"deployments\":[]}'; exit;; esac; ";
    let mut bed = bed;
    for (script, kind) in [
        ("exit 75", "busy"),
        ("exit 64", "refused"),
        ("echo no >&2; exit 77", "refused"),
        ("exit 1", "unclear"),
        ("kill -9 $$", "unclear"),
        ("echo this is no JSON", "unclear"),
        ("echo '{\"state\":\"perhaps\"}'", "unclear"),
        ("echo '{\"state\":\"busy\",\"says\":\"a freeze\"}'", "busy"),
        ("echo '{\"state\":\"refused\",\"says\":\"never\"}'", "refused"),
        ("echo '{\"state\":\"moved\",\"says\":\"v9\"}'", "moved"),
        ("echo first; echo '{\"state\":\"begun\"}'; echo aside >&2", "taken"),
    ] {
        bed = answering(bed, &format!("{describes}{script}"));
        let mut order = order.clone();
        order.act = snapback::case::step::Act { arguments: bed.arguments().await, ..order.act };
        let told = match bed.begin(&order).await {
            Ok(_) => "taken",
            Err(Trouble::Busy { .. }) => "busy",
            Err(Trouble::Refused(_)) => "refused",
            Err(Trouble::Moved(_)) => "moved",
            Err(Trouble::Unclear(_)) => "unclear",
        };
        assert_eq!(told, kind, "{script}");
    }
    // It cannot be started: surely nothing was done.
    bed.site = program(&["/nowhere/deployer"], bed.folder.path());
    assert!(
        matches!(bed.describe().await, Err(Trouble::Busy { why, .. }) if why.contains("/nowhere/deployer"))
    );
    assert!(bed.provider.check(&bed.target()).await[0].remedy.contains("own-deployer-check.py"));
}

impl Bed {
    /// What an act at this place holds.
    async fn arguments(&self) -> BTreeMap<String, String> {
        let Site::Program { argv, folder } = &self.site else { panic!("a program") };
        let argv = serde_json::to_string(argv).expect("JSON");
        [("argv", argv), ("folder", folder.display().to_string()), ("service", "checkout@production".into())]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}

/// What fails inside the example's own function fails the rollback, and nothing is called done.
#[tokio::test]
async fn a_command_that_fails_fails_the_rollback() {
    let mut bed = Bed::new(By::Shell);
    let put_out = "put_out() { # RELEASE: whatever deploys; any command that fails here fails the rollback\n";
    let text = std::fs::read_to_string(example("own-deployer.sh")).expect("the example");
    assert!(text.contains(put_out));
    let broken = bed.folder.path().join("broken.sh");
    std::fs::write(&broken, text.replace(put_out, &format!("{put_out}  false\n"))).expect("written");
    bed.site = program(&["sh", broken.to_str().expect("text")], bed.folder.path());
    bed.provider = provider(&bed.site, None);
    let handle = bed.begin(&bed.way_back().await).await.expect("taken");
    assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Failed(_))));
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some("v2".into()));
    assert_eq!(picture.deployments.last().expect("one").status, DeploymentStatus::Failed);
    // Where it cannot write anything down it does nothing.
    let mut bed = Bed::new(By::Shell);
    let order = bed.way_back().await;
    std::fs::remove_dir_all(bed.folder.path().join("state")).expect("gone");
    bed.provider = provider(&bed.site, None);
    assert!(bed.begin(&order).await.is_err());
}

/// A program that works on is left to itself, and asked how it stands.
#[tokio::test]
async fn a_program_that_takes_long_is_followed_by_its_key() {
    let bed = Bed::new(By::Shell);
    let gate = bed.folder.path().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().expect("mkfifo").success());
    let slow = bed.folder.path().join("slow.sh");
    let text = std::fs::read_to_string(example("own-deployer.sh")).expect("the example");
    let put_out = "put_out() { # RELEASE: whatever deploys; any command that fails here fails the rollback\n";
    let waits = format!("{put_out}  cat {} > /dev/null\n", gate.display());
    assert!(text.contains(put_out));
    std::fs::write(&slow, text.replace(put_out, &waits)).expect("written");
    let site = program(&["sh", slow.to_str().expect("text")], bed.folder.path());
    let mut bed = bed;
    bed.provider = provider(&site, None);
    bed.site = site;
    let order = bed.way_back().await;
    let handle = bed.begin(&order).await.expect("it goes on");
    assert!(matches!(bed.provider.watch(&handle).await, Ok(Progress::Running(_))));
    let picture = bed.picture().await;
    let newest = picture.deployments.last().expect("one");
    assert_eq!((newest.status, picture.in_flight.as_ref()), (DeploymentStatus::GoingOut, Some(&newest.id)));
    // Another process of ours knows it by its key.
    bed.provider = provider(&bed.site, None);
    assert_eq!(bed.find(&order).await.expect("a sight"), Sighting::Found(handle.clone()));
    std::fs::write(&gate, "go").expect("opened");
    assert_eq!(bed.end_of(&handle).await.expect("an end"), Progress::Serving("v1".into()));
}

#[tokio::test]
async fn a_signature_that_is_not_right_is_refused() {
    if python().is_none() {
        return;
    }
    let mut bed = Bed::new(By::Http);
    for secret in [Some("another"), None] {
        bed.provider = provider(&bed.site, secret);
        let refused = bed.describe().await.expect_err("it does not know us");
        assert!(
            matches!(&refused, Trouble::Refused(why) if why.contains("the signature is not right")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_person_gets_the_question_as_a_command() {
    let bed = Bed::new(By::Shell);
    let order = bed.way_back().await;
    let line = bed.provider.by_hand(&order.act, &order.to, "why").expect("a line");
    let ended = Command::new("sh").args(["-c", &line]).output().expect("sh");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(said.contains("\"state\":\"begun\""), "{line}\n{said}");
    let picture = bed.picture().await;
    assert_eq!(picture.current, Some("v1".into()));
    // What a person asked for is no mark of ours, which would put everything on hold.
    assert_eq!(picture.deployments.last().expect("one").origin, DeploymentOrigin::Rollback);
}
