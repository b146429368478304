//! The stage of the stories with real programs: a service with a metric that follows its release, Prometheus,
//! Alertmanager and the Snapback binary, all on loopback, all ended with the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

/// How long anything on this stage may take before the test says what was missing.
const DEADLINE: Duration = Duration::from_secs(90);

/// The folder with the programs. `None`: they are not here, which is said loudly; where `scripts/test` promised them
/// it is a failure.
pub(crate) fn tools() -> Option<PathBuf> {
    let named = variable("SNAPBACK_TEST_TOOLS");
    match named.map(PathBuf::from).filter(|folder| folder.join("prometheus").exists()) {
        Some(folder) => Some(folder),
        None => {
            assert!(
                variable("SNAPBACK_TEST_STRICT").is_none(),
                "the real Prometheus was promised and is not here"
            );
            eprintln!("SKIPPED: the real Prometheus and Alertmanager are not here; scripts/test brings them");
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "scripts/test tells its tests where the programs are")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    tools: PathBuf,
    ports: Ports,
    programs: Vec<(&'static str, Child)>,
    stopping: Arc<AtomicBool>,
}

/// How long ago a release went out.
enum Age {
    Now,
    TwoHours,
}

struct Ports {
    shop: u16,
    prometheus: u16,
    alertmanager: u16,
    listen: u16,
    admin: u16,
}

impl Stage {
    pub(crate) fn lay(tools: &Path) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let free = free_ports();
        let [shop, prometheus, alertmanager, listen, admin] = free;
        let ports = Ports { shop, prometheus, alertmanager, listen, admin };
        let stage = Stage {
            folder,
            tools: tools.to_owned(),
            ports,
            programs: Vec::new(),
            stopping: Arc::new(AtomicBool::new(false)),
        };
        stage.write_files();
        stage.open_shop();
        stage
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect(name);
    }

    fn write_files(&self) {
        for (release, ratio) in [("v1", "0.001"), ("v2", "0.37")] {
            let folder = self.root().join("releases").join(release);
            std::fs::create_dir_all(&folder).expect("a release");
            std::fs::write(folder.join("error_ratio"), ratio).expect("its behaviour");
        }
        self.switch("v1");
        self.log("v1", Age::TwoHours);
        self.write("token", "a-token-of-the-test");
        self.write("snapback.toml", &snapback_config(&self.ports));
        self.write("rules.toml", RULES);
        self.write("prometheus.yml", &prometheus_config(&self.ports));
        self.write("alerts.yml", ALERTS);
        self.write("alertmanager.yml", &alertmanager_config(&self.ports, self.folder.path()));
    }

    /// The service: its metric says what the release that serves does.
    fn open_shop(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.ports.shop)).expect("the shop's port");
        let (root, stopping) = (self.root(), self.stopping.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let ratio = std::fs::read_to_string(root.join("current/error_ratio")).unwrap_or_default();
                answer(
                    stream,
                    &format!("# TYPE http_error_ratio gauge\nhttp_error_ratio {}\n", ratio.trim()),
                );
            }
        });
    }

    pub(crate) fn start_snapback(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snapback"));
        command.arg("serve").arg("--config").arg(self.folder.path().join("snapback.toml"));
        self.start("snapback", command);
        let ready = format!("http://127.0.0.1:{}/readyz", self.ports.listen);
        self.wait("snapback to be ready", || get_text(&ready).map(|_| ()));
    }

    pub(crate) fn stop_snapback(&mut self) {
        let at = self.programs.iter().position(|(name, _)| *name == "snapback").expect("it runs");
        let (_, mut child) = self.programs.remove(at);
        let killed = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
        assert!(killed.success());
        let status = child.wait().expect("it ends");
        assert!(status.success(), "snapback ended with {status}: {}", self.log_of("snapback"));
    }

    pub(crate) fn start_prometheus(&mut self) {
        let (folder, tools) = (self.folder.path().to_owned(), self.tools.clone());
        let mut alertmanager = Command::new(tools.join("prometheus-alertmanager"));
        alertmanager
            .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.ports.alertmanager))
            .arg("--cluster.listen-address=");
        self.start("alertmanager", alertmanager);
        let mut prometheus = Command::new(tools.join("prometheus"));
        prometheus
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.ports.prometheus));
        self.start("prometheus", prometheus);
        let ready = format!("http://127.0.0.1:{}/-/ready", self.ports.prometheus);
        self.wait("prometheus to be ready", || get_text(&ready).map(|_| ()));
    }

    fn start(&mut self, name: &'static str, mut command: Command) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{name}.log")))
            .expect("a log");
        let both = log.try_clone().expect("a log");
        let child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        self.programs.push((name, child));
    }

    fn log_of(&self, name: &str) -> String {
        let text =
            std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Puts a release out as a pipeline would.
    pub(crate) fn deploy(&self, release: &str) {
        self.log(release, Age::Now);
        self.switch(release);
    }

    fn switch(&self, release: &str) {
        let next = self.root().join("current.next");
        std::os::unix::fs::symlink(Path::new("releases").join(release), &next).expect("a link");
        std::fs::rename(next, self.root().join("current")).expect("switch");
    }

    fn log(&self, release: &str, age: Age) {
        let path = self.root().join("deployments.jsonl");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the log");
        #[expect(clippy::disallowed_methods, reason = "a pipeline writes down when it deployed")]
        let now = jiff::Timestamp::now();
        let at = match age {
            Age::Now => now,
            Age::TwoHours => now - jiff::SignedDuration::from_hours(2),
        };
        writeln!(file, "{{\"release\":\"{release}\",\"at\":\"{at}\",\"by\":\"pipeline\"}}").expect("a line");
    }

    pub(crate) fn serving(&self) -> String {
        let link = std::fs::read_link(self.root().join("current")).expect("a link");
        link.file_name().expect("a release").to_string_lossy().into_owned()
    }

    /// How often Snapback switched, by the directory's own log.
    pub(crate) fn switches_by_snapback(&self) -> usize {
        let log = std::fs::read_to_string(self.root().join("deployments.jsonl")).expect("the log");
        log.lines().filter(|line| line.contains("\"mark\"")).count()
    }

    pub(crate) fn wait_until_good(&self, release: &str) {
        self.wait("the release to have soaked", || {
            let service = self.read("/v1/services/checkout@production")?;
            let releases = service["releases"].as_array()?.clone();
            releases.iter().any(|r| r["release"] == release && r["ledger"] == "good").then_some(())
        });
    }

    pub(crate) fn wait_for_closed_case(&self) -> Value {
        self.wait("a case to close", || {
            let cases = self.read("/v1/cases")?;
            cases["cases"].as_array()?.iter().find(|case| case["phase"] == "closed").cloned()
        })
    }

    /// Waits until Prometheus itself, which scrapes Snapback, answers this query with something.
    pub(crate) fn wait_for_answer(&self, query: &str) {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let url = format!("http://127.0.0.1:{}/api/v1/query?query={encoded}", self.ports.prometheus);
        self.wait(query, || {
            let answer: Value = serde_json::from_str(&get_text(&url)?).ok()?;
            (!answer["data"]["result"].as_array()?.is_empty()).then_some(())
        });
    }

    /// Waits until Alertmanager itself says that it could not tell us.
    pub(crate) fn wait_for_failed_notification(&self) {
        let metrics = format!("http://127.0.0.1:{}/metrics", self.ports.alertmanager);
        self.wait("alertmanager to fail to tell", || {
            let text = get_text(&metrics)?;
            let failed = text.lines().find(|line| {
                line.starts_with("alertmanager_notification_requests_failed_total")
                    && line.contains("webhook")
            })?;
            let count: f64 = failed.rsplit(' ').next()?.parse().ok()?;
            (count > 0.0).then_some(())
        });
    }

    fn read(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&get_text(&format!("http://127.0.0.1:{}{path}", self.ports.admin))?).ok()
    }

    /// Looks again and again until there is something to see, or the deadline says what was missing.
    #[expect(
        clippy::disallowed_methods,
        reason = "real programs give no other sign than to be looked at again"
    )]
    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = std::time::Instant::now();
        while begun.elapsed() < DEADLINE {
            if let Some(seen) = look() {
                return seen;
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        panic!(
            "waited {} s for {what}\ncases: {:#}\nwhy: {:#}\n-- snapback:\n{}\n-- alertmanager:\n{}\n-- prometheus:\n{}",
            DEADLINE.as_secs(),
            self.read("/v1/cases").unwrap_or_default(),
            self.read("/v1/cases/checkout@production.1/explanation").unwrap_or_default(),
            self.log_of("snapback"),
            self.log_of("alertmanager"),
            self.log_of("prometheus")
        );
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.ports.shop));
        for (_, child) in &mut self.programs {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ports that are free now; held together so that no two are the same.
fn free_ports() -> [u16; 5] {
    let held = [(); 5].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("its address").port())
}

