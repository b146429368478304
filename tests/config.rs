//! Configuration, from the outside: the shipped example loads, every mistake is told where it stands, all at once.

use std::path::{Path, PathBuf};

use snapback::config::{Loaded, Severity, Style, json, load_with, render};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Loads with every variable set, each to a value of its own; `EMPTY…` is empty, `MISSING…` is not there.
fn loaded(path: &Path) -> Loaded {
    load_with(path, &|name| match name {
        name if name.starts_with("MISSING") => None,
        name if name.starts_with("EMPTY") => Some(String::new()),
        name if name.starts_with("SAME") => Some("one and the same".into()),
        name => Some(format!("the value of {name}")),
    })
}

/// The faults as drawn, without the folder of this checkout.
fn drawn(loaded: &Loaded) -> String {
    let text = render(&loaded.all_faults(), &loaded.texts, Style::Plain);
    text.replace(&format!("{}/", here("fixtures/config").display()), "")
}

#[test]
fn the_shipped_example_is_sound_and_harmless() {
    let loaded = load_with(&here("config/snapback.toml"), &|_| None);
    assert_eq!(loaded.faults, [], "{}", drawn(&loaded));
    assert_eq!(loaded.missing_secrets.len(), 2, "the example needs two secrets");
    let settings = loaded.settings.as_ref().expect("settings");
    assert!(settings.services.iter().all(|service| service.core.mode == settings.mode));
    assert_eq!(settings.mode.word(), "shadow");
    assert_eq!(settings.shared.guards, snapback::case::settings::GuardSettings::default());
    assert_eq!(settings.labels, snapback::case::map::Equivalents::default());
    assert_eq!(settings.limits, snapback::config::LimitSettings::default());
}

#[test]
fn a_missing_secret_is_a_fault_to_who_serves() {
    let faults = load_with(&here("config/snapback.toml"), &|_| None).for_serving().expect_err("no secrets");
    assert!(faults.iter().all(|fault| fault.severity == Severity::Fault), "{faults:?}");
    let settings = loaded(&here("config/snapback.toml")).for_serving().expect("all secrets are there");
    assert_eq!(settings.tokens.len(), 1);
}

#[test]
fn each_mistake_is_told_where_it_stands() {
    let mut names: Vec<String> = std::fs::read_dir(here("fixtures/config"))
        .expect("the fixtures")
        .filter_map(|entry| entry.expect("a fixture").file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml") && !name.ends_with(".rules.toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "one file for each mistake, and there are {}", names.len());
    for name in names {
        let loaded = loaded(&here("fixtures/config").join(&name));
        let faults = loaded.all_faults();
        assert!(!faults.is_empty(), "{name} holds a mistake");
        for fault in &faults {
            assert!(fault.line > 0 && fault.column > 0 && !fault.remedy.is_empty(), "{name}: {fault:?}");
            assert!(!fault.message.contains(char::is_control), "{name}: {fault:?}");
        }
        insta::with_settings!({ snapshot_path => here("fixtures/config"), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.trim_end_matches(".toml"), drawn(&loaded));
        });
    }
}

#[test]
fn twelve_mistakes_are_twelve_faults() {
    let loaded = loaded(&here("fixtures/config/twelve-mistakes.toml"));
    let faults = loaded.all_faults();
    assert_eq!(faults.len(), 12, "{}", drawn(&loaded));
    let mut places: Vec<_> = faults.iter().map(|fault| (&fault.file, fault.line, fault.column)).collect();
    let messages: std::collections::BTreeSet<_> = faults.iter().map(|fault| &fault.message).collect();
    places.dedup();
    assert_eq!((places.len(), messages.len()), (12, 12), "{}", drawn(&loaded));
    assert!(loaded.settings.is_none());
}

#[test]
fn json_has_the_shape_of_the_contract() {
    let loaded = loaded(&here("fixtures/config/twelve-mistakes.toml"));
    let value = json(&loaded.all_faults());
    let first = &value["faults"][0];
    let keys: Vec<&String> = first.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["column", "file", "line", "message", "remedy", "severity", "witness"]);
    assert_eq!(first["severity"], "fault");
}

#[test]
fn no_output_shows_a_secret_that_was_written_out() {
    for name in
        ["literal-secret.toml", "literal-secret-under-a-misspelt-key.toml", "literal-secret-in-bad-toml.toml"]
    {
        let loaded = loaded(&here("fixtures/config").join(name));
        let shown = format!("{}{}{loaded:?}", drawn(&loaded), json(&loaded.all_faults()));
        assert!(!shown.contains("hunter2"), "{name}: {shown}");
    }
}

#[test]
fn the_digest_follows_the_text_of_every_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["snapback.toml", "rules.toml"] {
        std::fs::copy(here("config").join(file), folder.path().join(file)).expect("a copy");
    }
    let path = folder.path().join("snapback.toml");
    let before = loaded(&path).digest;
    assert_eq!(before, loaded(&here("config/snapback.toml")).digest, "a copy is the same configuration");
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, std::fs::read_to_string(&rules).expect("rules") + "# changed\n").expect("written");
    assert_ne!(before, loaded(&path).digest);
}
