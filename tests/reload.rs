//! The real binary while its configuration changes under it: a faulty file keeps the old one and is told, a good one is
//! taken, and a provider that cannot be read shows in the service's readiness.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// How long anything here may take before the test says what was missing.
const DEADLINE: Duration = Duration::from_secs(30);

struct Running {
    folder: tempfile::TempDir,
    child: Child,
    admin: String,
    listen: String,
    log: Arc<Mutex<String>>,
}

impl Running {
    /// Starts it on free ports; it says in its log which it took.
    fn start() -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("checkout/releases/v1")).expect("a release");
        std::os::unix::fs::symlink("releases/v1", folder.path().join("checkout/current")).expect("a link");
        std::fs::write(folder.path().join("token"), "a-token-of-the-test").expect("a token");
        std::fs::write(folder.path().join("rules.toml"), RULES).expect("the rules");
        std::fs::write(folder.path().join("snapback.toml"), config("shadow")).expect("the configuration");
        let mut child = Command::new(env!("CARGO_BIN_EXE_snapback"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(folder.path().join("snapback.toml"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log"));
        let mut addresses = None;
        while addresses.is_none() {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("a line") > 0, "it ended before it served");
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            let address = |name: &str| said[name].as_str().map(str::to_owned);
            addresses = address("listen").zip(address("admin"));
        }
        let (listen, admin) = addresses.expect("its addresses");
        // What it says later is read as it comes, so that it never waits for us.
        let said = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                kept.lock().expect("the log").push_str(&format!("{line}\n"));
            }
        });
        Running { folder, child, admin, listen, log: said }
    }

    fn write(&self, text: &str) {
        let next = self.folder.path().join("snapback.toml.next");
        std::fs::write(&next, text).expect("the configuration");
        std::fs::rename(next, self.folder.path().join("snapback.toml")).expect("put in place");
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    fn hang_up(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    fn read(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.admin).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Posts an empty message with this token; gives the answer.
    fn post(&self, token: &str) -> String {
        let (listen, body) = (&self.listen, r#"{"version":"4","alerts":[]}"#);
        let mut stream = TcpStream::connect(listen).expect("it listens");
        write!(
            stream,
            "POST /v1/alerts/prometheus HTTP/1.1\r\nHost: {listen}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Waits for a line of the log with all of these words.
    fn wait_for_line(&self, words: &[&str]) {
        let said = |words: &[&str]| {
            let log = self.log.lock().expect("the log");
            log.lines().any(|line| words.iter().all(|word| line.contains(word)))
        };
        self.wait(&format!("a line of the log with {words:?}"), "/v1/state", |_| said(words));
    }

    /// Looks again until it is so, or the deadline says what was missing.
    #[expect(
        clippy::disallowed_methods,
        reason = "a real program gives no other sign than to be looked at again"
    )]
    fn wait(&self, what: &str, path: &str, mut is_so: impl FnMut(&Value) -> bool) -> Value {
        let begun = std::time::Instant::now();
        let mut last = Value::Null;
        while begun.elapsed() < DEADLINE {
            last = self.read(path).unwrap_or_default();
            if is_so(&last) {
                return last;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        panic!("waited {} s for {what}; {path} says {last:#}", DEADLINE.as_secs());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_faulty_file_keeps_the_old_configuration_and_a_good_one_is_taken() {
    let running = Running::start();
    running.wait("the first configuration", "/v1/state", |state| state["mode"] == "shadow");
    running.write(&config("lvie"));
    let told = running.wait("the fault to be told", "/v1/state", |state| state["config_error"].is_string());
    assert_eq!(told["mode"], "shadow", "a faulty configuration was taken");
    assert!(told["config_error"].as_str().is_some_and(|error| error.contains("lvie")), "{told:#}");
    running.write(&config("live"));
    let taken = running.wait("the good one to be taken", "/v1/state", |state| state["mode"] == "live");
    assert!(taken["config_error"].is_null(), "{taken:#}");
}

#[test]
fn a_hangup_reads_secrets_and_rules_again() {
    let running = Running::start();
    let before = running.wait("the rules", "/v1/state", |state| state["rules_digest"].is_string());
    let more = format!("{RULES}\n[[rule]]\nname = \"second\"\naction = \"notify\"\n");
    std::fs::write(running.folder.path().join("rules.toml"), more).expect("the rules");
    running.hang_up();
    running.wait("the new rules", "/v1/state", |state| {
        state["rules_digest"].is_string() && state["rules_digest"] != before["rules_digest"]
    });
}

/// A secret in a file is rotated by writing the file: nobody has to send a signal.
#[test]
fn a_rotated_secret_is_read_again_by_itself() {
    let running = Running::start();
    running.wait("the first configuration", "/v1/state", |state| state["mode"] == "shadow");
    std::fs::write(running.folder.path().join("token"), "another-token").expect("a token");
    running.wait_for_line(&["the configuration was read again"]);
    let refused = running.post("a-token-of-the-test");
    assert!(refused.starts_with("HTTP/1.1 401"), "the old secret still opens: {refused}");
    assert!(running.post("another-token").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_provider_that_cannot_be_read_shows_in_readiness() {
    let running = Running::start();
    let service = "/v1/services/checkout@production";
    running.wait("the provider to be read", service, |service| service["current"].is_string());
    hide(&running.root());
    // A hangup makes nobody read the provider; a signal does, because a case wants to know what serves.
    tell_of_trouble(&running);
    let told = running.wait("the trouble to be told", service, |service| {
        let reasons = service["ready"]["reasons"].as_array();
        reasons.is_some_and(|reasons| reasons.iter().any(|reason| reason.to_string().contains("read")))
    });
    assert_eq!(told["ready"]["now"], false, "{told:#}");
}

#[test]
fn what_is_taken_only_at_a_new_start_is_said() {
    let running = Running::start();
    running.wait("the first configuration", "/v1/state", |state| state["mode"] == "shadow");
    let moved = config("live").replace("sqlite:snapback.db", "sqlite:elsewhere.db");
    running.write(&moved.replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\""));
    running.wait("the rest to be taken", "/v1/state", |state| state["mode"] == "live");
    running.wait_for_line(&["server.listen", "only at a new start"]);
    running.wait_for_line(&["\"store\"", "only at a new start"]);
}

#[test]
fn a_signal_that_leads_nowhere_shows_in_the_log() {
    let running = Running::start();
    tell(&running, "nobody");
    running.wait_for_line(&["leads to no service"]);
}

fn hide(root: &Path) {
    std::fs::rename(root, root.with_extension("gone")).expect("hidden");
}

fn tell_of_trouble(running: &Running) {
    tell(running, "checkout");
}

/// One alert about this service, as Alertmanager posts it.
fn tell(running: &Running, service: &str) {
    let listen = &running.listen;
    let body = r#"{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A","service":"checkout","environment":"production"},"annotations":{},"startsAt":"2026-03-02T09:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"f1"}],"groupLabels":{},"commonLabels":{},"commonAnnotations":{},"receiver":"s","externalURL":"","groupKey":"{}:{}"}"#
        .replace("checkout", service);
    let mut stream = TcpStream::connect(listen).expect("it listens");
    write!(
        stream,
        "POST /v1/alerts/prometheus HTTP/1.1\r\nHost: {listen}\r\nAuthorization: Bearer a-token-of-the-test\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn config(mode: &str) -> String {
    format!(
        r#"mode = "{mode}"
rules = "rules.toml"

[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"

[store]
url = "sqlite:snapback.db"

[sources.prometheus]
kind = "alertmanager"
bearer_token = {{ file = "token" }}
services = ["*@production"]

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = {{ root = "checkout" }}
"#
    )
}

const RULES: &str = r#"[[rule]]
name = "first"
action = "notify"
"#;
