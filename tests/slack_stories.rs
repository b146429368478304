//! Cases told in Slack, from the alert to the last word: the real program, a real folder, and a workspace over HTTP in which
//! people click and type.

mod binary;
mod slack;

use std::sync::Arc;

use binary::{Program, furnish, head, lay_releases, now};
use serde_json::{Value, json};
use slack::{Answered, DEPLOYS, Fault, Kind, Message, Reach, RootGone, Workspace};
use snapback::case::id::Duration;

const ANA: &str = "U0001ANA";
const BEN: &str = "U0002BEN";
/// A member who belongs to no group.
const EVE: &str = "U0003EVE";
/// A guest who was put into the group all the same.
const GIL: &str = "U0004GIL";
/// A bot, the same.
const BOB: &str = "U0005BOT";
/// Somebody who left.
const LEA: &str = "U0006LEA";
/// Somebody of another company in a shared channel.
const SAM: &str = "U0007SAM";

/// What is not taken yet after a restart is said again so often at most: each time it is answered first.
const SAID_AGAIN_MAX: usize = 100;

struct Stage {
    slack: Arc<Workspace>,
    program: Program,
}

/// Release 41 served for two hours, 42 serves since two minutes, and the group of approvers is there.
fn begin(rules: &str, more: &str) -> Stage {
    begin_with(rules, more, &[ANA, BEN, GIL, BOB, LEA, SAM])
}

fn begin_with(rules: &str, more: &str, approvers: &[&str]) -> Stage {
    let slack = Workspace::open();
    for (person, kind) in [
        (ANA, Kind::Member),
        (BEN, Kind::Member),
        (EVE, Kind::Member),
        (GIL, Kind::Guest),
        (BOB, Kind::Bot),
        (LEA, Kind::Deactivated),
        (SAM, Kind::Stranger),
    ] {
        slack.person(person, kind);
    }
    slack.group("S0001SRE", "sre", approvers);
    let program = over(&slack, rules, more);
    Stage { slack, program }
}

fn over(slack: &Arc<Workspace>, rules: &str, more: &str) -> Program {
    over_laid(slack, rules, more, |_| {})
}

/// The same, after something was changed in the release directory.
fn over_laid(
    slack: &Arc<Workspace>,
    rules: &str,
    more: &str,
    change: impl FnOnce(&std::path::Path),
) -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let settings = SETTINGS
        .replace("SRV", &root.display().to_string())
        .replace("API_URL", &slack.api_url())
        .replace("CHANNEL", DEPLOYS);
    let approvals = if more.contains("[approvals.default]") { "" } else { APPROVALS };
    furnish(folder.path(), &format!("{}{settings}{approvals}{more}", head("live")), rules);
    std::fs::write(folder.path().join("token-of-alice"), "token-of-alice").expect("a token");
    std::fs::write(folder.path().join("bot-token"), slack.token()).expect("a token");
    std::fs::write(folder.path().join("signing-secret"), slack.signing_secret()).expect("a secret");
    lay_releases(&root);
    change(&root);
    let mut program = Program::over(folder);
    program.reads_with = more.contains("[tokens.").then(|| "token-of-alice".to_owned());
    program.wait_for_releases();
    slack.deliver_to(program.listen());
    program
}

impl Drop for Stage {
    /// Slack's own library has the last word on every message that was ever posted.
    #[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
    fn drop(&mut self) {
        let (false, Some(python)) = (std::thread::panicking(), std::env::var_os("SNAPBACK_TEST_PYTHON"))
        else {
            return;
        };
        let file = self.program.path("posted.json");
        self.slack.write_posted(&file);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slack/judge.py");
        let judged =
            std::process::Command::new(python).args([script, "blocks"]).arg(&file).output().expect("it runs");
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    }
}

impl Stage {
    fn serving(&self) -> String {
        binary::serving(&self.program.path("srv"))
    }

    /// Kim puts 43 out.
    fn deploys_43(&self) {
        let line = format!("{{\"release\":\"43\",\"at\":\"{}\",\"by\":\"kim\"}}\n", now());
        let log = self.program.path("srv/deployments.jsonl");
        let known = std::fs::read_to_string(&log).expect("the log");
        std::fs::write(&log, known + &line).expect("the log");
        let link = self.program.path("srv/next");
        std::os::unix::fs::symlink("releases/43", &link).expect("a link");
        std::fs::rename(&link, self.program.path("srv/current")).expect("switched");
    }

    fn fires(&self) {
        assert_eq!(self.program.post(&labels(), now(), None), 200);
    }

    fn clears(&self) {
        assert_eq!(self.program.post(&labels(), now() - Duration::from_secs(5), Some(now())), 200);
    }

    /// The first message of the thread, once it has this button.
    fn asked(&self, label: &str) -> Message {
        let what = format!("a message with the button {label}");
        let found = self.slack.wait_for_message(&what, |message| message.labels().contains(&label));
        self.slack.block_on(found)
    }

    /// The first message, once it says this.
    fn shows(&self, words: &str) -> Message {
        let what = format!("the first message to show {words}");
        self.slack.block_on(self.slack.wait_for(&what, |state| {
            let mut roots = state.messages.iter().filter(|message| message.thread_ts.is_none());
            roots.find(|root| root.text.contains(words)).cloned()
        }))
    }