fn answer(mut stream: TcpStream, body: &str) {
    let mut head = [0_u8; 4096];
    let _ = stream.read(&mut head);
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn get_text(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 200") {
        return None;
    }
    // Prometheus's own programs may answer in chunks; a chunk's size stands on a line of its own.
    Some(if head.to_lowercase().contains("chunked") { unchunked(body) } else { body.to_owned() })
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

fn snapback_config(ports: &Ports) -> String {
    format!(
        r#"mode = "live"
rules = "rules.toml"

[server]
listen = "127.0.0.1:{}"
admin = "127.0.0.1:{}"

[store]
url = "sqlite:snapback.db"

[guards]
clock_skew = "0s"
episode_settle = "2s"

[verify.default]
settle = "1s"
within = "60s"
clear_for = "3s"

[sources.prometheus]
kind = "alertmanager"
bearer_token = {{ file = "token" }}
services = ["*@production"]
prometheus_url = "http://127.0.0.1:{}"
lag = "5m"

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = {{ root = "checkout" }}
soak = "2s"
migrations = "marked"
"#,
        ports.listen, ports.admin, ports.prometheus
    )
}

const RULES: &str = r#"[[rule]]
name = "errors after a deployment"
match = ['severity="critical"']
action = "rollback"
countdown = "2s"
"#;

fn prometheus_config(ports: &Ports) -> String {
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [alerts.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]}}\n\
         scrape_configs: [{{job_name: checkout, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}, \
         {{job_name: snapback, static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]\n",
        ports.alertmanager, ports.shop, ports.admin
    )
}

const ALERTS: &str = r#"groups:
  - name: checkout
    rules:
      - alert: HighErrorRate
        expr: http_error_ratio > 0.05
        labels: {severity: critical, service: checkout, environment: production}
        annotations: {summary: "checkout fails for {{ $value | humanizePercentage }} of its customers"}
"#;

fn alertmanager_config(ports: &Ports, folder: &Path) -> String {
    format!(
        "route: {{receiver: snapback, group_by: [service], group_wait: 1s, group_interval: 2s, repeat_interval: 1m}}\n\
         receivers:\n\
         - name: snapback\n\
         \x20 webhook_configs:\n\
         \x20 - url: http://127.0.0.1:{}/v1/alerts/prometheus\n\
         \x20   max_alerts: 100\n\
         \x20   http_config: {{authorization: {{credentials_file: {}}}}}\n",
        ports.listen,
        folder.join("token").display()
    )
}
