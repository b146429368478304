//! From the bytes of each deployment feed to a decided case: the real program on a real folder, whose own history is what was
//! put out; feeds add what pipelines know, and changes that no folder shows.

mod binary;
mod signing;

use std::io::Write as _;
use std::process::{Command, Stdio};

use binary::{Program, furnish, head, lay_releases, now};
use serde_json::{Value, json};
use signing::{FILE, Signer};

const SECRET: &str = "It's a Secret to Everybody";
const COMMIT: &str = "9f2c1ab04d5e6f708192a3b4c5d6e7f801234567";
const TOKEN: &str = "of-a-feed";

const RULES: &str = "[[rule]]\nname = \"take it back\"\naction = \"rollback\"\nsuspicion = 0.4\n";

const SETTINGS: &str = r#"
[feeds.github]
kind = "github"
secret = { file = "github" }
map = { "acme/shop@production" = "checkout@production" }

[feeds.argocd]
kind = "argocd"
bearer_token = { file = "feed" }
map = { checkout-production = "checkout@production" }

[feeds.cdevents]
kind = "cdevents"
basic = { user = "events", password = { file = "events" } }

[feeds.codedeploy]
kind = "codedeploy"
bearer_token = { file = "codedeploy" }
map = { "myApplication/myDeploymentGroup" = "checkout@production" }

[feeds.triggers]
kind = "codedeploy"
topics = ["arn:aws:sns:eu-west-1:123456789012:alarms-production"]
certificates = "certificates"
map = { "your-application-name/your-application-name-group" = "checkout@production" }

[feeds.flags]
kind = "generic"
bearer_token = { file = "flags" }
services = ["checkout@production"]

[groups.sre]
slack_users = []

[guards]
clock_skew = "1s"
episode_settle = "1s"

[approvals.default]
from = ["sre"]

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
inherit_good = true
migrations = "marked"
"#;

/// Release 41 served for two hours, 42 of a known commit serves since two minutes.
fn begin() -> Program {
    begin_with(&Signer::new())
}

/// The same, with this signer's certificate where Amazon's would be.
fn begin_with(signer: &Signer) -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let settings = SETTINGS.replace("SRV", &root.display().to_string());
    furnish(folder.path(), &format!("{}{settings}", head("live")), RULES);
    for (file, secret) in [
        ("github", SECRET),
        ("feed", TOKEN),
        ("events", "events"),
        ("codedeploy", "of-codedeploy"),
        ("flags", "of-flags"),
    ] {
        std::fs::write(folder.path().join(file), secret).expect("a secret");
    }
    std::fs::create_dir(folder.path().join("certificates")).expect("a folder");
    std::fs::write(folder.path().join("certificates").join(FILE), &signer.pem).expect("a certificate");
    lay_releases(&root);
    std::fs::write(root.join("releases/42/release.toml"), format!("commit = \"{COMMIT}\"\n"))
        .expect("written");
    let program = Program::over(folder);
    program.wait_for_releases();
    program
}

fn sample(path: &str) -> Value {
    let path = format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("a sample")).expect("JSON")
}

fn tells(program: &Program, feed: &str, token: &str, body: &Value) {
    let bearer = format!("Bearer {token}");
    let headers = [("Content-Type", "application/json"), ("Authorization", &*bearer)];
    let status = program.send(&format!("/v1/deployments/{feed}"), &headers, &body.to_string());
    assert_eq!(status, 200, "{feed}: {body}");
}

fn fires(program: &Program) {
    let labels = json!({ "alertname": "HighErrorRate", "service": "checkout", "environment": "production" });
    assert_eq!(program.post(&labels, now(), None), 200);
}

/// A deployment as the API shows it.
fn deployment(program: &Program, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    program.wait(what, "/v1/deployments", |listed| {
        let listed = listed["deployments"].as_array().into_iter().flatten();
        found = listed.filter(|one| is_so(one)).last().cloned().unwrap_or_default();
        !found.is_null()
    });
    found
}

