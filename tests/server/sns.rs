//! SNS and EventBridge over the wire: what AWS really signed, every kind of CloudWatch's alarms, and what a stranger may do.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Value, json};
use snapback::case::id::{Duration, SourceName, Timestamp};
use snapback::intake::{
    Certificates, Confirm, Credential, IntakeSettings, Limits, Secret, Sns, SourceKind, SourceSettings,
    Versions,
};
use snapback::journal::inbox::Content;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::pretend::{Answer, TOKEN, World, stores};
use crate::senders::{request, samples, snapshot};
use crate::signing::{FILE, Signer, TOPIC};

/// When the samples of CloudWatch's were published.
const PUBLISHED: &str = "2026-03-02T09:14:21.000Z";
/// When AWS signed its five messages, and their certificate counted.
const SIGNED: &str = "2026-03-06T20:05:00Z";
const REAL: &str = "SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem";

fn source(kind: SourceKind, credential: Credential) -> SourceSettings {
    SourceSettings { kind, credential, lag: Duration::from_mins(5), tally: Arc::default() }
}

fn sns(topics: &[&str], certificates: Certificates, confirm: Confirm) -> SourceSettings {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let proof = Arc::new(Sns::new(topics, Versions::Both, certificates));
    source(SourceKind::Sns, Credential::Sns { proof, confirm: Arc::new(confirm) })
}

