//! The house rules as tests: who may use whom, what `case/` may not name, who makes permits, and that documents name
//! what exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms and what each may use of ours, beside itself. `case` uses nothing.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("case", &[]),
    ("clock", &[]),
    ("outbound", &["case"]),
    ("telemetry", &[]),
    ("intake", &["case", "journal", "clock", "outbound"]),
    ("journal", &["case"]),
    ("execute", &["case", "outbound", "clock"]),
    ("report", &["case", "outbound", "clock"]),
    ("admin", &["case", "journal", "clock"]),
    ("config", &["case", "clock"]),
    ("engine", &["case", "journal", "execute", "report", "outbound", "clock"]),
    (
        "server",
        &["case", "journal", "execute", "report", "outbound", "clock", "intake", "admin", "config", "engine"],
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

/// The text without its comments, and without the tests at its end.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]").next().expect("a part");
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
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
        for used in code(&text).split("crate::").skip(1) {
            let other: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let known = allowed.contains_key(other.as_str());
            assert!(
                !known || other == room || may.contains(&other.as_str()),
                "{path} uses {other}, which {room} may not"
            );
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
        if !path.starts_with("src/case") && path != "src/engine/desk.rs" {
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
        assert!(text.lines().count() <= 520, "{path} is too long to be read at a sitting");
    }
}

#[test]
fn no_test_is_switched_off_and_none_sleeps() {
    let (ignore, sleeping) = (["#[", "ignore"].concat(), ["thread::", "sleep("].concat());
    for (path, text) in sources("tests").into_iter().chain(sources("src")) {
        assert!(!text.contains(&ignore), "{path} switches a test off");
        assert!(!text.contains(&sleeping), "{path} sleeps");
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

#[test]
fn every_promise_names_a_test_that_exists() {
    let text = std::fs::read_to_string(root().join("docs/promises.md")).expect("docs/promises.md");
    let all: String = sources("tests").into_iter().chain(sources("src")).map(|(_, text)| text).collect();
    let mut named = 0;
    for test in text.split("test `").skip(1).filter_map(|rest| rest.split('`').next()) {
        assert!(
            all.contains(&format!("fn {test}()")),
            "docs/promises.md names the test {test}, which is not there"
        );
        named += 1;
    }
    assert!(named >= 15, "docs/promises.md names only {named} tests");
}
