//! The house rules as tests: who may use whom, what `case/` may not name, who makes permits, and that documents name
//! what exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms and what each may use of ours, beside itself. `case` uses nothing.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("case", &[]),
    ("clock", &[]),
    ("outbound", &["case"]),
    ("telemetry", &["case"]),
    ("intake", &["case", "journal::inbox", "clock", "outbound", "telemetry"]),
    ("journal", &["case"]),
    ("execute", &["case", "outbound", "clock"]),
    ("report", &["case", "outbound", "clock"]),
    ("probe", &["case", "outbound"]),
    ("admin", &["case", "journal", "clock", "telemetry"]),
    ("config", &["case", "clock"]),
    ("engine", &["case", "journal", "execute", "report", "probe", "outbound", "clock", "telemetry"]),
    (
        "server",
        &[
            "case",
            "journal",
            "execute",
            "report",
            "probe",
            "outbound",
            "clock",
            "intake",
            "admin",
            "config",
            "engine",
            "telemetry",
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, with its path from the root and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                found.push((from_root(&path), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").display().to_string()
}

fn room_of(path: &str) -> &str {
    let rest = path.strip_prefix("src/").expect("in src");
    rest.split('/').next().expect("a part").trim_end_matches(".rs")
}

/// The text without its comments, and without its module of tests, which stands at the end.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests {").next().expect("a part");
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every path that begins at the crate's root, `crate::{a, b}` taken apart. A path that climbs out of its own room by
/// `super` is refused: nobody could see where it leads.
fn paths_of_ours(path: &str, code: &str) -> Vec<String> {
    let depth = path.matches('/').count();
    let climb = "super::".repeat(depth);
    assert!(!code.contains(&climb) || depth < 2, "{path} climbs out of its room: write crate::");
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for used in code.split("crate::").skip(1) {
        match used.strip_prefix('{') {
            Some(group) => {
                let group = group.split('}').next().unwrap_or(group);
                assert!(!group.contains('{'), "{path} groups within a group: write one line for each room");
                found.extend(
                    group.split(',').map(|one| one.trim().chars().take_while(|c| word(*c)).collect()),
                );
            }
            None => found.push(used.chars().take_while(|c| word(*c)).collect()),
        }
    }
    found
}

#[test]
fn the_walls_hold() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    for (path, text) in sources("src") {
        let room = room_of(&path);
        if ["main", "lib", "cli"].contains(&room) {
            continue;
        }
        let may = allowed.get(room).unwrap_or_else(|| panic!("{path} is in no known room"));
        for used in paths_of_ours(&path, &code(&text)) {
            let other = used.split("::").next().expect("a part");
            let known = allowed.contains_key(other);
            let granted = may.iter().any(|may| used == *may || used.starts_with(&format!("{may}::")));
            assert!(!known || other == room || granted, "{path} uses {used}, which {room} may not");
        }
    }
}

#[test]
fn what_thinks_knows_no_clock_and_no_chance() {
    let banned = [
        "Timestamp::now",
        "Instant",
        "SystemTime",
        "async ",
        "HashMap",
        "HashSet",
        " rand::",
        "std::fs",
        "std::env",
    ];
    for (path, text) in sources("src") {
        if !path.starts_with("src/case") && !path.starts_with("src/engine/desk") {
            continue;
        }
        for word in banned {
            assert!(!code(&text).contains(word), "{path} names {word}");
        }
    }
}

#[test]
fn only_the_gate_makes_permits() {
    for (path, text) in sources("src") {
        if code(&text).contains("Permit::committed") {
            assert_eq!(path, "src/journal/gate.rs");
        }
    }
}

#[test]
fn stored_shapes_have_one_home() {
    for (path, text) in sources("src") {
        let stored = path.starts_with("src/case") || path.starts_with("src/journal");
        if stored && !path.starts_with("src/journal/record") {
            for word in ["derive(Serialize", "derive(Deserialize", "Serialize,", ", Deserialize"] {
                assert!(!code(&text).contains(word), "{path} derives serde");
            }
        }
    }
}

#[test]
fn files_say_what_they_own_and_stay_readable() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        assert!(text.starts_with("//!"), "{path} does not open with what it owns");
    }
    for (path, text) in sources("src") {
        let name = Path::new(&path).file_stem().expect("a name").to_string_lossy().into_owned();
        for word in ["util", "common", "helper", "manager", "misc"] {
            assert!(
                !name.split('_').any(|part| part.trim_end_matches('s') == word),
                "{path} is named for nothing"
            );
        }
        assert!(text.lines().count() <= 500, "{path} is too long to be read at a sitting");
    }
}

#[test]
fn no_test_is_switched_off_and_none_sleeps() {
    let ignore = ["#[", "ignore"].concat();
    let sleeping = ["thread::", "time::", "clock::"].map(|owner| [owner, "sleep"].concat());
    for (path, text) in sources("tests").into_iter().chain(sources("src")) {
        assert!(!text.contains(&ignore), "{path} switches a test off");
        for sleeping in &sleeping {
            assert!(!path.starts_with("tests/") || !text.contains(sleeping), "{path} sleeps");
        }
    }
}

