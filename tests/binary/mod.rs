//! The real program as a user runs it: a folder with its configuration, `snapback serve` on free ports, alerts posted as
//! Alertmanager posts them, the admin API read over HTTP, and a kill that nothing in the program can see coming.

#![allow(dead_code, reason = "each test uses the part of it that it is about")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snapback::case::id::Timestamp;

/// How long anything here may take before the test says what was missing.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// What its sender shows, and who reads where a token is needed.
pub(crate) const TOKEN: &str = "a-token-of-the-test";

/// A folder with a configuration, and the program that runs on it, if it runs.
pub(crate) struct Program {
    pub(crate) folder: tempfile::TempDir,
    running: Option<Running>,
    /// The variables that it is given beside the usual ones.
    variables: Vec<(String, String)>,
    /// The token that the admin API is read with, where one is needed.
    pub(crate) reads_with: Option<String>,
    /// Everything that it logged, over all its lives.
    pub(crate) log: Arc<Mutex<String>>,
}

struct Running {
    child: Child,
    listen: String,
    admin: String,
}

impl Program {
    /// Writes the configuration, and starts it.
    pub(crate) fn start(config: &str, rules: &str) -> Program {
        let folder = tempfile::tempdir().expect("a folder");
        furnish(folder.path(), config, rules);
        Program::over(folder)
    }

    /// Starts it in a folder that has its configuration.
    pub(crate) fn over(folder: tempfile::TempDir) -> Program {
        Program::over_with(folder, &[])
    }

    /// The same, with these variables.
    pub(crate) fn over_with(folder: tempfile::TempDir, variables: &[(String, String)]) -> Program {
        let variables = variables.to_vec();
        let mut program = Program { folder, running: None, variables, reads_with: None, log: Arc::default() };
        program.start_again();
        program
    }

    pub(crate) fn path(&self, below: &str) -> std::path::PathBuf {
        self.folder.path().join(below)
    }

