//! Signatures: HMAC-SHA256 over the bytes as they came, in each sender's own dress. Where a scheme signs a time, an old one
//! is refused; where it signs none (PagerDuty, GitHub), what comes again is known by its bytes and by its event's own time.

use std::fmt::Write as _;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use hyper::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};

use super::{Proof, Secret};
use crate::case::id::{Duration, Timestamp};
use crate::intake::problem::Problem;

/// A signature counts so long before and after its time, as Slack advises; what comes again within it is known by its bytes.
const SIGNED_WITHIN: Duration = Duration::from_mins(5);

/// So many signatures of one head are looked at: a sender shows one for each live secret.
const SHOWN_MAX: usize = 8;

/// How a sender signs.
#[derive(Clone, Debug)]
pub enum Scheme {
    /// `X-PagerDuty-Signature: v1=HEX,v1=HEX`, one for each of its live secrets; the secret as given, not decoded
    /// (PagerDuty/developer-docs, "Verifying webhook signatures"; signals §2).
    PagerDuty,
    /// `X-Hub-Signature-256: sha256=HEX` (docs.github.com, "Validating webhook deliveries"; signals §11.1).
    GitHub,
    /// Hexadecimal in a header of the sender's own, after these letters.
    Header {
        /// Where the signature stands.
        signature: HeaderName,
        /// What stands before it, such as `sha256=`.
        prefix: String,
    },
    /// Bare hexadecimal in a header that the user may name; with a header for the time, over `SECONDS:BODY`
    /// (grafana/alerting `http/hmac.go`; signals §8).
    Grafana {
        /// Where the signature stands.
        signature: HeaderName,
        /// Where its time stands, if it signs one.
        timestamp: Option<HeaderName>,
    },
}

/// What a head shows, and what it is compared with.
pub(in crate::intake) struct Shown<'a> {
    secrets: &'a [Secret],
    /// What is signed before the body.
    before: Vec<&'a str>,
    /// Each in hexadecimal.
    signatures: Vec<&'a str>,
}

impl Scheme {
    /// Where Grafana puts its signature unless the user names another header.
    pub const GRAFANA: HeaderName = HeaderName::from_static("x-grafana-alerting-signature");

    /// The signatures that a head shows.
    ///
    /// # Errors
    /// [`Problem::SignatureRefused`] where there is none in this scheme, or its time is long ago;
    /// [`Problem::SecretMissing`] where none could be checked.
    pub(super) fn look<'a>(
        &self,
        headers: &'a HeaderMap,
        secrets: &'a [Secret],
        now: Timestamp,
    ) -> Result<Shown<'a>, Problem> {
        let none = || {
            if loaded(secrets).next().is_none() { Problem::SecretMissing } else { Problem::SignatureRefused }
        };
        let (before, signatures) = match self {
            Scheme::PagerDuty => {
                let all = one(headers, "x-pagerduty-signature").ok_or_else(none)?.split(',');
                (Vec::new(), all.filter_map(|each| each.trim().strip_prefix("v1=")).take(SHOWN_MAX).collect())
            }
            Scheme::GitHub => {
                let shown = one(headers, "x-hub-signature-256").and_then(|all| all.strip_prefix("sha256="));
                (Vec::new(), vec![shown.ok_or_else(none)?])
            }
            Scheme::Header { signature, prefix } => {
                let shown = one(headers, signature.as_str()).and_then(|all| all.strip_prefix(&**prefix));
                (Vec::new(), vec![shown.ok_or_else(none)?])
            }
            Scheme::Grafana { signature, timestamp } => {
                let shown = one(headers, signature.as_str()).ok_or_else(none)?;
                let before = match timestamp {
                    Some(timestamp) => {
                        let time = one(headers, timestamp.as_str()).filter(|time| is_young(time, now));
                        vec![time.ok_or_else(none)?, ":"]
                    }
                    None => Vec::new(),
                };
                (before, vec![shown])
            }
        };
        if signatures.is_empty() { Err(none()) } else { Ok(Shown { secrets, before, signatures }) }
    }
}

