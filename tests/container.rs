//! The Dockerfile against the program that it packs, as far as that can be seen without building it: `scripts/image` builds
//! and starts it.

mod binary;
mod certificates;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use binary::copy;
use certificates::Authority;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn snapback(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_snapback")).args(arguments).output().expect("it runs")
}

/// The Dockerfile's instructions with their arguments, lines that go on joined.
fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(here("Dockerfile")).expect("the Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let split =
        |line: &str| line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(split).collect()
}

/// What the last instruction of this name says.
fn last(name: &str) -> String {
    let found = instructions().into_iter().rfind(|(word, _)| word == name);
    found.unwrap_or_else(|| panic!("the Dockerfile has no {name}")).1
}

/// The words of a command in its form without a shell.
fn words(command: &str) -> Vec<String> {
    let list =
        command.get(command.find('[').expect("a list: no shell is there to read a line")..).expect("a list");
    serde_json::from_str(list).expect("a JSON list")
}

#[test]
fn the_dockerfile_names_what_there_is() {
    let program = "/usr/bin/snapback";
    assert_eq!(words(&last("ENTRYPOINT")), [program]);
    let build = instructions().into_iter().find(|(word, _)| word == "RUN").expect("a build").1;
    assert!(build.contains("cargo build --locked --release --bin snapback"), "{build}");
    assert!(build.contains(&format!("target/release/snapback /out{program}")), "{build}");

    let health = words(&last("HEALTHCHECK"));
    let (first, health) = health.split_first().expect("a program");
    assert_eq!(first, program);
    let serve = words(&last("CMD"));
    for command in [&serve[..], health] {
        // The program takes these words: what it does not find is the configuration, and not a command or a flag.
        let [subcommand, flag, config] = command else { panic!("{command:?}") };
        assert_eq!(config, "/etc/snapback/snapback.toml");
        let help = snapback(&[subcommand, "--help"]);
        assert_eq!(help.status.code(), Some(0), "{subcommand} is no command");
        assert!(
            String::from_utf8_lossy(&help.stdout).contains(&format!("{flag} <FILE>")),
            "{subcommand} {flag}"
        );
        let nowhere = snapback(&[subcommand, flag, "nowhere.toml"]);
        let said =
            [nowhere.stdout, nowhere.stderr].map(|text| String::from_utf8(text).expect("text")).concat();
        assert!(said.contains("nowhere.toml") && said.contains("cannot be read"), "{command:?}: {said}");
    }

    let user = last("USER");
    let (id, group) = user.split_once(':').expect("a user and a group");
    assert!(
        id.parse::<u32>().is_ok_and(|id| id > 0) && group.parse::<u32>().is_ok_and(|id| id > 0),
        "{user}"
    );
    let state = words(&last("VOLUME")).remove(0);
    let owned = |(word, rest): &(String, String)| {
        word == "COPY" && rest.contains(&format!("--chown={user} ")) && rest.ends_with(&format!(" {state}/"))
    };
    assert!(instructions().iter().any(owned), "{state} does not belong to {user}");
    assert_eq!(last("STOPSIGNAL"), "SIGTERM");
    let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(last("LABEL").contains(&version), "the label is not of version {}", env!("CARGO_PKG_VERSION"));

    // The official builder has the Rust that the package asks for.
    let manifest = std::fs::read_to_string(here("Cargo.toml")).expect("Cargo.toml");
    let rust = manifest
        .split("rust-version = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a version");
    let builder =
        instructions().into_iter().find(|(word, rest)| word == "ARG" && rest.starts_with("BUILDER="));
    let builder = builder.expect("a builder").1;
    assert!(builder.contains(&format!("/rust:{rust}-")), "{builder} is not Rust {rust}");
}

/// What the build reads is in its context, whatever is left out of it.
#[test]
fn the_build_gets_what_it_reads() {
    let ignored = std::fs::read_to_string(here(".dockerignore")).expect("the list");
    let let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "everything else is left out");
    for needed in ["Cargo.toml", "Cargo.lock", "src", "benches", "LICENSE-*"] {
        assert!(let_in.contains(&needed), "{needed} is not in the context");
    }
    for (_, text) in instructions().iter().filter(|(word, _)| word == "RUN") {
        for file in text.split(' ').filter(|word| word.starts_with("LICENSE-")) {
            assert!(here(file).exists(), "{file}");
        }
    }
}

#[test]
fn the_configuration_for_containers_is_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&here("deploy/container"), folder.path());
    for below in ["tls", "secrets"] {
        std::fs::create_dir(folder.path().join(below)).expect("a folder");
    }
    std::fs::write(folder.path().join("secrets/alertmanager-token"), "a-token-of-the-test").expect("a token");
    let certificate = Authority::new("ours").sign();
    std::fs::write(folder.path().join("tls/tls.crt"), certificate.chain).expect("a certificate");
    std::fs::write(folder.path().join("tls/tls.key"), certificate.key).expect("a key");
    let config = folder.path().join("snapback.toml");
    let ended = snapback(&["check", "--format", "json", "--config", config.to_str().expect("a path")]);
    let told: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(ended.status.code(), Some(0), "{told:#}");
    let messages: Vec<&str> = told["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|fault| fault["message"].as_str())
        .collect();
    // The services are the reader's to add.
    assert_eq!(messages, ["`*@production` covers no configured service"]);

    // It stores in the Dockerfile's volume, and listens where the Dockerfile says.
    let text = std::fs::read_to_string(config).expect("the configuration");
    assert!(text.contains(&format!("sqlite:{}/", words(&last("VOLUME"))[0])), "{text}");
    assert!(text.contains(&format!("listen = \"0.0.0.0:{}\"", last("EXPOSE"))), "{text}");
}
