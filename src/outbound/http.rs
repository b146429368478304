//! What every call over HTTP has in common: no redirect is followed, no proxy counts that happens to stand in the environment, and an answer
//! has a largest size. Leaves deadlines, and what an answer means, to whoever asks.

use reqwest::{Client, ClientBuilder, Response, redirect};

/// Why a client could not be made, for people.
pub const NO_AUTHORITIES: &str = "no certificate authorities are installed here (ca-certificates)";

/// A client for this address, with these limits. `None`: it needs certificate authorities, and this system has none.
pub fn client(url: &str, limits: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Option<Client> {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("snapback/", env!("CARGO_PKG_VERSION")));
    // An address without TLS needs nobody's certificates.
    let client = if url.starts_with("http:") { client.tls_certs_only([]) } else { client };
    limits(client)
        .build()
        .inspect_err(|error| tracing::error!(url, %error, "this address cannot be asked: install the certificate authorities of this system (ca-certificates)"))
        .ok()
}

/// The body of an answer, up to so many bytes. `Ok(None)`: it is longer.
///
/// # Errors
/// When it breaks off.
pub async fn body(mut answer: Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        body.extend_from_slice(&piece);
        if body.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(body))
}
