//! The gate, with the real program: what a pipeline is answered by command, over HTTP and by the examples that people copy.

mod binary;

use std::process::Command;

use binary::{Program, furnish, head, lay_releases};
use serde_json::Value;

const SERVICE: &str = "checkout@production";
const ALICE: Option<&str> = Some("token-of-alice");
const VERA: Option<&str> = Some("token-of-vera");

/// 42 was rolled back, and 41 serves.
fn rolled_back() -> Program {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("srv");
    let settings = SETTINGS.replace("SRV", &root.display().to_string());
    furnish(folder.path(), &format!("{}{settings}", head("live")), "");
    for token in [ALICE, VERA].into_iter().flatten() {
        std::fs::write(folder.path().join(token), token).expect("a token");
    }
    lay_releases(&root);
    std::fs::write(root.join("releases/42/release.toml"), "version = \"v42\"\ncommit = \"c0ffee12345678\"\n")
        .expect("written");
    let mut program = Program::over(folder);
    program.reads_with = VERA.map(str::to_owned);
    program.wait_for_releases();
    let back = ["rollback", SERVICE, "--reason", "the basket is empty", "--yes"];
    let (code, said) = program.run(ALICE, &back);
    assert_eq!(code, Some(0), "{said}");
    program.wait("42 to be locked", "/v1/services/checkout@production", |service| {
        let mut all = service["releases"].as_array().into_iter().flatten();
        all.any(|one| one["release"] == "42" && one["locked"] == true)
    });
    program
}

/// What `snapback gate` says at this address.
fn asks(program: &Program, release: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut words = vec!["gate", SERVICE, "--release", release];
    words.extend(more);
    program.run(VERA, &words)
}

fn public(program: &Program, path: &str, token: &str) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let heads: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("Authorization", &bearer)] };
    let (status, body) = program.ask_public(path, heads);
    (status, serde_json::from_str(&body).unwrap_or_default())
}

#[test]
fn a_pipeline_asks_before_it_puts_out_what_was_rolled_back() {
    let program = rolled_back();
    for called in ["42", "v42", "c0ffee12345678", "c0ffee1"] {
        let (code, said) = asks(&program, called, &[]);
        assert!(
            code == Some(3) && said.contains("rolled back in case checkout@production.1"),
            "{called}: {code:?} {said}"
        );
        let (status, told) =
            public(&program, &format!("/v1/gate/{SERVICE}?release={called}"), "token-of-vera");
        assert_eq!(
            (status, &told["type"], &told["allowed"]),
            (423, &"urn:snapback:problem:locked".into(), &false.into())
        );
        assert!(
            told["detail"]
                .as_str()
                .is_some_and(|why| why.contains("snapback unlock checkout@production --release 42")),
            "{told}"
        );
    }
    // What serves, and what is newer, may.
    for called in ["41", "43"] {
        let (code, said) = asks(&program, called, &["--url", &format!("http://{}", program.listen())]);
        assert_eq!(code, Some(0), "{called}: {said}");
    }
    let (status, told) = public(&program, &format!("/v1/gate/{SERVICE}?release=41"), "token-of-vera");
    assert_eq!((status, &told["allowed"], &told["known"]), (200, &true.into(), &true.into()));
    // Unlocked, it may as well.
    let (code, said) =
        program.run(ALICE, &["unlock", SERVICE, "--release", "42", "--reason", "it was the disk", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = asks(&program, "v42", &["--strict", "--output", "json"]);
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &told["allowed"]), (Some(0), &true.into()), "{said}");
}

