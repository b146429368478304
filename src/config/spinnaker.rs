//! Spinnaker in the configuration: where Gate is and who we are there, and by which way a service goes back.

use std::path::PathBuf;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::ExposeSecret;

use super::fault::quoted;
use super::kubernetes::sound;
use super::providers::{endpoint, is_loopback, quarantine, some_text};
use super::read::{At, Table};
use super::secret::{Secret, read_file, secret};
use super::server::public_url;
use crate::case::id::Duration;

/// How long after a lost reply "not there" is no proof (failure model §4): Echo tries for half a minute, and a list is read from replicas.
const QUARANTINE: Duration = Duration::from_mins(2);
/// The parameters, where nobody says otherwise.
const VERSION: &str = "version";
const ROLLBACK_ID: &str = "rollback_id";

/// `[providers.NAME]` of kind `spinnaker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpinnakerSettings {
    /// Where Gate is, without a slash at the end.
    pub url: String,
    /// Where people look, for links.
    pub deck_url: Option<String>,
    /// Who we are there.
    pub identity: GateIdentity,
    /// A late copy of a request was shown to be refused there.
    pub refuses_duplicates: bool,
    /// How long after a lost reply "not there" is no proof.
    pub quarantine: Duration,
}

/// Who we are at Gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateIdentity {
    /// Nobody: Gate is on this machine and asks for nothing.
    Nobody,
    /// Whoever has this token.
    Token(Secret),
    /// Whoever has this certificate.
    Certificate {
        /// The file with the chain.
        file: PathBuf,
        /// What it held when it was read, as PEM.
        chain: String,
        /// Its key.
        key: Secret,
    },
}

/// Where a service of kind `spinnaker` lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpinnakerSite {
    /// The application.
    pub application: String,
    /// The pipeline that puts releases out.
    pub deploy_pipeline: String,
    /// The parameter that says which release.
    pub version_parameter: String,
    /// The image by which a release is known.
    pub artifact: Option<String>,
    /// How it goes back.
    pub way: GateWay,
}

/// How a service goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateWay {
    /// By a pipeline.
    Pipeline {
        /// Its name.
        pipeline: String,
        /// Its parameter that keeps our mark.
        rollback_id_parameter: String,
    },
    /// By undoing the rollout of a Deployment.
    Manifest {
        /// The account.
        account: String,
        /// The namespace.
        location: String,
        /// The Deployment.
        deployment: String,
    },
}

impl SpinnakerSite {
    /// Whether two services would take each other's releases back.
    pub(super) fn is_one_with(&self, other: &SpinnakerSite) -> bool {
        match (&self.way, &other.way) {
            // One pipeline may put several Deployments out, each of which goes back by itself.
            (GateWay::Manifest { .. }, GateWay::Manifest { .. }) => self.way == other.way,
            (GateWay::Pipeline { pipeline: one, .. }, GateWay::Pipeline { pipeline: two, .. }) => {
                let theirs = [two, &other.deploy_pipeline];
                let shares = [one, &self.deploy_pipeline].iter().any(|pipeline| theirs.contains(pipeline));
                // Each under an image or a parameter of its own.
                let alike =
                    (&self.artifact, &self.version_parameter) == (&other.artifact, &other.version_parameter);
                self.application == other.application && shares && alike
            }
            (GateWay::Pipeline { .. }, GateWay::Manifest { .. })
            | (GateWay::Manifest { .. }, GateWay::Pipeline { .. }) => false,
        }
    }
}

/// Reads `[providers.NAME]`.
pub(super) fn spinnaker(table: &Table<'_>) -> Option<SpinnakerSettings> {
    let url = table.text("url");
    if !table.has("url") {
        table.missing("url", "write url = \"https://gate.example.com\", where Gate is, and not Deck");
    }
    let url = url.as_ref().and_then(|url| endpoint(table, "url", url));
    let deck_url = table.text("deck_url").map(|deck| public_url(table.page(), &deck));
    let refuses_duplicates = table.flag("refuses_duplicates").is_some_and(|flag| flag.value);
    let identity = identity(table, url.as_deref());
    let quarantine = quarantine(table, QUARANTINE, ("url", url.as_deref()), "might roll back twice")?;
    let deck_url = match deck_url {
        Some(read) => Some(read?),
        None => None,
    };
    Some(SpinnakerSettings { url: url?, deck_url, identity: identity?, refuses_duplicates, quarantine })
}

