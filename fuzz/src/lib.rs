//! What every target does with its bytes: reads them as a body of one kind of sender, as the server reads what it has stored,
//! or shows them as the head of a request. Whatever comes, nothing panics and nothing hangs.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use snapback::case::id::{Duration, SourceName, Timestamp};
use snapback::case::mapping::{Formula, Mapping};
use snapback::intake::{
    Certificates, Confirm, Credential, Scheme, Secret, Sns, SourceKind, SourceSettings, Versions, reread,
};

fn now() -> Timestamp {
    Timestamp::from_second(1_772_442_840).expect("a moment of 2026")
}

/// Reads a body of this kind of sender.
pub fn body(kind: SourceKind, body: &[u8]) {
    let settings = SourceSettings {
        kind,
        credential: Credential::Bearer(Vec::new()),
        lag: Duration::from_mins(5),
        tally: Arc::default(),
    };
    let content = reread(&SourceName::new("fuzz"), &settings, now(), Bytes::copy_from_slice(body));
    // What was read is shown somewhere in the end.
    std::hint::black_box(format!("{content:?}"));
}

/// A mapping of whatever comes.
pub fn generic() -> SourceKind {
    let formula = |text: &str| Formula::parse(text).expect("a formula");
    SourceKind::Generic(Arc::new(Mapping {
        each: Some(formula("has(body.alerts) ? body.alerts : [body]")),
        state: formula("item.state == 1 ? \"firing\" : string(item.state)"),
        name: formula("item.name"),
        episode: formula("string(item.id) + \"/\" + string(size(body))"),
        started_at: Some(formula("item.at")),
        ended_at: Some(formula("item.until")),
        link: Some(formula("item.link")),
        labels: [("service".to_owned(), formula("item.labels[\"service\"]"))].into(),
        annotations: [("all".to_owned(), formula("item.text + item.more"))].into(),
    }))
}

/// Shows a request: lines of `name: value`, an empty line, a body.
pub fn request(credential: &Credential, bytes: &[u8]) {
    let at = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = at.map_or((bytes, &bytes[..0]), |at| (&bytes[..at], &bytes[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let proven = runtime.block_on(credential.prove(&headers, Bytes::copy_from_slice(body), now()));
    // Nobody can guess a secret of these.
    assert!(proven.is_err(), "a stranger was taken for the sender");
}

fn secrets() -> Vec<Secret> {
    vec![Secret::Loaded(SecretString::from("a-secret-that-nobody-guesses-0123456789"))]
}

/// Every way in which a head can be signed.
pub fn signed(bytes: &[u8]) {
    let grafana = Scheme::Grafana { signature: Scheme::GRAFANA, timestamp: "x-time".parse().ok() };
    let header =
        Scheme::Header { signature: HeaderName::from_static("x-signature"), prefix: "sha256=".into() };
    for scheme in [Scheme::PagerDuty, Scheme::GitHub, grafana, header] {
        request(&Credential::Signed { scheme, secrets: secrets() }, bytes);
    }
    request(&Credential::Bearer(secrets()), bytes);
    request(&Credential::Basic { user: "snapback".into(), passwords: secrets() }, bytes);
}

/// An envelope of SNS's, with a certificate that is there and whose key nobody has.
pub fn sns(bytes: &[u8]) {
    const FILE: &str = "SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem";
    const PEM: &[u8] =
        include_bytes!("../../fixtures/sns/SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem");
    // The topic of none of the samples, whose signatures are right.
    let topics = ["arn:aws:sns:us-west-2:131990247566:another".to_owned()].into();
    let proof = Arc::new(Sns::new(topics, Versions::Both, Certificates::laid_down([(FILE, PEM)])));
    request(
        &Credential::Sns { proof, confirm: Arc::new(Confirm::new(false, None)) },
        &[b"\n\n", bytes].concat(),
    );
}
