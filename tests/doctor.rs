//! The doctor with the real program: a sound set-up is found sound, and each of more than twenty broken ones is named, with what is
//! wrong and what to do.

mod binary;
mod certificates;
mod pager;
mod slack;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use binary::{Program, furnish, head, lay_releases, now};
use certificates::Authority;
use pager::{KEY, Pretend};
use serde_json::{Value, json};
use slack::Workspace;

const RULES: &str = "[[rule]]\nname = \"tell\"\naction = \"notify\"\n";
const ADA: &str = "token-of-ada";

/// A server that answers so to whatever it is asked, by the end of the path. `None`: it takes the call and never answers.
fn server(answers: Option<Vec<(&'static str, u16, String)>>, date: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut head = [0; 16384];
            let read = stream.read(&mut head).unwrap_or(0);
            let first = String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
            let Some(answers) = &answers else {
                kept.push(stream);
                continue;
            };
            let path = first.split_whitespace().nth(1).unwrap_or_default();
            let (_, status, body) = answers.iter().find(|(end, ..)| path.contains(end)).expect("an answer");
            let date = date.as_ref().map_or_else(String::new, |date| format!("Date: {date}\r\n"));
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} X\r\n{date}Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(text.as_bytes());
        }
    });
    url
}

fn says(status: u16, body: &str) -> Option<Vec<(&'static str, u16, String)>> {
    Some(vec![("", status, body.to_owned())])
}

fn prometheus(apart_s: i64) -> String {
    let date = (now() + jiff::SignedDuration::from_secs(apart_s)).strftime("%a, %d %b %Y %H:%M:%S GMT");
    server(says(200, r#"{"status":"success","data":{"alerts":[]}}"#), Some(date.to_string()))
}

/// A sound set-up, in which a story breaks one thing.
struct Setup {
    source: String,
    service: String,
    more: String,
    prepare: Box<dyn Fn(&std::path::Path)>,
}

fn sound() -> Setup {
    let more = "[tokens.ada]\ntoken = { file = \"token-of-ada\" }\nrole = \"operator\"\ngroups = [\"sre\"]\n\n[groups.sre]\nslack_users = []\n";
    Setup { source: String::new(), service: String::new(), more: more.to_owned(), prepare: Box::new(|_| ()) }
}

fn config(setup: &Setup) -> String {
    let head = head("shadow").replace("lag = \"1s\"", &format!("lag = \"1s\"\n{}", setup.source));
    let restarts = "target = { root = \"srv\", restart = [\"no-such-program\"] }";
    let service = match &*setup.service {
        "RESTART" => SERVICE.replace("target = { root = \"srv\" }", restarts).replace("MORE", ""),
        more => SERVICE.replace("MORE", more),
    };
    let tls = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }\n\n[store]";
    let head = if setup.more.contains("#TLS") { head.replace("[store]", tls) } else { head };
    format!("{head}\n{}\n{service}", setup.more)
}

fn begin(setup: &Setup) -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    furnish(folder.path(), &config(setup), RULES);
    for secret in [ADA, "bot-token", "signing-secret", "routing-key"] {
        std::fs::write(folder.path().join(secret), secret).expect("a secret");
    }
    std::fs::write(folder.path().join("routing-key"), KEY).expect("a key");
    lay_releases(&folder.path().join("srv"));
    (setup.prepare)(folder.path());
    let mut program = Program::over(folder);
    program.reads_with = Some(ADA.to_owned());
    program
}

/// What the doctor says, and how it ends.
fn asked(program: &Program) -> (Option<i32>, Vec<Value>) {
    asked_with(program, &[])
}

/// The same, with these flags.
fn asked_with(program: &Program, flags: &[&str]) -> (Option<i32>, Vec<Value>) {
    let (code, said) = program.run(Some(ADA), &[&["doctor", "--output", "json"], flags].concat());
    let json = said.find("\n}").map_or(&*said, |end| &said[..end + 2]);
    let report: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {said}"));
    (code, report["checks"].as_array().expect("checks").clone())
}