async fn world(at: &str, sources: impl IntoIterator<Item = (&'static str, SourceSettings)>) -> World {
    let sources = sources.into_iter().map(|(name, source)| (SourceName::new(name), source)).collect();
    let settings = IntakeSettings { sources, limits: Limits::default(), ..IntakeSettings::default() };
    World::at(at.parse().expect("a moment"), settings, stores, || Ok(())).await
}

async fn of_signer(signer: &Signer, confirm: Confirm) -> World {
    let certificates = Certificates::laid_down([(FILE, signer.pem.as_bytes())]);
    world("2026-03-02T09:15:00Z", [("aws", sns(&[TOPIC], certificates, confirm))]).await
}

fn told_nobody() -> Confirm {
    Confirm::new(false, None)
}

async fn send(world: &World, body: &str) -> Answer {
    let headers = [
        ("Content-Type", "text/plain; charset=UTF-8"),
        ("x-amz-sns-message-type", "Notification"),
        ("User-Agent", "Amazon Simple Notification Service Agent"),
    ];
    world.send(request("aws", &headers, body.as_bytes())).await
}

#[tokio::test]
async fn what_aws_signed_is_taken_through_the_door() {
    let pem = std::fs::read(format!("{}/fixtures/sns/{REAL}", env!("CARGO_MANIFEST_DIR"))).expect("it");
    let samples = samples("sns");
    assert_eq!(samples.len(), 5, "a sample is missing");
    let topic = |body: &[u8]| -> String {
        let value: Value = serde_json::from_slice(body).expect("JSON");
        value["TopicArn"].as_str().expect("a topic").to_owned()
    };
    let topics: Vec<String> = samples.iter().map(|(_, body)| topic(body)).collect();
    let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
    let certificates = || Certificates::laid_down([(REAL, &*pem)]);
    let mut world = world(
        SIGNED,
        [
            ("aws", sns(&topics, certificates(), told_nobody())),
            ("other", sns(&[TOPIC], certificates(), told_nobody())),
        ],
    )
    .await;
    for (name, body) in &samples {
        let text = std::str::from_utf8(body).expect("text");
        let told = send(&world, text).await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
        snapshot("sns", name, &mut world);
        let told = world.send(request("other", &[("Content-Type", "text/plain")], body)).await;
        assert_eq!((told.status, told.problem().as_str()), (403, "forbidden"), "{name}: another's topic");
        let changed = text.replacen("\"Message\" : \"", "\"Message\" : \"!", 1);
        assert_ne!(&changed, text, "{name}");
        assert_eq!(send(&world, &changed).await.status, 403, "{name}, changed");
    }
    assert!(world.received().is_empty(), "what was refused is not stored");
}

#[tokio::test]
async fn every_alarm_of_cloudwatchs_is_heard() {
    let signer = Signer::new();
    let mut world = of_signer(&signer, told_nobody()).await;
    let messages: Vec<_> =
        samples("cloudwatch").into_iter().filter(|(name, _)| name.ends_with(".message")).collect();
    assert_eq!(messages.len(), 6, "a sample is missing");
    for (name, message) in messages {
        let message = std::str::from_utf8(&message).expect("text");
        let told = send(&world, &signer.notification(message, PUBLISHED).to_string()).await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
        snapshot("cloudwatch", &name, &mut world);
    }
}

/// The emulators write what Amazon does not quite: their alarms are read all the same, once somebody signs them.
#[tokio::test]
async fn the_alarms_of_emulators_are_read_too() {
    let signer = Signer::new();
    let mut world = of_signer(&signer, told_nobody()).await;
    let mut seen = 0;
    let folder = format!("{}/fixtures/sns/emulators", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("it").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.to_string_lossy().contains("alarm-to-")) {
        let text = std::fs::read_to_string(path).expect("text");
        let body = text.split_once("\r\n\r\n").expect("a body").1;
        let envelope: Value = serde_json::from_str(body).expect("an envelope");
        assert_eq!(send(&world, body).await.status, 403, "{}: as it came", path.display());
        let message = envelope["Message"].as_str().expect("a message");
        let told = send(&world, &signer.notification(message, PUBLISHED).to_string()).await;
        assert_eq!(told.status, 200, "{}: {told:?}", path.display());
        let received = world.received();
        let is_one =
            matches!(&received[..], [one] if matches!(&one.content, Content::Signals(s) if s.len() == 1));
        assert!(is_one, "{}: {received:?}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 5, "a capture is missing");
}

#[tokio::test]
async fn every_event_of_eventbridges_is_heard() {
    let bearer = Credential::Bearer(vec![Secret::Loaded(SecretString::from(TOKEN))]);
    let mut world =
        world("2026-03-02T09:15:00Z", [("events", source(SourceKind::EventBridge, bearer))]).await;
    let token = format!("Bearer {TOKEN}");
    let headers = [("Content-Type", "application/json"), ("Authorization", &*token)];
    let events: Vec<_> =
        samples("cloudwatch").into_iter().filter(|(name, _)| name.starts_with("eventbridge-")).collect();
    assert_eq!(events.len(), 3, "a sample is missing");
    for (name, body) in events {
        let told = world.send(request("events", &headers, &body)).await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
        snapshot("eventbridge", &name, &mut world);
    }
    for (what, body, dead) in [
        ("another event", r#"{"detail-type":"EC2 Instance State-change Notification","detail":{}}"#, false),
        ("a transformed one", r#"{"alarm":"checkout"}"#, true),
        ("no detail", r#"{"detail-type":"CloudWatch Alarm State Change"}"#, true),
        ("an empty detail", r#"{"detail-type":"CloudWatch Alarm State Change","detail":{}}"#, true),
        (
            "a state of tomorrow",
            r#"{"detail-type":"CloudWatch Alarm State Change","detail":{"alarmName":"a","state":{"value":"MEH"}}}"#,
            true,
        ),
    ] {
        let told = world.send(request("events", &headers, body.as_bytes())).await;
        assert_eq!(told.status, 200, "{what}: {told:?}");
        let received = world.received();
        assert_eq!(
            matches!(received[0].content, Content::Dead(_)),
            dead,
            "{what}: {:?}",
            received[0].content
        );
    }
}

/// T04, T09–T14 at this door.
#[tokio::test]
async fn what_is_nearly_a_message_of_sns_is_refused_and_stores_nothing() {
    let signer = Signer::new();
    let stranger = Signer::new();
    let mut world = of_signer(&signer, told_nobody()).await;
    let message = std::fs::read_to_string(format!(
        "{}/fixtures/cloudwatch/metric-alarm.message.json",
        env!("CARGO_MANIFEST_DIR")
    ))
    .expect("a message");
    let good = signer.notification(&message, PUBLISHED);
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        signer.sign(changed).to_string()
    };
    let version_1 = {
        let mut changed = good.clone();
        changed["SignatureVersion"] = "1".into();
        changed.to_string()
    };
    for (what, body, status) in [
        ("no JSON", "hello".to_owned(), 400),
        ("nothing", " ".to_owned(), 400),
        ("a raw delivery", message.clone(), 400),
        (
            "an emulator's",
            with("Signature", "FAKE".into()).replace(good["Signature"].as_str().expect("one"), "FAKE"),
            403,
        ),
        ("somebody else's key", stranger.notification(&message, PUBLISHED).to_string(), 403),
        (
            "somebody else's topic",
            with("TopicArn", "arn:aws:sns:eu-west-1:999999999999:alarms-production".into()),
            403,
        ),
        (
            "another region's certificate",
            with("SigningCertURL", format!("https://sns.eu-west-2.amazonaws.com/{FILE}").into()),
            403,
        ),
        ("version 1 of a signature of version 2", version_1, 403),
        (
            "version 3",
            good.to_string().replace("\"SignatureVersion\":\"2\"", "\"SignatureVersion\":\"3\""),
            403,
        ),
        ("a time of another form", with("Timestamp", "2026-03-02T09:14:21Z".into()), 400),
        ("a line end in the subject", with("Subject", "a\nb".into()), 400),
        ("a kind of tomorrow", with("Type", "Greeting".into()), 400),
        ("a name twice", good.to_string().replacen('{', "{\"Message\":\"x\",", 1), 400),
        (
            "a certificate that is not here",
            with(
                "SigningCertURL",
                "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-aaaaaaaaaaaaaaaa.pem".into(),
            ),
            503,
        ),
    ] {
        let told = send(&world, &body).await;
        assert_eq!(told.status, status, "{what}: {told:?}");
        assert!(world.received().is_empty(), "{what}");
    }
    let raw = [("Content-Type", "text/plain"), ("x-amz-sns-rawdelivery", "true")];
    let told = world.send(request("aws", &raw, good.to_string().as_bytes())).await;
    assert_eq!((told.status, told.problem().as_str()), (403, "raw-delivery"));

    // Whatever its user makes of the content type; and the same again is the same.
    for kind in ["text/plain; charset=UTF-8", "application/json", "text/csv", ""] {
        let told = world.send(request("aws", &[("Content-Type", kind)], good.to_string().as_bytes())).await;
        assert_eq!(told.status, 200, "{kind}: {told:?}");
    }
    assert_eq!(world.received().len(), 4);

    // T04: an old message is recorded, and nothing follows; SNS itself tries for an hour.
    for (at, signals) in [
        ("2026-03-02T08:00:01.000Z", true),
        ("2026-03-02T07:59:59.000Z", false),
        ("2026-03-02T09:29:59.000Z", true),
        ("2026-03-02T09:30:01.000Z", false),
    ] {
        assert_eq!(send(&world, &signer.notification(&message, at).to_string()).await.status, 200, "{at}");
        let received = world.received();
        assert_eq!(
            matches!(received[0].content, Content::Signals(_)),
            signals,
            "{at}: {:?}",
            received[0].content
        );
    }
    for (what, message, aside) in [
        ("a text", "hello", true),
        ("a message of CodeDeploy's", r#"{"deploymentId":"d-1","status":"FAILED"}"#, true),
        ("an alarm without a state", r#"{"AlarmName":"a"}"#, true),
        ("an alarm that is none", r#"{"AlarmName":["a"],"NewStateValue":"ALARM"}"#, false),
        ("a state of tomorrow", r#"{"AlarmName":"a","NewStateValue":"MEH"}"#, false),
        (
            "nulls",
            r#"{"AlarmName":"a","NewStateValue":"ALARM","Trigger":null,"AlarmArn":null,"StateChangeTime":null}"#,
            false,
        ),
    ] {
        let told = send(&world, &signer.notification(message, PUBLISHED).to_string()).await;
        assert_eq!(told.status, 200, "{what}: {told:?}");
        let received = world.received();
        assert_eq!(
            matches!(received[0].content, Content::Aside(_)),
            aside,
            "{what}: {:?}",
            received[0].content
        );
    }
}

/// T08: no address but AWS's own is ever called. What is called in vain answers 503, which tells the two apart where there is no
/// way out; the addresses of this machine are watched.
#[tokio::test]
async fn no_bad_address_is_called() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let signer = Signer::new();
    let watch = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = watch.local_addr().expect("an address").port();
    let mut world =
        world("2026-03-02T09:15:00Z", [("aws", sns(&[TOPIC], Certificates::fetched(), told_nobody()))]).await;
    let good = format!("https://sns.eu-west-1.amazonaws.com/{FILE}");
    let host = |to: &str| good.replacen("sns.eu-west-1.amazonaws.com", to, 1);
    let hosts = [
        "127.0.0.1",
        "[::1]",
        "localhost",
        "0x7f000001",
        "2130706433",
        "127.1",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "sns.eu-west-1.amazonaws.com@127.0.0.1",
        "127.0.0.1#sns.eu-west-1.amazonaws.com",
        "127.0.0.1?sns.eu-west-1.amazonaws.com",
        "127.0.0.1/sns.eu-west-1.amazonaws.com",
        "sns.eu-west-1.amazonaws.com.",
        "SNS.eu-west-1.amazonaws.com",
        "sns.eu-west-1.amazonaws.com.evil.example",
        "sns.eu-west-1.amazonaws.com.cn",
        "sns.eu-west-2.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "bucket.s3.amazonaws.com",
        "sns.evil.amazonaws.com",
        "xsns.eu-west-1.amazonaws.com",
    ];
    let mut bad: Vec<String> = hosts.iter().map(|to| host(to)).collect();
    for to in &hosts[..12] {
        bad.push(host(&format!("{to}:{port}")));
        bad.push(host(&format!("{to}:{port}")).replacen("https", "http", 1));
    }
    let name = |to: &str| good.replacen(FILE, to, 1);
    bad.extend(
        ["http://", "HTTPS://", "ftp://", "//", "https:/", "https:///", "https:\\\\"]
            .map(|to| good.replacen("https://", to, 1)),
    );
    bad.extend(
        ["evil.pem", "SimpleNotificationService-.pem", "SimpleNotificationService-x.pem", ""].map(name),
    );
    bad.extend(["?x", "#x", "/", "/../x.pem", " ", "%00", "\t"].map(|end| format!("{good}{end}")));
    bad.push(format!(" {good}"));
    assert!(bad.len() >= 50, "{}", bad.len());
    for url in &bad {
        let mut changed = signer.notification("{}", PUBLISHED);
        changed["SigningCertURL"] = url.as_str().into();
        let told = send(&world, &changed.to_string()).await;
        assert_eq!((told.status, told.problem().as_str()), (403, "forbidden"), "{url:?}: {told:?}");
    }
    // A subscription's own address leads nowhere either.
    let local = format!("http://127.0.0.1:{port}/");
    let asks = signer.confirmation("SubscriptionConfirmation", &local, PUBLISHED);
    let with_bad_certificate = {
        let mut asks = asks;
        asks["SigningCertURL"] = host(&format!("127.0.0.1:{port}")).into();
        asks
    };
    assert_eq!(send(&world, &with_bad_certificate.to_string()).await.status, 403);
    assert!(world.received().is_empty());
    // Whoever had called would have done so before he was answered: the kernel would hold the call.
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(1), watch.accept()).await;
    assert!(nobody.is_err(), "somebody called: {nobody:?}");
}

/// Takes calls until the one with this token has come; gives the tokens of all of them.
async fn tokens_until(pretend: &TcpListener, last: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    while tokens.last().map(String::as_str) != Some(last) {
        let within = std::time::Duration::from_secs(20);
        let call = tokio::time::timeout(within, pretend.accept()).await;
        let (mut called, _) =
            call.unwrap_or_else(|_| panic!("no call with {last}: {tokens:?}")).expect("one");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(called.read_u8().await.expect("a head"));
        }
        called.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("answered");
        let head = String::from_utf8(head).expect("text");
        let topic = TOPIC.replace(':', "%3A");
        let expected = format!("GET /?Action=ConfirmSubscription&Version=2010-03-31&TopicArn={topic}&Token=");
        let rest = head.strip_prefix(&expected).unwrap_or_else(|| panic!("another call: {head}"));
        tokens.push(rest.split(' ').next().expect("a token").to_owned());
    }
    tokens
}

/// T11: what is confirmed is built from our own topic, and goes where SNS is. T03, T04: once, and while it is of now.
#[tokio::test]
async fn a_subscription_is_confirmed_by_a_call_of_our_own() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let signer = Signer::new();
    let pretend = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    // The addresses in the messages lead to the same listener, where they would be another call.
    let endpoint = format!("http://{}", pretend.local_addr().expect("an address"));
    let bait = format!("{endpoint}/bait?Action=ConfirmSubscription");
    let mut world = of_signer(&signer, Confirm::new(true, Some(endpoint))).await;
    let asks =
        |token: &str, at: &str| signer.asking(token, "SubscriptionConfirmation", &bait, at).to_string();
    let first = asks("first", PUBLISHED);
    // An end of a subscription has such an address too, which would subscribe anew; and somebody kept an old question.
    let ended = signer.confirmation("UnsubscribeConfirmation", &bait, PUBLISHED).to_string();
    let old = asks("old", "2026-03-02T07:14:21.000Z");
    let messages = [ended, old, first.clone(), first.replacen('{', "{ ", 1), asks("last", PUBLISHED)];
    for message in &messages {
        assert_eq!(send(&world, message).await.status, 200, "{message}");
    }
    let stored = world.received();
    assert_eq!(stored.len(), messages.len(), "all are stored");
    let says = |nth: usize| {
        let Content::Aside(what) = &stored[nth].content else { panic!("{:?}", stored[nth].content) };
        what.clone()
    };
    assert!(says(1).contains("too far from now: nothing follows"), "{}", says(1));
    assert!(says(2).starts_with("SNS asks to confirm"), "{}", says(2));
    let mut tokens = tokens_until(&pretend, "last").await;
    tokens.sort();
    assert_eq!(tokens, ["first", "last"], "each question of now is answered once, and nothing else is");
}

/// A call that came to nothing is made again when SNS asks again; one that did something is not.
#[tokio::test]
async fn a_confirmation_that_failed_may_be_asked_for_again() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let signer = Signer::new();
    let pretend = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", pretend.local_addr().expect("an address"));
    let world = of_signer(&signer, Confirm::new(true, Some(endpoint.clone()))).await;
    let asks = signer.asking("again", "SubscriptionConfirmation", &endpoint, PUBLISHED).to_string();
    assert_eq!(send(&world, &asks).await.status, 200);
    let (mut called, _) = pretend.accept().await.expect("a call");
    called.read_u8().await.expect("its head");
    called
        .write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await
        .expect("answered");
    // Its end is noted a moment after it was told: SNS asks until it is.
    let asking = async {
        loop {
            assert_eq!(send(&world, &asks).await.status, 200);
        }
    };
    tokio::select! {
        () = asking => unreachable!("it asks for ever"),
        tokens = tokens_until(&pretend, "again") => assert_eq!(tokens, ["again"]),
    }
}

/// Two regions of one account may have alarms of one name, and old notices name no ARN.
#[tokio::test]
async fn an_alarm_without_an_arn_is_its_regions() {
    let signer = Signer::new();
    let mut world = of_signer(&signer, told_nobody()).await;
    let message = r#"{"AlarmName":"checkout","AWSAccountId":"123456789012","NewStateValue":"ALARM"}"#;
    assert_eq!(send(&world, &signer.notification(message, PUBLISHED).to_string()).await.status, 200);
    let Content::Signals(signals) = world.received().remove(0).content else { panic!("no signal") };
    assert_eq!(signals[0].labels["region"], "eu-west-1", "the topic's: {signals:?}");
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in ["episode", "eu-west-1:123456789012:checkout"] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    let digest: String = context.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(signals[0].fingerprint.as_str().ends_with(&digest), "{:?}", signals[0].fingerprint);
}

/// A source that may confirm and one that may not share the address: what the second was asked leads to no call.
#[tokio::test]
async fn no_subscription_is_confirmed_unless_it_is_asked_for() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let signer = Signer::new();
    let pretend = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", pretend.local_addr().expect("an address"));
    let mut silent = of_signer(&signer, Confirm::new(false, Some(endpoint.clone()))).await;
    let speaking = of_signer(&signer, Confirm::new(true, Some(endpoint.clone()))).await;
    let asks =
        |token: &str| signer.asking(token, "SubscriptionConfirmation", &endpoint, PUBLISHED).to_string();
    assert_eq!(send(&silent, &asks("unwanted")).await.status, 200);
    assert!(matches!(silent.received()[0].content, Content::Aside(_)));
    assert_eq!(send(&speaking, &asks("wanted")).await.status, 200);
    assert_eq!(tokens_until(&pretend, "wanted").await, ["wanted"]);
}

/// One name with two values names nothing: an alarm over two services is of neither.
#[tokio::test]
async fn a_dimension_with_two_values_is_no_label() {
    let signer = Signer::new();
    let mut world = of_signer(&signer, told_nobody()).await;
    let metric = |service: &str| {
        json!({ "Id": service, "MetricStat": { "Metric": { "MetricName": "Errors", "Namespace": "Shop", "Dimensions": [
            { "name": "service", "value": service }, { "name": "environment", "value": "production" },
        ] } } })
    };
    let message = json!({
        "AlarmName": "both", "NewStateValue": "ALARM", "StateChangeTime": "2026-03-02T09:14:20.532+0000",
        "Trigger": { "Period": 60, "EvaluationPeriods": 3, "Metrics": [metric("checkout"), metric("search")] },
    });
    assert_eq!(
        send(&world, &signer.notification(&message.to_string(), PUBLISHED).to_string()).await.status,
        200
    );
    let Content::Signals(signals) = world.received().remove(0).content else { panic!("no signal") };
    let labels = &signals[0].labels;
    assert_eq!(labels.get("service"), None, "{labels:?}");
    assert_eq!(labels.get("environment").map(String::as_str), Some("production"));
    let lag =
        signals[0].onset().duration_since("2026-03-02T09:14:20.532Z".parse::<Timestamp>().expect("a moment"));
    assert_eq!(lag, Duration::from_mins(-3), "period times periods");
}