impl Shown<'_> {
    /// Compares each signature with each secret's, so that the time does not tell which was right.
    ///
    /// # Errors
    /// [`Problem::SignatureRefused`]; [`Problem::SecretMissing`] when it might be right, and the secret to tell is not
    /// loaded.
    pub(super) fn check(self, body: &[u8]) -> Result<Proof, Problem> {
        let mut right = false;
        for secret in loaded(self.secrets) {
            let secret = secret.expose_secret().as_bytes();
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let mut context = hmac::Context::with_key(&key);
            for part in self.before.iter().map(|part| part.as_bytes()).chain([body]) {
                context.update(part);
            }
            let mut expected = String::with_capacity(64);
            for byte in context.sign().as_ref() {
                // Writing to a String cannot fail.
                let _ = write!(expected, "{byte:02x}");
            }
            for shown in &self.signatures {
                let same = verify_slices_are_equal(expected.as_bytes(), shown.as_bytes()).is_ok();
                // An empty secret is a fault of the configuration, and never one that anybody can use.
                right |= !secret.is_empty() & same;
            }
        }
        let all_loaded = loaded(self.secrets).count() == self.secrets.len();
        match (right, all_loaded) {
            (true, _) => Ok(Proof(())),
            (false, true) => Err(Problem::SignatureRefused),
            (false, false) => Err(Problem::SecretMissing),
        }
    }
}

/// The time and the signature that Slack's head shows, each once, the time not long ago: what is refused by the head is
/// refused before its body is read.
///
/// # Errors
/// [`Problem::SignatureRefused`].
pub(in crate::intake) fn slack_head(headers: &HeaderMap, now: Timestamp) -> Result<(&str, &str), Problem> {
    let shown = one(headers, "x-slack-request-timestamp").zip(one(headers, "x-slack-signature"));
    let (time, signature) = shown.ok_or(Problem::SignatureRefused)?;
    if is_young(time, now) { Ok((time, signature)) } else { Err(Problem::SignatureRefused) }
}

/// Slack's signature over a body (docs.slack.dev, "Verifying requests"; signals §10.1): HMAC-SHA256 of `v0:TIME:BODY` with
/// any of these secrets, and a time that is not long ago.
///
/// # Errors
/// [`Problem::SignatureRefused`] for a wrong, missing or old one; [`Problem::SecretMissing`] when it might be right, and
/// the secret to tell is not loaded.
pub(in crate::intake) fn slack_signature(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
) -> Result<Proof, Problem> {
    let (time, shown) = slack_head(headers, now)?;
    let signature = shown.strip_prefix("v0=").ok_or(Problem::SignatureRefused)?;
    Shown { secrets, before: vec!["v0:", time, ":"], signatures: vec![signature] }.check(body)
}

/// The text of a header that stands once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
}

/// Whether these epoch seconds are near enough.
fn is_young(seconds: &str, now: Timestamp) -> bool {
    let sent_at = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    sent_at.is_some_and(|at: Timestamp| at.duration_since(now).abs() <= SIGNED_WITHIN)
}

