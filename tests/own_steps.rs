//! Steps of the user's own, over the wire: what each answer means, and that the examples to copy ask what they say.

mod pretend;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use hyper::Method;
use pretend::{Answer, Asked, Fault, Service, Wire};
use secrecy::SecretString;
use serde_json::{Value, json};
use snapback::case::command::Progress;
use snapback::case::id::{CaseId, Duration, Mark, ServiceId, StepNo, Timestamp};
use snapback::case::own_step::{Spec, Work};
use snapback::case::permit::Permit;
use snapback::case::step::{Act, Class, Doer, Order, Step};
use snapback::config::load_with;
use snapback::execute::Sighting;
use snapback::execute::step::Steps;
use snapback::outbound::Trouble;

/// Says yes to everything, and counts.
#[derive(Default)]
struct Yes {
    wire: Wire,
    done: Mutex<usize>,
}

impl Service for Yes {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn answer(self: &Arc<Self>, _: &Asked) -> Answer {
        *self.done.lock().expect("the count") += 1;
        Answer::Json(200, json!({ "ok": true }))
    }
}

fn listening() -> Arc<Yes> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let yes = Arc::new(Yes::default());
    pretend::listen(&yes);
    yes
}

#[expect(clippy::disallowed_methods, reason = "a step is done in real time")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn steps(secrets: &[(&str, &str)]) -> Steps {
    let secret =
        |(origin, value): &(&str, &str)| ((*origin).to_owned(), SecretString::from((*value).to_owned()));
    Steps::new(secrets.iter().map(secret).collect(), Arc::new(now))
}

fn to(url: &str) -> Spec {
    Spec {
        name: "flag off".into(),
        work: Work::Http {
            method: "POST".into(),
            url: format!("{url}/flags/1"),
            headers: BTreeMap::new(),
            body: Some("{\"on\":false}".into()),
        },
        secrets: BTreeMap::new(),
        timeout: Duration::from_millis(700),
        repeatable: false,
    }
}

fn order(act: Act, intended_at: Timestamp) -> Order {
    let service = ServiceId::of("checkout", "production");
    Order {
        case: CaseId::of(&service, 1),
        step: StepNo(0),
        attempt: 1,
        mark: Mark::new("snapback/0123456789abcdef01234567"),
        doer: Doer::User,
        act,
        service,
        expected: "v2".into(),
        to: "v1".into(),
        intended_at,
    }
}

fn permit(act: Act) -> Permit {
    Permit::committed(order(act, now()), now() + Duration::from_secs(10))
}