/// That this is named as ill, with its cause and a next step, and that the command fails by it.
fn names(what: &str, (code, checks): &(Option<i32>, Vec<Value>), area: &str, name: &str, cause: &str) {
    let found = checks.iter().find(|check| {
        check["area"] == area
            && check["outcome"] == "ill"
            && check["name"].as_str().is_some_and(|of| of.contains(name))
            && check["cause"].as_str().is_some_and(|of| of.contains(cause))
    });
    let found =
        found.unwrap_or_else(|| panic!("{what}: {area} {name} is not named for {cause:?}: {checks:#?}"));
    assert!(found["next"].as_str().is_some_and(|next| !next.is_empty()), "{what}: no next step: {found:#}");
    assert_eq!(*code, Some(1), "{what}");
}

fn broken(what: &str, setup: Setup, area: &str, name: &str, cause: &str) {
    let program = begin(&setup);
    program.wait("it to serve", "/v1/state", |state| state["mode"].is_string());
    names(what, &asked(&program), area, name, cause);
}

/// A set-up that speaks in this workspace.
fn speaking_in(slack: &Arc<Workspace>) -> Setup {
    let (slack, api_url) = (Arc::clone(slack), slack.api_url());
    let prepare = move |folder: &std::path::Path| {
        std::fs::write(folder.join("bot-token"), slack.token()).expect("a token");
        std::fs::write(folder.join("signing-secret"), slack.signing_secret()).expect("a secret");
    };
    Setup { prepare: Box::new(prepare), ..with_slack(&api_url) }
}

/// Somebody is asked to press a button: from the channel, through the door, and back into the report.
#[test]
fn a_press_of_the_doctors_button_is_heard() {
    let slack = Workspace::open();
    slack.person("U0000ANA", slack::Kind::Member);
    let program = begin(&speaking_in(&slack));
    program.wait_for_releases();
    slack.deliver_to(program.listen());
    let of = |checks: &[Value]| {
        let found = checks.iter().find(|check| check["area"] == "slack" && check["name"] == "clicks");
        found.cloned().unwrap_or_else(|| panic!("{checks:#?}"))
    };
    let (_, checks) = std::thread::scope(|scope| {
        let doctor = scope.spawn(|| asked_with(&program, &["--click"]));
        let is_asked = |message: &slack::Message| message.text.contains("press the button");
        let asked = slack.block_on(slack.wait_for_message("a button to press", is_asked));
        // What does not belong to it is no press of it: another message's button, pressed long after.
        let mut other = asked.clone();
        let said = other.blocks[1]["elements"][0]["value"].as_str().expect("a value").to_owned();
        other.blocks[1]["elements"][0]["value"] = said.replace("2026", "2025").into();
        let old = slack.block_on(slack.click_stale(&other, "rehearsal", "U0000ANA"));
        assert!(old.status == 200 && old.body.is_empty(), "{old:?}");
        let now = slack.messages();
        assert!(now.iter().any(|message| message.ts == asked.ts && is_asked(message)), "it waits: {now:?}");
        let pressed = slack.block_on(slack.click(&asked, "rehearsal", "U0000ANA"));
        assert!(pressed.status == 200 && pressed.body.is_empty(), "{pressed:?}");
        doctor.join().expect("the doctor")
    });
    let clicks = of(&checks);
    assert_eq!(clicks["outcome"], "well", "{clicks:#}");
    assert!(clicks["cause"].as_str().is_some_and(|cause| cause.contains("slack:U0000ANA")), "{clicks:#}");
    assert!(slack.messages().is_empty(), "it goes away: {:?}", slack.messages());
    let cases = program.get("/v1/cases").expect("the cases");
    assert_eq!(cases["cases"], json!([]), "nothing follows from it");

    // Nobody presses, or nobody is heard.
    let nobody = asked_with(&program, &["--click=1"]);
    names("nobody pressed", &nobody, "slack", "clicks", "within 1 s");
    assert!(slack.messages().is_empty(), "it goes away: {:?}", slack.messages());
    let unasked = of(&asked(&program).1);
    assert_eq!(unasked["outcome"], "left_out", "{unasked:#}");
    assert!(unasked["next"].as_str().is_some_and(|next| next.contains("--click")), "{unasked:#}");
    let (code, said) = program.run(Some(ADA), &["doctor", "--click=1000"]);
    assert_eq!(code, Some(2), "nobody is waited for so long: {said}");
    assert!(said.contains("click_seconds is 1 to 120"), "{said}");
}