/// A flag that was switched a moment ago is more suspect than the release of before: nothing goes back by itself, and people
/// are told which flag it was.
#[test]
fn a_flag_that_was_switched_is_told_with_its_link_and_takes_no_release_back() {
    let program = begin();
    let at = |ago: i64| (now() - jiff::SignedDuration::from_secs(ago)).to_string();
    let flag = |finished: Option<String>, by: &str| {
        json!([{
            "service": "checkout@production", "release": "new-checkout on", "deployment": "new-checkout/7", "change": "flag",
            "author": by, "started_at": at(20), "finished_at": finished, "links": ["https://flags.example.com/new-checkout"],
        }])
    };
    // Its end is told first, then, late, its beginning, then its end again.
    let ended = flag(Some(at(15)), "ana");
    tells(&program, "flags", "of-flags", &ended);
    tells(&program, "flags", "of-flags", &flag(None, "ana"));
    tells(&program, "flags", "of-flags", &ended);
    let shown = deployment(&program, "the flag", |one| one["change"] == "flag");
    assert_eq!(
        (&shown["status"], &shown["deployment"]),
        (&json!("finished"), &json!("@feeds/flags/new-checkout/7"))
    );

    fires(&program);
    let why = "/v1/cases/checkout@production.1/explanation";
    let why = program.wait("the verdict", why, |why| why["verdict"].is_string());
    assert_eq!(why["verdict"], "notify", "{why:#}");
    assert_eq!(why["candidates"][0]["deployment"], "@feeds/flags/new-checkout/7", "{why:#}");
    let guards = why["guards"].as_array().expect("guards");
    assert!(
        guards.iter().any(|guard| guard["reason"].to_string().contains("a change of kind flag")),
        "{guards:#?}"
    );
    program.wait_for_line(&["flag new-checkout on by ana (https://flags.example.com/new-checkout)"]);
    assert_eq!(binary::serving(&program.path("srv")), "42");
    let service = program.get("/v1/services/checkout@production").expect("the service");
    assert_eq!(service["current"], "42", "{service:#}");
    assert!(!service["releases"].to_string().contains("new-checkout"), "a flag is no release: {service:#}");
}

/// GitHub knows who made it: the release that the folder shows is that commit's.
#[test]
fn github_tells_who_made_the_release_that_the_folder_shows() {
    let program = begin();
    let mut event = sample("github/deployment_status.json");
    event["deployment"]["sha"] = json!(COMMIT);
    event["deployment"]["creator"]["login"] = json!("ana");
    event["deployment"]["payload"] = json!({ "version": "4.2", "rollback": "contract", "service": "nobody" });
    event["repository"]["full_name"] = json!("acme/shop");
    event["deployment_status"]["created_at"] = json!(now().to_string());
    let body = event.to_string();
    let Some(shown) = by_python(&body) else { return };
    let headers = [("Content-Type", "application/json"), ("X-Hub-Signature-256", &*shown)];
    assert_eq!(program.send("/v1/deployments/github", &headers, &body), 200);
    assert_eq!(program.send("/v1/deployments/github", &headers, &format!("{body} ")), 401, "a changed body");

    let of_42 = deployment(&program, "its author", |one| one["release"] == "42" && one["author"] == "ana");
    assert_eq!(
        (&of_42["version"], &of_42["rollback"], &of_42["change"]),
        (&json!("4.2"), &json!("contract"), &json!("code"))
    );
    let all = program.get("/v1/deployments").expect("deployments");
    let count =
        all["deployments"].as_array().map(|all| all.iter().filter(|one| one["release"] == "42").count());
    assert_eq!(count, Some(1), "a notice is no second deployment: {all:#}");

    // A migration that takes something away is in the way: people are asked.
    fires(&program);
    let asked = |cases: &Value| cases["cases"][0]["phase"] == "awaiting_approval";
    let cases = program.wait("the question", "/v1/cases", asked);
    assert_eq!(cases["cases"][0]["suspect"]["release"], "42", "{cases:#}");
    program.wait_for_line(&["HighErrorRate points at 4.2 by ana"]);
}