/// F1 to F19 as far as they can meet one request: the result, and how often it was sent and done.
#[tokio::test]
async fn what_each_answer_means_to_a_step() {
    let refused = |trouble: &Trouble| matches!(trouble, Trouble::Refused(_));
    let busy = |trouble: &Trouble| matches!(trouble, Trouble::Busy { .. });
    let unclear = |trouble: &Trouble| matches!(trouble, Trouble::Unclear(_));
    type Is<'a> = &'a dyn Fn(&Trouble) -> bool;
    let faults: [(&str, Fault, Option<Is<'_>>, usize); 15] = [
        ("F3", Fault::Hang, Some(&unclear), 0),
        ("F4", Fault::HangAfter, Some(&unclear), 1),
        ("F5", Fault::LoseReply, Some(&unclear), 1),
        ("F6", Fault::Refuse(429, "slowly"), Some(&busy), 0),
        ("F7", Fault::Refuse(503, "away"), Some(&unclear), 0),
        ("F8", Fault::FailAfter(500), Some(&unclear), 1),
        ("F9", Fault::Refuse(404, "no such flag"), Some(&refused), 0),
        ("F9, conflict", Fault::Refuse(409, "locked"), Some(&refused), 0),
        ("F9, cut on its way", Fault::Refuse(408, "slow"), Some(&unclear), 0),
        // What it says is its own; that it did it, the status says.
        ("F10", Fault::Garble, None, 1),
        ("F11", Fault::Other, None, 1),
        ("F12", Fault::Trickle, None, 1),
        ("F13", Fault::Twice, None, 2),
        ("F18", Fault::Redirect, Some(&unclear), 0),
        ("F19", Fault::Refuse(401, "who are you?"), Some(&refused), 0),
    ];
    for (name, fault, wanted, done) in faults {
        let yes = listening();
        yes.wire.fault(Method::POST, "/flags/1", fault);
        let ended = steps(&[]).begin(permit(to(&yes.wire.url()).act())).await;
        match (&ended, wanted) {
            (Ok(_), None) => {}
            (Err(trouble), Some(is)) if is(trouble) => {}
            _ => panic!("{name}: {ended:?}"),
        }
        assert_eq!((yes.wire.calls().len(), *yes.done.lock().expect("the count")), (1, done), "{name}");
    }
    // F1: nobody listens. F2: whoever listens speaks no TLS. Nothing left.
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let ended = steps(&[]).begin(permit(to(&format!("http://{nobody}")).act())).await;
    assert!(matches!(ended, Err(Trouble::Busy { .. })), "F1: {ended:?}");
    let yes = listening();
    let ended = steps(&[]).begin(permit(to(&yes.wire.url().replace("http:", "https:")).act())).await;
    let untold = matches!(&ended, Err(Trouble::Busy { .. }))
        || matches!(&ended, Err(Trouble::Refused(why)) if why.contains("authorities"));
    assert!(untold && yes.wire.calls().is_empty(), "F2: {ended:?}");
    // A permit that ran out sends nothing.
    let late = Permit::committed(order(to(&yes.wire.url()).act(), now()), now());
    let ended = steps(&[]).begin(late).await;
    assert!(matches!(ended, Err(Trouble::Busy { .. })) && yes.wire.calls().is_empty(), "{ended:?}");
}

/// T76: whoever is asked may tell us what we sent, and a program what it was given.
#[tokio::test]
async fn a_secret_that_comes_back_is_not_told() {
    let yes = listening();
    yes.wire.fault(Method::POST, "/flags/1", Fault::Refuse(400, "no such token: s3cr3t-token"));
    let mut spec = to(&yes.wire.url());
    spec.secrets.insert("Authorization".into(), "variable TOKEN".into());
    let steps = steps(&[("variable TOKEN", "s3cr3t-token")]);
    let told = steps.begin(permit(spec.act())).await.expect_err("a no").to_string();
    assert!(told.contains("no such token: (the secret of Authorization)"), "{told}");
    let argv = ["sh", "-c", "echo \"bad $API_TOKEN\" >&2; exit 1"].map(str::to_owned).into();
    let mut spec = Spec { work: Work::Command { argv, folder: PathBuf::from("/") }, ..to("") };
    spec.secrets.insert("API_TOKEN".into(), "variable TOKEN".into());
    let told = steps.begin(permit(spec.act())).await.expect_err("a no").to_string();
    assert!(told.contains("bad (the secret of API_TOKEN)"), "{told}");
}

/// Before its end is sure nobody says that it was not done; after that nothing can be found.
#[tokio::test]
async fn a_search_finds_nothing_and_says_so_only_late() {
    let (spec, at) = (to("http://127.0.0.1:1"), now());
    let early = steps(&[]).find(&order(spec.act(), at)).await.expect("a search");
    let until = at + Duration::from_secs(10) + spec.timeout + Duration::from_secs(10);
    assert_eq!(early, Sighting::TooEarly(until));
    let late = steps(&[]).find(&order(spec.act(), at - Duration::from_secs(60))).await.expect("a search");
    assert_eq!(late, Sighting::Absent);
}

/// What is not in the configuration any more is sent to nobody; what was not made by a plan is not read.
#[tokio::test]
async fn an_act_that_is_not_ours_is_refused() {
    let yes = listening();
    let mut spec = to(&yes.wire.url());
    spec.secrets.insert("Authorization".into(), "variable GONE".into());
    let ended = steps(&[("variable OTHER", "x")]).begin(permit(spec.act())).await;
    assert!(matches!(&ended, Err(Trouble::Refused(why)) if why.contains("variable GONE")), "{ended:?}");
    let other =
        Act { kind: "switch".into(), arguments: BTreeMap::new(), class: Class::B, says: "switch".into() };
    let ended = steps(&[]).begin(permit(other)).await;
    assert!(matches!(ended, Err(Trouble::Refused(_))), "{ended:?}");
    let missing = Work::Command { argv: vec!["./nowhere".into()], folder: PathBuf::from("/") };
    let ended = steps(&[]).begin(permit(Spec { work: missing, ..to("") }.act())).await;
    assert!(
        matches!(&ended, Err(Trouble::Refused(why)) if why.contains("could not be started")),
        "{ended:?}"
    );
    assert!(yes.wire.calls().is_empty());
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Stands where kubectl and socat would, and writes down how it is called, with what it is told.
const STAND_IN: &str = r#"#!/bin/sh
printf '%s' "${0##*/}" >> "$SAID"; for word in "$@"; do printf ' %s' "$word" >> "$SAID"; done
case "$*" in
*socat*|stdio*) printf ' < '; cat ;;
esac >> "$SAID"
echo >> "$SAID"
case "$*" in
*spec.replicas*) echo 4 ;;
*jsonpath*annotations*) [ ! -e "$SAID.noted" ] || echo 4 ;;
*replicas=4*) touch "$SAID.noted" ;;
esac
"#;