/// Several that hang keep nobody waiting for the sum of them, and the answer from coming.
#[test]
fn several_that_hang_are_all_named() {
    let hangs = || server(None, None);
    let slack = with_slack(&format!("{}/api", hangs()));
    let more = format!(
        "{}\n[pages.night]\nrouting_key = {{ file = \"routing-key\" }}\nurl = \"{}/v2/enqueue\"\n\n[probes.slow]\nhttp = {{ url = \"{}\", timeout = \"10s\" }}\n",
        slack.more,
        hangs(),
        hangs(),
    );
    let program = begin(&Setup {
        source: format!("prometheus_url = \"{}\"", hangs()),
        service: "probes = [\"slow\"]".into(),
        more,
        ..slack
    });
    program.wait("it to serve", "/v1/state", |state| state["mode"].is_string());
    let found = asked(&program);
    for (area, name) in [("slack", "messages"), ("pages", "night"), ("prometheus_url", "prometheus")] {
        names("it hangs", &found, area, name, "");
    }
    let probe = found.1.iter().find(|check| check["area"] == "probe").expect("the probe");
    assert_eq!(probe["outcome"], "note", "it fails: {probe:#}");
}

#[test]
fn a_sound_setup_is_found_sound() {
    let slack = Workspace::open();
    slack.person("U0000ANA", slack::Kind::Member);
    let pager = Pretend::open();
    let setup = Setup {
        source: format!(
            "prometheus_url = \"{}\"\nheartbeat = {{ match = ['alertname=\"Watchdog\"'], every = \"5m\" }}",
            prometheus(0)
        ),
        service: "probes = [\"smoke\"]".into(),
        more: format!(
            "{}\n[slack]\nbot_token = {{ file = \"bot-token\" }}\nsigning_secret = {{ file = \"signing-secret\" }}\nchannel = \"C0001DEPL\"\napi_url = \"{}\"\n\n[pages.pagerduty]\nrouting_key = {{ file = \"routing-key\" }}\nurl = \"{}\"\n\n[probes.smoke]\ncommand = {{ argv = [\"true\"] }}\n\n[feeds.pipeline]\nkind = \"generic\"\nbearer_token = {{ file = \"token-of-ada\" }}\n",
            sound().more.replace("slack_users = []", "slack_users = [\"U0000ANA\"]"),
            slack.api_url(),
            pager.events_url(),
        ),
        prepare: {
            let slack = Arc::clone(&slack);
            Box::new(move |folder| {
                std::fs::write(folder.join("bot-token"), slack.token()).expect("a token");
                std::fs::write(folder.join("signing-secret"), slack.signing_secret()).expect("a secret");
            })
        },
    };
    let program = begin(&setup);
    program.wait_for_releases();
    let (code, checks) = asked(&program);
    let ill: Vec<&Value> = checks.iter().filter(|check| check["outcome"] == "ill").collect();
    // A pull of the plug is nothing that this machine's temporary folder has to outlive.
    let ill: Vec<&&Value> =
        ill.iter().filter(|check| !check["cause"].to_string().contains("in memory")).collect();
    assert!(ill.is_empty(), "{ill:#?}");
    let well = |area: &str| checks.iter().any(|check| check["area"] == area && check["outcome"] == "well");
    for area in [
        "group",
        "configuration",
        "source",
        "feed",
        "heartbeat",
        "prometheus_url",
        "clock",
        "provider",
        "readiness",
        "probe",
        "slack",
        "pages",
        "circle",
    ] {
        assert!(well(area), "{area}: {checks:#?}");
    }
    assert!(code == Some(0) || !ill.is_empty() || checks.iter().any(|check| check["outcome"] == "ill"));
    // Nothing of it is left, and nobody was woken.
    assert!(slack.messages().is_empty(), "{:?}", slack.messages());
    assert_eq!(slack.calls("chat.update"), 1);
    let cases = program.get("/v1/cases").expect("the cases");
    assert_eq!(cases["cases"], json!([]));
}

