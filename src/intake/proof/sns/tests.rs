//! The messages that AWS really signed, at a time within their certificate's, and what is nearly one of them.

use super::*;

const TOPIC: &str = "arn:aws:sns:us-west-2:131990247566:dongie-standard-topic";
const CERTIFICATE: &str = "SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem";
const MESSAGES: [&str; 5] = [
    "notification-with-subject",
    "notification-no-subject",
    "notification-signature-v2",
    "subscription-confirmation",
    "unsubscribe-confirmation",
];

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/sns/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).expect(&path)
}

fn message(name: &str) -> String {
    String::from_utf8(file(&format!("{name}.json"))).expect("text")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn sns(topics: &[&str], versions: Versions) -> Sns {
    let pem = file(CERTIFICATE);
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Sns::new(topics, versions, Certificates::laid_down([(CERTIFICATE, &*pem)]))
}

/// The topics of the five: each was published where it was.
fn topics() -> Vec<String> {
    let topic = |name: &&str| -> String {
        let text = message(name);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        value["TopicArn"].as_str().expect("a topic").to_owned()
    };
    MESSAGES.iter().map(topic).collect()
}

fn check(sns: &Sns, body: &str, now: Timestamp) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(sns.check(body.as_bytes(), now)).map(|_| ())
}

fn of_all() -> Sns {
    let topics = topics();
    sns(&topics.iter().map(|topic| &**topic).collect::<Vec<_>>(), Versions::Both)
}

const NOW: &str = "2026-03-06T20:05:00Z";

#[test]
fn what_aws_signed_is_proved_and_nothing_near_it() {
    let sns = of_all();
    for name in MESSAGES {
        let body = message(name);
        assert_eq!(check(&sns, &body, at(NOW)), Ok(()), "{name}");
        let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        for (key, signed) in value.as_object().expect("an object") {
            let text = signed.as_str().expect("a text");
            // Each character of each value in its turn.
            for (at_byte, was) in text.char_indices() {
                let other = if was == '1' { "2" } else { "1" };
                let mut changed = value.clone();
                changed[key] =
                    format!("{}{other}{}", &text[..at_byte], &text[at_byte + was.len_utf8()..]).into();
                let told = check(&sns, &changed.to_string(), at(NOW));
                // The address to end the subscription is not signed, and nothing is done with it.
                assert_eq!(told.is_ok(), key == "UnsubscribeURL", "{name}, {key} at {at_byte}: {told:?}");
            }
            let mut without = value.clone();
            without.as_object_mut().expect("an object").remove(key);
            let told = check(&sns, &without.to_string(), at(NOW));
            assert_eq!(told.is_ok(), key == "UnsubscribeURL", "{name} without {key}: {told:?}");
        }
        for (key, text) in [("Subject", "a subject"), ("Token", "abc"), ("SubscribeURL", "https://x")] {
            if value[key].is_null() {
                let mut more = value.clone();
                more[key] = text.into();
                let told = check(&sns, &more.to_string(), at(NOW));
                // What is not signed in this kind of message is not read in it either.
                let unsigned = (value["Type"] == "Notification") != (key == "Subject");
                assert_eq!(told.is_ok(), unsigned, "{name} with {key}: {told:?}");
            }
        }
    }
}

#[test]
fn a_subject_that_is_null_is_none() {
    let mut value: serde_json::Value =
        serde_json::from_str(&message("notification-no-subject")).expect("JSON");
    value["Subject"] = serde_json::Value::Null;
    assert_eq!(check(&of_all(), &value.to_string(), at(NOW)), Ok(()));
}

#[test]
fn a_certificate_counts_in_its_time_alone() {
    let sns = of_all();
    let body = message("notification-with-subject");
    for (now, proved) in [
        ("2025-11-09T23:59:59Z", false),
        ("2025-11-10T00:00:00Z", true),
        ("2026-10-14T23:59:59Z", true),
        ("2026-10-15T00:00:00Z", false),
    ] {
        assert_eq!(check(&sns, &body, at(now)).is_ok(), proved, "{now}");
    }
}