/// Each example is sound as configuration, and does what it says: each request over the wire, each program with stand-ins for the tools
/// that it calls.
#[tokio::test]
async fn the_example_plans_ask_what_they_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let yes = listening();
    let text = std::fs::read_to_string(here("deploy/plans/plans.toml")).expect("the examples");
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("[plans.")?.strip_suffix(']')).collect();
    assert_eq!(names, ["launchdarkly", "unleash", "flagd", "queue-workers", "cache", "load-balancer"]);
    let services = names.iter().enumerate().map(|(nth, name)| {
        format!("[[service]]\nname = \"s{nth}\"\nenvironment = \"production\"\nprovider = \"hosts\"\ntarget = {{ root = \"/srv/s{nth}\" }}\nplan = \"{name}\"\n")
    });
    let config = format!(
        "rules = \"rules.toml\"\n{text}\n[providers.hosts]\nkind = \"directory\"\n{}",
        services.collect::<String>()
    );
    std::fs::write(folder.path().join("rules.toml"), "[[rule]]\nname = \"tell\"\naction = \"notify\"\n")
        .expect("rules");
    let file = folder.path().join("snapback.toml");
    std::fs::write(&file, config).expect("the configuration");
    let loaded = load_with(&file, &|name| Some(format!("the-secret-of-{name}")));
    assert_eq!(loaded.faults, [], "the examples");
    let settings = loaded.settings.expect("sound");
    let secrets: BTreeMap<String, SecretString> = settings
        .step_secrets
        .iter()
        .filter_map(|secret| Some((secret.origin.to_string(), secret.value.clone()?)))
        .collect();
    let all: Vec<Step> = settings
        .services
        .iter()
        .flat_map(|entry| entry.core.before.iter().chain(&entry.core.after))
        .cloned()
        .collect();
    let mut hosts = Vec::new();
    for step in all.iter().filter(|step| step.act.kind == "http") {
        let mut act = step.act.clone();
        let url = act.arguments.get_mut("url").expect("a url");
        let (_, behind) = url.split_once("://").expect("a scheme");
        let (host, path) = behind.split_once('/').expect("a path");
        hosts.push(host.to_owned());
        *url = format!("{}/{path}", yes.wire.url());
        let done = Steps::new(secrets.clone(), Arc::new(now)).begin(permit(act)).await.expect("it is done");
        let progress = steps(&[]).watch(&done).await.expect("a word");
        assert!(matches!(progress, Progress::Done(_)), "{progress:?}");
    }
    assert_eq!(hosts, ["app.launchdarkly.com", "unleash.example.com", "api.fastly.com"]);
    let calls = yes.wire.calls();
    let [flag, unleash, purge] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((flag.method.as_str(), flag.path.as_str()), ("PATCH", "/api/v2/flags/shop/new-checkout"));
    assert_eq!(flag.headers["content-type"], "application/json; domain-model=launchdarkly.semanticpatch");
    assert_eq!(flag.headers["authorization"], "the-secret-of-LAUNCHDARKLY_TOKEN");
    let instruction: &Value = &flag.body["instructions"][0]["kind"];
    assert_eq!((instruction, &flag.body["environmentKey"]), (&json!("turnFlagOff"), &json!("production")));
    let off = "/api/admin/projects/default/features/new-checkout/environments/production/off";
    assert_eq!((unleash.method.as_str(), unleash.path.as_str()), ("POST", off));
    assert_eq!(purge.headers["fastly-soft-purge"], "1");
    programs(folder.path(), &all);
}

fn programs(folder: &Path, all: &[Step]) {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = folder.join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    for name in ["kubectl", "socat"] {
        std::fs::write(bin.join(name), STAND_IN).expect("a stand-in");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let said = folder.join("said");
    for step in all.iter().filter(|step| step.act.kind == "command") {
        let argv = step.act.arguments.iter().filter(|(name, _)| name.starts_with("argv "));
        let argv: Vec<&String> = argv.map(|(_, word)| word).collect();
        let ended = Command::new(argv[0])
            .args(&argv[1..])
            .current_dir(here("deploy/plans"))
            .env("SAID", &said)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .output()
            .expect("it runs");
        assert!(ended.status.success(), "{argv:?}: {ended:?}");
    }
    let said = std::fs::read_to_string(&said).expect("what they said");
    for part in [
        "kubectl --namespace shop patch featureflags.core.openfeature.dev checkout-flags --type merge --patch {\"spec\":{\"flagSpec\":{\"flags\":{\"new-checkout\":{\"state\":\"DISABLED\"}}}}}",
        "annotate --overwrite deployment/checkout-worker example.com/replicas=4",
        "scale deployment/checkout-worker --replicas 0",
        "scale deployment/checkout-worker --replicas 4",
        "annotate deployment/checkout-worker example.com/replicas-",
        "socat stdio /var/run/haproxy.sock < set server checkout/canary state drain",
        "socat stdio /var/run/haproxy.sock < set server checkout/canary state ready",
    ] {
        assert!(said.contains(part), "nobody was told {part}:\n{said}");
    }
}
