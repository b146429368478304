//! A third party's opinion: botocore, by the service models that AWS publishes, drives the pretend CodeDeploy and checks its
//! answers and what Snapback sends; and moto, an implementation of others, takes the same calls and is read.
//!
//! `scripts/test` installs both and sets SNAPBACK_TEST_PYTHON; without it, `cargo test` says that this was left out.

mod aws;
mod codedeploy_bed;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use codedeploy_bed::{Bed, PLATFORMS, Platform, provider};
use serde_json::Value;
use snapback::case::command::Progress;
use snapback::outbound::Trouble;

/// The Python that has botocore and moto, or nothing, said loudly.
#[expect(clippy::disallowed_methods, reason = "scripts/test says where its tools are")]
fn python() -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("SNAPBACK_TEST_PYTHON") {
        return Some(python.into());
    }
    assert!(std::env::var_os("SNAPBACK_TEST_STRICT").is_none(), "SNAPBACK_TEST_PYTHON is not set");
    eprintln!("LEFT OUT: botocore and moto are not here; scripts/test installs them and runs this test");
    None
}

fn script(python: &PathBuf) -> Command {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/third_party/codedeploy.py"));
    command.env("AWS_EC2_METADATA_DISABLED", "true").env_remove("AWS_PROFILE");
    command
}

fn run(command: &mut Command) -> String {
    let ended = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ended.status.success(), "{}\n{}", text(&ended.stdout), text(&ended.stderr));
    text(&ended.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn botocore_takes_the_pretend_service_for_what_its_model_says() {
    let Some(python) = python() else { return };
    let bed = Bed::new(Platform::Ecs);
    for number in 0..5 {
        bed.puts_out(3 + number, 500 - i64::from(number));
    }
    bed.aws
        .state()
        .behind
        .functions
        .get_mut("checkout")
        .expect("a function")
        .aliases
        .insert("live".into(), "2".into());
    let said = run(script(&python).args(["pretend", &bed.aws.url()]));
    assert!(said.contains("answers are as the model says"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn botocore_and_moto_take_what_snapback_sends() {
    let Some(python) = python() else { return };
    let mut sent: Vec<Value> = Vec::new();
    for platform in PLATFORMS {
        for going_out in [false, true] {
            let bed = if going_out { Bed::going_out(platform) } else { Bed::new(platform) };
            bed.group(|group| group.alarms = true);
            bed.picture().await;
            bed.provider.evidence(&bed.target(), None).await.expect("evidence");
            let order = if going_out { bed.way_back(3, 2).await } else { bed.way_back(2, 1).await };
            let handle = bed.begin(&order).await.expect("taken");
            bed.find(&order).await.expect("a sighting");
            assert!(matches!(bed.end_of(&handle).await, Ok(Progress::Serving(_))));
            bed.provider.evidence(&bed.target(), Some(&handle)).await.expect("evidence");
            sent.extend(bed.aws.recorded());
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.json");
    std::fs::write(&file, Value::from(sent).to_string()).expect("written");
    let said = run(script(&python).arg("requests").arg(&file).arg("moto"));
    for word in ["CreateDeployment", "StopDeployment", "DescribeServices", "moto:"] {
        assert!(said.contains(word), "{said}");
    }
}

/// What a person is given to run asks for what Snapback itself would have sent, but for its mark.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_by_hand_asks_for_what_snapback_sends() {
    let Some(python) = python() else { return };
    for platform in PLATFORMS {
        for going_out in [false, true] {
            let bed = if going_out { Bed::going_out(platform) } else { Bed::new(platform) };
            bed.group(|group| group.alarms = true);
            let order = if going_out { bed.way_back(3, 2).await } else { bed.way_back(2, 1).await };
            let line =
                bed.provider.by_hand(&order.act, &order.to, "it's \"down\"; $(reboot)").expect("a command");
            bed.begin(&order).await.expect("taken");
            let is_act = |one: &&Value| {
                let target = one["target"].as_str().unwrap_or_default();
                target.ends_with(".CreateDeployment") || target.ends_with(".StopDeployment")
            };
            let mut sent = bed.aws.recorded().iter().find(is_act).expect("the request")["body"].clone();
            let mut asked = asked_by(&python, &line);
            if !going_out {
                assert_eq!(asked["description"], "rolled back by hand: it's \"down\"; $(reboot)", "{line}");
                asked["description"] = Value::Null;
                sent["description"] = Value::Null;
            }
            assert_eq!(asked, sent, "{platform:?}: {line}");
        }
    }
}

/// What a command asks for, by botocore's model of the operation.
fn asked_by(python: &PathBuf, line: &str) -> Value {
    let mut reading = script(python);
    let mut reading =
        reading.arg("commands").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = reading.stdin.take().expect("its input");
    stdin.write_all(line.as_bytes()).expect("written");
    drop(stdin);
    let said = reading.wait_with_output().expect("it ends");
    serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn snapback_reads_what_moto_serves() {
    let Some(python) = python() else { return };
    let mut serving = script(&python)
        .arg("moto")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut url = String::new();
    BufReader::new(serving.stdout.take().expect("its output")).read_line(&mut url).expect("its address");
    let bed = Bed::new(Platform::InPlace);
    let bed = Bed { provider: provider(&bed.aws, url.trim()), ..bed };
    let picture = bed.picture().await;
    let read = picture.deployments.first().expect("one deployment");
    assert_eq!(
        (picture.deployments.len(), read.release.as_str()),
        (1, "s3://releases/checkout-1.zip?version=v1")
    );
    assert_eq!(picture.in_flight.as_ref(), Some(&read.id), "with moto it stays on its way for ever");
    assert_eq!(picture.releases[0].version.as_deref(), Some("v1"));
    // Nothing ever went out whole there, so that there is no way back.
    assert!(matches!(bed.propose(1, 1).await, Err(Trouble::Refused(_))));
    drop(serving.stdin.take());
    serving.wait().expect("it ends");
}
