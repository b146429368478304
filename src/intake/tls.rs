//! TLS on the public listener: the handshake within its deadline, and the certificate of the moment, so that a rotated
//! one needs no new start. TLS 1.2 and 1.3, HTTP/1.1 alone, and no early data: its sender could be replayed. Leaves what
//! is said inside to `connection`, and the files of certificate and key to the configuration.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::IntakeSettings;
use super::listener::Wire;

/// What is agreed on by ALPN, with who asks for it; who asks for something else is refused.
const PROTOCOL: &[u8] = b"http/1.1";

/// A certificate chain and the key of its first certificate. Prints neither.
#[derive(Clone)]
pub struct Identity(pub Arc<CertifiedKey>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What speaks TLS on a listener.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    /// Handshakes that came to nothing, since the start.
    failed: Arc<AtomicU64>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Wire {
    /// What the settings of the start ask for; which certificate is shown follows the settings from then on.
    ///
    /// # Errors
    /// When the library of cryptography cannot speak the versions that are asked for.
    pub fn of(settings: watch::Receiver<Arc<IntakeSettings>>) -> Result<Wire, rustls::Error> {
        if settings.borrow().identity.is_none() {
            return Ok(Wire::Plain);
        }
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(OfTheMoment(settings)));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Wire::Tls(Tls { acceptor, failed: Arc::default() }))
    }
}

/// Shows the identity that the settings have now, whatever name is asked for.
struct OfTheMoment(watch::Receiver<Arc<IntakeSettings>>);

impl fmt::Debug for OfTheMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfTheMoment")
    }
}

impl ResolvesServerCert for OfTheMoment {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().identity.as_ref().map(|identity| Arc::clone(&identity.0))
    }
}

impl Tls {
    /// The stream behind the handshake; nothing when there was none in time.
    pub(super) async fn secure(&self, stream: TcpStream, within: Duration) -> Option<TlsStream<TcpStream>> {
        match tokio::time::timeout(within, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            // Whoever only looks whether somebody listens goes without a word, and so do load balancers all day.
            Ok(Err(fault)) if fault.kind() == io::ErrorKind::UnexpectedEof => {}
            Ok(Err(fault)) => self.note(&fault),
            Err(late) => self.note(&late),
        }
        None
    }

    /// One failure more; told each time that their number has doubled, so that a flood of them is a handful of lines.
    fn note(&self, fault: &dyn fmt::Display) {
        let count = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(%fault, count, "a TLS handshake came to nothing");
        }
    }
}