/// `tests/crash.rs` passes every name of `CRASH_POINTS`; here every command is held to have one of them.
#[test]
fn every_command_has_a_crash_point() {
    let text = std::fs::read_to_string(root().join("src/case/command.rs")).expect("command.rs");
    let body = text
        .split("pub enum Command {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next())
        .expect("the commands");
    let variants: Vec<&str> = body
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter_map(|line| line.split(['(', ',', ' ']).next())
        .collect();
    assert_eq!(variants.len(), snapback::case::command::Command::CRASH_POINTS.len(), "{variants:?}");
    let crash = std::fs::read_to_string(root().join("tests/crash.rs")).expect("tests/crash.rs");
    assert!(crash.contains("Command::CRASH_POINTS"), "tests/crash.rs does not ask for every crash point");
}

/// A case is followed through the log by `case.id`, and what it is about by the same few fields everywhere.
#[test]
fn the_log_spells_its_fields_the_same() {
    let other = [
        "case =",
        "%case,",
        "?case",
        "case_id",
        "svc",
        "service_id",
        "step_no",
        "step_number",
        "provider_kind",
    ];
    let mut by_id = 0;
    for (path, text) in sources("src") {
        let code = code(&text);
        let lines = code.split("tracing::").skip(1).map(|rest| rest.split(");").next().unwrap_or(rest));
        for line in lines.filter(|line| line.split('!').next().is_some_and(|level| LEVELS.contains(&level))) {
            by_id += usize::from(line.contains("case.id = "));
            let fields = line.replace("case.id = %case,", "").replace("case.id = case,", "");
            let odd: Vec<&&str> = other.iter().filter(|word| fields.contains(**word)).collect();
            assert!(
                odd.is_empty(),
                "{path} logs {odd:?}: write case.id, service, provider, step, attempt\n{line}"
            );
        }
    }
    assert!(by_id >= 6, "only {by_id} lines of the log name a case: does this test still see them?");
}

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

#[test]
fn the_licences_are_there() {
    for (file, word) in [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Apache License")] {
        let text = std::fs::read_to_string(root().join(file)).expect(file);
        assert!(text.contains(word), "{file} is not what its name says");
    }
}

#[test]
fn the_journeys_name_functions_that_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let journeys = text.split("## Three journeys").nth(1).expect("the journeys");
    let mut named = 0;
    for line in journeys.lines() {
        // `file.rs`: `function`, `function`
        let parts: Vec<&str> = line.split('`').collect();
        let mut file = None;
        for (at, part) in parts.iter().enumerate() {
            if at % 2 == 0 {
                continue;
            }
            if part.ends_with(".rs") {
                file = Some(*part).filter(|_| parts.get(at + 1).is_some_and(|after| after.starts_with(':')));
            } else if let Some(file) =
                file.filter(|_| part.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            {
                let source = std::fs::read_to_string(root().join("src").join(file))
                    .unwrap_or_else(|_| panic!("ARCHITECTURE.md names src/{file}"));
                if source.contains(&format!("fn {part}(")) || source.contains(&format!("fn {part}<")) {
                    named += 1;
                } else {
                    assert!(
                        !parts[at - 1].trim_start_matches(':').trim().is_empty() && parts[at - 1] != ", ",
                        "ARCHITECTURE.md names {part} in {file}, where it is not"
                    );
                }
            }
        }
    }
    assert!(named >= 20, "the journeys name only {named} functions");
}

/// A function of this name that the runner runs: the attribute stands above it, and nothing comments either out.
fn is_a_test(all: &str, name: &str) -> bool {
    let mut above = false;
    all.lines().any(|line| {
        let line = line.trim();
        let named = ["fn ", "async fn "].iter().any(|start| line.starts_with(&format!("{start}{name}()")));
        let found = above && named;
        let attribute = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        above = attribute
            || (above && (line.starts_with("#[") || line.starts_with("//") || line.ends_with(")]")));
        found
    })
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let all: String = sources("tests").into_iter().chain(sources("src")).map(|(_, text)| text).collect();
    let documents = [
        ("docs/promises.md", 15),
        ("docs/tls.md", 9),
        ("docs/container.md", 2),
        ("docs/proof.md", 1),
        ("docs/providers/codedeploy.md", 15),
        ("docs/providers/spinnaker.md", 30),
        ("docs/providers/github-actions.md", 25),
        ("docs/plans.md", 20),
        ("docs/watching.md", 2),
    ];
    for (document, least) in documents {
        let text = std::fs::read_to_string(root().join(document)).expect(document);
        let text = text.replace("test\n`", "test `").replace("test\n  `", "test `");
        let mut named = 0;
        for test in text.split("test `").skip(1).filter_map(|rest| rest.split('`').next()) {
            assert!(is_a_test(&all, test), "{document} names the test {test}, which is not there");
            named += 1;
        }
        assert!(named >= least, "{document} names only {named} tests");
    }
}

/// Every promise of the failure model stands in the list, held or not: by its id, so that none is forgotten quietly.
#[test]
fn every_promise_is_in_the_list() {
    let text = std::fs::read_to_string(root().join("docs/promises.md")).expect("docs/promises.md");
    let ids: std::collections::BTreeSet<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 1).collect();
    let wanted = (1..=28)
        .map(|nth| format!("S{nth}"))
        .chain((1..=6).map(|nth| format!("L{nth}")))
        .chain((1..=85).map(|nth| format!("T{nth:02}")));
    let missing: Vec<String> = wanted.filter(|id| !ids.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "docs/promises.md does not speak of {missing:?}");
}