/// What Python signs as GitHub does. `None`: Python is not there, which `scripts/test` does not allow.
#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
fn by_python(body: &str) -> Option<String> {
    let Some(python) = std::env::var_os("SNAPBACK_TEST_PYTHON") else {
        assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "SNAPBACK_TEST_PYTHON is not set");
        eprintln!("left out: SNAPBACK_TEST_PYTHON is not set, so there is no second implementation");
        return None;
    };
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/senders/second.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let asked = json!({ "scheme": "github", "secret": SECRET, "body": body, "time": 0 });
    child.stdin.take().expect("its input").write_all(asked.to_string().as_bytes()).expect("it reads");
    let ended = child.wait_with_output().expect("it ends");
    let signed: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    signed["X-Hub-Signature-256"].as_str().map(str::to_owned)
}

/// The others: each makes the folder be read at once, long before its turn, so that what was put out a moment ago is known
/// when an alert asks who it was.
#[test]
fn a_notice_makes_the_provider_be_read_at_once() {
    let mut event = sample("codedeploy/eventbridge-deployment-state-change.json");
    event["time"] = json!(now().to_string());
    let mut sync = sample("argocd/deployed.json");
    sync["finished_at"] = json!(now().to_string());
    let mut service = sample("cdevents/service_deployed.json");
    service["context"]["timestamp"] = json!(now().to_string());
    service["subject"]["id"] = json!("checkout");
    service["subject"]["content"]["environment"]["id"] = json!("production");
    // A trigger of CodeDeploy's, as it was really told, signed as SNS signs.
    let signer = Signer::new();
    let mut trigger = sample("codedeploy/deployment-trigger-succeeded.real.json");
    let in_its_words = now().strftime("%a %b %d %H:%M:%S UTC %Y").to_string();
    trigger["createTime"] = json!(in_its_words);
    trigger["completeTime"] = json!(in_its_words);
    let trigger =
        signer.notification(&trigger.to_string(), &now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    for (feed, kind, shown, body) in [
        ("triggers", "text/plain; charset=UTF-8", "", trigger),
        ("codedeploy", "application/json", "Bearer of-codedeploy", event),
        ("argocd", "", "Bearer of-a-feed", sync),
        // `events:events`, as RFC 7617 writes it.
        ("cdevents", "application/json", "Basic ZXZlbnRzOmV2ZW50cw==", service),
    ] {
        let program = begin_with(&signer);
        // Somebody puts 43 out, behind our back.
        let root = program.path("srv");
        let began = now();
        let line = format!("{{\"release\":\"43\",\"at\":\"{began}\",\"by\":\"sam\"}}\n");
        let mut log =
            std::fs::File::options().append(true).open(root.join("deployments.jsonl")).expect("the log");
        log.write_all(line.as_bytes()).expect("written");
        std::fs::remove_file(root.join("current")).expect("the link");
        std::os::unix::fs::symlink("releases/43", root.join("current")).expect("a link");
        let headers = [("Content-Type", kind), ("Authorization", shown)];
        assert_eq!(
            program.send(&format!("/v1/deployments/{feed}"), &headers, &body.to_string()),
            200,
            "{feed}"
        );
        program
            .wait("43 to be seen", "/v1/services/checkout@production", |service| service["current"] == "43");
        assert!(
            now().duration_since(began).as_secs() < 60,
            "the folder is read every five minutes by itself"
        );

        fires(&program);
        let why = program.wait("the verdict", "/v1/cases/checkout@production.1/explanation", |why| {
            why["verdict"].is_string()
        });
        let candidates = why["candidates"].to_string();
        assert!(candidates.contains("43"), "{feed}: {why:#}");
    }
}
