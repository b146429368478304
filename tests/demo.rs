//! The demo that asks: what is typed at it is what is done.

use std::io::Write;
use std::process::{Command, Stdio};

/// Plays it with this typed; gives its exit code and what it printed.
fn played(typed: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapback"))
        .args(["demo", "--scenario", "approval"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("its input").write_all(typed.as_bytes()).expect("typed");
    let ended = child.wait_with_output().expect("it ends");
    (ended.status.code(), String::from_utf8(ended.stdout).expect("text"))
}

#[test]
fn approve_is_a_yes() {
    let (code, said) = played("what\napprove\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().last().is_some_and(|last| last.starts_with("recovered in ")), "{said}");
    assert!(said.contains("demo | type approve, or deny") && said.contains("token:you says yes"), "{said}");
    assert!(!said.contains("by itself"), "{said}");
}

#[test]
fn deny_is_a_no() {
    let (code, said) = played("deny\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().last().is_some_and(|last| last.starts_with("denied: ")), "{said}");
}

#[test]
fn nobody_is_a_yes_and_is_told_so() {
    let (code, said) = played("");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nobody types here: approved by itself in 5 s"), "{said}");
    assert!(said.lines().last().is_some_and(|last| last.starts_with("recovered in ")), "{said}");
}