#[test]
fn who_is_asked_and_does_not_answer_is_named() {
    let url = |url: String| format!("prometheus_url = \"{url}\"");
    let asks = |source: String| Setup { source, ..sound() };
    broken(
        "nobody is there",
        asks(url("http://127.0.0.1:1".into())),
        "prometheus_url",
        "prometheus",
        "Connection refused",
    );
    broken(
        "no Prometheus",
        asks(url(server(says(200, "<html>"), None))),
        "prometheus_url",
        "prometheus",
        "expected value",
    );
    broken("it hangs", asks(url(server(None, None))), "prometheus_url", "prometheus", "");
    broken("it refuses", asks(url(server(says(403, "no"), None))), "prometheus_url", "prometheus", "403");
    broken("clocks are apart", asks(url(prometheus(300))), "clock", "prometheus", "s apart");
    let heartbeat = "heartbeat = { match = ['alertname=\"Watchdog\"'], every = \"1s\" }".to_owned();
    let program = begin(&asks(heartbeat));
    program.wait("silence", "/v1/state", |state| {
        state["silent"].as_array().is_some_and(|list| !list.is_empty())
    });
    names("a silent source", &asked(&program), "heartbeat", "prometheus", "silent since");
}

fn with_slack(api_url: &str) -> Setup {
    let more = format!(
        "{}\n[slack]\nbot_token = {{ file = \"bot-token\" }}\nsigning_secret = {{ file = \"signing-secret\" }}\nchannel = \"C0001DEPL\"\napi_url = \"{api_url}\"\n",
        sound().more
    );
    Setup { more, ..sound() }
}

