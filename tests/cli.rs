//! The command line as a process: what it prints, where, and how it ends. Nothing here needs a running server.

use std::io::{Read, Write};
use std::process::{Command, Output};

use snapback::case::id::{Duration, Timestamp};
use snapback::journal::audit::AuditNote;
use snapback::journal::{Journal, StoreSettings};

const DECIDED_AT: &str = "2026-03-02T09:16:00Z";

fn snapback(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapback"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    // What the shell of whoever runs the tests says about a server is not meant for these.
    for name in ["SNAPBACK_URL", "SNAPBACK_TOKEN", "ALERTMANAGER_TOKEN", "SNAPBACK_TOKEN_ALICE"] {
        command.env_remove(name);
    }
    command.output().expect("the program runs")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

fn explained(more: &[&str]) -> Output {
    let arguments = ["explain", "--payload", "fixtures/explain/payload.json", "--source", "prometheus"];
    snapback(&[&arguments[..], more].concat())
}

#[test]
fn wrong_use_ends_with_two() {
    for wrong in [
        &["gate", "checkout@production"][..],
        &["rollback", "checkout@production"],
        &["mark", "perhaps", "checkout@production", "--release", "41", "--reason", "x"],
        &["rollforward", "checkout@production"],
        &["drill"],
        &["cases", "settle", "checkout@production.1", "ignore"],
        &["check", "--format", "yaml"],
        &["schema", "openapi"],
        &["demo", "--scenario", "denial"],
        &["explain", "--source", "prometheus"],
        &["cases", "--open", "show", "checkout@production.1"],
        &["cases", "--url", "ftp://127.0.0.1"],
        &[],
    ] {
        let ended = snapback(wrong);
        assert_eq!(code(&ended), Some(2), "{wrong:?}: {}", err(&ended));
        assert!(!err(&ended).is_empty(), "{wrong:?} says why");
        assert_eq!(out(&ended), "", "{wrong:?}");
    }
}

#[test]
fn help_and_version_end_well() {
    for asked in ["--help", "--version", "help"] {
        let ended = snapback(&[asked]);
        assert_eq!(code(&ended), Some(0), "{asked}");
        assert!(out(&ended).contains("snapback") || out(&ended).contains("Usage"), "{asked}");
    }
}

#[test]
fn the_shipped_configuration_has_no_fault() {
    let ended = snapback(&["check"]);
    assert_eq!(code(&ended), Some(0), "{}", out(&ended));
    assert!(out(&ended).contains("ALERTMANAGER_TOKEN"), "a missing secret is a warning");
    let as_json = snapback(&["check", "--format", "json"]);
    let faults: serde_json::Value = serde_json::from_str(out(&as_json)).expect("JSON");
    let faults = faults["faults"].as_array().expect("a list");
    assert!(faults.iter().all(|fault| fault["severity"] == "warning"), "{faults:?}");
}

#[test]
fn a_faulty_configuration_shows_every_fault_and_ends_with_two() {
    let ended = snapback(&["check", "--config", "fixtures/config/twelve-mistakes.toml", "--format", "json"]);
    assert_eq!(code(&ended), Some(2));
    let faults: serde_json::Value = serde_json::from_str(out(&ended)).expect("JSON");
    let faults = faults["faults"].as_array().expect("a list");
    assert!(faults.iter().filter(|fault| fault["severity"] == "fault").count() >= 12);
    for key in ["file", "line", "column", "message", "remedy", "witness"] {
        assert!(faults[0].get(key).is_some(), "{key}");
    }
}

#[test]
fn a_configuration_that_is_not_there_says_what_to_do() {
    for command in ["check", "serve"] {
        let ended = snapback(&[command, "--config", "nowhere.toml"]);
        assert_eq!(code(&ended), Some(2), "{command}");
        let said = format!("{}{}", out(&ended), err(&ended));
        assert!(said.contains("nowhere.toml") && said.contains("--config"), "{said}");
    }
}

#[test]
fn schemas_are_schemas() {
    for (of, key) in [("config", "service"), ("rules", "rule")] {
        let ended = snapback(&["schema", of]);
        assert_eq!(code(&ended), Some(0));
        let schema: serde_json::Value = serde_json::from_str(out(&ended)).expect("JSON");
        assert!(schema["properties"].get(key).is_some(), "{of}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_with_the_next_step() {
    // A port that was free a moment ago: nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    for asked in [&["cases"][..], &["cases", "show", "a@b.1"], &["services"], &["services", "show", "a@b"]] {
        let ended = snapback(&[asked, &["--url", &url]].concat());
        assert_eq!(code(&ended), Some(1), "{asked:?}");
        assert!(err(&ended).contains(&url), "{}", err(&ended));
        assert!(err(&ended).contains("snapback serve"), "{}", err(&ended));
    }
}

/// Runs a command against a server that reads one request and answers so; gives the request, and how the command ended.
fn against(answer: &str, arguments: &[&str]) -> (String, Output) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = answer.to_owned();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut asked = [0; 4096];
        let read = stream.read(&mut asked).expect("a request");
        stream.write_all(answer.as_bytes()).expect("an answer");
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    let ended = snapback(&[arguments, &["--url", &url]].concat());
    (asked.join().expect("asked"), ended)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A request that was sent and never answered, or answered as not decided yet, is not called refused or not taken: whoever
/// asks again might have it done twice.
#[test]
fn a_request_without_an_ending_says_that_it_may_still_be_done() {
    let later = r#"{"status":"accepted","says":"stored as delivery 7, and not decided yet"}"#;
    let accepted = answer("202 Accepted", later);
    for (answer, says) in [("", "it may still be done"), (accepted.as_str(), "not decided yet")] {
        let (asked, ended) = against(answer, &["pause", "--reason", "x", "--yes"]);
        assert!(asked.starts_with("POST /v1/pause "), "{asked}");
        assert_eq!(code(&ended), Some(1), "{}", err(&ended));
        assert!(
            err(&ended).contains(says) && err(&ended).contains("before you ask again"),
            "{}",
            err(&ended)
        );
    }
}

/// What a server says holds text of others: it neither steers the terminal nor turns the direction of its lines around.
#[test]
fn what_a_server_says_is_shown_and_never_obeyed() {
    let says = "released \\u001b[2J \u{202e}dab si 24\u{2066}\u{2028} again";
    let done = answer("200 OK", &format!(r#"{{"status":"done","says":"{says}"}}"#));
    let refused = answer(
        "409 Conflict",
        &format!(r#"{{"type":"urn:snapback:problem:conflict","title":"{says}","status":409}}"#),
    );
    for (answer, ends) in [(done, 0), (refused, 3)] {
        let (_, ended) = against(&answer, &["pause", "--reason", "x", "--yes"]);
        assert_eq!(code(&ended), Some(ends), "{}", err(&ended));
        let said = format!("{}{}", out(&ended), err(&ended));
        let obeyed = said.chars().find(|c| *c != '\n' && snapback::case::obeyed::is_obeyed(*c));
        assert_eq!(obeyed, None, "{said:?}");
        assert!(said.contains("released \u{fffd}[2J \u{fffd}dab si 24\u{fffd}\u{fffd} again"), "{said:?}");
    }
}

#[test]
fn a_payload_is_explained_without_a_server() {
    let ended = explained(&["--deployments", "fixtures/explain/deployments.json", "--at", DECIDED_AT]);
    assert_eq!(code(&ended), Some(0), "{}", err(&ended));
    let lines: Vec<&str> = out(&ended).lines().map(str::trim_end).collect();
    insta::assert_snapshot!(lines.join("\n").split("; brief").next().expect("the lines before"));
}

#[test]
fn an_explanation_has_its_shape() {
    let output =
        ["--output", "json", "--deployments", "fixtures/explain/deployments.json", "--at", DECIDED_AT];
    let ended = explained(&output);
    let mut shape: serde_json::Value = serde_json::from_str(out(&ended)).expect("JSON");
    // The guards have a test of their own.
    let guards = shape["guards"].take();
    assert!(guards.as_array().expect("a list").iter().all(|guard| guard["name"].is_string()));
    // The brief's digest is over every field that it has, so it is another one with each field that is added.
    let brief = shape["digests"]["brief"].take();
    assert_eq!(brief.as_str().map(str::len), Some(64));
    insta::assert_json_snapshot!(shape);
}

#[test]
fn the_same_record_in_gives_the_same_bytes_out() {
    let asked =
        ["--output", "json", "--deployments", "fixtures/explain/deployments.json", "--at", DECIDED_AT];
    assert_eq!(explained(&asked).stdout, explained(&asked).stdout);
}

#[test]
fn a_flip_was_decided_again() {
    let flip = |at: &str| {
        let ended = explained(&[
            "--output",
            "json",
            "--deployments",
            "fixtures/explain/deployments.json",
            "--at",
            at,
        ]);
        let shape: serde_json::Value = serde_json::from_str(out(&ended)).expect("JSON");
        (shape["verdict"].clone(), shape["flip"].clone())
    };
    let (verdict, waits) = flip("2026-03-02T09:14:30Z");
    assert_eq!(verdict, "ignore");
    let waits = waits.as_str().expect("a sentence");
    assert!(
        waits.starts_with("at 2026-03-02T09:15:05.103Z") && waits.ends_with("makes it rollback"),
        "{waits}"
    );
    assert_eq!(flip("2026-03-02T09:15:06Z").0, "rollback", "and so it is");
    let (verdict, stale) = flip("2026-03-02T10:30:00Z");
    assert_eq!(verdict, "notify");
    assert!(stale.as_str().expect("a sentence").contains("stale_signal"), "{stale}");
}

#[test]
fn what_cannot_be_explained_says_why() {
    for (more, wanted, said) in [
        (&["--deployments", "fixtures/explain/payload.json"][..], 2, "entry 1"),
        (&["--deployments", "nowhere.json"], 1, "nowhere.json"),
        (&["--service", "payments@production"], 2, "payments@production"),
        (&["--config", "fixtures/config/bad-mode.toml"], 2, "faulty"),
        (&["--at", "yesterday"], 2, "--at"),
    ] {
        let ended = explained(more);
        assert_eq!(code(&ended), Some(wanted), "{more:?}: {}", err(&ended));
        assert!(err(&ended).contains(said), "{more:?}: {}", err(&ended));
    }
    let other = snapback(&["explain", "--source", "pager", "--payload", "fixtures/explain/payload.json"]);
    assert_eq!(code(&other), Some(2));
    assert!(err(&other).contains("prometheus"), "names those that are there: {}", err(&other));
    let payload = "fixtures/explain/deployments.json";
    let other = snapback(&["explain", "--source", "prometheus", "--payload", payload]);
    assert_eq!(code(&other), Some(1));
    assert!(err(&other).contains("dead letter"), "{}", err(&other));
}

/// A folder with the least configuration there is.
fn configured() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("snapback.toml");
    std::fs::write(&config, "mode = \"shadow\"\n").expect("written");
    std::fs::write(folder.path().join("rules.toml"), "").expect("written");
    let config = config.to_str().expect("a path").to_owned();
    (folder, config)
}

#[tokio::test]
async fn an_audit_is_verified_and_exported_from_the_store() {
    let (folder, config) = configured();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let store =
        StoreSettings { path: data.join("snapback.db"), keep: Duration::from_hours(24), max_bytes: None };
    let now: Timestamp = DECIDED_AT.parse().expect("a moment");
    let journal = Journal::open(&store, now).expect("a store").journal;
    journal.note(now, AuditNote::Started { version: "1".into() }).await.expect("noted");
    journal.close().await;
    let exported = snapback(&["audit", "export", "--config", &config]);
    assert_eq!(code(&exported), Some(0), "{}", err(&exported));
    let entries: Vec<serde_json::Value> =
        out(&exported).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(entries[0]["height"], 1);
    assert_eq!(entries[0]["at"], DECIDED_AT);
    let verified = snapback(&["audit", "verify", "--config", &config, "--output", "json"]);
    assert_eq!(code(&verified), Some(0), "{}", err(&verified));
    let verified: serde_json::Value = serde_json::from_str(out(&verified)).expect("JSON");
    assert_eq!(verified["entries"], entries.len());
    let with_copy = data.join("nowhere");
    let missing = snapback(&[
        "audit",
        "verify",
        "--config",
        &config,
        "--checkpoint",
        with_copy.to_str().expect("a path"),
    ]);
    assert_eq!(code(&missing), Some(1));
    assert!(err(&missing).contains("nowhere"), "{}", err(&missing));
}

#[test]
fn an_audit_needs_a_store() {
    let (folder, config) = configured();
    let config = config.as_str();
    for what in ["verify", "export"] {
        let ended = snapback(&["audit", what, "--config", config]);
        assert_eq!(code(&ended), Some(1), "{what}: {}", err(&ended));
        assert!(err(&ended).contains("no store"), "{}", err(&ended));
    }
    assert!(!folder.path().join("data").exists(), "looking makes nothing");
}

/// Whoever reads only the beginning, `demo | head -1`, meets no panic.
#[test]
fn a_demo_whose_reader_leaves_ends_in_order() {
    use std::io::{BufRead, BufReader, Read};
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_snapback"))
        .args(["demo", "--scenario", "innocent"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a line");
    let mut said = String::new();
    child.stderr.take().expect("its errors").read_to_string(&mut said).expect("text");
    let ended = child.wait().expect("it ends");
    assert!(ended.success() && !said.contains("panicked"), "{ended}: {said}");
}

/// Thousands of faults are counted and not all drawn.
#[test]
fn a_flood_of_faults_is_told_in_part() {
    let (_folder, config) = configured();
    let many = "[[service]]\nnme = \"x\"\n".repeat(3000);
    std::fs::write(&config, format!("mode = \"shadow\"\n{many}")).expect("written");
    let ended = snapback(&["check", "--config", &config]);
    let said = format!("{}{}", out(&ended), err(&ended));
    assert_eq!(code(&ended), Some(2));
    assert!(said.contains(" more: mend these first") && said.len() < 100_000, "{} bytes", said.len());
}
