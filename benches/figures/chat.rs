//! How soon people are asked in Slack after an alert was received, how soon CodeDeploy is called after they pressed the button,
//! and how soon Slack has its answer while alerts flood in: our own time, against the pretend workspace and the pretend
//! CodeDeploy of the tests on this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Figure;
use crate::aws::Aws;
use crate::load::{self, Alerts, Until};
use crate::provider::{PATIENCE, application, config, furnish, post, quantile};
use crate::slack::{Kind, Message, Reach, Workspace};
use crate::stage::{Fault, Stage};

/// Services that are asked about and rolled back, one after another.
const SAMPLES: usize = 100;
/// Connections over which alerts flood in, each as fast as it is answered.
const CONNECTIONS: usize = 64;
/// For so long.
const FLOOD: Duration = Duration::from_secs(10);

const ANA: &str = "U0001ANA";
/// A member who may not decide: what she presses is stored, judged and refused, and the question stays.
const EVE: &str = "U0003EVE";

const RULES: &str = r#"[[rule]]
name = "ask"
match = ['alertname="Broken"']
action = "approve"

[[rule]]
name = "others"
action = "ignore"
"#;

pub(crate) fn measure() -> Result<Vec<Figure>, Fault> {
    let aws = Aws::real();
    let url = aws.listen();
    let slack = Workspace::open();
    slack.person(ANA, Kind::Member);
    slack.person(EVE, Kind::Member);
    slack.group("S0001SRE", "sre", &[ANA]);
    // Each has a channel of its own: the pace of one channel is Slack's, and not what is measured.
    for nth in 0..=SAMPLES {
        furnish(&aws, &application(nth));
        slack.channel(&channel(nth), &application(nth), Reach::Public);
    }
    let services = config(&url, SAMPLES + 1, |nth| format!("channel = \"{}\"\n", channel(nth)));
    let stage = Stage::with(RULES, &format!("{services}{}", settings(&slack)))?;
    std::fs::write(stage.folder().join("bot-token"), slack.token())?;
    std::fs::write(stage.folder().join("signing-secret"), slack.signing_secret())?;
    let _serving = stage.serve()?;
    slack.deliver_to(&stage.listen.to_string());
    // Until it is read who may decide, nobody does.
    slack.block_on(slack.wait_for_calls("users.info", 1));

    let (mut questions, mut clicks) = (Vec::new(), Vec::new());
    for nth in 0..SAMPLES {
        let begun = Instant::now();
        let asked = ask(&stage, &slack, nth)?;
        questions.push(milliseconds(begun.elapsed()));
        let heard = aws.hear("CreateDeployment");
        let begun = Instant::now();
        let answered = slack.block_on(slack.click(&asked, "roll_back", ANA));
        heard
            .recv_timeout(PATIENCE)
            .map_err(|_| format!("CodeDeploy was not called for {} after {answered:?}", application(nth)))?;
        clicks.push(milliseconds(begun.elapsed()));
    }
    let asked = ask(&stage, &slack, SAMPLES)?;
    let (answers, beside) = flooded(&stage, &slack, &asked)?;
    let count = answers.len();
    let answers = sorted(answers);
    let median = |times| quantile(&sorted(times), 0.5);
    Ok(vec![
        Figure::new(
            "question_ms_p50",
            median(questions),
            format!(
                "from the alert's post to the question with its buttons in Slack, {SAMPLES} services, idle"
            ),
        ),
        Figure::new(
            "click_to_provider_ms_p50",
            median(clicks),
            format!("from the click to CodeDeploy's receipt of CreateDeployment, {SAMPLES} services, idle"),
        ),
        Figure::new(
            "click_answer_ms_p99",
            quantile(&answers, 0.99),
            format!("of {count} clicks, each answered, while {beside:.0} alerts a second are accepted"),
        )
        .under(500.0),
    ])
}

/// Fires, and waits for the question.
fn ask(stage: &Stage, slack: &Arc<Workspace>, nth: usize) -> Result<Message, Fault> {
    post(stage, &application(nth))?;
    let channel = channel(nth);
    let asked = slack.wait_for_message("a question with its buttons", |message| {
        message.channel == channel && message.actions().contains(&"roll_back")
    });
    Ok(slack.block_on(asked))
}

/// How long each answer to a click took while alerts flood in, and how many of those were accepted a second.
fn flooded(stage: &Stage, slack: &Arc<Workspace>, asked: &Message) -> Result<(Vec<f64>, f64), Fault> {
    let flood = std::thread::spawn({
        let (listen, alerts) = (stage.listen, Alerts::new(10)?);
        move || {
            let sent = load::send(listen, CONNECTIONS, &alerts, Until::Passed(FLOOD));
            sent.map_err(|fault| fault.to_string())
        }
    });
    let mut times = Vec::new();
    while !flood.is_finished() {
        let answered = slack.block_on(slack.click_stale(asked, "roll_back", EVE));
        if answered.status != 200 {
            return Err(format!("a click was answered with {answered:?}").into());
        }
        times.push(milliseconds(answered.took));
    }
    let sent = flood.join().map_err(|_| "the flood panicked")??;
    Ok((times, sent.per_second()))
}

fn channel(nth: usize) -> String {
    format!("C{nth:04}APP")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

fn settings(slack: &Workspace) -> String {
    format!(
        r#"[slack]
bot_token = {{ file = "bot-token" }}
signing_secret = {{ file = "signing-secret" }}
channel = "{}"
api_url = "{}"
[groups.sre]
slack_usergroups = ["S0001SRE"]
[approvals.default]
from = ["sre"]
"#,
        channel(0),
        slack.api_url()
    )
}
