//! Proof: who sent these bytes. Only what is proven can be parsed, which [`Proven`] holds in its type. Leaves to
//! the engine what a source may speak about.

mod confirm;
mod signature;
mod sns;

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};

use super::problem::Problem;
use crate::case::id::Timestamp;

pub use confirm::Confirm;
pub use signature::Scheme;
pub(super) use signature::{slack_head, slack_signature};
pub(super) use sns::region;
pub use sns::{Certificates, Sns, Versions};

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
    /// A signature over the body with any of these.
    Signed {
        /// How the sender signs.
        scheme: Scheme,
        /// Several, for rotation.
        secrets: Vec<Secret>,
    },
    /// SNS's signature over an envelope of one of these topics.
    Sns {
        /// What is checked.
        proof: Arc<Sns>,
        /// How its questions are answered.
        confirm: Arc<Confirm>,
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

/// What a request's head shows; with the body behind it, it proves the sender or does not.
#[must_use]
pub(super) enum Shown<'a> {
    /// The head alone proves it.
    Proof(Proof),
    /// Signatures, to be compared once the body is there.
    Signed(signature::Shown<'a>),
    /// The body tells everything: it is SNS's, at this time.
    Sns(&'a Sns, Timestamp),
}

impl Credential {
    /// Checks a request's head, so that what it cannot prove is refused before its body is read.
    ///
    /// # Errors
    /// [`Problem::BearerRefused`], [`Problem::BasicRefused`] or [`Problem::SignatureRefused`] for a wrong or missing one;
    /// [`Problem::SecretMissing`] when it might be the right one, and the secret to tell is not loaded.
    pub(super) fn look<'a>(&'a self, headers: &'a HeaderMap, now: Timestamp) -> Result<Shown<'a>, Problem> {
        let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        match self {
            Credential::Bearer(tokens) => {
                let shown = shown.and_then(|shown| after_scheme(shown, b"bearer")).map(<[u8]>::to_vec);
                prove(shown, &[], tokens, Problem::BearerRefused).map(Shown::Proof)
            }
            Credential::Basic { user, passwords } => {
                let shown = shown.and_then(|shown| after_scheme(shown, b"basic"));
                let shown = shown.and_then(|shown| STANDARD.decode(shown).ok());
                prove(shown, &[user.as_bytes(), b":"], passwords, Problem::BasicRefused).map(Shown::Proof)
            }
            Credential::Sns { proof, .. } => proof.look(headers).map(|()| Shown::Sns(proof, now)),
            Credential::Signed { scheme, secrets } => scheme.look(headers, secrets, now).map(Shown::Signed),
        }
    }
}

impl Credential {
    /// What follows once a delivery is proven and stored.
    pub(super) fn stored(&self, body: &[u8], received_at: Timestamp) {
        if let Credential::Sns { confirm, .. } = self {
            confirm.stored(body, received_at);
        }
    }

    /// Checks a whole request, as the listener does.
    ///
    /// # Errors
    /// As the listener answers.
    pub async fn prove(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        now: Timestamp,
    ) -> Result<Proven<Bytes>, Problem> {
        self.look(headers, now)?.over(body).await
    }
}

impl Shown<'_> {
    /// The body, proven.
    ///
    /// # Errors
    /// [`Problem::SignatureRefused`], or [`Problem::SecretMissing`] when it might be right; what [`Sns`] says.
    pub(super) async fn over(self, body: Bytes) -> Result<Proven<Bytes>, Problem> {
        match self {
            Shown::Proof(proof) => Ok(proof.over(body)),
            Shown::Signed(shown) => shown.check(&body).map(|proof| proof.over(body)),
            Shown::Sns(sns, now) => sns.check(&body, now).await.map(|proof| proof.over(body)),
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
        credential.look(&headers, Timestamp::UNIX_EPOCH).map(|_| ())
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

    #[test]
    fn a_secret_is_never_printed() {
        let printed = format!("{:?}", Credential::Bearer(vec![loaded("tok_0123456789")]));
        assert!(!printed.contains("tok_"), "{printed}");
    }
}
