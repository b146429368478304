//! The pages about senders, feeds and probes do what they say: the configuration of each page is loaded by the real program, and its
//! commands are run by a shell against it, as a reader would.

mod binary;

use std::path::{Path, PathBuf};
use std::process::Command;

use binary::{Program, furnish, lay_releases};
use snapback::config::load_with;

/// What the pages take for granted; where a page says `127.0.0.1:8080`, the program that was started is meant.
const BEFORE: &str = r#"
rules = "rules.toml"

[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"

[store]
url = "sqlite:data/snapback.db"

[providers.hosts]
kind = "directory"

[[service]]
name = "checkout"
environment = "production"
provider = "hosts"
target = { root = "SRV" }
"#;
const RULES: &str = "[[rule]]\nname = \"tell\"\naction = \"notify\"\n";
const ADDRESS: &str = "http://127.0.0.1:8080";

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = ["docs/senders", "docs/feeds"]
        .iter()
        .filter_map(|folder| root.join(folder).read_dir().ok())
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .chain([root.join("docs/probes.md")])
        .filter(|path| path.extension().is_some_and(|own| own == "md"))
        .collect();
    pages.sort();
    pages
}

/// The blocks of a page that are fenced as this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let inner = page.split(&fence).skip(1);
    inner.map(|rest| rest.split("```").next().expect("a block").to_owned()).collect()
}

/// The variables that a configuration takes its secrets from.
fn variables(config: &str) -> Vec<String> {
    let inner = config.split("env = \"").skip(1);
    inner.map(|rest| rest.split('"').next().expect("a name").to_owned()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration, and reads its variables itself")]
#[test]
fn every_command_of_the_senders_pages_is_taken() {
    let pages = pages();
    assert!(pages.len() >= 2, "there are {} pages", pages.len());
    let is_there = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    for tool in ["bash", "curl", "openssl"] {
        if !is_there(tool) {
            assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "{tool} is not there");
            eprintln!("left out: {tool} is not there, so the commands of the pages are not run");
            return;
        }
    }
    for path in pages {
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below").display();
        let page = std::fs::read_to_string(&path).expect("a page");
        let (configs, commands) = (blocks(&page, "toml"), blocks(&page, "sh"));
        // What is tried where the true configuration needs somebody else's service, and what has to be there for it.
        let (trials, before) = (blocks(&page, "toml try"), blocks(&page, "sh before"));
        assert!(!configs.is_empty() && !commands.is_empty(), "{name}: a configuration and a command");
        let config = configs.join("\n");
        let tried = if trials.is_empty() { config.clone() } else { trials.join("\n") };
        let secrets: Vec<(String, String)> = variables(&config)
            .into_iter()
            .map(|name| (name.clone(), format!("the-secret-of-{name}")))
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("srv");
        lay_releases(&root);
        let common = BEFORE.replace("SRV", &root.display().to_string());
        let rules = format!("{}\n{RULES}", blocks(&page, "toml rules").join("\n"));
        // What tells of an alert is sent from here; other commands are tried where the program is.
        let tells =
            name.to_string().starts_with("docs/senders") || name.to_string().starts_with("docs/feeds");
        furnish(folder.path(), &format!("{common}\n{config}"), &rules);
        let loaded =
            load_with(&folder.path().join("snapback.toml"), &|name| Some(format!("the-secret-of-{name}")));
        assert_eq!(loaded.faults, [], "{name}: the configuration");
        furnish(folder.path(), &format!("{common}\n{tried}"), &rules);
        let place = folder.path().to_owned();
        let runs = |command: &str| {
            Command::new("bash")
                .args(["-euo", "pipefail", "-c", command])
                .current_dir(if tells { Path::new(env!("CARGO_MANIFEST_DIR")) } else { &place })
                .envs(secrets.iter().map(|(name, value)| (name, value)))
                .env("FOLDER", &place)
                .env_remove("http_proxy")
                .env("NO_PROXY", "127.0.0.1")
                .output()
                .expect("bash")
        };
        for command in before {
            let ended = runs(&command);
            assert!(ended.status.success(), "{name}: {command}: {}", String::from_utf8_lossy(&ended.stderr));
        }
        let program = Program::over_with(folder, &secrets);
        for command in commands {
            let command = command.replace(ADDRESS, &format!("http://{}", program.listen()));
            let ended = runs(&command);
            let said = String::from_utf8_lossy(&ended.stdout);
            let complaint = String::from_utf8_lossy(&ended.stderr);
            assert!(
                ended.status.success()
                    && (!tells || said.contains("\"delivery\":") && !said.contains("unreadable")),
                "{name}: {command}\nsaid {said} {complaint}\n{}",
                program.said()
            );
        }
    }
}