    fn click(&self, message: &Message, action: &str, user: &str) -> Answered {
        let answered = self.slack.block_on(self.slack.click(message, action, user));
        assert!(answered.status == 200 && answered.body.is_empty(), "{answered:?}");
        answered
    }

    fn types(&self, user: &str, text: &str) -> Answered {
        self.slack.block_on(self.slack.command(user, DEPLOYS, "/snapback", text))
    }

    /// Somebody is told in private.
    fn hears(&self, user: &str, words: &str) {
        let what = format!("{user} to be told {words}");
        self.slack.block_on(self.slack.wait_for_whisper(user, &what, |whisper| whisper.text.contains(words)));
    }

    /// The thread, a message each, once the last one says this.
    fn thread_ends_with(&self, words: &str) -> Vec<String> {
        let what = format!("the thread to end with {words}");
        let root = self.slack.block_on(self.slack.wait_for(&what, |state| {
            let last = state.messages.iter().rev().find(|message| message.thread_ts.is_some())?;
            last.text.contains(words).then(|| last.thread_ts.clone()).flatten()
        }));
        self.slack.thread(&root)
    }

    fn case(&self) -> Value {
        self.program.get("/v1/cases").expect("the cases")["cases"][0].clone()
    }
}

fn labels() -> Value {
    json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production" })
}