fn loaded(secrets: &[Secret]) -> impl Iterator<Item = &SecretString> {
    secrets.iter().filter_map(Secret::loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Secret {
        Secret::Loaded(SecretString::from(text))
    }

    /// `fixtures/vectors.json`: computed by others, see its notes.
    fn vectors() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/vectors.json");
        serde_json::from_slice(&std::fs::read(path).expect(path)).expect("vectors")
    }

    fn signed(time: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-slack-request-timestamp", time.parse().expect("a header value"));
        headers.insert("x-slack-signature", signature.parse().expect("a header value"));
        headers
    }

    /// The vector of Slack's own documents, "Verifying requests from Slack".
    #[test]
    fn slacks_own_vector_is_proved_and_nothing_near_it() {
        let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let right = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let secrets = [loaded("an-old-one"), loaded("8f742231b10e8888abcd99yyyzzz85a5")];
        let at = |second: i64| Timestamp::from_second(1_531_420_618 + second).expect("a moment");
        let check =
            |headers: HeaderMap, body: &[u8], now| slack_signature(&headers, body, &secrets, now).map(|_| ());
        let refused = Err(Problem::SignatureRefused);
        assert_eq!(check(signed("1531420618", right), body, at(0)), Ok(()));
        assert_eq!(check(signed("1531420618", right), body, at(300)), Ok(()));
        assert_eq!(check(signed("1531420618", right), body, at(-300)), Ok(()));
        assert_eq!(check(signed("1531420618", right), body, at(301)), refused);
        assert_eq!(check(signed("1531420618", right), body, at(-301)), refused);
        assert_eq!(check(signed("1531420619", right), body, at(0)), refused);
        assert_eq!(check(signed("1531420618", &right.to_uppercase()), body, at(0)), refused);
        assert_eq!(check(signed("1531420618", &right[..66]), body, at(0)), refused);
        assert_eq!(check(signed("1531420618", &right.replace("v0=", "v1=")), body, at(0)), refused);
        assert_eq!(check(signed("", right), body, at(0)), refused);
        assert_eq!(check(HeaderMap::new(), body, at(0)), refused);
        assert_eq!(check(signed("1531420618", right), &body[1..], at(0)), refused);
        let mut twice = signed("1531420618", right);
        twice.append("x-slack-signature", right.parse().expect("a header value"));
        assert_eq!(check(twice, body, at(0)), refused);
        for blind in [vec![Secret::Missing], vec![loaded("other"), Secret::Missing]] {
            let checked = slack_signature(&signed("1531420618", right), body, &blind, at(0)).map(|_| ());
            assert_eq!(checked, Err(Problem::SecretMissing));
        }
        let empty = [loaded("")];
        assert_eq!(slack_signature(&signed("1531420618", right), body, &empty, at(0)).map(|_| ()), refused);
    }

    /// What each sender's own vector proves, and what is near it and proves nothing.
    fn proves(
        scheme: &Scheme,
        headers: &[(&str, &str)],
        secrets: &[&str],
        body: &[u8],
        now: Timestamp,
    ) -> bool {
        let secrets: Vec<Secret> = secrets.iter().map(|text| loaded(text)).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a header");
            map.append(name, value.parse().expect("a value"));
        }
        scheme.look(&map, &secrets, now).and_then(|shown| shown.check(body)).is_ok()
    }

    #[test]
    fn the_vectors_of_signing_senders_are_proved_and_nothing_near_them() {
        let vectors = vectors();
        let text = |path: &str| vectors.pointer(path).and_then(|v| v.as_str()).expect("a vector").to_owned();
        let file = |path: &str| {
            std::fs::read(format!("{}/fixtures/{}", env!("CARGO_MANIFEST_DIR"), text(path))).expect("a body")
        };
        let now = Timestamp::from_second(1_772_442_840).expect("a moment");

        let (secret, body) = (text("/pagerduty/secret"), file("/pagerduty/body_file"));
        let shown = |value: &str| {
            proves(&Scheme::PagerDuty, &[("x-pagerduty-signature", value)], &["other", &secret], &body, now)
        };
        assert!(shown(&text("/pagerduty/valid")) && shown(&text("/pagerduty/valid_rotation")));
        assert!(!shown(&text("/pagerduty/invalid")) && !shown(&text("/pagerduty/invalid_unknown_version")));
        assert!(!shown("") && !shown("v1=") && !shown(",,,"));
        let late = format!("{}{}", "v1=00,".repeat(SHOWN_MAX), text("/pagerduty/valid"));
        assert!(!shown(&late), "no more signatures are looked at than there can be secrets");
        let valid = text("/pagerduty/valid");
        let twice = [("x-pagerduty-signature", &*valid), ("x-pagerduty-signature", &*valid)];
        assert!(!proves(&Scheme::PagerDuty, &twice, &[&secret], &body, now));
        assert!(!proves(&Scheme::PagerDuty, &twice[..1], &[&secret], &body[1..], now));
        assert!(!proves(&Scheme::PagerDuty, &twice[..1], &[""], &body, now));

        let (secret, valid) = (text("/github/secret"), text("/github/valid"));
        let body = text("/github/body");
        let shown = |value: &str, body: &str| {
            proves(&Scheme::GitHub, &[("x-hub-signature-256", value)], &[&secret], body.as_bytes(), now)
        };
        assert!(shown(&valid, &body));
        assert!(!shown(&valid, "Hello, World") && !shown(&valid.replace("sha256", "sha1"), &body));
        assert!(!shown(&valid[7..], &body) && !shown(&valid.to_uppercase(), &body));

        let (secret, body) = (text("/grafana/secret"), file("/grafana/body_file"));
        let header = HeaderName::from_static("x-grafana-alerting-signature");
        let clock = HeaderName::from_static("x-grafana-alerting-timestamp");
        let bare = Scheme::Grafana { signature: header.clone(), timestamp: None };
        let timed = Scheme::Grafana { signature: header, timestamp: Some(clock) };
        let (plain, with_time) = (text("/grafana/valid_no_timestamp"), text("/grafana/valid_with_timestamp"));
        let signed = ("x-grafana-alerting-signature", &*plain);
        assert!(proves(&bare, &[signed], &[&secret], &body, now));
        assert!(!proves(&timed, &[signed], &[&secret], &body, now), "a time is asked for");
        let shown =
            [("x-grafana-alerting-signature", &*with_time), ("x-grafana-alerting-timestamp", "1772442840")];
        for (late, good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            assert_eq!(
                proves(&timed, &shown, &[&secret], &body, now + Duration::from_secs(late)),
                good,
                "{late}"
            );
        }
        let other = [shown[0], ("x-grafana-alerting-timestamp", "1772442841")];
        assert!(!proves(&timed, &other, &[&secret], &body, now), "the time is signed too");
    }
}
