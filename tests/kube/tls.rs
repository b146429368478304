//! The certificate by which the pretend API server speaks TLS: kubectl and Helm send no token without it.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// A certificate of the server's own, and what takes connections by it.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// What clients are to trust.
    pub(crate) pem: String,
}

impl Tls {
    pub(crate) fn new() -> Tls {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let params = rcgen::CertificateParams::new(names).expect("names");
        let certificate = params.self_signed(&key).expect("a certificate");
        let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .expect("a pair");
        Tls { acceptor: TlsAcceptor::from(Arc::new(config)), pem: certificate.pem() }
    }
}
