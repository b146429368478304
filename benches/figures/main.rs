//! The figures of `docs/figures.md`, measured: `scripts/bench [--json] [judging|footprint|acceptance|provider|chat|senders]...`. Owns what is measured and how it is shown.
//! Nothing here fails on a time: a goal that was missed is printed as missed.

#![expect(
    clippy::disallowed_methods,
    reason = "what measures reads the clock and watches for the thing it times"
)]

mod acceptance;
#[path = "../../tests/aws/mod.rs"]
mod aws;
mod chat;
mod footprint;
mod judging;
mod load;
mod provider;
mod senders;
#[path = "../../tests/signing/mod.rs"]
mod signing;
#[path = "../../tests/slack/mod.rs"]
mod slack;
mod stage;

use serde_json::{Map, Value, json};

use stage::Fault;

/// What stands before a sender's name in the key of its figure.
const PROOF: &str = "proof_us_";

/// Measures one part.
type Measure = fn() -> Result<Vec<Figure>, Fault>;

/// One figure, under its key in product §20.
pub(crate) struct Figure {
    key: &'static str,
    value: f64,
    goal: Goal,
    /// What was done to get it.
    says: String,
}

/// What a figure should be.
enum Goal {
    None,
    AtLeast(f64),
    Under(f64),
}

impl Figure {
    pub(crate) fn new(key: &'static str, value: f64, says: impl Into<String>) -> Figure {
        Figure { key, value, goal: Goal::None, says: says.into() }
    }

    pub(crate) fn at_least(self, goal: f64) -> Figure {
        Figure { goal: Goal::AtLeast(goal), ..self }
    }

    pub(crate) fn under(self, goal: f64) -> Figure {
        Figure { goal: Goal::Under(goal), ..self }
    }

    fn verdict(&self) -> String {
        match self.goal {
            Goal::None => String::new(),
            Goal::AtLeast(goal) if self.value >= goal => format!("at least {goal:.2}: met"),
            Goal::AtLeast(goal) => format!("at least {goal:.2}: MISSED"),
            Goal::Under(goal) if self.value < goal => format!("under {goal:.2}: met"),
            Goal::Under(goal) => format!("under {goal:.2}: MISSED"),
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some(acceptance::BARE) => acceptance::serve_bare(),
        _ => {
            // The runner adds flags of its own, such as --bench.
            let (flags, parts): (Vec<String>, Vec<String>) =
                arguments.into_iter().partition(|argument| argument.starts_with("--"));
            measure(flags.iter().any(|flag| flag == "--json"), &parts)
        }
    };
    if let Err(fault) = done {
        eprintln!("bench: {fault}");
        std::process::exit(1);
    }
}

fn measure(as_json: bool, only: &[String]) -> Result<(), Fault> {
    let mut figures = Vec::new();
    let mut say = |part: Vec<Figure>| {
        if !as_json {
            for figure in &part {
                println!(
                    "{:<22} {:>12.2}  {:<24} {}",
                    figure.key,
                    figure.value,
                    figure.verdict(),
                    figure.says
                );
            }
        }
        figures.extend(part);
    };
    let parts: [(&str, Measure); 6] = [
        ("judging", judging::measure),
        ("footprint", footprint::measure),
        ("acceptance", acceptance::measure),
        ("provider", provider::measure),
        ("chat", chat::measure),
        ("senders", senders::measure),
    ];
    if let Some(unknown) = only.iter().find(|one| parts.iter().all(|(name, _)| name != one)) {
        return Err(format!(
            "there is no part {unknown}: judging, footprint, acceptance, provider, chat or senders"
        )
        .into());
    }
    for (_, part) in parts.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|one| one == name)) {
        say(part()?);
    }
    if as_json {
        let all: Map<String, Value> =
            figures.iter().map(|figure| (figure.key.to_owned(), json!(figure.value))).collect();
        // By sender, as product §20 has it.
        let (proofs, mut all): (Map<String, Value>, Map<String, Value>) =
            all.into_iter().partition(|(key, _)| key.starts_with(PROOF));
        if !proofs.is_empty() {
            let by_sender = proofs.into_iter().map(|(key, value)| (key[PROOF.len()..].to_owned(), value));
            all.insert("proof_us".into(), Value::Object(by_sender.collect()));
        }
        all.insert("cores".into(), json!(cores()));
        all.insert("load".into(), json!(stage::load_average()?));
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        println!("{} cores, load {}", cores(), stage::load_average()?);
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}