#[test]
fn whatever_nobody_says_no_to_is_let_through() {
    let mut program = rolled_back();
    let url = format!("http://{}", program.admin());
    let lets = |token: &str, words: &[&str], says: &str| {
        let run = |more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_snapback"));
            command.args(words).args(more).env("SNAPBACK_URL", &url).env("SNAPBACK_TOKEN", token);
            let ended = command.output().expect("it runs");
            let said = String::from_utf8([ended.stdout, ended.stderr].concat()).expect("text");
            (ended.status.code(), said)
        };
        let (code, said) = run(&[]);
        assert!(
            code == Some(0) && said.contains("lets it through") && said.contains(says),
            "{words:?}: {code:?} {said}"
        );
        let (code, said) = run(&["--strict"]);
        assert!(code == Some(1) && said.contains("cannot tell"), "{words:?}: {code:?} {said}");
    };
    let vera = "token-of-vera";
    lets(vera, &["gate", SERVICE, "--release", "99"], "no release of this name");
    lets(vera, &["gate", "nobody@production", "--release", "42"], "no such service");
    lets(vera, &["gate", "nonsense", "--release", "42"], "no such service");
    lets("another", &["gate", SERVICE, "--release", "42"], "token");
    // Without a token nobody learns what is locked.
    for token in ["", "another"] {
        let (status, told) = public(&program, &format!("/v1/gate/{SERVICE}?release=42"), token);
        assert_eq!((status, &told["detail"]), (401, &Value::Null));
    }
    let (status, _) = public(&program, &format!("/v1/gate/{SERVICE}"), "token-of-vera");
    assert_eq!(status, 400, "no release was named");
    program.kill();
    lets(vera, &["gate", SERVICE, "--release", "42"], "cannot be reached");
}

#[test]
fn a_freeze_and_a_pause_do_not_close_the_gate() {
    let program = rolled_back();
    for words in [
        &["freeze", SERVICE, "--for", "2h", "--reason", "a sale", "--yes"][..],
        &["pause", "--reason", "a storm", "--yes"],
    ] {
        let (code, said) = program.run(ALICE, words);
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(asks(&program, "43", &[]).0, Some(0));
    assert_eq!(asks(&program, "42", &[]).0, Some(3), "nor open it");
}

/// What people copy does what the command does.
#[test]
fn the_examples_ask_as_the_command_does() {
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    #[expect(clippy::disallowed_methods, reason = "scripts/test does not allow a tool to be missing")]
    let strict = std::env::var_os("SNAPBACK_TEST_STRICT").is_some();
    if !has_curl {
        assert!(!strict, "curl is not there");
        eprintln!("left out: curl is not there, so the gate's examples are not run");
        return;
    }
    let mut program = rolled_back();
    let root = env!("CARGO_MANIFEST_DIR");
    let script = std::fs::read_to_string(format!("{root}/deploy/gate.sh")).expect("a script");
    let of_yaml = |name: &str| -> String {
        let text = std::fs::read_to_string(format!("{root}/deploy/{name}")).expect("an example");
        let from = text.find("answer=$(mktemp)").expect("the script in it");
        let script = text[from..].split("\n  script:").next().expect("a script");
        script.lines().map(str::trim_start).collect::<Vec<_>>().join("\n")
    };
    let url = format!("http://{}", program.listen());
    let run = |script: &str, release: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let ended = Command::new("sh")
            .args(["-c", script, "gate.sh", SERVICE, release])
            .current_dir(folder.path())
            .envs([("SNAPBACK_URL", url.as_str()), ("SNAPBACK_TOKEN", "token-of-vera")])
            .envs([("SERVICE", SERVICE), ("RELEASE", release), ("NO_PROXY", "127.0.0.1")])
            .output()
            .expect("sh");
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let examples = [script, of_yaml("gate.github-actions.yaml"), of_yaml("gate.gitlab-ci.yaml")];
    for (example, no) in examples.iter().zip([3, 1, 1]) {
        let (code, said) = run(example, "v42");
        assert!(code == Some(no) && said.contains("rolled back in case"), "{code:?} {said}\n{example}");
        let (code, said) = run(example, "41");
        assert!(code == Some(0) && !said.contains("cannot tell"), "{code:?} {said}\n{example}");
        let (code, said) = run(example, "99");
        assert!(code == Some(0) && said.contains("cannot tell"), "{code:?} {said}\n{example}");
    }
    program.kill();
    for example in &examples {
        let (code, said) = run(example, "v42");
        assert!(code == Some(0) && said.contains("cannot tell"), "{code:?} {said}\n{example}");
    }
}

const SETTINGS: &str = r#"
[tokens.alice]
token = { file = "token-of-alice" }
role = "admin"
groups = ["sre"]

[tokens.vera]
token = { file = "token-of-vera" }
role = "viewer"

[groups.sre]
slack_users = []

[approvals.default]
from = ["sre"]

[verify.default]
settle = "1s"
within = "30s"
clear_for = "1s"

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
soak = "2s"
inherit_good = true
"#;
