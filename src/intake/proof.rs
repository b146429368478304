//! Proof: who sent these bytes. Only what is proven can be parsed, which [`Proven`] holds in its type. Leaves to
//! the engine what a source may speak about.

use std::fmt::Write as _;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};

use super::problem::Problem;
use crate::case::id::{Duration, Timestamp};

/// What a source must show.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Any of these as `Authorization: Bearer`.
    Bearer(Vec<Secret>),
    /// This user with any of these passwords as `Authorization: Basic` (RFC 7617, UTF-8).
    Basic {
        /// The user; holds no colon.
        user: String,
        /// Several, for rotation.
        passwords: Vec<Secret>,
    },
}

/// A secret as the configuration found it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// It is here.
    Loaded(SecretString),
    /// It is configured and could not be read.
    Missing,
}

impl Secret {
    fn loaded(&self) -> Option<&SecretString> {
        match self {
            Secret::Loaded(secret) => Some(secret),
            Secret::Missing => None,
        }
    }
}

/// A signature counts so long before and after its time, as Slack advises; what comes again within it is known by its bytes.
const SIGNED_WITHIN: Duration = Duration::from_mins(5);

/// Bytes whose sender is known.
#[derive(Clone, Debug)]
pub struct Proven<T>(T);

/// A request's credential was right; its body may follow.
#[derive(Debug)]
#[must_use]
pub struct Proof(());

impl Proof {
    /// What this proof's request carries.
    pub fn over<T>(self, carried: T) -> Proven<T> {
        Proven(carried)
    }
}

impl<T> Proven<T> {
    /// What was proven before it was written to disk, or is given by the operator to be explained.
    pub fn before(stored: T) -> Proven<T> {
        Proven(stored)
    }

    /// What is proven.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// What is proven, for keeping.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Credential {
    /// Checks a request's head. The body is not needed: Alertmanager signs nothing.
    ///
    /// # Errors
    /// [`Problem::BearerRefused`] or [`Problem::BasicRefused`] for a wrong or missing credential;
    /// [`Problem::SecretMissing`] when it might be the right one, and the secret to tell is not loaded.
    pub fn check(&self, headers: &HeaderMap) -> Result<Proof, Problem> {
        let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        match self {
            Credential::Bearer(tokens) => {
                let shown = shown.and_then(|shown| after_scheme(shown, b"bearer")).map(<[u8]>::to_vec);
                prove(shown, &[], tokens, Problem::BearerRefused)
            }
            Credential::Basic { user, passwords } => {
                let shown = shown.and_then(|shown| after_scheme(shown, b"basic"));
                let shown = shown.and_then(|shown| STANDARD.decode(shown).ok());
                prove(shown, &[user.as_bytes(), b":"], passwords, Problem::BasicRefused)
            }
        }
    }
}

/// Compares what was shown with `before` and each secret behind it. Every secret is compared, so that the time
/// does not tell which was right.
fn prove(
    shown: Option<Vec<u8>>,
    before: &[&[u8]],
    secrets: &[Secret],
    refused: Problem,
) -> Result<Proof, Problem> {
    let missing = secrets.iter().any(|secret| matches!(secret, Secret::Missing));
    let blind = secrets.iter().all(|secret| matches!(secret, Secret::Missing));
    let Some(shown) = shown else { return Err(if blind { Problem::SecretMissing } else { refused }) };
    let shown = digest(&[&shown]);
    let mut right = false;
    for secret in secrets {
        let Secret::Loaded(secret) = secret else { continue };
        let secret = secret.expose_secret().as_bytes();
        // An empty secret is a fault of the configuration, and never one that anybody can show.
        let expected = digest(&[before, &[secret]].concat());
        right |= !secret.is_empty() & verify_slices_are_equal(&shown, &expected).is_ok();
    }
    match (right, missing || blind) {
        (true, _) => Ok(Proof(())),
        (false, true) => Err(Problem::SecretMissing),
        (false, false) => Err(refused),
    }
}

/// Digests of equal length are compared, because a comparison in constant time tells lengths apart.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// The time and the signature that Slack's head shows, each once, the time not long ago: what is refused by the head is
/// refused before its body is read.
///
/// # Errors
/// [`Problem::SignatureRefused`].
pub(super) fn slack_head(headers: &HeaderMap, now: Timestamp) -> Result<(&str, &str), Problem> {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let shown = one("x-slack-request-timestamp").zip(one("x-slack-signature"));
    let (time, signature) = shown.ok_or(Problem::SignatureRefused)?;
    let sent_at = time.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let young = sent_at.is_some_and(|at: Timestamp| at.duration_since(now).abs() <= SIGNED_WITHIN);
    if young { Ok((time, signature)) } else { Err(Problem::SignatureRefused) }
}