#[test]
fn a_chat_that_does_not_take_what_is_said_is_named() {
    broken("it is away", with_slack("http://127.0.0.1:1/api"), "slack", "messages", "");
    let refused = server(says(200, r#"{"ok":false,"error":"invalid_auth"}"#), None);
    broken("the token", with_slack(&format!("{refused}/api")), "slack", "messages", "invalid_auth");
    let auth = json!({ "ok": true, "url": "https://acme.slack.com/", "team": "acme", "user": "snapback", "team_id": "T1", "user_id": "U1", "bot_id": "B1" });
    let channel = server(
        Some(vec![
            ("auth.test", 200, auth.to_string()),
            ("", 200, r#"{"ok":false,"error":"channel_not_found"}"#.to_owned()),
        ]),
        None,
    );
    broken("the channel", with_slack(&format!("{channel}/api")), "slack", "messages", "channel_not_found");
    let nobody = sound().more.replace("groups = [\"sre\"]\n", "");
    broken("a group of nobody", Setup { more: nobody, ..sound() }, "group", "sre", "nobody is found");
}

#[test]
fn a_pager_that_wakes_nobody_is_named() {
    let pages = |url: &str| {
        let more = format!(
            "{}\n[pages.night]\nrouting_key = {{ file = \"routing-key\" }}\nurl = \"{url}\"\n",
            sound().more
        );
        Setup { more, ..sound() }
    };
    broken("it is away", pages("http://127.0.0.1:1/v2/enqueue"), "pages", "night", "cannot be reached");
    let refused = server(says(400, r#"{"status":"invalid event","errors":["routing_key"]}"#), None);
    broken("its key", pages(&format!("{refused}/v2/enqueue")), "pages", "night", "400");
}

#[test]
fn a_provider_through_which_nothing_goes_back_is_named() {
    let gone = Setup {
        prepare: Box::new(|folder| std::fs::remove_dir_all(folder.join("srv")).expect("gone")),
        ..sound()
    };
    broken("the root is gone", gone, "provider", "checkout@production", "");
    let restart = Setup { service: "RESTART".into(), ..sound() };
    broken("no such program", restart, "provider", "checkout@production", "no-such-program");
    let refuses = server(says(400, r#"{"__type":"AccessDeniedException","message":"not authorized"}"#), None);
    let more = format!(
        "{}\n[providers.codedeploy]\nkind = \"codedeploy\"\nregion = \"eu-west-1\"\nendpoint_url = \"{refuses}\"\n\n[[service]]\nname = \"cart\"\nenvironment = \"production\"\nprovider = \"codedeploy\"\ntarget = {{ application = \"cart\", deployment_group = \"production\" }}\n",
        sound().more
    );
    broken("its rights", Setup { more, ..sound() }, "provider", "cart@production", "");
    let more = format!(
        "{}\n[providers.codedeploy]\nkind = \"codedeploy\"\nregion = \"eu-west-1\"\nendpoint_url = \"http://127.0.0.1:1\"\n\n[[service]]\nname = \"cart\"\nenvironment = \"production\"\nprovider = \"codedeploy\"\ntarget = {{ application = \"cart\", deployment_group = \"production\" }}\n",
        sound().more
    );
    broken("it is away", Setup { more, ..sound() }, "provider", "cart@production", "");
}

#[test]
fn a_probe_that_can_say_nothing_is_named() {
    let probe = |check: &str| Setup {
        service: "probes = [\"smoke\"]".into(),
        more: format!("{}\n[probes.smoke]\n{check}\n", sound().more),
        ..sound()
    };
    broken(
        "no program",
        probe("command = { argv = [\"./no-such-smoke-test\"] }"),
        "probe",
        "smoke",
        "could not be started",
    );
    let query = "promql = { url = \"http://127.0.0.1:1\", query = \"up\", expect = \"== 1\" }";
    broken("no Prometheus", probe(query), "probe", "smoke", "could not be made");
    let nothing =
        server(says(200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#), None);
    let query = format!("promql = {{ url = \"{nothing}\", query = \"upp\", expect = \"== 1\" }}");
    broken("a query of nothing", probe(&query), "probe", "smoke", "finds nothing");
}

#[test]
fn a_configuration_that_is_faulty_on_disk_is_named() {
    let program = begin(&sound());
    program.rewrite(&config(&sound()).replace("mode = \"shadow\"", "mode = \"lively\""));
    program.hang_up();
    program.wait("that it is seen", "/v1/state", |state| state["config_error"].is_string());
    names("a faulty file", &asked(&program), "configuration", "on disk", "the one before stays");
}

/// A certificate that does not hold yet, and one that does not name this server.
#[test]
fn a_certificate_of_tomorrow_or_of_another_name_is_named() {
    let setup = Setup {
        prepare: Box::new(|folder| Authority::new("ours").sign_from_until(4000, 4096).write(folder)),
        more: sound().more + "#TLS\n",
        ..sound()
    };
    let early = config(&setup);
    broken("it does not hold yet", setup, "certificate", "cert.pem", "does not hold before 4000-01-01");

    let folder = tempfile::tempdir().expect("a folder");
    for (url, outcome) in [("https://snapback.example.com", "note"), ("https://localhost:8443", "well")] {
        let named = early.replace("[server]", &format!("[server]\npublic_url = \"{url}\""));
        furnish(folder.path(), &named, RULES);
        std::fs::write(folder.path().join(ADA), ADA).expect("a secret");
        Authority::new("ours").sign().write(folder.path());
        let path = folder.path().join("snapback.toml").display().to_string();
        let ended = Command::new(env!("CARGO_BIN_EXE_snapback"))
            .args(["doctor", "--output", "json", "--config", &path])
            .env("SNAPBACK_URL", "http://127.0.0.1:1")
            .output()
            .expect("it runs");
        let report: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        let checks = report["checks"].as_array().expect("checks");
        let named = |check: &&Value| {
            let cause = check["cause"].as_str().unwrap_or_default();
            check["area"] == "certificate" && cause.contains("server.public_url")
        };
        let found = checks.iter().find(named).unwrap_or_else(|| panic!("{url}: {checks:#?}"));
        assert_eq!(found["outcome"], outcome, "{found:#}");
    }
}

/// What a switch writes is tried, and nothing is left of the trial.
#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let blocked = Setup {
        prepare: Box::new(|folder| {
            // A folder where the trial's file would be: no user at all can write it, not even root.
            std::fs::create_dir_all(folder.join("srv/.snapback/doctor/x")).expect("a folder");
        }),
        ..sound()
    };
    broken("where switches are announced", blocked, "provider", "checkout@production", "may not write in");

    let program = begin(&Setup {
        prepare: Box::new(|folder| std::fs::create_dir(folder.join("srv/.snapback")).expect("a folder")),
        ..sound()
    });
    program.wait_for_releases();
    let log = std::fs::read(program.path("srv/deployments.jsonl")).ok();
    let (_, checks) = asked(&program);
    let provider = checks.iter().find(|check| check["area"] == "provider").expect("the provider");
    assert_eq!(provider["outcome"], "well", "{provider:#}");
    let cause = provider["cause"].as_str().expect("a cause");
    assert!(cause.contains("can be written; nothing was switched"), "it says what was tried: {cause}");
    assert_eq!(std::fs::read(program.path("srv/deployments.jsonl")).ok(), log, "the log is as it was");
    let left = std::fs::read_dir(program.path("srv/.snapback")).expect("the folder").count();
    assert_eq!(left, 0, "nothing is left of the trial");
    // The same question again is another message, or it would not be stored.
    let stored = |program: &Program| {
        let (_, checks) = asked(program);
        let door = checks.iter().find(|check| check["area"] == "source").expect("a door").clone();
        door["cause"].as_str().expect("a cause").to_owned()
    };
    assert!(stored(&program).contains("is stored") && stored(&program).contains("is stored"));
}

/// Senders are shown a certificate that nobody trusts any more; the doors are tried over TLS all the same.
#[test]
fn a_certificate_that_has_ended_is_named() {
    let setup = Setup {
        prepare: Box::new(|folder| Authority::new("ours").sign_until(2020).write(folder)),
        more: sound().more + "#TLS\n",
        ..sound()
    };
    let program = begin(&setup);
    program.wait("it to serve", "/v1/state", |state| state["mode"].is_string());
    let found = asked(&program);
    names("it has ended", &found, "certificate", "cert.pem", "it has ended");
    let door = found.1.iter().find(|check| check["area"] == "source").expect("a door");
    assert_eq!(door["outcome"], "well", "{door:#}");
}

/// Who may read may not have chats written to.
#[test]
fn the_doctor_takes_an_operator() {
    let setup = Setup { more: sound().more.replace("role = \"operator\"", "role = \"viewer\""), ..sound() };
    let program = begin(&setup);
    program.wait("it to serve", "/v1/state", |state| state["mode"].is_string());
    let (code, said) = program.run(Some(ADA), &["doctor"]);
    assert_eq!(code, Some(3), "{said}");
}

/// Without the server it tries what needs none, and says what it left out.
#[test]
fn without_the_server_the_rest_is_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = "url = \"sqlite:/dev/shm/snapback-doctor-test/snapback.db\"";
    let setup = Setup { source: "prometheus_url = \"http://127.0.0.1:1\"".into(), ..sound() };
    let config = config(&setup).replace("url = \"sqlite:data/snapback.db\"", memory);
    furnish(folder.path(), &config, RULES);
    std::fs::create_dir_all("/dev/shm/snapback-doctor-test").expect("a folder in memory");
    lay_releases(&folder.path().join("srv"));
    let path = folder.path().join("snapback.toml").display().to_string();
    let run = || {
        let ended = Command::new(env!("CARGO_BIN_EXE_snapback"))
            .args(["doctor", "--output", "json", "--config", &path])
            .env("SNAPBACK_URL", "http://127.0.0.1:1")
            .output()
            .expect("it runs");
        let said = String::from_utf8(ended.stdout).expect("text");
        let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        (ended.status.code(), report["checks"].as_array().expect("checks").clone())
    };
    // Its token is not there yet.
    let missing = run();
    names("a secret", &missing, "configuration", "snapback.toml", "token-of-ada");
    std::fs::write(folder.path().join(ADA), ADA).expect("a token");
    let rest = run();
    names("no server", &rest, "server", "running", "cannot be reached");
    names("who is asked", &rest, "prometheus_url", "prometheus", "");
    names("a store in memory", &rest, "store", "snapback.db", "in memory");
    assert!(
        rest.1.iter().any(|check| check["area"] == "source" && check["outcome"] == "left_out"),
        "{rest:#?}"
    );
    assert!(
        rest.1.iter().any(|check| check["area"] == "provider" && check["outcome"] == "well"),
        "{rest:#?}"
    );
    let _ = std::fs::remove_dir_all("/dev/shm/snapback-doctor-test");

    std::fs::write(
        folder.path().join("snapback.toml"),
        config.replace("kind = \"directory\"", "kind = \"directry\""),
    )
    .expect("a fault");
    names("a fault", &run(), "configuration", "snapback.toml", "directry");
}

const SERVICE: &str = r#"
[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "srv" }
inherit_good = true
migrations = "none"
MORE
"#;
