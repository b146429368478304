//! `snapback demo`: the main job, seen in a minute with nothing but the binary. A real little HTTP service runs from
//! a release directory, a good release and then a bad one go out, real checks notice, a real alert in Alertmanager's
//! format reaches the true server on SQLite, and the true rollback happens. Owns the stage; everything on it is real.

mod approval;
mod checker;
mod shop;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use clap::{Args, ValueEnum};
use snapback::case::words;
use snapback::clock::{Clock, sleep};
use snapback::config;
use snapback::report::Voice;
use snapback::report::log::{Colour, Log};
use snapback::server::Server;

use super::failure::{Failure, Finished, print_line};
use checker::{Checker, Watching};
use shop::Shop;

/// The whole demo is over before this, or it failed.
const LONGEST: Duration = Duration::from_secs(55);
/// The stage is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(150);

#[derive(Debug, Args)]
pub(super) struct DemoFlags {
    /// What is shown
    #[arg(long, value_enum, default_value_t = Scenario::Auto)]
    scenario: Scenario,
    /// Keep the server up at the end
    #[arg(long)]
    stay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// A bad release is rolled back after a short countdown
    Auto,
    /// People are asked first: on this terminal, type approve
    Approval,
    /// A signal that was there before the release; it is left alone
    Innocent,
}

pub(super) fn run(flags: &DemoFlags) -> Result<Finished, Failure> {
    let next = "run it again; if it fails twice, it is our fault: please tell us";
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::failed(format!("start the runtime: {error}"), "see the limits of this process")
    })?;
    runtime.block_on(play(flags.scenario, flags.stay)).map_err(|why| Failure::failed(why, next))?;
    Ok(Finished)
}

/// Plays a scenario to its end, and prints how it ended as the last line.
async fn play(scenario: Scenario, stay: bool) -> Result<(), String> {
    let stage = Stage::build(scenario)?;
    say(&format!("the stage is {}", stage.folder.display()));
    let shop = Shop::open(stage.root.clone()).await?;
    say(&format!("a little shop answers at {} from release v41, out for two hours", shop.url()));

    let settings = config::load(&stage.folder.join("snapback.toml"))
        .for_serving()
        .map_err(|faults| format!("the demo's own configuration has {} faults: {faults:?}", faults.len()))?;
    let colour = if std::io::stdout().is_terminal() { Colour::Ansi } else { Colour::Plain };
    let voice = Voice::log(Log::with_lines(std::io::stdout(), colour));
    let server =
        Server::new(settings, voice).await.map_err(|error| format!("the server did not start: {error}"))?;
    let (alerts, admin) = (server.public_url(), server.admin_url());
    let stop = server.stopper();
    let running = tokio::spawn(server.run());
    say(&format!("snapback listens at {alerts}, its API at {admin}"));

    let play = async {
        match scenario {
            Scenario::Auto | Scenario::Approval => broken(scenario, &stage, &shop, &alerts, &admin).await,
            Scenario::Innocent => innocent(&stage, &shop, &alerts, &admin).await,
        }
    };
    let end = tokio::select! {
        end = play => end,
        // The stage is cleared away as at any end.
        _ = tokio::signal::ctrl_c() => Err("stopped".to_owned()),
    };
    let end = end.map(|case| closing_line(&case));
    if stay && end.is_ok() {
        say(&format!("the server stays up: {admin}/v1/cases (stop it with Ctrl-C)"));
        let _ = tokio::signal::ctrl_c().await;
    }
    stop.stop();
    let _ = running.await;
    print_line(&end?);
    Ok(())
}

async fn broken(
    scenario: Scenario,
    stage: &Stage,
    shop: &Shop,
    alerts: &str,
    admin: &str,
) -> Result<Value, String> {
    let checker = Checker::start(shop.url(), alerts, Watching::Closely);
    until("v41 to have soaked", || async {
        let service = get(admin, "/v1/services/checkout@production").await?;
        Some(service["releases"].as_array()?.iter().any(|r| r["release"] == "v41" && r["ledger"] == "good"))
    })
    .await?;
    say("v41 has soaked: it is known good");
    stage.deploy("v42")?;
    say("v42 goes out, by sam; it breaks the checkout");
    if scenario == Scenario::Approval {
        approval::answer(admin).await?;
    }
    let case = closed_case(admin).await?;
    checker.stop();
    Ok(case)
}

