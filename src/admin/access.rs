//! Who may read and act: with tokens, whoever shows one; without, this machine alone, and no page of somebody else's that
//! runs in its browser. Leaves to the configuration who has which token.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::header::{AUTHORIZATION, FORWARDED, HOST, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::problem::Problem;
use crate::case::id::{GroupName, PersonId};

/// What the admin listener needs of the configuration. Taken anew for each request, so that a reload holds from the
/// next one.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who may read; whoever is named here may, whatever the role.
    pub tokens: Vec<Token>,
    /// The host of `server.public_url`, without scheme and port: a name by which this machine may be called.
    pub public_host: Option<String>,
}

/// A principal and what proves it.
#[derive(Clone, Debug)]
pub struct Token {
    /// Who.
    pub person: PersonId,
    /// What they may do.
    pub role: Role,
    /// The groups that they belong to.
    pub groups: BTreeSet<GroupName>,
    /// The secret; `None` when it is configured and was not there: nobody can show it.
    pub secret: Option<SecretString>,
}

/// What a principal may do, each role what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Viewer,
    /// Act on cases and services.
    Operator,
    /// Pause and resume everything, and lift a hold.
    Admin,
}

impl Role {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// Whoever showed a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub person: PersonId,
    /// What they may do.
    pub role: Role,
    /// The groups that they belong to.
    pub groups: BTreeSet<GroupName>,
}

/// The host of a URL: without scheme, port and path.
pub fn host_of_url(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or("");
    let host = without_port(authority);
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Stands before every route that tells something.
pub(super) async fn admit(
    State(access): State<watch::Receiver<Arc<Access>>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let access = Arc::clone(&access.borrow());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let who = access.check(peer, request.headers(), request.uri().host())?;
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

impl Access {
    /// Whether a request may read, and who it is where tokens tell. `asked` is the host of its target, which counts before `Host` (RFC 9112 §3.2.2).
    fn check(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        asked: Option<&str>,
    ) -> Result<Option<Principal>, Problem> {
        if !self.tokens.is_empty() {
            return self.shown_by(headers).map(Some).ok_or(Problem::Token);
        }
        // A proxy on this machine makes everybody look local: what says that it was forwarded is not.
        let forwarded = headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for");
        if forwarded || !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
            return Err(Problem::Remote);
        }
        let host = asked.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or("");
        if self.is_ours(host) { Ok(None) } else { Err(Problem::Host) }
    }

    /// Whose token a request shows, if any. All are compared, so that the time tells nothing.
    pub fn shown_by(&self, headers: &HeaderMap) -> Option<Principal> {
        let shown = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes())).unwrap_or_default();
        // Digests, because a comparison in constant time tells lengths apart.
        let shown = digest(&SHA256, shown);
        let mut known = None;
        for token in &self.tokens {
            let Some(secret) = &token.secret else { continue };
            let secret = secret.expose_secret().as_bytes();
            let same = verify_slices_are_equal(shown.as_ref(), digest(&SHA256, secret).as_ref()).is_ok();
            if same & !secret.is_empty() {
                known = Some(token);
            }
        }
        known.map(|token| Principal {
            person: token.person.clone(),
            role: token.role,
            groups: token.groups.clone(),
        })
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = without_port(host).to_ascii_lowercase();
        ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str())
            || self.public_host.as_ref() == Some(&host)
    }
}

/// What follows `Bearer `; the scheme's case does not count.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

/// `[::1]:8081` and `localhost:8081` without the port.
fn without_port(authority: &str) -> &str {
    let end_of_literal = authority.rfind(']').map_or(0, |end| end + 1);
    authority[end_of_literal..].find(':').map_or(authority, |colon| &authority[..end_of_literal + colon])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    fn with_token() -> Access {
        let of = |name: &str, secret: Option<&str>| Token {
            person: PersonId::new(format!("token:{name}")),
            role: Role::Operator,
            groups: BTreeSet::new(),
            secret: secret.map(|secret| secret.to_owned().into()),
        };
        let (token, lost, empty) = (of("alice", Some("s3cret")), of("bob", None), of("eve", Some("")));
        Access { tokens: vec![lost, empty, token], public_host: None }
    }

    #[test]
    fn without_tokens_only_this_machine_reads() {
        let access = Access::default();
        let host = headers(&[("host", "127.0.0.1:8081")]);
        assert_eq!(access.check(HERE, &host, None), Ok(None));
        assert_eq!(access.check(Some("::ffff:127.0.0.1".parse().expect("ip")), &host, None), Ok(None));
        assert_eq!(access.check(Some("10.0.0.7".parse().expect("ip")), &host, None), Err(Problem::Remote));
        assert_eq!(
            access.check(None, &host, None),
            Err(Problem::Remote),
            "an unknown peer is not this machine"
        );
    }

    #[test]
    fn what_a_proxy_forwards_is_not_local() {
        for name in ["x-forwarded-for", "forwarded"] {
            let told = headers(&[("host", "localhost"), (name, "10.0.0.7")]);
            assert_eq!(Access::default().check(HERE, &told, None), Err(Problem::Remote), "{name}");
        }
    }

    #[test]
    fn a_rebound_name_is_refused() {
        let public = host_of_url("https://Snapback.example.com:8443/x");
        assert_eq!(public.as_deref(), Some("snapback.example.com"));
        let access = Access { tokens: Vec::new(), public_host: public };
        for ours in
            ["localhost", "LOCALHOST:1", "[::1]:8081", "[::1]", "127.0.0.1", "snapback.example.com:8443"]
        {
            let mut told = HeaderMap::new();
            told.insert(HOST, ours.parse().expect("a value"));
            assert_eq!(access.check(HERE, &told, None), Ok(None), "{ours}");
        }
        for foreign in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8081", "", "[::2]"]
        {
            let mut told = HeaderMap::new();
            told.insert(HOST, foreign.parse().expect("a value"));
            assert_eq!(access.check(HERE, &told, None), Err(Problem::Host), "{foreign}");
        }
        let local = headers(&[("host", "localhost")]);
        assert_eq!(access.check(HERE, &local, Some("evil.example")), Err(Problem::Host));
        assert_eq!(access.check(HERE, &HeaderMap::new(), None), Err(Problem::Host));
    }

    #[test]
    fn with_tokens_everybody_needs_one() {
        let access = with_token();
        for (shown, expected) in [
            ("Bearer s3cret", Ok(())),
            ("bearer  s3cret ", Ok(())),
            ("Bearer s3cre", Err(Problem::Token)),
            ("Bearer ", Err(Problem::Token)),
            ("Bearer", Err(Problem::Token)),
            ("Basic s3cret", Err(Problem::Token)),
        ] {
            let told = headers(&[("authorization", shown), ("host", "anything.example")]);
            assert_eq!(access.check(None, &told, None).map(drop), expected, "{shown}");
        }
        assert_eq!(access.check(HERE, &headers(&[("host", "localhost")]), None), Err(Problem::Token));
    }
}
