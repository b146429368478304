//! The pretend GitHub, and what Snapback asks of it, held by a third party to what GitHub publishes: Stoplight's Prism stands between the
//! two with GitHub's own description of its API (npm `@octokit/openapi`), and says of each request and each answer what is not as it is
//! described. From the description only paths that are asked by nobody here are taken out: with all of them Prism needs gigabytes.
//!
//! `scripts/test` installs both and sets SNAPBACK_TEST_PRISM and SNAPBACK_TEST_GITHUB_OPENAPI; without them, `cargo test` says that this
//! was left out.

mod github_bed;
mod hub;
mod pretend;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use github_bed::{Bed, app, provider, release};
use serde_json::Value;
use snapback::case::command::Progress;
use snapback::case::id::Duration;

/// What is kept of the description.
const BELOW: [&str; 10] = [
    "/app/installations/{installation_id}/access_tokens",
    "/repos/{owner}/{repo}/deployments",
    "/repos/{owner}/{repo}/actions/workflows",
    "/repos/{owner}/{repo}/actions/runs",
    "/repos/{owner}/{repo}/branches/{branch}",
    "/repos/{owner}/{repo}/rules/branches",
    "/repos/{owner}/{repo}/commits",
    "/repos/{owner}/{repo}/compare",
    "/repos/{owner}/{repo}/contents",
    "/repos/{owner}/{repo}/environments/{environment_name}",
];

/// Prism between a client and the pretend GitHub. Ends with the test.
struct Prism {
    child: Child,
    url: String,
    /// What it said.
    lines: std::sync::mpsc::Receiver<String>,
}

impl Prism {
    /// `None`: it is not here, and was not promised.
    #[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
    fn before(url: &str, folder: &Path) -> Option<Prism> {
        let found = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.exists());
        let Some((program, description)) =
            found("SNAPBACK_TEST_PRISM").zip(found("SNAPBACK_TEST_GITHUB_OPENAPI"))
        else {
            assert!(
                std::env::var_os("SNAPBACK_TEST_STRICT").is_none(),
                "SNAPBACK_TEST_PRISM and SNAPBACK_TEST_GITHUB_OPENAPI are not set"
            );
            eprintln!("left out: Prism and GitHub's description are not here; see scripts/test");
            return None;
        };
        let text = std::fs::read_to_string(description).expect("GitHub's description");
        let mut described: Value = serde_json::from_str(&text).expect("a description");
        let paths = described["paths"].as_object_mut().expect("paths");
        paths.retain(|path, _| BELOW.iter().any(|below| path.starts_with(below)));
        let kept = folder.join("github.json");
        std::fs::write(&kept, described.to_string()).expect("a file");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
        let mut child = Command::new("node")
            .arg(program)
            .args(["proxy", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()])
            .args([kept.as_os_str(), url.as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let (told, lines) = std::sync::mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("what it says"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(told.send(line))));
        let mut prism = Prism { child, url: format!("http://127.0.0.1:{port}"), lines };
        prism.wait_for("Prism is listening");
        Some(prism)
    }