    /// Runs a command against it, with a token; gives its exit code and both outputs.
    pub(crate) fn run(&self, token: Option<&str>, arguments: &[&str]) -> (Option<i32>, String) {
        let admin = &self.running().admin;
        let mut command = Command::new(env!("CARGO_BIN_EXE_snapback"));
        command.args(arguments).env("SNAPBACK_URL", format!("http://{admin}")).env_remove("SNAPBACK_TOKEN");
        if let Some(token) = token {
            command.env("SNAPBACK_TOKEN", token);
        }
        let ended = command.stdin(Stdio::null()).output().expect("it runs");
        let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).expect("text")).concat();
        (ended.status.code(), said)
    }

    /// Posts a body to the admin API with a token; gives the status and the answer.
    pub(crate) fn post_admin(&self, token: &str, path: &str, kind: &str, body: &str) -> (u16, Value) {
        posted(&self.running().admin, path, token, kind, body)
    }

    /// Posts a body as the sender with this token; gives the status.
    pub(crate) fn post_alerts(&self, token: &str, body: &str) -> u16 {
        posted(&self.running().listen, "/v1/alerts/prometheus", token, "application/json", body).0
    }

    /// Posts a body with these headers to a path of the public listener; gives the status.
    pub(crate) fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        let listen = &self.running().listen;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {listen}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(listen, &request).unwrap_or_default();
        answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Where senders reach it.
    pub(crate) fn listen(&self) -> &str {
        &self.running().listen
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// Starts it over what is in its folder.
    pub(crate) fn start_again(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_snapback"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(self.folder.path().join("snapback.toml"))
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            // Nobody listens there: whoever used a proxy of the environment would reach nothing.
            .env("HTTP_PROXY", "http://127.0.0.1:1")
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .env_remove("NO_PROXY")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log"));
        let mut addresses = None;
        while addresses.is_none() {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("a line") > 0, "it ended early:\n{}", self.said());
            self.log.lock().expect("the log").push_str(&line);
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            let address = |name: &str| said[name].as_str().map(str::to_owned);
            addresses = address("listen").zip(address("admin"));
        }
        let (listen, admin) = addresses.expect("its addresses");
        let kept = Arc::clone(&self.log);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                kept.lock().expect("the log").push_str(&format!("{line}\n"));
            }
        });
        self.running = Some(Running { child, listen, admin });
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    pub(crate) fn said(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Posts one alert of these labels, firing since then, or cleared at `ends`.
    pub(crate) fn post(&self, labels: &Value, starts: Timestamp, ends: Option<Timestamp>) -> u16 {
        let status = if ends.is_some() { "resolved" } else { "firing" };
        let ends = ends.map_or("0001-01-01T00:00:00Z".to_owned(), |at| at.to_string());
        let alert = json!({
            "status": status, "labels": labels, "annotations": { "summary": "half of the requests fail" },
            "startsAt": starts.to_string(), "endsAt": ends, "generatorURL": "", "fingerprint": fingerprint(labels),
        });
        let body = json!({
            "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status, "receiver": "snapback",
            "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "", "alerts": [alert],
        })
        .to_string();
        self.post_alerts(TOKEN, &body)
    }

    /// Reads the admin API.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.read(path)?.1).ok()
    }

    /// Reads a path of the admin listener as it is: status and body.
    pub(crate) fn read(&self, path: &str) -> Option<(u16, String)> {
        let admin = &self.running.as_ref()?.admin;
        let bearer = self.reads_with.as_deref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let bearer = bearer.unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\n{bearer}Connection: close\r\n\r\n");
        let answer = exchange(admin, &request)?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split_whitespace().nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Reads a path of the public listener with these headers: status and body.
    pub(crate) fn ask_public(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let listen = &self.running().listen;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {listen}\r\n{headers}Connection: close\r\n\r\n");
        let answer = exchange(listen, &request).unwrap_or_default();
        let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Where people and tools read.
    pub(crate) fn admin(&self) -> &str {
        &self.running().admin
    }

    /// Writes another configuration in the place of the old one.
    pub(crate) fn rewrite(&self, config: &str) {
        let next = self.path("snapback.toml.next");
        std::fs::write(&next, config).expect("the configuration");
        std::fs::rename(next, self.path("snapback.toml")).expect("put in place");
    }

    /// `kill -HUP`.
    pub(crate) fn hang_up(&self) {
        let id = self.running().child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().expect("kill").success());
    }

    /// Waits for a line of the log with all of these words.
    pub(crate) fn wait_for_line(&self, words: &[&str]) {
        let came =
            wait_until(|| self.said().lines().any(|line| words.iter().all(|word| line.contains(word))));
        assert!(came, "waited {} s for a line with {words:?}:\n{}", DEADLINE.as_secs(), self.said());
    }

    /// Looks again until it is so, or the deadline says what was missing.
    pub(crate) fn wait(&self, what: &str, path: &str, mut is_so: impl FnMut(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let came = wait_until(|| {
            last = self.get(path).unwrap_or_default();
            is_so(&last)
        });
        assert!(came, "waited {} s for {what}; {path} says {last:#}\n{}", DEADLINE.as_secs(), self.said());
        last
    }

    /// Waits until the release directory of `lay_releases` was read.
    pub(crate) fn wait_for_releases(&self) {
        self.wait("the folder to be read", "/v1/services/checkout@production", |service| {
            service["current"] == "42"
        });
    }

    /// Waits for the end of the newest case.
    pub(crate) fn wait_for_outcome(&self, outcome: &str) -> Value {
        let cases = self.wait(&format!("a case that is {outcome}"), "/v1/cases", |cases| {
            cases["cases"][0]["outcome"].is_string()
        });
        assert_eq!(cases["cases"][0]["outcome"], outcome, "{cases:#}\n{}", self.said());
        cases["cases"][0].clone()
    }
}

/// What each configuration begins with; a store below its own folder, free ports, and the sender that `Program::post` plays.
pub(crate) fn head(mode: &str) -> String {
    format!(
        r#"mode = "{mode}"
rules = "rules.toml"

[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"

[store]
url = "sqlite:data/snapback.db"

[sources.prometheus]
kind = "alertmanager"
bearer_token = {{ file = "token" }}
services = ["*@production"]
lag = "1s"
"#
    )
}

/// The service whose releases CodeDeploy puts out at this address.
pub(crate) fn on_codedeploy(url: &str) -> String {
    format!(
        r#"
[providers.codedeploy]
kind = "codedeploy"
region = "eu-west-1"
endpoint_url = "{url}"
quarantine = "2s"

[[service]]
name = "checkout"
environment = "production"
provider = "codedeploy"
target = {{ application = "checkout", deployment_group = "production" }}
inherit_good = true
"#
    )
}

/// A release directory: 40 and 41 served for hours, 42 serves since two minutes, and 43 is there to be put out.
pub(crate) fn lay_releases(root: &Path) {
    for release in ["40", "41", "42", "43"] {
        std::fs::create_dir_all(root.join("releases").join(release)).expect("a release");
    }
    let line = |release: &str, ago: i64| {
        let at = now() - jiff::SignedDuration::from_secs(ago);
        format!("{{\"release\":\"{release}\",\"at\":\"{at}\",\"by\":\"sam\"}}\n")
    };
    let log = [line("40", 9000), line("41", 7200), line("42", 120)].concat();
    std::fs::write(root.join("deployments.jsonl"), log).expect("the log");
    std::os::unix::fs::symlink("releases/42", root.join("current")).expect("a link");
}

/// The release that a directory serves.
pub(crate) fn serving(root: &Path) -> String {
    let link = std::fs::read_link(root.join("current")).expect("a link");
    link.file_name().expect("a release").to_string_lossy().into_owned()
}

/// The present: the real program lives in real time.
#[expect(clippy::disallowed_methods, reason = "the real program lives in real time")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Writes the configuration into a folder.
pub(crate) fn furnish(folder: &Path, config: &str, rules: &str) {
    std::fs::write(folder.join("token"), TOKEN).expect("a token");
    std::fs::write(folder.join("snapback.toml"), config).expect("the configuration");
    std::fs::write(folder.join("rules.toml"), rules).expect("the rules");
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks again until it is so; false at the deadline.
#[expect(
    clippy::disallowed_methods,
    reason = "a real program gives no other sign than to be looked at again"
)]
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        if is_so() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(30));
    }
    false
}

fn fingerprint(labels: &Value) -> String {
    let text = labels.to_string();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn posted(address: &str, path: &str, token: &str, kind: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Whoever is killed meanwhile answers nothing: status 0.
    let answer = exchange(address, &request).unwrap_or_default();
    let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn exchange(address: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Copies a folder as it is.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}