async fn innocent(stage: &Stage, shop: &Shop, alerts: &str, admin: &str) -> Result<Value, String> {
    shop.break_outside();
    let checker = Checker::start(shop.url(), alerts, Watching::Slowly);
    say("the shop's payment partner is down: checkout fails, whatever release serves");
    checker.noticed().await?;
    stage.deploy("v42")?;
    say("v42 goes out, by sam, after the trouble began; the alert comes later still");
    checker.tell();
    let case = closed_case(admin).await?;
    checker.stop();
    Ok(case)
}

/// Waits until a case is closed.
async fn closed_case(admin: &str) -> Result<Value, String> {
    let mut found = None;
    until("a case to close", || async {
        let cases = get(admin, "/v1/cases").await?;
        let case = cases["cases"].as_array()?.iter().find(|case| case["phase"] == "closed")?.clone();
        Some(case)
    })
    .await
    .map(|case| found = Some(case))?;
    found.ok_or_else(|| "a case closed and vanished".into())
}

/// Waits for something, with a deadline that says what was missing.
async fn until<T, F, Fut>(what: &str, mut look: F) -> Result<T, String>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
    T: Seen,
{
    let clock = Clock;
    let end = clock.now() + LONGEST;
    while clock.now() < end {
        if let Some(seen) = look().await.filter(Seen::is_there) {
            return Ok(seen);
        }
        sleep(LOOK_EVERY).await;
    }
    Err(format!("waited {} s for {what}, and it did not happen", LONGEST.as_secs()))
}

/// What can be waited for: a yes, or a value.
trait Seen {
    fn is_there(&self) -> bool;
}

impl Seen for bool {
    fn is_there(&self) -> bool {
        *self
    }
}

impl Seen for Value {
    fn is_there(&self) -> bool {
        !self.is_null()
    }
}

async fn get(admin: &str, path: &str) -> Option<Value> {
    let client = reqwest::Client::builder().no_proxy().build().ok()?;
    client.get(format!("{admin}{path}")).bearer_auth(YOURS).send().await.ok()?.json().await.ok()
}

/// The summary of the clock, and the outcome in the last line.
fn closing_line(case: &Value) -> String {
    let moment =
        |name: &str| case["clock"][name].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let mut lines = Vec::new();
    if let Some(received) = moment("received_at") {
        for (name, says) in [
            ("judged_at", "judged"),
            ("asked_at", "people asked"),
            ("approved_at", "approved"),
            ("started_at", "rollback begun"),
            ("done_at", "good release serving"),
            ("verified_at", "recovery verified"),
        ] {
            if let Some(at) = moment(name) {
                lines.push(format!(
                    "  {says:<22} {} after the alert",
                    words::length(at.duration_since(received))
                ));
            }
        }
    }
    let last = match (case["outcome"].as_str(), moment("received_at"), moment("verified_at")) {
        (Some("recovered"), Some(received), Some(verified)) => {
            format!("recovered in {}", words::length(verified.duration_since(received)))
        }
        (Some(outcome), _, _) => {
            let events = case["events"].as_array();
            let closed =
                events.and_then(|events| events.iter().rev().find(|event| event["kind"] == "closed"));
            let why = closed.and_then(|event| event["text"].as_str()).unwrap_or("");
            let why = why.split_once(": ").map_or(why, |(_, rest)| rest);
            let why = why.strip_prefix("left alone: ").unwrap_or(why);
            format!("{}: {why}", outcome.replace('_', " "))
        }
        (None, _, _) => "the case is still open".into(),
    };
    lines.push(last);
    lines.join("\n")
}

fn say(line: &str) {
    print_line(&format!("demo | {line}"));
}