#[test]
fn a_case_is_told_asked_approved_and_verified_in_one_thread() {
    let stage = begin(ASKS, "");
    stage.fires();
    let root = stage.asked("Roll back");
    let seen = stage.slack.rendered(&root);
    let mut lines = seen.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.contains("checkout@production: 42 \u{2192} 41, people are asked"), "{seen}");
    let second = lines.next().unwrap_or_default();
    assert!(second.contains("Press \"Roll back\" to say yes") && second.contains("until "), "{seen}");
    assert_eq!(root.labels(), ["Roll back", "Not this deployment", "Cancel", "Snooze 15 min"], "{seen}");
    assert!(
        seen.contains("HighErrorRate") && seen.contains("rule \"ask\"") && seen.contains("sre may decide"),
        "{seen}"
    );

    let answered = stage.click(&root, "roll_back", ANA);
    assert!(answered.in_time(), "{answered:?}");
    stage.shows("rolled back, being watched");
    assert_eq!(stage.serving(), "41");
    stage.clears();
    let root = stage.shows("recovered");
    assert_eq!(root.labels(), ["Roll forward", "Mark good"]);
    let thread = stage.thread_ends_with("recovered");
    let place = |words: &str| {
        thread.iter().position(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {thread:#?}"))
    };
    let told =
        ["says yes", "approved: enough", "now: switch", "done:", "watching whether it helps", "recovered in"]
            .map(place);
    assert!(told.is_sorted(), "{thread:#?}");
    assert_eq!(stage.slack.roots().len(), 1, "{}", stage.slack.transcript());
    let link = stage.case()["thread"].as_str().unwrap_or_default().to_owned();
    assert_eq!(link, format!("https://acme.slack.com/archives/{DEPLOYS}/p{}", root.ts.replace('.', "")));
}

#[test]
fn whoever_may_not_changes_nothing_and_is_told_in_private() {
    let stage = begin(ASKS, "");
    stage.fires();
    let root = stage.asked("Roll back");
    for user in [EVE, GIL, BOB, LEA, SAM] {
        stage.click(&root, "roll_back", user);
        stage.hears(user, "is not in a group that decides here");
        stage.click(&root, "cancel", user);
        stage.click(&root, "snooze", user);
        stage.click(&root, "not_this_deployment", user);
    }
    for user in [EVE, SAM] {
        let typed = stage.types(user, "freeze checkout 1h -- mine now");
        let confirm = stage.slack.whispers_to(user).pop().unwrap_or_else(|| panic!("{typed:?}"));
        stage.slack.block_on(stage.slack.click_whisper(&confirm, "confirm"));
    }
    stage.slack.block_on(stage.slack.wait_for("every refusal", |state| {
        let refused = state.whispers.iter().filter(|whisper| whisper.text.contains("not done"));
        (refused.count() == 5 * 4 + 2).then_some(())
    }));
    let case = stage.case();
    assert_eq!((&case["phase"], &case["votes"]), (&"awaiting_approval".into(), &json!([])), "{case:#}");
    assert_eq!(stage.serving(), "42");
    let service = stage.program.get("/v1/services/checkout@production").expect("the service");
    assert_eq!(service["freeze"], Value::Null);
    assert!(stage.slack.replies(&root.ts).iter().all(|reply| !reply.text.contains("says yes")));
}

#[test]
fn a_no_by_command_shows_what_it_means_first() {
    let stage = begin(ASKS, "");
    stage.fires();
    stage.asked("Roll back");
    let id = stage.case()["id"].as_str().expect("a case").to_owned();
    let typed = stage.types(ANA, &format!("deny {id}"));
    assert_eq!(typed.status, 200, "{typed:?}");
    assert!(typed.in_time(), "{typed:?}");
    let confirm = stage.slack.whispers_to(ANA).pop().expect("asked back");
    let seen = stage.slack.rendered_whisper(&confirm);
    assert!(
        seen.contains("Say no to this plan") && seen.contains("1. switch") && seen.contains("[Do it]"),
        "{seen}"
    );
    assert_eq!(stage.case()["phase"], "awaiting_approval", "typing alone changes nothing");
    stage.slack.block_on(stage.slack.click_whisper(&confirm, "confirm"));
    let root = stage.shows("denied");
    assert_eq!(root.labels(), Vec::<&str>::new());
    assert_eq!(stage.serving(), "42");
}

#[test]
fn nobody_answers_and_it_expires() {
    let stage = begin(ASKS, "\n[approvals.default]\nfrom = [\"sre\"]\nexpires = \"3s\"\n");
    stage.fires();
    let asked = stage.asked("Roll back");
    let root = stage.shows("nobody answered in time");
    assert_eq!(root.labels(), Vec::<&str>::new());
    stage.slack.block_on(stage.slack.click_stale(&asked, "roll_back", ANA));
    stage.hears(ANA, "is not open");
    assert_eq!(stage.serving(), "42");
}

#[test]
fn a_countdown_is_cancelled_by_its_button() {
    let stage = begin(COUNTS, "");
    stage.fires();
    let root = stage.asked("Cancel");
    assert!(stage.slack.rendered(&root).contains("counting down"), "{}", stage.slack.rendered(&root));
    stage.click(&root, "cancel", BEN);
    stage.shows("cancelled");
    assert_eq!(stage.serving(), "42");
    let thread = stage.thread_ends_with("cancelled it");
    assert!(thread.last().is_some_and(|line| line.contains("@ben cancelled it")), "{thread:#?}");
}

#[test]
fn a_countdown_that_nobody_stops_acts_by_itself() {
    let stage = begin(&COUNTS.replace("60s", "2s"), "");
    stage.fires();
    stage.shows("rolled back, being watched");
    assert_eq!(stage.serving(), "41");
    stage.clears();
    stage.thread_ends_with("recovered");
}

#[test]
fn a_question_is_snoozed() {
    let stage = begin(ASKS, "");
    stage.fires();
    let root = stage.asked("Snooze 15 min");
    stage.click(&root, "snooze", ANA);
    let root = stage.shows("snoozed");
    assert_eq!(root.labels(), Vec::<&str>::new());
    stage.thread_ends_with("snoozed it");
}

#[test]
fn what_clears_while_people_are_asked_is_not_acted_on() {
    let stage = begin(ASKS, "");
    stage.fires();
    stage.asked("Roll back");
    stage.clears();
    stage.shows("cleared");
    assert_eq!(stage.serving(), "42");
}

#[test]
fn somebody_else_deploys_while_people_are_asked() {
    let stage = begin(ASKS, "");
    stage.fires();
    let asked = stage.asked("Roll back");
    stage.deploys_43();
    stage.shows("superseded");
    stage.slack.block_on(stage.slack.click_stale(&asked, "roll_back", ANA));
    stage.hears(ANA, "not done");
    assert_eq!(stage.serving(), "43");
}

/// A button by which a person begins a rollback counts as long as what it was shown over serves.
#[test]
fn a_button_of_before_takes_nothing_newer_back() {
    let stage = begin(&ASKS.replace("approve", "notify"), "");
    stage.fires();
    let told = stage.asked("Roll back");
    stage.deploys_43();
    stage.program.wait("43", "/v1/services/checkout@production", |service| service["current"] == "43");
    stage.slack.block_on(stage.slack.click_stale(&told, "roll_back", ANA));
    stage.hears(ANA, "something else serves now than when this was shown");
    assert_eq!(stage.serving(), "43");
}

#[test]
fn two_are_needed_and_each_counts_once_also_after_a_restart() {
    let mut stage = begin(ASKS, "\n[approvals.default]\nfrom = [\"sre\"]\nquorum = 2\n");
    stage.fires();
    let root = stage.asked("Roll back");
    stage.click(&root, "roll_back", ANA);
    stage.shows("1 of 2 votes so far");
    stage.click(&root, "roll_back", ANA);
    stage.program.kill();
    stage.program.start_again();
    stage.slack.deliver_to(stage.program.listen());
    // She may say it as often as she wants.
    stage.program.wait("the folder to be read", "/v1/services/checkout@production", |s| s["current"] == "42");
    stage.slack.block_on(stage.slack.wait_for_calls("users.info", 7));
    stage.click(&root, "roll_back", ANA);
    assert_eq!(stage.case()["phase"], "awaiting_approval");
    assert_eq!(stage.serving(), "42");
    stage.click(&root, "roll_back", BEN);
    stage.shows("rolled back, being watched");
    assert_eq!(stage.serving(), "41");
    let votes = stage.case()["votes"].clone();
    let by: Vec<&str> =
        votes.as_array().expect("votes").iter().filter_map(|vote| vote["by"].as_str()).collect();
    assert_eq!(by.iter().filter(|by| by.contains(BEN)).count(), 1, "{votes:#}");
    assert_eq!(
        stage.slack.roots().len(),
        1,
        "one thread, whatever was restarted: {}",
        stage.slack.transcript()
    );
}

#[test]
fn two_people_at_once_and_double_clicks_are_one_act() {
    let stage = begin(ASKS, "");
    stage.fires();
    let root = stage.asked("Roll back");
    let clicks = [ANA, ANA, BEN, BEN].map(|user| stage.slack.clicking(&root, "roll_back", user));
    let [a, b, c, d] = clicks;
    stage.slack.block_on(async { tokio::join!(a.send(), b.send(), c.send(), d.send()) });
    stage.shows("rolled back, being watched");
    let log = std::fs::read_to_string(stage.program.path("srv/deployments.jsonl")).expect("the log");
    assert_eq!(log.lines().count(), 4, "the folder was switched once: {log}");
    stage.clears();
    stage.thread_ends_with("recovered");
}

#[test]
fn an_empty_group_is_nobody() {
    let stage = begin_with(ASKS, "", &[]);
    stage.fires();
    let root = stage.asked("Roll back");
    stage.click(&root, "roll_back", ANA);
    stage.hears(ANA, "is not in a group that decides here");
    assert_eq!(stage.serving(), "42");
}

/// What cannot be read within a minute grants nothing, and whoever asks is told so.
#[test]
fn a_group_that_cannot_be_read_is_nobody() {
    let slack = Workspace::open();
    slack.person(ANA, Kind::Member);
    slack.group("S0001SRE", "sre", &[ANA]);
    slack.fault("usergroups.users.list", 1000, &Fault::Refuses("missing_scope"));
    let program = over(&slack, ASKS, "");
    let stage = Stage { slack, program };
    stage.fires();
    let root = stage.asked("Roll back");
    stage.program.wait_for_line(&["a user group cannot be read"]);
    stage.click(&root, "roll_back", ANA);
    stage.hears(ANA, "is not in a group that decides here");
    assert_eq!(stage.serving(), "42");
}

#[test]
fn a_click_that_is_forged_old_replayed_or_foreign_does_nothing() {
    let stage = begin(ASKS, "\n[approvals.default]\nfrom = [\"sre\"]\nquorum = 2\n");
    stage.fires();
    let root = stage.asked("Roll back");
    let click = || stage.slack.clicking(&root, "roll_back", ANA);
    let send = |knock: slack::Knock| stage.slack.block_on(knock.send());
    // One from the future comes of age on its way: it has half a minute to arrive.
    for knock in
        [click().forged(), click().unsigned(), click().tampered(), click().aged(301), click().aged(-330)]
    {
        assert_eq!(send(knock).status, 401);
    }
    assert_eq!(send(click().signed_with("another secret")).status, 401);
    assert_eq!(send(click().of_team("T9999", "other")).status, 200);
    stage.hears(ANA, "another workspace");
    assert_eq!(stage.case()["votes"], json!([]));

    let right = stage.slack.clicking(&root, "roll_back", ANA).seal();
    assert_eq!(stage.slack.block_on(right.send()).status, 200);
    stage.shows("1 of 2 votes so far");
    for _ in 0..3 {
        assert_eq!(stage.slack.block_on(right.send()).status, 200);
    }
    let case = stage.program.wait("one vote", "/v1/cases", |cases| cases["cases"][0]["votes"][0].is_object());
    assert_eq!(case["cases"][0]["votes"].as_array().map(Vec::len), Some(1), "{case:#}");
    // Copied into another channel it is not the case's own message.
    stage.slack.channel("C0002OPS", "ops", Reach::Public);
    let elsewhere = click().altered(|payload| payload["container"]["channel_id"] = "C0002OPS".into());
    assert_eq!(send(elsewhere).status, 200);
    stage.hears(ANA, "of another message");
    assert_eq!(stage.serving(), "42");
}

#[test]
fn slack_is_away_for_the_whole_case_and_told_everything_later() {
    let stage = begin(&COUNTS.replace("60s", "1s"), "");
    stage.slack.block_on(stage.slack.away());
    stage.fires();
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    stage.clears();
    stage.program.wait_for_outcome("recovered");
    assert_eq!(stage.slack.roots().len(), 0);
    stage.slack.block_on(stage.slack.back());
    let thread = stage.thread_ends_with("recovered in");
    assert!(thread[0].contains("recovered"), "the first message shows how it stands: {thread:#?}");
    assert!(thread.iter().any(|line| line.contains("now: switch")), "{thread:#?}");
    assert_eq!(stage.slack.roots().len(), 1);
}

#[test]
fn a_lost_reply_makes_no_second_message() {
    for fault in [Fault::LosesReply, Fault::HangsAfter, Fault::FailsAfter(500), Fault::Garbled] {
        let stage = begin(ASKS, "");
        stage.slack.fault("chat.postMessage", 2, &fault);
        stage.fires();
        let root = stage.asked("Roll back");
        stage.click(&root, "cancel", ANA);
        stage.thread_ends_with("cancelled");
        let roots = stage.slack.roots();
        assert_eq!(roots.len(), 1, "{fault:?}: {}", stage.slack.transcript());
        let said: Vec<_> =
            stage.slack.replies(&root.ts).iter().map(|m| m.mark("note").map(str::to_owned)).collect();
        let mut once = said.clone();
        once.dedup();
        assert_eq!(said, once, "{fault:?}: {}", stage.slack.transcript());
    }
}

#[test]
fn a_post_that_did_not_arrive_is_made_again() {
    for fault in [
        Fault::LosesRequest,
        Fault::Fails(503),
        Fault::Refuses("internal_error"),
        Fault::TooMany(1),
        Fault::TooManyUnsaid,
    ] {
        let stage = begin(ASKS, "");
        stage.slack.fault("chat.postMessage", 1, &fault);
        stage.fires();
        stage.asked("Roll back");
        assert_eq!(stage.slack.roots().len(), 1, "{fault:?}");
    }
}

#[test]
fn what_an_alert_says_is_shown_and_never_obeyed() {
    let stage = begin(ASKS, "");
    let mut labels = labels();
    labels["alertname"] = "<!channel> <@U0001ANA> <https://evil.example|click> *b* `c` & \u{202e}x".into();
    assert_eq!(stage.program.post(&labels, now(), None), 200);
    let root = stage.asked("Roll back");
    stage.click(&root, "cancel", ANA);
    stage.thread_ends_with("cancelled");
    for posted in stage.slack.everything_posted() {
        // Where Slack reads markup nothing of it is live; elsewhere it is text.
        let text = posted["text"].as_str().unwrap_or_default();
        let blocks = posted["blocks"].as_array().cloned().unwrap_or_default();
        let contexts = blocks.iter().filter(|block| block["type"] == "context");
        let marked = contexts.flat_map(|block| block["elements"].as_array().cloned().unwrap_or_default());
        let marked: Vec<String> =
            marked.map(|element| element["text"].as_str().unwrap_or_default().to_owned()).collect();
        for live in ["<!channel", "<!here", "<@U", "<http", "\u{202e}"] {
            assert!(
                !text.contains(live) && !marked.iter().any(|text| text.contains(live)),
                "{live}: {posted}"
            );
        }
        let whole = posted.to_string();
        assert!(
            !whole.contains("\"broadcast\"") && !whole.contains("\u{202e}") && !whole.contains("\"link\""),
            "{posted}"
        );
    }
    assert!(
        stage.slack.rendered(&root).contains("<!channel> <@U0001ANA>"),
        "{}",
        stage.slack.rendered(&root)
    );
}

/// Whoever decides by token needs no Slack, also where it neither answers nor refuses.
#[test]
fn a_chat_that_hangs_keeps_no_vote_by_token_waiting() {
    let slack = Workspace::open();
    slack.person(ANA, Kind::Member);
    slack.group("S0001SRE", "sre", &[ANA]);
    for method in ["auth.test", "usergroups.users.list", "users.info", "chat.postMessage"] {
        slack.fault(method, 1000, &Fault::HangsBefore);
    }
    let many = r#"
[groups.many]
slack_users = ["U1001", "U1002", "U1003", "U1004", "U1005", "U1006", "U1007", "U1008"]

[approvals.default]
from = ["sre", "many"]
"#;
    let program = over(&slack, ASKS, &format!("{ALICE}{many}"));
    let stage = Stage { slack, program };
    stage.fires();
    let cases = stage
        .program
        .wait("the question", "/v1/cases", |cases| cases["cases"][0]["phase"] == "awaiting_approval");
    let id = cases["cases"][0]["id"].as_str().expect("a case").to_owned();
    let (ended, said) = stage.program.run(Some("token-of-alice"), &["cases", "approve", &id, "--yes"]);
    assert_eq!(ended, Some(0), "{said}");
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
}

/// What cannot be said by the old settings is said by the new ones, without a new start.
#[test]
fn a_reload_reaches_what_is_being_said() {
    let slack = Workspace::open();
    slack.person(ANA, Kind::Member);
    slack.group("S0001SRE", "sre", &[ANA]);
    let program = over(&slack, ASKS, "");
    let stage = Stage { slack, program };
    let right = std::fs::read_to_string(stage.program.path("snapback.toml")).expect("the configuration");
    stage.program.rewrite(&right.replace(DEPLOYS, "C0404GONE"));
    stage.program.wait_for_line(&["the configuration was read again"]);
    stage.fires();
    stage.program.wait_for_line(&["a note is not in Slack yet", "channel_not_found"]);
    stage.program.rewrite(&right);
    stage.asked("Roll back");
    assert_eq!(stage.slack.roots().len(), 1, "{}", stage.slack.transcript());
    let said = stage.program.said();
    let told = said.lines().filter(|line| line.contains("HighErrorRate points at 42")).count();
    assert_eq!(told, 1, "the log repeats nothing for it: {said}");
}

/// The same bytes are the same request, over a new start too: whoever recorded them does nothing with them.
#[test]
fn a_click_that_is_replayed_after_a_restart_does_nothing() {
    let mut stage = begin(ASKS, "");
    let confirm = |stage: &Stage, text: &str| {
        stage.types(ANA, text);
        let asked = stage.slack.whispers_to(ANA).pop().expect("asked back");
        let sealed = stage.slack.clicking_whisper(&asked, "confirm").seal();
        assert_eq!(stage.slack.block_on(sealed.send()).status, 200);
        sealed
    };
    let frozen = |service: &Value| service["freeze"].is_object();
    let freeze = confirm(&stage, "freeze checkout 1h -- a sale");
    stage.program.wait("the freeze", "/v1/services/checkout@production", frozen);
    confirm(&stage, "unfreeze checkout");
    stage.program.wait("its end", "/v1/services/checkout@production", |service| !frozen(service));
    stage.program.kill();
    stage.program.start_again();
    stage.slack.deliver_to(stage.program.listen());
    stage.program.wait_for_releases();
    // Until it is read again who she is, she is told so. Then what she says is taken, and so would be whatever is said in her
    // name.
    let paused = (0..SAID_AGAIN_MAX).any(|_| {
        confirm(&stage, "pause -- a storm");
        let whisper = stage.slack.whispers_to(ANA).pop().expect("asked back");
        let is_answer = |whisper: &slack::Whisper, ts: &str| whisper.ts == ts && whisper.replaced > 0;
        let answer = stage.slack.wait_for_whisper(ANA, "the answer", |now| is_answer(now, &whisper.ts));
        stage.slack.block_on(answer).text.contains("done")
            && stage.program.get("/v1/state").expect("it")["paused"] == true
    });
    assert!(paused, "she is not known again");
    assert_eq!(stage.slack.block_on(freeze.send()).status, 200);
    // Another request that is taken after it: whatever the replay did would show by now.
    confirm(&stage, "resume");
    stage.program.wait("its end", "/v1/state", |state| state["paused"] == false);
    let service = stage.program.get("/v1/services/checkout@production").expect("the service");
    assert!(!frozen(&service), "{service:#}");
}

/// Whoever is refused is answered at Slack's own address, whatever the payload names.
#[test]
fn an_answer_goes_to_slacks_own_host_and_nowhere_else() {
    let stage = begin(ASKS, "");
    stage.fires();
    let root = stage.asked("Roll back");
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    elsewhere.set_nonblocking(true).expect("a listener");
    let address = elsewhere.local_addr().expect("an address");
    let host = stage.slack.api_url().trim_end_matches("/api").trim_start_matches("http://").to_owned();
    for url in [
        format!("http://{address}/hooks/x"),
        format!("http://{host}@{address}/hooks/x"),
        format!("http://{host}.{address}/"),
        "https://hooks.slack.com.example.com/actions/x".to_owned(),
    ] {
        let before = stage.program.said().matches("is not Slack's").count();
        let knock = stage.slack.clicking(&root, "roll_back", EVE).answering_to(&url);
        assert_eq!(stage.slack.block_on(knock.send()).status, 200, "{url}");
        let told = binary::wait_until(|| stage.program.said().matches("is not Slack's").count() > before);
        assert!(told, "{url}: {}", stage.program.said());
    }
    assert!(elsewhere.accept().is_err(), "somebody else was answered");
    assert_eq!(stage.slack.whispers_to(EVE).len(), 0);
}

/// Somebody deletes the first message: the case goes on below another one, once, with its buttons and everything that follows.
#[test]
fn a_thread_whose_first_message_is_deleted_goes_on_below_another() {
    for (gone, replied) in [(RootGone::Refuses, true), (RootGone::Refuses, false), (RootGone::Strays, false)]
    {
        let stage = begin(ASKS, ALICE);
        stage.slack.changes(|state| state.root_gone = gone);
        stage.fires();
        let first = stage.asked("Roll back");
        if replied {
            stage.slack.say(BEN, DEPLOYS, "what is this?", Some(&first.ts));
        } else {
            let is_note = |message: &Message| message.thread_ts.as_deref() == Some(first.ts.as_str());
            stage.slack.block_on(stage.slack.wait_for_message("the question in the thread", is_note));
            stage.slack.changes(|state| state.messages.retain(|message| message.thread_ts.is_none()));
        }
        stage.slack.delete(&first);
        // Whatever happens next finds out.
        let id = stage.case()["id"].as_str().expect("a case").to_owned();
        let (ended, said) = stage.program.run(Some("token-of-alice"), &["cases", "approve", &id, "--yes"]);
        assert_eq!(ended, Some(0), "{said}");
        let root = stage.shows("rolled back, being watched");
        assert_ne!(root.ts, first.ts);
        stage.clears();
        stage.thread_ends_with("recovered in");
        stage.shows(", recovered");
        // Where replies are still taken below what is left of it, the first of them may stand there.
        let told = stage.slack.messages().iter().filter(|message| message.text.contains("done: 41")).count();
        assert_eq!(told, 1, "{gone:?}: {}", stage.slack.transcript());
        let ours = |message: &&Message| message.mark("case").is_some();
        let roots: Vec<Message> = stage.slack.roots().iter().filter(ours).cloned().collect();
        assert_eq!(roots.len(), 1, "{gone:?}: {}", stage.slack.transcript());
        // Its buttons are the case's own now, and it is not opened a third time.
        let root = stage.asked("Mark good");
        stage.click(&root, "mark_good", ANA);
        stage.program.wait("her word", "/v1/services/checkout@production", |service| {
            let all = service["releases"].as_array().cloned().unwrap_or_default();
            all.iter().any(|release| release["release"] == "42" && release["ledger"] == "good")
        });
        let link = stage.case()["thread"].as_str().unwrap_or_default().to_owned();
        assert!(link.ends_with(&root.ts.replace('.', "")), "{link}");
    }
}

/// A channel that is archived is tried slowly, and told everything in order when it is opened again.
#[test]
fn an_archived_channel_is_told_when_it_is_opened_again() {
    let stage = begin(&COUNTS.replace("60s", "1s"), "");
    stage.slack.in_channel(DEPLOYS, |channel| channel.archived = true);
    stage.fires();
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    stage.clears();
    stage.program.wait_for_outcome("recovered");
    stage.program.wait_for_line(&["a note is not in Slack yet", "is_archived", "name another one"]);
    let tries = stage.slack.calls("chat.postMessage");
    assert!(tries <= 5, "{tries} tries of what is refused for good");
    stage.slack.in_channel(DEPLOYS, |channel| channel.archived = false);
    let thread = stage.thread_ends_with("recovered in");
    assert!(thread.iter().any(|line| line.contains("now: switch")), "{thread:#?}");
    assert_eq!(stage.slack.roots().len(), 1, "{}", stage.slack.transcript());
}

/// A day after its end a case that Slack refuses for good is let go, loudly; one that ended lately is not.
#[test]
fn what_slack_refuses_for_good_is_let_go_a_day_after_the_case_is_over() {
    let mut stage = begin(&COUNTS.replace("60s", "1s"), "");
    stage.slack.in_channel(DEPLOYS, |channel| channel.archived = true);
    stage.fires();
    stage.program.wait("the act", "/v1/services/checkout@production", |service| service["current"] == "41");
    stage.clears();
    stage.program.wait_for_outcome("recovered");
    let unsaid = |stage: &Stage| figure(&stage.program, "snapback_unsaid_notes");
    assert!(unsaid(&stage) > 0.0);
    for (hours, let_go) in [(23, false), (2, true)] {
        stage.program.kill();
        ends_earlier(&stage.program.path("data/snapback.db"), Duration::from_hours(hours));
        stage.program.start_again();
        let tries = stage.slack.calls("chat.postMessage");
        stage.slack.block_on(stage.slack.wait_for_calls("chat.postMessage", tries + 2 - usize::from(let_go)));
        if let_go {
            stage.program.wait_for_line(&["ERROR", "Slack refuses this case for good", "is_archived"]);
            let gone = binary::wait_until(|| unsaid(&stage) == 0.0);
            assert!(gone, "{}", stage.program.said());
            assert!(figure(&stage.program, "snapback_notes_let_go_total") > 0.0);
        } else {
            assert!(!stage.program.said().contains("refuses this case for good"), "{}", stage.program.said());
            assert!(unsaid(&stage) > 0.0);
        }
    }
    assert_eq!(stage.case()["outcome"], "recovered", "the API still has it");
}

fn figure(program: &Program, name: &str) -> f64 {
    let (_, text) = program.read("/metrics").expect("the metrics");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// As if so much time had passed since the cases that are still being told were closed.
fn ends_earlier(store: &std::path::Path, by: Duration) {
    let store = rusqlite::Connection::open(store).expect("the store");
    let body: String =
        store.query_row("SELECT body FROM dossiers", [], |row| row.get(0)).expect("one dossier");
    let mut body: Value = serde_json::from_str(&body).expect("a dossier");
    let mut moved = 0;
    for case in body["is"]["telling"].as_array_mut().expect("cases that are told") {
        for stamped in case["events"].as_array_mut().expect("events") {
            if stamped["event"]["kind"] == "closed" {
                let at: snapback::case::id::Timestamp =
                    stamped["at"].as_str().and_then(|at| at.parse().ok()).expect("a moment");
                stamped["at"] = (at - by).to_string().into();
                moved += 1;
            }
        }
    }
    assert_eq!(moved, 1, "{body:#}");
    store.execute("UPDATE dossiers SET body = ?1", [body.to_string()]).expect("written");
}

#[test]
fn authority_that_is_lost_between_vote_and_act_is_lost() {
    let stage = begin(ASKS, "\n[approvals.default]\nfrom = [\"sre\"]\nquorum = 2\n");
    stage.fires();
    let root = stage.asked("Roll back");
    stage.click(&root, "roll_back", ANA);
    stage.shows("1 of 2 votes so far");
    stage.slack.group("S0001SRE", "sre", &[BEN]);
    let calls = stage.slack.calls("usergroups.users.list");
    stage.slack.block_on(stage.slack.wait_for_calls("usergroups.users.list", calls + 1));
    stage.click(&root, "roll_back", BEN);
    stage.program.wait("his vote", "/v1/cases", |cases| {
        let votes = cases["cases"][0]["votes"].as_array().cloned().unwrap_or_default();
        votes.iter().any(|vote| vote["by"].as_str().is_some_and(|by| by.contains(BEN)))
    });
    assert_eq!(stage.case()["phase"], "awaiting_approval", "hers counts no longer");
    assert_eq!(stage.serving(), "42");
}

/// A press is quick: what cannot be undone is typed, and the button says how.
#[test]
fn over_an_irreversible_release_a_press_tells_what_to_type() {
    let slack = Workspace::open();
    for person in [ANA, BEN] {
        slack.person(person, Kind::Member);
    }
    slack.group("S0001SRE", "sre", &[ANA, BEN]);
    let program = over_laid(&slack, ASKS, "", |root| {
        std::fs::write(root.join("releases/42/release.toml"), "rollback = \"irreversible\"\n")
            .expect("written");
    });
    let stage = Stage { slack, program };
    stage.fires();
    let root = stage.asked("Roll back");
    let id = stage.case()["id"].as_str().expect("a case").to_owned();
    let typed = format!("/snapback approve {id} irreversible");
    let seen = stage.slack.rendered(&root);
    assert!(seen.contains("It is irreversible: type") && seen.contains(&typed), "{seen}");
    for person in [ANA, BEN] {
        stage.click(&root, "roll_back", person);
        stage.hears(person, &typed);
    }
    stage.types(ANA, &format!("approve {id}"));
    let told = stage.slack.whispers_to(ANA).pop().expect("told");
    let seen = stage.slack.rendered_whisper(&told);
    assert!(seen.contains("If you mean it, type it") && !seen.contains("[Do it]"), "{seen}");
    assert_eq!(stage.case()["votes"], json!([]));
    let types = |person: &str| {
        stage.types(person, &format!("approve {id} irreversible"));
        let confirm = stage.slack.whispers_to(person).pop().expect("asked back");
        let seen = stage.slack.rendered_whisper(&confirm);
        assert!(seen.contains("irreversible") && seen.contains("1. switch"), "{seen}");
        stage.slack.block_on(stage.slack.click_whisper(&confirm, "confirm"));
    };
    types(ANA);
    stage.shows("1 of 2 votes so far");
    assert_eq!(stage.serving(), "42");
    types(BEN);
    stage.shows("rolled back, being watched");
    assert_eq!(stage.serving(), "41");
}

/// Whoever may break the glass does so by a word of its own and with a reason; everybody else cannot.
#[test]
fn the_glass_is_broken_in_slack_by_who_may_and_with_a_reason() {
    let glass = format!(
        "\n[groups.leads]\nslack_users = [\"{EVE}\"]\n\n[approvals.default]\nfrom = [\"sre\"]\nquorum = 2\nbreak_glass = [\"leads\"]\n"
    );
    let stage = begin(ASKS, &glass);
    stage.fires();
    let root = stage.asked("Roll back");
    let id = stage.case()["id"].as_str().expect("a case").to_owned();
    // A button breaks nothing.
    stage.click(&root, "roll_back", EVE);
    stage.hears(EVE, "is not in a group that decides here");
    let confirms = |person: &str, text: &str| {
        stage.types(person, text);
        let confirm = stage.slack.whispers_to(person).pop().expect("asked back");
        let seen = stage.slack.rendered_whisper(&confirm);
        assert!(seen.contains("You decide alone, and break the glass, because: nobody"), "{seen}");
        stage.slack.block_on(stage.slack.click_whisper(&confirm, "confirm"));
    };
    stage.types(EVE, &format!("approve {id} -- looks right"));
    stage.hears(EVE, "say it so: approve");
    stage.types(EVE, &format!("approve {id} alone"));
    stage.hears(EVE, "say why, after two dashes: approve");
    // Of those who decide nobody does it alone: it is one yes of two.
    confirms(ANA, &format!("approve {id} alone -- nobody answers"));
    stage.shows("1 of 2 votes so far");
    assert_eq!(stage.serving(), "42");
    confirms(EVE, &format!("approve {id} alone -- nobody else is awake"));
    stage.shows("rolled back, being watched");
    assert_eq!(stage.serving(), "41");
    let thread = stage.thread_ends_with("watching whether it helps");
    assert!(
        thread.iter().any(|line| line.contains("breaking the glass: nobody else is awake")),
        "{thread:#?}"
    );
}

#[test]
fn the_slash_command_tells_and_changes() {
    let stage = begin(ASKS, "");
    let told = |text: &str| {
        let answered = stage.types(ANA, text);
        assert!(answered.status == 200 && answered.in_time(), "{text}: {answered:?}");
        let whisper = stage.slack.whispers_to(ANA).pop().unwrap_or_else(|| panic!("{text}: {answered:?}"));
        stage.slack.rendered_whisper(&whisper)
    };
    assert!(told("help").contains("/snapback rollback <service> [to <release>] -- <reason>"));
    assert!(told("").contains("/snapback help"));
    assert!(told("status").contains("checkout@production: serves 42"));
    assert!(told("deployments checkout").contains("41 (inherited)"));
    assert!(told("status nobody").contains("no service is called nobody"));
    assert!(told("rolback checkout -- x").contains("nothing that can be said here"));
    assert!(told("why checkout@production.9").contains("there is no case"));
    let meaning = told("rollback checkout \u{2014} the basket is empty");
    assert!(meaning.contains("from 42 to the last good release, because: the basket is empty"), "{meaning}");
    let confirm = stage.slack.whispers_to(ANA).pop().expect("asked back");
    stage.slack.block_on(stage.slack.click_whisper(&confirm, "confirm"));
    stage.shows("rolled back, being watched");
    assert_eq!(stage.serving(), "41");
    stage.thread_ends_with("recovered");
    // And forward again, by the button.
    let root = stage.asked("Roll forward");
    stage.click(&root, "roll_forward", ANA);
    stage.program.wait("42 to serve again", "/v1/services/checkout@production", |s| s["current"] == "42");
    let service = stage.program.get("/v1/services/checkout@production").expect("the service");
    let of = |id: &str| {
        service["releases"].as_array().expect("releases").iter().find(|r| r["release"] == id).cloned()
    };
    assert_eq!(of("42").expect("42")["locked"], false, "{service:#}");
    assert_ne!(of("41").expect("41")["ledger"], "bad", "{service:#}");
}

const ASKS: &str = r#"[[rule]]
name = "ask"
action = "approve"
"#;

const COUNTS: &str = r#"[[rule]]
name = "take it back"
action = "rollback"
countdown = "60s"
"#;

/// Somebody who decides by token.
const ALICE: &str = r#"
[tokens.alice]
token = { file = "token-of-alice" }
role = "operator"
groups = ["sre"]
"#;

const APPROVALS: &str = r#"
[approvals.default]
from = ["sre"]
"#;

const SETTINGS: &str = r#"
[slack]
bot_token = { file = "bot-token" }
signing_secret = { file = "signing-secret" }
channel = "CHANNEL"
api_url = "API_URL"

[groups.sre]
slack_usergroups = ["S0001SRE"]

[guards]
clock_skew = "1s"
episode_settle = "1s"
provider_grace = "30s"

[verify.default]
settle = "1s"
within = "30s"
clear_for = "1s"

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
soak = "2s"
inherit_good = true
migrations = "none"
"#;
