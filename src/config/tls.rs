//! `server.tls`: the certificate chain and the key of the public listener. Read and held against each other when the
//! configuration is, and again when one of the files changes. Leaves the speaking of TLS to intake.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::fault::quoted;
use super::read::{At, Page, Table};
use super::secret::read_file;
use crate::case::id::Timestamp;
use crate::clock::Clock;

/// `server.tls`. Two are equal when their files are the same and hold the same certificates.
#[derive(Clone)]
pub struct TlsSettings {
    /// The file with the certificate chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
    /// What both held when they were read: a key that fits its certificate.
    pub pair: Arc<CertifiedKey>,
}

impl PartialEq for TlsSettings {
    fn eq(&self, other: &TlsSettings) -> bool {
        let parts = |tls: &TlsSettings| (tls.certificate.clone(), tls.key.clone(), tls.pair.cert.clone());
        parts(self) == parts(other)
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TlsSettings");
        shown.field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Reads `tls` of `[server]`; every fault of both files is noted.
pub(super) fn tls(server: &Table<'_>) -> Option<TlsSettings> {
    let table = server.table("tls")?;
    let page = table.page();
    let certificate = pem(&table, "certificate");
    let key = pem(&table, "key");
    let chain = certificate.as_ref().and_then(|file| chain(page, file));
    let private = key.as_ref().and_then(|file| private(page, file));
    let (certificate, key) = (certificate?, key?);
    let pair = pair(page, chain?, private?, &key)?;
    Some(TlsSettings { certificate: certificate.path, key: key.path, pair: Arc::new(pair) })
}

/// One of the two files.
struct PemFile<'a> {
    named: At<&'a str>,
    path: PathBuf,
    text: String,
}

impl PemFile<'_> {
    fn fault(&self, page: Page<'_>, what: impl fmt::Display, remedy: &str) {
        page.fault(self.named.span.clone(), format!("{}: {what}", quoted(self.named.value)), remedy);
    }
}

fn pem<'a>(table: &Table<'a>, key: &'static str) -> Option<PemFile<'a>> {
    let page = table.page();
    if !table.has(key) {
        table.missing(key, "write tls = { certificate = \"FILE\", key = \"FILE\" }");
    }
    let named = table.text(key)?;
    if named.value.contains("-----BEGIN") {
        page.findings.mask(page.file, named.span.clone());
        let message = format!("`{key}` is written out in the file");
        page.fault(named.span, message, "put it into a file of its own, and write the file's path here");
        return None;
    }
    let path = page.path(named.value);
    let read = read_file(&path);
    // Watched even while it cannot be read: whoever puts it there need not say so.
    page.findings.secret_file(&path, read.as_deref().unwrap_or_default());
    match read {
        Ok(text) => Some(PemFile { named, path, text }),
        Err(cause) => {
            page.fault(
                named.span.clone(),
                format!("{} cannot be read: {cause}", quoted(named.value)),
                "put a PEM file there that the user who runs snapback may read",
            );
            None
        }
    }
}

fn chain(page: Page<'_>, file: &PemFile<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let remedy = "put the chain there as PEM: the server's own certificate first, then what signed it";
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file.text.as_bytes()).collect();
    let chain = match read {
        Ok(chain) if chain.is_empty() => {
            file.fault(page, "it holds no certificate", remedy);
            return None;
        }
        Ok(chain) => chain,
        Err(cause) => {
            file.fault(page, format_args!("it is no sound PEM: {cause}"), remedy);
            return None;
        }
    };
    for (number, certificate) in (1..).zip(&chain) {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
            file.fault(page, format_args!("certificate {number} in it is none"), remedy);
            return None;
        };
        let validity = certificate.validity();
        let ends = validity.not_after.timestamp();
        look_at_the_clock(page, file, number, validity.not_before.timestamp(), ends);
    }
    Some(chain)
}

/// Whoever connects refuses a certificate outside its time; the server itself can go on, and a clock may be wrong: so it
/// is a warning. Moments are seconds of the epoch.
fn look_at_the_clock(page: Page<'_>, file: &PemFile<'_>, number: usize, begins: i64, ends: i64) {
    let now = Clock.now().as_second();
    let (what, moment) = match (now < begins, now > ends) {
        (_, true) => ("has expired: it ended at", ends),
        (true, false) => ("is not valid yet: it begins at", begins),
        (false, false) => return,
    };
    // Certificates may carry years that no clock here reaches.
    let moment =
        Timestamp::from_second(moment).map_or_else(|_| "a time out of reach".into(), |at| at.to_string());
    page.warning(
        file.named.span.clone(),
        format!("{}: certificate {number} in it {what} {moment}", quoted(file.named.value)),
        "put a valid one in its place: senders refuse this one; the server takes the new one by itself",
    );
}

fn private(page: Page<'_>, file: &PemFile<'_>) -> Option<PrivateKeyDer<'static>> {
    if let Ok(key) = PrivateKeyDer::from_pem_slice(file.text.as_bytes()) {
        return Some(key);
    }
    let remedy = if file.text.contains("ENCRYPTED") {
        "take its password off: openssl pkey -in FILE -out FILE.plain; nobody is there to type it in"
    } else {
        "put the private key there as PEM: PKCS#8, PKCS#1 or SEC1"
    };
    file.fault(page, "it holds no private key that can be read", remedy);
    None
}

fn pair(
    page: Page<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    file: &PemFile<'_>,
) -> Option<CertifiedKey> {
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(pair) => Some(pair),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            file.fault(
                page,
                "the key does not fit the certificate",
                "name the key of the server's own certificate, which stands first in its file",
            );
            None
        }
        Err(cause) => {
            file.fault(
                page,
                format_args!("the key cannot be used: {cause}"),
                "make a key of RSA with 2048 bits or more, ECDSA P-256 or P-384, or Ed25519",
            );
            None
        }
    }
}