/// Slack's signature over a body (docs.slack.dev, "Verifying requests"; signals §10.1): HMAC-SHA256 of `v0:TIME:BODY` with
/// any of these secrets, and a time that is not long ago. Every secret is tried, so that the time does not tell which.
///
/// # Errors
/// [`Problem::SignatureRefused`] for a wrong, missing or old one; [`Problem::SecretMissing`] when it might be right, and
/// the secret to tell is not loaded.
pub(super) fn slack_signature(
    headers: &HeaderMap,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
) -> Result<Proof, Problem> {
    let (time, shown) = slack_head(headers, now)?;
    let loaded: Vec<&SecretString> = secrets.iter().filter_map(Secret::loaded).collect();
    let refused =
        if loaded.len() < secrets.len() { Problem::SecretMissing } else { Problem::SignatureRefused };
    let mut right = false;
    for secret in loaded {
        let secret = secret.expose_secret().as_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut context = hmac::Context::with_key(&key);
        for part in [b"v0:".as_slice(), time.as_bytes(), b":", body] {
            context.update(part);
        }
        let mut expected = String::from("v0=");
        for byte in context.sign().as_ref() {
            // Writing to a String cannot fail.
            let _ = write!(expected, "{byte:02x}");
        }
        right |= !secret.is_empty() & verify_slices_are_equal(expected.as_bytes(), shown.as_bytes()).is_ok();
    }
    if right { Ok(Proof(())) } else { Err(refused) }
}

/// What follows the scheme, whose case does not matter (RFC 9110 §11.1).
fn after_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (own, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?.trim_ascii();
    (own.eq_ignore_ascii_case(scheme) && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Secret {
        Secret::Loaded(SecretString::from(text))
    }

    fn check(credential: &Credential, shown: Option<&str>) -> Result<(), Problem> {
        let mut headers = HeaderMap::new();
        if let Some(shown) = shown {
            headers.insert(AUTHORIZATION, shown.parse().expect("a header value"));
        }
        credential.check(&headers).map(|_| ())
    }

    #[test]
    fn any_live_token_opens_and_nothing_else() {
        let two = Credential::Bearer(vec![loaded("new-token"), loaded("old-token")]);
        let refused = Err(Problem::BearerRefused);
        for (shown, expected) in [
            (Some("Bearer new-token"), Ok(())),
            (Some("bearer  old-token "), Ok(())),
            (Some("Bearer new-token2"), refused),
            (Some("Bearer new-toke"), refused),
            (Some("Bearer "), refused),
            (Some("Bearer"), refused),
            (Some("Bearernew-token"), refused),
            (Some("Basic new-token"), refused),
            (Some("new-token"), refused),
            (None, refused),
        ] {
            assert_eq!(check(&two, shown), expected, "{shown:?}");
        }
    }

    #[test]
    fn a_password_may_hold_a_colon() {
        let basic = Credential::Basic { user: "am".into(), passwords: vec![loaded("pa:ss"), loaded("next")] };
        let show = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (shown, expected) in [
            (show("am:pa:ss"), Ok(())),
            (show("am:next"), Ok(())),
            (show("am:pa"), Err(Problem::BasicRefused)),
            (show("ampa:ss"), Err(Problem::BasicRefused)),
            (show("other:next"), Err(Problem::BasicRefused)),
            ("Basic %%%".into(), Err(Problem::BasicRefused)),
            ("Bearer next".into(), Err(Problem::BasicRefused)),
        ] {
            assert_eq!(check(&basic, Some(&shown)), expected, "{shown}");
        }
    }

    #[test]
    fn a_secret_that_is_not_loaded_refuses_nobody_for_good() {
        let half = Credential::Bearer(vec![loaded("here"), Secret::Missing]);
        assert_eq!(check(&half, Some("Bearer here")), Ok(()));
        assert_eq!(check(&half, Some("Bearer other")), Err(Problem::SecretMissing));
        assert_eq!(check(&half, None), Err(Problem::BearerRefused));
        for blind in [Credential::Bearer(vec![Secret::Missing]), Credential::Bearer(Vec::new())] {
            assert_eq!(check(&blind, None), Err(Problem::SecretMissing));
            assert_eq!(check(&blind, Some("Bearer x")), Err(Problem::SecretMissing));
        }
    }

    #[test]
    fn an_empty_secret_opens_nothing() {
        let basic = Credential::Basic { user: "am".into(), passwords: vec![loaded("")] };
        assert_eq!(
            check(&basic, Some(&format!("Basic {}", STANDARD.encode("am:")))),
            Err(Problem::BasicRefused)
        );
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

    #[test]
    fn a_secret_is_never_printed() {
        let printed = format!("{:?}", Credential::Bearer(vec![loaded("tok_0123456789")]));
        assert!(!printed.contains("tok_"), "{printed}");
    }
}