    fn wait_for(&mut self, words: &str) {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(std::time::Duration::from_secs(120)) {
            if line.contains(words) {
                return;
            }
            said.push(line);
        }
        panic!("Prism never said {words:?}: {said:#?}");
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks through Prism what it finds at fault: it answers so itself, and nothing reaches the pretend GitHub.
async fn asked(url: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{url}{path}")).bearer_auth(hub::TOKEN).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

/// Everything that is asked, through somebody who knows what GitHub describes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_and_each_answer_is_as_github_describes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new();
    let Some(prism) = Prism::before(&bed.hub.url(), folder.path()) else { return };
    let bed = Bed { provider: provider(&bed.hub, &prism.url, app(&bed.hub)), ..bed };
    assert_eq!(bed.provider.check(&bed.target()).await, []);

    // A finished release, by a branch that a ruleset protects, with a review.
    bed.hub.state().branches.get_mut("main").expect("main").protected = false;
    bed.hub.state().branches.get_mut("main").expect("main").rules = vec!["pull_request"];
    bed.hub.state().reviewers = vec!["cy"];
    let orders = bed.way_back(2, 1).await;
    let handle = bed.begin(&orders[0]).await.expect("taken");
    assert!(matches!(bed.watch(&handle).await, Progress::NeedsHuman { .. }));
    bed.hub.approves();
    bed.hub.state().reviewers.clear();
    assert_eq!(bed.goes(&orders).await, Progress::Serving(release(1)));

    // One that is still going out; then one that fails, and is shown.
    bed.hub.pass(60);
    bed.hub.state().takes = Duration::from_secs(20);
    bed.hub.deploys(3);
    bed.hub.pass(3);
    assert_eq!(bed.goes(&bed.way_back(3, 1).await).await, Progress::Serving(release(1)));
    bed.hub.state().fails.insert(4, "migrate");
    bed.hub.deploys(4);
    bed.hub.pass(60);
    assert_eq!(bed.picture().await.reports.len(), 1);
    bed.provider.evidence(&bed.target(), None).await.expect("something");

    // An answer that is no, and a commit that is gone.
    bed.hub.state().gone.insert(1);
    let forgetful = Bed { provider: provider(&bed.hub, &prism.url, github_bed::token(hub::TOKEN)), ..bed };
    let refused = forgetful.propose(4, 1).await.expect_err("its commit is gone");
    assert!(refused.to_string().contains("has commit 1111"), "{refused}");

    let seen: BTreeSet<String> =
        forgetful.hub.calls().iter().map(|call| shape(&call.method, &call.path)).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ROUTES, "what went through Prism");

    // And it does look: what is not described it answers itself.
    let before = forgetful.hub.calls().len();
    let (status, said) =
        asked(&prism.url, "/repos/acme/checkout/actions/workflows/rollback.yml/runs?status=perhaps").await;
    assert!(status == 422 && said.contains("UNPROCESSABLE_ENTITY"), "{status} {said}");
    let (status, said) = asked(&prism.url, "/repos/acme/checkout/nothing").await;
    assert!(status == 404 && said.contains("NO_PATH_MATCHED_ERROR"), "{status} {said}");
    assert_eq!(forgetful.hub.calls().len(), before, "nothing reached GitHub");
}

/// Everything that the provider asks of GitHub; the rights of deploy/github-app-permissions.json are for these.
const ROUTES: [&str; 18] = [
    "GET /repos/acme/checkout/actions/runs/N",
    "GET /repos/acme/checkout/actions/runs/N/jobs",
    "GET /repos/acme/checkout/actions/runs/N/pending_deployments",
    "GET /repos/acme/checkout/actions/workflows/rollback.yml",
    "GET /repos/acme/checkout/actions/workflows/rollback.yml/runs",
    "GET /repos/acme/checkout/branches/main",
    "GET /repos/acme/checkout/commits/SHA",
    "GET /repos/acme/checkout/compare/RANGE",
    "GET /repos/acme/checkout/contents/.github%2Fworkflows%2Frollback.yml",
    "GET /repos/acme/checkout/deployments",
    "GET /repos/acme/checkout/deployments/N/statuses",
    "GET /repos/acme/checkout/environments/production",
    "GET /repos/acme/checkout/rules/branches/main",
    "POST /app/installations/N/access_tokens",
    "POST /repos/acme/checkout/actions/runs/N/cancel",
    "POST /repos/acme/checkout/actions/workflows/rollback.yml/dispatches",
    "POST /repos/acme/checkout/deployments",
    "POST /repos/acme/checkout/deployments/N/statuses",
];

/// A request without what differs from one to the next.
fn shape(method: &hyper::Method, path: &str) -> String {
    let part = |part: &str| match part {
        _ if part.contains("...") => "RANGE".to_owned(),
        _ if part.len() == 40 => "SHA".to_owned(),
        _ if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) => "N".to_owned(),
        _ => part.to_owned(),
    };
    format!("{method} {}", path.split('/').map(part).collect::<Vec<_>>().join("/"))
}