fn identity(table: &Table<'_>, url: Option<&str>) -> Option<GateIdentity> {
    let token = secret(table, "token");
    let client = table.table("client");
    let certificate = client.as_ref().map(certificate);
    match (table.has("token"), certificate) {
        (true, Some(_)) => {
            table.page().fault(table.key_span("client"), "`client` beside `token`", "keep one of them");
            None
        }
        (true, None) => token.map(|token| GateIdentity::Token(token.value)),
        (false, Some(certificate)) => certificate,
        (false, None) if table.has("client") => None,
        (false, None) if url.is_none_or(is_loopback) => Some(GateIdentity::Nobody),
        (false, None) => {
            let remedy = "write token = { env = \"GATE_TOKEN\" }, or client = { certificate = \"FILE\", key = { file = \"FILE\" } }; without both only a Gate on this machine is asked";
            table.missing("token", remedy);
            None
        }
    }
}

/// `{ certificate, key }`, held against each other.
fn certificate(client: &Table<'_>) -> Option<GateIdentity> {
    let page = client.page();
    let named = client.text("certificate");
    let key = secret(client, "key");
    for (name, remedy) in [
        ("certificate", "write certificate = \"client.pem\""),
        ("key", "write key = { file = \"client.key\" }"),
    ] {
        if !client.has(name) {
            client.missing(name, remedy);
        }
    }
    let named = named?;
    let file = page.path(named.value);
    let read = read_file(&file);
    // Watched even while it cannot be read: whoever puts it there need not say so.
    page.findings.secret_file(&file, read.as_deref().unwrap_or_default());
    let fault = |what: String, remedy: &str| {
        page.fault(named.span.clone(), format!("{}: {what}", quoted(named.value)), remedy);
        None
    };
    let put = "put the certificate there as PEM, and then what signed it";
    let chain = match read {
        Ok(chain) => chain,
        Err(cause) => return fault(format!("it cannot be read: {cause}"), put),
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let certificates = match certificates {
        Ok(certificates) if !certificates.is_empty() => certificates,
        Ok(_) | Err(_) => return fault("it holds no certificate".to_owned(), put),
    };
    let key = key?.value;
    if let Some(text) = &key.value {
        let Ok(private) = PrivateKeyDer::from_pem_slice(text.expose_secret().as_bytes()) else {
            let remedy = "put the private key of this certificate there as PEM, without a password";
            return fault(format!("its key ({}) is none that can be read", key.origin), remedy);
        };
        if CertifiedKey::from_der(certificates, private, &aws_lc_rs::default_provider()).is_err() {
            return fault(
                format!("the key ({}) does not fit it", key.origin),
                "name the key of this certificate",
            );
        }
    }
    Some(GateIdentity::Certificate { file, chain, key })
}

/// `{ application, deploy_pipeline, … }` and one of `pipeline` and `manifest`.
pub(super) fn way_back(target: &Table<'_>) -> Option<SpinnakerSite> {
    let application = some_text(target, "application").and_then(|text| name(target, "application", &text));
    let deploy_pipeline = if target.has("deploy_pipeline") {
        some_text(target, "deploy_pipeline").and_then(|text| name(target, "deploy_pipeline", &text))
    } else {
        target.missing(
            "deploy_pipeline",
            "write deploy_pipeline = \"Deploy to production\": its executions are what went out when",
        );
        None
    };
    let version_parameter = parameter(target, "version_parameter", VERSION);
    let artifact = target.text("artifact").map(|artifact| image(target, &artifact));
    let way = match (target.has("pipeline"), target.has("manifest")) {
        (true, true) => {
            some_text(target, "pipeline");
            target.page().fault(
                target.key_span("manifest"),
                "`manifest` beside `pipeline`: a service goes back by one way",
                "keep one of them",
            );
            leave(target);
            None
        }
        (false, true) => manifest(target),
        (true, false) => pipeline(target),
        (false, false) => {
            target.missing(
                "pipeline",
                "write pipeline = \"rollback-production\", or manifest = \"deployment NAME\" with account and location",
            );
            leave(target);
            None
        }
    };
    Some(SpinnakerSite {
        application: application?,
        deploy_pipeline: deploy_pipeline?,
        version_parameter: version_parameter?,
        artifact: match artifact {
            Some(read) => Some(read?),
            None => None,
        },
        way: way?,
    })
}

/// Keys of a way that is not known are no faults of their own.
fn leave(target: &Table<'_>) {
    for key in ["manifest", "account", "location", "rollback_id_parameter"] {
        target.text(key);
    }
}

fn pipeline(target: &Table<'_>) -> Option<GateWay> {
    let pipeline = some_text(target, "pipeline").and_then(|text| name(target, "pipeline", &text));
    let rollback_id_parameter = parameter(target, "rollback_id_parameter", ROLLBACK_ID);
    Some(GateWay::Pipeline { pipeline: pipeline?, rollback_id_parameter: rollback_id_parameter? })
}

fn manifest(target: &Table<'_>) -> Option<GateWay> {
    let account = some_text(target, "account").and_then(|text| name(target, "account", &text));
    let location = some_text(target, "location").and_then(|text| sound(target, &text, 63));
    let manifest = target.text("manifest")?;
    let (kind, named) = manifest.value.split_once(' ').unwrap_or((manifest.value, ""));
    if !kind.eq_ignore_ascii_case("deployment") || named.is_empty() {
        target.page().fault(
            manifest.span.clone(),
            format!("{} is no Deployment", quoted(manifest.value)),
            "write \"deployment NAME\": of a StatefulSet or a DaemonSet Gate shows no revisions, so that they take a pipeline",
        );
        return None;
    }
    let deployment = sound(target, &At { value: named, span: manifest.span }, 253);
    Some(GateWay::Manifest { account: account?, location: location?, deployment: deployment? })
}

/// A name that stands in a path of Gate's, which takes no slash in it.
fn name(target: &Table<'_>, key: &str, text: &At<&str>) -> Option<String> {
    let odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | ';' | '%');
    if text.value.chars().any(odd) || text.value.len() > 250 || text.value.chars().all(|c| c == '.') {
        let message = format!("{} cannot be asked for as `{key}`", quoted(text.value));
        let remedy =
            "write it as Spinnaker shows it; Gate takes no slash, semicolon or percent sign in a name";
        target.page().fault(text.span.clone(), message, remedy);
        return None;
    }
    Some(text.value.to_owned())
}

fn parameter(target: &Table<'_>, key: &'static str, otherwise: &str) -> Option<String> {
    let Some(text) = target.text(key) else { return (!target.has(key)).then(|| otherwise.to_owned()) };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.value.is_empty() || text.value.len() > 100 || !text.value.chars().all(plain) {
        let message = format!("{} is no name of a parameter", quoted(text.value));
        target.page().fault(
            text.span,
            message,
            format!("write it as the pipeline declares it, or leave `{key}` out"),
        );
        return None;
    }
    Some(text.value.to_owned())
}

fn image(target: &Table<'_>, text: &At<&str>) -> Option<String> {
    let last = text.value.rsplit('/').next().unwrap_or_default();
    if text.value.is_empty() || text.value.contains(['@', ' ']) || last.contains(':') || last.is_empty() {
        target.page().fault(
            text.span.clone(),
            format!("{} is no image's name", quoted(text.value)),
            "write it like \"docker.io/acme/checkout\", without tag and digest",
        );
        return None;
    }
    Some(text.value.to_owned())
}