/// The folder in which the demo plays. It goes away with the process.
struct Stage {
    folder: PathBuf,
    root: PathBuf,
}

impl Stage {
    #[expect(
        clippy::disallowed_methods,
        reason = "the demo has no configuration yet that could name a folder"
    )]
    fn build(scenario: Scenario) -> Result<Stage, String> {
        let folder = std::env::temp_dir().join(format!("snapback-demo-{}", std::process::id()));
        let root = folder.join("checkout");
        let stage = Stage { folder, root };
        stage
            .lay(scenario)
            .map_err(|error| format!("the stage in {} could not be laid: {error}", stage.folder.display()))?;
        Ok(stage)
    }

    fn lay(&self, scenario: Scenario) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        for (release, version, author, answer) in
            [("v41", "41", "kim", "ok"), ("v42", "42", "sam", "checkout is broken in this release")]
        {
            let folder = self.root.join("releases").join(release);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(
                folder.join("release.toml"),
                format!("version = \"v{version}\"\nauthor = \"{author}\"\nrollback = \"safe\"\n"),
            )?;
            std::fs::write(folder.join("answer"), answer)?;
        }
        self.switch("v41")?;
        let two_hours_ago = Clock.now() - snapback::case::id::Duration::from_hours(2);
        self.log("v41", two_hours_ago, "kim")?;
        std::fs::write(self.folder.join("token"), DEMO_TOKEN)?;
        std::fs::write(self.folder.join("your-token"), YOURS)?;
        let (people, action) = match scenario {
            Scenario::Auto | Scenario::Innocent => ("", "rollback"),
            Scenario::Approval => (PEOPLE, "approve"),
        };
        std::fs::write(self.folder.join("snapback.toml"), format!("{CONFIG}{people}"))?;
        std::fs::write(self.folder.join("rules.toml"), RULES.replace("ACTION", action))
    }

    /// Puts a release out as a pipeline would: a log line, and the link.
    fn deploy(&self, release: &str) -> Result<(), String> {
        let done = self.log(release, Clock.now(), "sam").and_then(|()| self.switch(release));
        done.map_err(|error| format!("{release} could not be put out: {error}"))
    }

    fn switch(&self, release: &str) -> std::io::Result<()> {
        let fresh = self.root.join("current.next");
        let _ = std::fs::remove_file(&fresh);
        std::os::unix::fs::symlink(Path::new("releases").join(release), &fresh)?;
        std::fs::rename(fresh, self.root.join("current"))
    }

    fn log(&self, release: &str, at: jiff::Timestamp, by: &str) -> std::io::Result<()> {
        use std::io::Write;
        let path = self.root.join("deployments.jsonl");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{{\"release\":\"{release}\",\"at\":\"{at}\",\"by\":\"{by}\"}}")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The demo's own bearer token: good for this folder, on loopback, for a minute.
const DEMO_TOKEN: &str = "demo-token";

/// Your own token in the demo, as good and as short-lived.
const YOURS: &str = "your-token-in-the-demo";

/// Who decides where people are asked: you.
const PEOPLE: &str = r#"
[tokens.you]
token = { file = "your-token" }
role = "operator"
groups = ["you"]

[approvals.default]
from = ["you"]
"#;

/// Short where production is long; the keys are those of any configuration.
const CONFIG: &str = r#"mode = "live"
rules = "rules.toml"

[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"

[store]
url = "sqlite:snapback.db"

[guards]
episode_settle = "2s"

[verify.default]
settle = "1s"
within = "20s"
clear_for = "3s"

[sources.prometheus]
kind = "alertmanager"
bearer_token = { file = "token" }
services = ["*@production"]
lag = "0s"

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "checkout" }
tier = "critical"
soak = "2s"
inherit_good = true
migrations = "marked"
"#;

const RULES: &str = r#"[[rule]]
name = "checkout fails after a deployment"
match = ['severity="critical"']
service = ["checkout@production"]
action = "ACTION"
countdown = "3s"
"#;