#[test]
fn a_topic_that_is_not_ours_is_refused() {
    let body = message("notification-with-subject");
    for topics in [
        vec![],
        vec!["arn:aws:sns:us-west-2:131990247566:dongie-standard-topic2"],
        vec!["arn:aws:sns:us-west-2:131990247566:dongie-standard"],
        vec!["arn:aws:sns:us-west-2:131990247566:*"],
    ] {
        let told = check(&sns(&topics, Versions::Both), &body, at(NOW));
        assert_eq!(told, Err(Problem::SnsRefused), "{topics:?}");
    }
    assert_eq!(check(&sns(&[TOPIC], Versions::Both), &body, at(NOW)), Ok(()));
}

#[test]
fn version_two_can_be_asked_for() {
    let strict = |name: &str| {
        let topics = topics();
        let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        check(&sns(&topics, Versions::Second), &message(name), at(NOW))
    };
    assert_eq!(strict("notification-signature-v2"), Ok(()));
    assert_eq!(strict("notification-with-subject"), Err(Problem::SnsRefused));
}

/// T08: everything that is nearly the address of a certificate.
pub(crate) fn bad_addresses() -> Vec<String> {
    let good = format!("https://sns.us-west-2.amazonaws.com/{CERTIFICATE}");
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    let name = |to: &str| with(CERTIFICATE, to);
    let host = |to: &str| with("sns.us-west-2.amazonaws.com", to);
    vec![
        String::new(),
        "https://".into(),
        CERTIFICATE.into(),
        with("https", "http"),
        with("https", "HTTPS"),
        with("https", "ftp"),
        with("https://", "//"),
        with("https://", "https:"),
        with("https://", "https:///"),
        with("https://", "https:\\\\"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{good}?"),
        format!("{good}?x=1"),
        format!("{good}#"),
        format!("{good}#x"),
        format!("{good}/"),
        format!("{good}/../evil.pem"),
        format!("{good};x"),
        format!("{good}%00"),
        host("user@sns.us-west-2.amazonaws.com"),
        host("user:pass@sns.us-west-2.amazonaws.com"),
        host("sns.us-west-2.amazonaws.com:443"),
        host("sns.us-west-2.amazonaws.com:8443"),
        host("sns.us-west-2.amazonaws.com:"),
        host("sns.us-west-2.amazonaws.com."),
        host("SNS.us-west-2.amazonaws.com"),
        host("sns.US-WEST-2.amazonaws.com"),
        host("sns.us-east-1.amazonaws.com"),
        host("sns.us-west-2.amazonaws.com.cn"),
        host("sns.us-west-2.amazonaws.com.evil.example"),
        host("sns.us-west-2.amazonaws.com@evil.example"),
        host("sns.us-west-2.amazonaws.com%2eevil.example"),
        host("sns.us-west-2.amazonaws.comevil.example"),
        host("evil.example/sns.us-west-2.amazonaws.com"),
        host("evil.example\\sns.us-west-2.amazonaws.com"),
        host("evil.example?sns.us-west-2.amazonaws.com"),
        host("evil.example#sns.us-west-2.amazonaws.com"),
        host("sns.evil.amazonaws.com"),
        host("s3.us-west-2.amazonaws.com"),
        host("sns.s3.amazonaws.com"),
        host("bucket.s3.us-west-2.amazonaws.com"),
        host("xsns.us-west-2.amazonaws.com"),
        host("sns-us-west-2.amazonaws.com"),
        host("sns.us-west-2.amazonaws.org"),
        host("sns.us-west-2.api.aws"),
        host("sns.us-west-2.amazonaws.com/x"),
        host("sns..us-west-2.amazonaws.com"),
        host("169.254.169.254"),
        host("127.0.0.1"),
        host("[::1]"),
        host("localhost"),
        host("0x7f000001"),
        host("2130706433"),
        host("metadata.google.internal"),
        name("evil.pem"),
        name("SimpleNotificationService-.pem"),
        name("SimpleNotificationService-7506a1e3.pem.exe"),
        name("SimpleNotificationService-7506a1e3.PEM"),
        name("SimpleNotificationService-7506A1E35B36EF5A444DD1A8E7CC3ED8.pem"),
        name("SimpleNotificationService-fake.pem"),
        name("SimpleNotificationService-7506a1e3"),
        name("simplenotificationservice-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem"),
        name("SimpleNotificationService-7506a1e3/../../x.pem"),
        name("SimpleNotificationService-../7506a1e35b36ef5a.pem"),
        name("x/SimpleNotificationService-7506a1e35b36ef5a.pem"),
        name(&format!("SimpleNotificationService-{}.pem", "a".repeat(65))),
        name("SimpleNotificationService-%37506a1e35b36ef5a.pem"),
    ]
}

#[test]
fn an_address_is_exactly_aws_own_in_the_topics_region() {
    let good = format!("https://sns.us-west-2.amazonaws.com/{CERTIFICATE}");
    assert_eq!(certificate_name(&good, "us-west-2"), Some(CERTIFICATE));
    let china = format!("https://sns.cn-north-1.amazonaws.com.cn/{CERTIFICATE}");
    assert_eq!(certificate_name(&china, "cn-north-1"), Some(CERTIFICATE));
    assert_eq!(certificate_name(&china.replace(".cn/", "/"), "cn-north-1"), None);
    let bad = bad_addresses();
    assert!(bad.len() >= 50, "{}", bad.len());
    for url in bad {
        assert_eq!(certificate_name(&url, "us-west-2"), None, "{url:?}");
    }
}

/// T10: what would make two messages one string to sign.
#[test]
fn what_moves_the_line_ends_is_refused_before_it_is_compared() {
    let sns = of_all();
    let value: serde_json::Value = serde_json::from_str(&message("notification-with-subject")).expect("JSON");
    for (key, text) in [
        ("Subject", "My message\nsubject"),
        ("Subject", "My message\rsubject"),
        ("TopicArn", "arn:aws:sns:us-west-2:131990247566:dongie-standard-topic\nType"),
        ("MessageId", "26858270-545e-5848-82a2-e05566af3dc"),
        ("MessageId", "26858270-545E-5848-82a2-e05566af3dcf"),
        ("MessageId", "26858270-545e-5848-82a2-e05566af3dcf\nSubject"),
        ("Timestamp", "2026-03-06T19:53:21Z"),
        ("Timestamp", "2026-03-06T19:53:21.424+00:00"),
        ("Timestamp", "2026-03-06T19:53:21.424Z\n"),
        ("Type", "notification"),
        ("Type", "Notification "),
    ] {
        let mut changed = value.clone();
        changed[key] = text.into();
        assert_eq!(check(&sns, &changed.to_string(), at(NOW)), Err(Problem::Unprovable), "{key} {text:?}");
    }
    for body in ["", "hello", "[]", "{}", "null", "{\"Type\":\"Notification\"}", "\u{feff}{}"] {
        assert_eq!(check(&sns, body, at(NOW)), Err(Problem::Unprovable), "{body:?}");
    }
    let twice = message("notification-with-subject").replacen('{', "{\"Message\":\"another\",", 1);
    assert_eq!(check(&sns, &twice, at(NOW)), Err(Problem::Unprovable), "a name stands twice");
}

#[test]
fn another_certificate_proves_nothing() {
    let body = message("notification-with-subject");
    let emulators = file("emulators/localstack-signing-cert.pem");
    let sns = Sns::new(
        [TOPIC.to_owned()].into(),
        Versions::Both,
        Certificates::laid_down([(CERTIFICATE, &*emulators)]),
    );
    assert_eq!(check(&sns, &body, at(NOW)), Err(Problem::SnsRefused));
    let none = Sns::new([TOPIC.to_owned()].into(), Versions::Both, Certificates::laid_down([]));
    assert_eq!(check(&none, &body, at(NOW)), Err(Problem::CertificateAway), "it comes again");
}

#[test]
fn a_stranger_cannot_make_us_ask_without_end() {
    let certificates = Certificates::laid_down([]);
    let now = at(NOW);
    for _ in 0..ASKED_MAX {
        assert_eq!(certificates.may_ask(now), Ok(()));
    }
    assert_eq!(certificates.may_ask(now + Duration::from_secs(59)), Err(Problem::CertificateAway));
    assert_eq!(certificates.may_ask(now + Duration::from_secs(60)), Ok(()));
    let mut seen = Seen::default();
    for number in 0..KEPT_MAX * 2 {
        seen.keep(&format!("{number}.pem"), Kept::Failed(now));
    }
    assert_eq!(seen.kept.len(), KEPT_MAX);
}
