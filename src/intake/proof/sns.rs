//! SNS's signature: RSA over the decoded values of an envelope, by a certificate that the message itself names. So the name
//! decides: nothing is fetched before the topic is one of ours and the address is exactly the one that AWS uses in that
//! topic's region (T08, T09), and what is fetched comes over verified TLS, from that host alone, and must be what it says.
//! Leaves to `intake/sns.rs` what a message says, and to `proof/confirm.rs` what is answered to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderMap;
use x509_parser::pem::parse_x509_pem;

use super::Proof;
use crate::case::id::{Duration, Timestamp};
use crate::intake::problem::Problem;
use crate::intake::sns::{Envelope, Kind};

/// A certificate is some 2 KiB.
const CERTIFICATE_MAX: usize = 16 << 10;
/// A region has one certificate at a time, and changes it yearly; so many regions and changes are kept.
const KEPT_MAX: usize = 32;
/// An address that gave no certificate is not asked again so soon.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// So many addresses are asked within a minute: the last part of one is a stranger's to choose.
const ASKED_MAX: usize = 6;
const ASKED_WITHIN: Duration = Duration::from_mins(1);
/// A turn to fetch is waited for so long: with the fetch itself it is less than the 15 s that SNS waits for the whole answer.
const TURN_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
const FETCH_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// What a source of kind `sns` must show.
#[derive(Debug)]
pub struct Sns {
    topics: BTreeSet<String>,
    versions: Versions,
    certificates: Certificates,
}

/// Which signatures count. Version 1 is SHA-1, and still what a topic does unless it is told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// 1 and 2.
    Both,
    /// 2 alone.
    Second,
}

impl Sns {
    /// Hears these topics, by their exact ARNs.
    pub fn new(topics: BTreeSet<String>, versions: Versions, certificates: Certificates) -> Sns {
        Sns { topics, versions, certificates }
    }

    /// Checks a request's head: what is delivered raw has no signature.
    ///
    /// # Errors
    /// [`Problem::RawDelivery`].
    pub(super) fn look(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if headers.contains_key("x-amz-sns-rawdelivery")
            && !is_word(headers, "x-amz-sns-rawdelivery", "false")
        {
            return Err(Problem::RawDelivery);
        }
        Ok(())
    }

    /// Checks a body. Everything that needs no call is checked first.
    ///
    /// # Errors
    /// [`Problem::Unprovable`] for what is no envelope, [`Problem::SnsRefused`] for a topic, an address or a signature that is
    /// not right, [`Problem::CertificateAway`] while the certificate cannot be had.
    pub(super) async fn check(&self, body: &[u8], now: Timestamp) -> Result<Proof, Problem> {
        let envelope = Envelope::read(body).map_err(|_| Problem::Unprovable)?;
        if !is_well_formed(&envelope) {
            return Err(Problem::Unprovable);
        }
        let refused = |why: &str| {
            tracing::debug!(topic = %envelope.topic_arn, why, "refused a message of SNS's");
            Problem::SnsRefused
        };
        if !self.topics.contains(&*envelope.topic_arn) {
            return Err(refused("the topic is not one of this source's"));
        }
        let algorithm: &RsaParameters = match (&*envelope.signature_version, self.versions) {
            ("1", Versions::Both) => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            ("2", Versions::Both | Versions::Second) => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(refused("signatures of this version are not taken")),
        };
        let signature =
            STANDARD.decode(&*envelope.signature).map_err(|_| refused("the signature is no base64"))?;
        let region = region(&envelope.topic_arn).ok_or_else(|| refused("the topic has no region"))?;
        let name = certificate_name(&envelope.signing_cert_url, region)
            .ok_or_else(|| refused("the certificate's address is not AWS's in the topic's region"))?;
        let certificate = self.certificates.of(name, &envelope.signing_cert_url, now).await?;
        if !certificate.is_sns_at(region, now) {
            return Err(refused("the certificate is another's, or not of this time"));
        }
        let key = UnparsedPublicKey::new(algorithm, &certificate.key);
        key.verify(signed(&envelope).as_bytes(), &signature)
            .map_err(|_| refused("the signature is wrong"))?;
        Ok(Proof(()))
    }
}

fn is_word(headers: &HeaderMap, name: &str, word: &str) -> bool {
    headers.get_all(name).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
}

/// The region of a topic's ARN, `arn:aws:sns:REGION:ACCOUNT:NAME`.
pub(in crate::intake) fn region(topic: &str) -> Option<&str> {
    let region = topic.split(':').nth(3)?;
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (region.len() >= 3 && region.bytes().all(sound)).then_some(region)
}

