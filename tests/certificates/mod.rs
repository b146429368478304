//! Certificates made for one test: an authority of its own, and certificates that it signs for this machine.

#![allow(dead_code, reason = "each test uses the part of it that it is about")]

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// The configuration's line for the files that [`Certificate::write`] writes.
pub(crate) const TLS: &str = r#"tls = { certificate = "cert.pem", key = "key.pem" }"#;

/// Whoever signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both as PEM.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, key()).expect("an authority"))
    }

    /// Its own certificate, for whoever trusts it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine, valid now.
    pub(crate) fn sign(&self) -> Certificate {
        self.sign_until(4096)
    }

    /// The same, ending with the beginning of this year.
    pub(crate) fn sign_until(&self, year: i32) -> Certificate {
        self.sign_from_until(1975, year)
    }

    /// The same, beginning with the beginning of another.
    pub(crate) fn sign_from_until(&self, from: i32, year: i32) -> Certificate {
        let mut params =
            CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned)).expect("names");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let key = key();
        let signed = params.signed_by(&key, &self.0).expect("a certificate");
        Certificate { chain: format!("{}{}", signed.pem(), self.pem()), key: key.serialize_pem() }
    }
}

impl Certificate {
    /// Puts `cert.pem` and `key.pem` into a folder.
    pub(crate) fn write(&self, folder: &Path) {
        put(&folder.join("cert.pem"), &self.chain);
        put(&folder.join("key.pem"), &self.key);
    }
}

/// Puts a file in the place of another, as whoever renews certificates does.
pub(crate) fn put(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).expect("written");
    std::fs::rename(next, path).expect("put in place");
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
