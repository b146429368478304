//! The providers `command` and `http` with the examples that people copy, at a moment in which there is something to take back.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use snapback::case::command::Progress;
use snapback::case::deployment::Picture;
use snapback::case::id::{CaseId, Duration, Handle, Mark, ServiceId, StepNo, Timestamp};
use snapback::case::permit::Permit;
use snapback::case::plan::Proposal;
use snapback::case::step::{Doer, Order};
use snapback::execute::own::{Own, Settings, Site, Way};
use snapback::execute::{Provider, Sighting, Target};
use snapback::outbound::Trouble;

pub(crate) const MARK: &str = "snapback/0123456789abcdef01234567";
pub(crate) const SECRET: &str = "the-secret-of-the-deployer";

/// Which example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Shell,
    Python,
    Http,
}

pub(crate) struct Bed {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) provider: Provider,
    pub(crate) site: Site,
    server: Option<Child>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Every example that can be had here.
pub(crate) fn all() -> Vec<By> {
    if python().is_some() { vec![By::Shell, By::Python, By::Http] } else { vec![By::Shell] }
}

/// The Python of the tests; `None`: it is not there, which `scripts/test` does not allow.
#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
pub(crate) fn python() -> Option<OsString> {
    let named = std::env::var_os("SNAPBACK_TEST_PYTHON");
    if named.is_none() {
        assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "SNAPBACK_TEST_PYTHON is not set");
        eprintln!("left out: SNAPBACK_TEST_PYTHON is not set, so the deployers in Python are not tried");
    }
    named
}

pub(crate) fn example(name: &str) -> String {
    format!("{}/deploy/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Bed {
    /// v1 runs since two hours, v2 since ten minutes.
    pub(crate) fn new(by: By) -> Bed {
        let folder = tempfile::tempdir().expect("a folder");
        let ago = |seconds: i64| real_now() - Duration::from_secs(seconds);
        furnish(by, folder.path(), &[("v1", ago(7200)), ("v2", ago(600))]);
        let (site, server) = match by {
            By::Shell => (program(&[&example("own-deployer.sh")], folder.path()), None),
            By::Python => {
                let python = python().expect("Python").into_string().expect("text");
                (program(&[&python, &example("own-deployer.py"), "."], folder.path()), None)
            }
            By::Http => {
                let (server, url) = serve(folder.path());
                (Site::Url(url), Some(server))
            }
        };
        Bed { provider: provider(&site, Some(SECRET)), folder, site, server }
    }

    pub(crate) fn target(&self) -> Target {
        Target { service: service(), site: snapback::execute::Site::Own(self.site.clone()) }
    }

    pub(crate) async fn picture(&self) -> Picture {
        self.describe().await.expect("a picture")
    }

    pub(crate) async fn describe(&self) -> Result<Picture, Trouble> {
        self.provider.describe(&self.target(), real_now() - Duration::from_hours(24)).await
    }

    pub(crate) async fn propose(&self, from: &str, to: &str) -> Result<Proposal, Trouble> {
        self.provider.propose(&self.target(), &from.into(), &to.into()).await
    }

    pub(crate) async fn way_back(&self) -> Order {
        let act = self.propose("v2", "v1").await.expect("a way back").acts.remove(0);
        Order {
            case: CaseId::of(&service(), 1),
            step: StepNo(0),
            attempt: 1,
            mark: Mark::new(MARK),
            doer: Doer::Provider(service()),
            act,
            service: service(),
            expected: "v2".into(),
            to: "v1".into(),
            intended_at: real_now(),
        }
    }

    pub(crate) async fn begin(&self, order: &Order) -> Result<Handle, Trouble> {
        let permit = Permit::committed(order.clone(), real_now() + Duration::from_secs(10));
        self.provider.begin(permit).await
    }

    pub(crate) async fn find(&self, order: &Order) -> Result<Sighting, Trouble> {
        self.provider.find(order).await
    }

    /// Follows work until it ends.
    pub(crate) async fn end_of(&self, handle: &Handle) -> Result<Progress, Trouble> {
        for _ in 0..100 {
            match self.provider.watch(handle).await? {
                Progress::Running(_) => {
                    let moment = std::time::Duration::from_millis(100);
                    let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
                }
                progress @ (Progress::Serving(_)
                | Progress::Done(_)
                | Progress::Failed(_)
                | Progress::NeedsHuman { .. }
                | Progress::Superseded(_)) => return Ok(progress),
            }
        }
        panic!("it never ends")
    }
}

/// Lays the state of an example.
pub(crate) fn furnish(by: By, folder: &Path, history: &[(&str, Timestamp)]) {
    match by {
        By::Shell => {
            let state = folder.join("state/checkout@production");
            std::fs::create_dir_all(&state).expect("a folder");
            let lines = history.iter().map(|(release, at)| format!("{release} {at}\n"));
            std::fs::write(state.join("history"), lines.collect::<String>()).expect("written");
            let last = history.last().expect("a release").0;
            std::fs::write(state.join("current"), format!("{last}\n")).expect("written");
        }
        By::Python | By::Http => {
            let rows: Vec<[String; 2]> =
                history.iter().map(|(one, at)| [(*one).to_owned(), at.to_string()]).collect();
            let rows = serde_json::to_string(&rows).expect("JSON");
            let script = format!(
                "import runpy, sys; own = runpy.run_path({:?})\n\
                 store = own['Deployer']('.').store\n\
                 for release, at in {rows}: store.execute(\"INSERT INTO deployments (service, release, started_at, \
                 finished_at, status) VALUES ('checkout@production', ?, ?, ?, 'finished')\", (release, at, at))",
                example("own-deployer.py")
            );
            let ended =
                Command::new(python().expect("Python")).args(["-c", &script]).current_dir(folder).output();
            let ended = ended.expect("it starts");
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
    }
}

fn serve(folder: &Path) -> (Child, String) {
    let mut server = Command::new(python().expect("Python"))
        .args([&example("own-deployer.py"), ".", "--listen", "0"])
        .current_dir(folder)
        .env("SNAPBACK_SECRET", SECRET)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("its output")).read_line(&mut port).expect("its port");
    (server, format!("http://127.0.0.1:{}/checkout", port.trim()))
}

pub(crate) fn program(argv: &[&str], folder: &Path) -> Site {
    let argv = argv.iter().map(|&word| word.to_owned()).collect();
    Site::Program { argv, folder: PathBuf::from(folder) }
}

/// A new process of ours, which remembers nothing.
pub(crate) fn provider(site: &Site, secret: Option<&str>) -> Provider {
    let way = match site {
        Site::Program { .. } => Way::Command { environment: Vec::new(), timeout: Duration::from_secs(20) },
        Site::Url(_) => Way::Http { secret: secret.map(|secret| secret.to_owned().into()) },
    };
    let settings = Settings { way, deadline: Duration::from_mins(30), quarantine: Duration::from_secs(60) };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Provider::Own(Box::new(Own::new(settings, Arc::new(real_now))))
}

#[expect(clippy::disallowed_methods, reason = "real programs live in real time")]
pub(crate) fn real_now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn service() -> ServiceId {
    ServiceId::of("checkout", "production")
}