/// The host of SNS in a region.
pub(in crate::intake) fn host(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("sns.{region}.amazonaws.com{china}")
}

/// The last part of a certificate's address, where the address is exactly AWS's in this region: text is compared with text,
/// and no reader of addresses can be led astray. A check of the host alone has been bypassed in the wild.
fn certificate_name<'a>(url: &'a str, region: &str) -> Option<&'a str> {
    let name = url.strip_prefix("https://")?.strip_prefix(&*host(region))?.strip_prefix('/')?;
    let hex = name.strip_prefix("SimpleNotificationService-")?.strip_suffix(".pem")?;
    let sound = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    ((8..=64).contains(&hex.len()) && hex.bytes().all(sound)).then_some(name)
}

/// What would make two different messages one string to sign is not there (T10): a line end outside of the message, an id or a
/// time of another form.
fn is_well_formed(envelope: &Envelope<'_>) -> bool {
    let form = |text: &str, like: &str| {
        text.len() == like.len()
            && text.bytes().zip(like.bytes()).all(|(byte, like)| match like {
                b'x' => byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase(),
                b'0' => byte.is_ascii_digit(),
                _ => byte == like,
            })
    };
    let one_line = |text: &str| !text.contains(['\n', '\r', '\0']);
    let confirms = envelope.kind != Kind::Notification;
    let lines = [&envelope.subject, &envelope.token, &envelope.subscribe_url];
    form(&envelope.message_id, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
        && form(&envelope.timestamp, "0000-00-00T00:00:00.000Z")
        && one_line(&envelope.topic_arn)
        && lines.into_iter().flatten().all(|text| one_line(text))
        && (!confirms || (envelope.token.is_some() && envelope.subscribe_url.is_some()))
}

/// What is signed: each key that is there, in the order of the alphabet, with its value, each on a line. The token is signed in
/// both kinds of confirmation.
fn signed(envelope: &Envelope<'_>) -> String {
    let kind = envelope.kind.word();
    let notifies = envelope.kind == Kind::Notification;
    let keys: [(&str, Option<&str>); 8] = [
        ("Message", Some(&envelope.message)),
        ("MessageId", Some(&envelope.message_id)),
        ("Subject", envelope.subject.as_deref().filter(|_| notifies)),
        ("SubscribeURL", envelope.subscribe_url.as_deref().filter(|_| !notifies)),
        ("Timestamp", Some(&envelope.timestamp)),
        ("Token", envelope.token.as_deref().filter(|_| !notifies)),
        ("TopicArn", Some(&envelope.topic_arn)),
        ("Type", Some(kind)),
    ];
    let lines = keys.into_iter().filter_map(|(key, value)| Some(format!("{key}\n{}\n", value?)));
    lines.collect()
}

/// The certificates that were seen, by the last part of their address.
#[derive(Debug)]
pub struct Certificates {
    /// Whoever fetches what is not here. `None`: only what was laid down counts.
    http: Option<reqwest::Client>,
    seen: Mutex<Seen>,
    /// One fetch at a time: whoever waits for the same one finds it.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Seen {
    kept: BTreeMap<String, Kept>,
    /// When addresses were asked, within the last minute.
    asked: Vec<Timestamp>,
}

#[derive(Clone, Debug)]
enum Kept {
    Here(Arc<Certificate>),
    Failed(Timestamp),
}

/// What is needed of a certificate.
#[derive(Debug)]
struct Certificate {
    /// The RSA key, as DER.
    key: Vec<u8>,
    name: String,
    from: i64,
    until: i64,
}

impl Certificates {
    /// Fetches what it does not have.
    pub fn fetched() -> Certificates {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(true)
            .timeout(FETCH_WITHIN)
            .user_agent(concat!("snapback/", env!("CARGO_PKG_VERSION")));
        let http = client
            .build()
            .inspect_err(|error| tracing::error!(%error, "certificates of SNS's cannot be fetched: install the certificate authorities of this system (ca-certificates)"))
            .ok();
        Certificates { http, seen: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// Knows these alone, by the last part of their address, and fetches nothing.
    pub fn laid_down<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Certificates {
        let read = files.into_iter().filter_map(|(name, pem)| {
            let Some(certificate) = Certificate::read(pem) else {
                tracing::error!(name, "this file is no certificate of an RSA key: it proves nothing");
                return None;
            };
            Some((name.to_owned(), Kept::Here(Arc::new(certificate))))
        });
        let seen = Seen { kept: read.collect(), asked: Vec::new() };
        Certificates { http: None, seen: Mutex::new(seen), fetching: tokio::sync::Mutex::default() }
    }

    /// The certificate of this name, fetched from its address where it is not here.
    async fn of(&self, name: &str, url: &str, now: Timestamp) -> Result<Arc<Certificate>, Problem> {
        if let Some(known) = self.known(name, now)? {
            return Ok(known);
        }
        let Some(http) = &self.http else { return Err(Problem::CertificateAway) };
        // Whoever waits longer for others' certificates than its sender does is told to come again.
        let turn = tokio::time::timeout(TURN_WITHIN, self.fetching.lock()).await;
        let _turn = turn.map_err(|_| Problem::CertificateAway)?;
        if let Some(known) = self.known(name, now)? {
            return Ok(known);
        }
        self.may_ask(now)?;
        let fetched = fetch(http, url).await;
        let kept = match &fetched {
            Ok(certificate) => Kept::Here(Arc::clone(certificate)),
            Err(why) => {
                tracing::warn!(url, %why, "a certificate of SNS's cannot be had: its messages come again");
                Kept::Failed(now)
            }
        };
        self.seen().keep(name, kept);
        fetched.map_err(|_| Problem::CertificateAway)
    }

    fn known(&self, name: &str, now: Timestamp) -> Result<Option<Arc<Certificate>>, Problem> {
        match self.seen().kept.get(name) {
            Some(Kept::Here(certificate)) => Ok(Some(Arc::clone(certificate))),
            Some(Kept::Failed(at)) if now.duration_since(*at).abs() < FAILED_FOR => {
                Err(Problem::CertificateAway)
            }
            Some(Kept::Failed(_)) | None => Ok(None),
        }
    }

    fn may_ask(&self, now: Timestamp) -> Result<(), Problem> {
        let mut seen = self.seen();
        seen.asked.retain(|at| now.duration_since(*at).abs() < ASKED_WITHIN);
        if seen.asked.len() >= ASKED_MAX {
            return Err(Problem::CertificateAway);
        }
        seen.asked.push(now);
        Ok(())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Each change is whole: a panic of another holder leaves nothing half-done.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Keeps what was found. Where there is no room, what failed goes before what serves.
    fn keep(&mut self, name: &str, kept: Kept) {
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(name) {
            let failed = self.kept.iter().find(|(_, kept)| matches!(kept, Kept::Failed(_)));
            let victim = failed.or_else(|| self.kept.iter().next()).map(|(name, _)| name.clone());
            victim.and_then(|victim| self.kept.remove(&victim));
        }
        self.kept.insert(name.to_owned(), kept);
    }
}

async fn fetch(http: &reqwest::Client, url: &str) -> Result<Arc<Certificate>, String> {
    let mut answer = http.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("the answer is {}", answer.status()));
    }
    let mut pem = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
        pem.extend_from_slice(&piece);
        if pem.len() > CERTIFICATE_MAX {
            return Err("the answer is longer than 16 KiB".to_owned());
        }
    }
    Certificate::read(&pem)
        .map(Arc::new)
        .ok_or_else(|| "the answer is no certificate of an RSA key".to_owned())
}

impl Certificate {
    fn read(pem: &[u8]) -> Option<Certificate> {
        let (_, pem) = parse_x509_pem(pem).ok()?;
        let x509 = pem.parse_x509().ok()?;
        let mut names = x509.subject().iter_common_name();
        let name = names.next()?.as_str().ok()?.to_owned();
        let validity = x509.validity();
        // 1.2.840.113549.1.1.1, rsaEncryption: another key would only make every signature wrong.
        let key = x509.public_key();
        let is_rsa = key.algorithm.algorithm.to_id_string() == "1.2.840.113549.1.1.1";
        is_rsa.then(|| Certificate {
            key: key.subject_public_key.data.to_vec(),
            name,
            from: validity.not_before.timestamp(),
            until: validity.not_after.timestamp(),
        })
    }

    /// Whether it is SNS's in this region, at this time: the names are those of AWS's SDK for Java
    /// (aws/aws-sdk-java-v2, `sns-message-manager`; signals §3).
    fn is_sns_at(&self, region: &str, now: Timestamp) -> bool {
        let names: &[String] = &match region {
            "us-gov-west-1" | "us-gov-east-1" => vec!["sns-us-gov-west-1.amazonaws.com".to_owned()],
            china if china.starts_with("cn-") => vec![format!("sns-{china}.amazonaws.com.cn")],
            other => vec!["sns.amazonaws.com".to_owned(), format!("sns-signing.{other}.amazonaws.com")],
        };
        names.contains(&self.name) && (self.from..=self.until).contains(&now.as_second())
    }
}

#[cfg(test)]
mod tests;
