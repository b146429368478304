//! `snapback healthcheck`: asks the server on its public listener whether it can store deliveries. For containers, whose
//! images have no other program that could ask.
//!
//! Over TLS the certificate is not judged where the server of this machine is asked: nobody stands between, the question
//! holds no secret, and the answer decides nothing but whether this very server is called ready. Its certificate names
//! what senders call it and not loopback, and one that has expired is no reason to start the server anew. Any other
//! `https` URL is judged by the authorities of the system.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use reqwest::{StatusCode, Url};
use serde_json::Value;
use snapback::config::listener;

use super::ConfigFlags;
use super::client::{Trust, address, causes, http, runtime};
use super::failure::{Failure, Finished, print};

/// Whoever asks for health waits a few seconds and then calls it ill; the reason should come before that.
const DEADLINE: Duration = Duration::from_secs(3);
/// The answer is a line; more is no answer of ours.
const BODY_MAX: usize = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct HealthcheckFlags {
    #[command(flatten)]
    config: ConfigFlags,
    /// The public address of the server; without it, the configuration's `server.listen`
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
}

pub(super) fn run(flags: &HealthcheckFlags) -> Result<Finished, Failure> {
    let (mut url, trust) = match &flags.url {
        Some(url) => {
            let url = address(url, "write the public address, like http://127.0.0.1:8080")?;
            let trust = trust(&url);
            (url, trust)
        }
        None => own(flags)?,
    };
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().push("readyz");
    }
    let client = http(&url, trust, DEADLINE)?;
    runtime()?.block_on(ask(&client, url))?;
    print("ready")
}

/// The listener of this machine, by the configuration.
fn own(flags: &HealthcheckFlags) -> Result<(Url, Trust), Failure> {
    let unknown = |says: String| {
        Failure::failed(says, "name the configuration with --config, or the address with --url")
    };
    let listener = listener(&flags.config.config).map_err(|fault| unknown(fault.to_string()))?;
    let (scheme, trust) = match listener.tls {
        true => ("https", Trust::ThisMachine),
        false => ("http", Trust::NothingEncrypted),
    };
    let url = Url::parse(&format!("{scheme}://{}", listener.address));
    url.map(|url| (url, trust)).map_err(|fault| unknown(format!("{}: {fault}", listener.address)))
}

fn trust(url: &Url) -> Trust {
    // A name is judged: who answers to it is for others to say. Brackets stand around IPv6.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match (url.scheme(), host.parse::<IpAddr>()) {
        ("http", _) => Trust::NothingEncrypted,
        (_, Ok(ip)) if ip.is_loopback() => Trust::ThisMachine,
        (_, Ok(_) | Err(_)) => Trust::Authorities,
    }
}

async fn ask(client: &reqwest::Client, url: Url) -> Result<(), Failure> {
    let silent = |error: reqwest::Error| {
        Failure::failed(
            format!("{url}: no answer: {}", causes(&error.without_url())),
            "see whether `snapback serve` runs, and its log",
        )
    };
    let mut answer = client.get(url.clone()).send().await.map_err(silent)?;
    let mut body: Vec<u8> = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(silent)? {
        body.extend_from_slice(&piece);
        if body.len() > BODY_MAX {
            break;
        }
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    match answer.status() {
        StatusCode::OK if said["status"] == "ready" => Ok(()),
        StatusCode::SERVICE_UNAVAILABLE if said["type"] == "urn:snapback:problem:not-ready" => {
            Err(Failure::failed(
                format!("{url}: not ready: deliveries cannot be stored now"),
                "see the log of the server, and its disk",
            ))
        }
        status => Err(Failure::failed(
            format!("{url}: answered {status}, and not as a snapback server does that is ready"),
            "name the public address of the server with --url",
        )),
    }
}
