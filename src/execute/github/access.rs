//! Who we are at GitHub: a token that somebody made, or a GitHub App, which signs for itself and is given a token that lasts an hour. That
//! one is kept in memory alone and renewed before it ends. Facts: docs.github.com, "Authenticating as a GitHub App installation".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Who;
use super::asking::{ACCEPT, VERSION, denied};
use crate::case::id::{Duration, Timestamp};
use crate::outbound::api::{Api, Ask, Told};
use crate::outbound::{CallError, Trouble};

/// What signs for an App says when it was made: a little earlier, for clocks that differ.
const EARLIER: Duration = Duration::from_mins(1);
/// And holds so long; GitHub takes at most ten minutes.
const SIGNED_FOR: Duration = Duration::from_mins(9);
/// A token is renewed so long before its end.
const RENEWED_BEFORE: Duration = Duration::from_mins(5);
/// One that is refused when it is younger has not ended: something else is wrong, and another one would not mend it.
const YOUNG: Duration = Duration::from_mins(1);

/// Who we are.
pub(super) struct Access {
    who: Who,
    held: Mutex<Option<Held>>,
}

/// The token of an installation.
#[derive(Clone)]
struct Held {
    token: SecretString,
    made_at: Timestamp,
    ends_at: Timestamp,
    permissions: Value,
}

impl Access {
    pub(super) fn of(who: &Who) -> Access {
        Access { who: who.clone(), held: Mutex::new(None) }
    }

    /// The token by which something is asked now.
    ///
    /// # Errors
    /// When there is none, or none can be had; nothing was asked for then.
    pub(super) async fn token(&self, api: &Api, now: Timestamp) -> Result<SecretString, Trouble> {
        match &self.who {
            Who::Token(Some(token)) => Ok(token.clone()),
            Who::Token(None) => Err(Trouble::Refused("the secret of its token is missing".to_owned())),
            Who::App { .. } => Ok(self.installed(api, now).await?.token),
        }
    }

    /// What the App may where it is installed. `None`: a token does not tell.
    pub(super) async fn permissions(&self, api: &Api, now: Timestamp) -> Result<Option<Value>, Trouble> {
        match &self.who {
            Who::Token(_) => Ok(None),
            Who::App { .. } => Ok(Some(self.installed(api, now).await?.permissions)),
        }
    }

    /// GitHub takes this token no more. Whether another one can be had that may be taken.
    pub(super) async fn forget(&self, token: &SecretString, now: Timestamp) -> bool {
        let mut held = self.held.lock().await;
        match &*held {
            Some(of) if of.token.expose_secret() == token.expose_secret() => {
                if now < of.made_at + YOUNG {
                    return false;
                }
                *held = None;
                true
            }
            // Somebody else was quicker, and there is a newer one.
            Some(_) => true,
            None => matches!(self.who, Who::App { .. }),
        }
    }

    async fn installed(&self, api: &Api, now: Timestamp) -> Result<Held, Trouble> {
        let Who::App { id, installation, key } = &self.who else {
            return Err(Trouble::Refused("it is no App".to_owned()));
        };
        let mut held = self.held.lock().await;
        if let Some(of) = held.as_ref().filter(|of| now < of.ends_at - RENEWED_BEFORE) {
            return Ok(of.clone());
        }
        let key = key.as_ref().ok_or_else(|| Trouble::Refused("the App's private key is missing".into()))?;
        let signed = SecretString::from(signed(id, key, now).map_err(Trouble::Refused)?);
        let doing = "ask for a token as the GitHub App";
        let ask = Ask {
            doing,
            method: Method::POST,
            path: &format!("/app/installations/{installation}/access_tokens"),
            bearer: Some(&signed),
            accept: ACCEPT,
            heads: &[VERSION],
            known: None,
            body: None,
        };
        let told = match api.ask(ask).await? {
            Ok(Told::Anew { value, .. }) => value,
            Ok(Told::AsKnown) => Value::Null,
            Err(denial) => return Err(denied(doing, denial, now)),
        };
        let fresh = Held::read(&told, now).ok_or_else(|| CallError::Answer {
            doing: doing.to_owned(),
            said: "the answer is no token".to_owned(),
        })?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }
}

impl Held {
    fn read(told: &Value, now: Timestamp) -> Option<Held> {
        let token = told["token"].as_str().filter(|token| !token.is_empty())?;
        Some(Held {
            token: SecretString::from(token.to_owned()),
            made_at: now,
            ends_at: told["expires_at"].as_str()?.parse().ok()?,
            permissions: told["permissions"].clone(),
        })
    }
}

/// A JSON Web Token (RFC 7519) by which the App says that it is itself.
fn signed(id: &str, key: &SecretString, now: Timestamp) -> Result<String, String> {
    let no_key =
        || "the App's private key cannot be read: it is the PEM file that GitHub gave out".to_owned();
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| no_key())?;
    let key = any_supported_type(&key).map_err(|_| no_key())?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
    let signer =
        signer.ok_or("the App's private key is none of RSA: it is the PEM file that GitHub gave out")?;
    let (issued, ends) = ((now - EARLIER).as_second(), (now + SIGNED_FOR).as_second());
    let part = |of: Value| URL_SAFE_NO_PAD.encode(of.to_string());
    let head = part(json!({ "alg": "RS256", "typ": "JWT" }));
    let said = format!("{head}.{}", part(json!({ "iat": issued, "exp": ends, "iss": id })));
    let signature = signer.sign(said.as_bytes()).map_err(|error| error.to_string())?;
    Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
