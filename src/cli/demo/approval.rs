//! The approval in the demo: asks on the terminal, hears `approve`, and says it over the API as anybody would who has a token.
//! Owns what is typed; the case is the server's.

use std::io::BufRead;
use std::time::Duration;

use serde_json::{Value, json};
use snapback::clock::sleep;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{YOURS, get, say, until};

/// Where nobody types, it is approved after so long, and said so.
const ALONE: Duration = Duration::from_secs(5);
/// A terminal at which nobody types: the demo ends within a minute all the same.
const SILENCE: Duration = Duration::from_secs(30);

/// Waits for the question, hears the answer, and gives it.
pub(super) async fn answer(admin: &str) -> Result<(), String> {
    let mut asked = Value::Null;
    until("the question", || async {
        let cases = get(admin, "/v1/cases").await?;
        cases["cases"].as_array()?.iter().find(|case| case["phase"] == "awaiting_approval").cloned()
    })
    .await
    .map(|case| asked = case)?;
    let id = asked["id"].as_str().ok_or("a case without an id")?.to_owned();
    let verb = heard().await;
    let body = json!({ "plan": asked["plan"]["digest"] });
    let client = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    let sent =
        client.post(format!("{admin}/v1/cases/{id}/{verb}")).bearer_auth(YOURS).json(&body).send().await;
    let answer = sent.map_err(|error| format!("your answer did not reach the server: {error}"))?;
    if !answer.status().is_success() {
        return Err(format!("your answer was not taken: {}", answer.text().await.unwrap_or_default()));
    }
    Ok(())
}

/// What somebody typed, or what is said where nobody does.
async fn heard() -> &'static str {
    say("a person is asked: type approve, or deny");
    let mut typed = lines();
    loop {
        match timeout(SILENCE, typed.recv()).await {
            Ok(Some(line)) => match line.trim() {
                "approve" => return "approve",
                "deny" => return "deny",
                _ => say("type approve, or deny"),
            },
            Ok(None) => {
                say(&format!("nobody types here: approved by itself in {} s", ALONE.as_secs()));
                sleep(ALONE).await;
                return "approve";
            }
            Err(_) => {
                say("nobody typed anything: approved by itself");
                return "approve";
            }
        }
    }
}

/// What is typed, line by line. The thread ends with the input or with the process: nothing can wake it from a read.
fn lines() -> mpsc::Receiver<String> {
    let (to_lines, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if to_lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
