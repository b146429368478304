//! The listener: our own accept loop, because the stock one knows no cap on connections, no deadline and no end to
//! its draining. HTTP/1.1 only, no upgrades, no compression. Serves any router: the public one and the admin's. Leaves the
//! handshake to `tls`.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::connection::Connection;
use super::heads::{REFUSED, refusal};
use super::limits::{Addresses, Limits};
use super::problem::Problem;
use super::tls::Tls;

/// Too many open files and the like pass when something else ends; asking again at once would only spin.
const AFTER_ACCEPT_FAULT: Duration = Duration::from_millis(50);

/// The library's buffer per connection, for bodies; heads have their own limit.
const READ_BUFFER: usize = 64 << 10;

/// After an answer that ends a connection, what is still on its way is read and dropped for this long, because
/// closing over unread bytes resets the connection and the client may lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// And so much of it at most.
const LINGER_BYTES: usize = 256 << 10;

/// What is spoken on a listener's connections, below HTTP.
#[derive(Clone, Debug)]
pub enum Wire {
    /// Nothing more than TCP.
    Plain,
    /// TLS.
    Tls(Tls),
}

/// Accepts and serves without TLS; as [`serve_over`] does.
pub async fn serve(listener: TcpListener, router: Router, limits: Arc<Limits>, stop: watch::Receiver<bool>) {
    serve_over(Wire::Plain, listener, router, limits, stop).await;
}

/// Accepts and serves until `stop` turns true (or its sender is gone), then lets requests under way end within
/// [`Limits::drain`].
pub async fn serve_over(
    wire: Wire,
    listener: TcpListener,
    router: Router,
    limits: Arc<Limits>,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let addresses = Addresses::default();
    let mut open = JoinSet::new();
    while let Some(accepted) = next(&listener, &room, &mut stop).await {
        while open.try_join_next().is_some() {}
        let (place, stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(fault) => {
                tracing::warn!(%fault, "could not accept a connection");
                crate::clock::sleep(AFTER_ACCEPT_FAULT).await;
                continue;
            }
        };
        let Some(seat) = addresses.admit(peer, &limits) else {
            if matches!(wire, Wire::Plain) {
                // The answer fits into an empty send buffer; a peer that does not take it is gone anyway.
                let _ = stream.try_write(Problem::TooManyConnections.raw().as_bytes());
            }
            continue;
        };
        // Whoever is behind the router may ask who speaks; the address is the connection's own.
        let router = router.clone().layer(Extension(ConnectInfo(peer)));
        let (wire, limits, stop) = (wire.clone(), Arc::clone(&limits), stop.clone());
        open.spawn(async move {
            welcome(stream, &wire, router, &limits, stop).await;
            drop((place, seat));
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.drain, async { while open.join_next().await.is_some() {} }).await;
    open.shutdown().await;
}

type Accepted = (tokio::sync::OwnedSemaphorePermit, TcpStream, std::net::SocketAddr);

/// The next connection, once there is room for it; nothing when it is time to stop.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    stop: &mut watch::Receiver<bool>,
) -> Option<io::Result<Accepted>> {
    let accept = async {
        let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok((place, stream, peer))
    };
    tokio::select! {
        biased;
        () = stopped(stop) => None,
        accepted = accept => Some(accepted),
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone says the same as one that says stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One connection, from its acceptance to its end. Nobody was promised anything in a handshake, so a stop cuts it.
async fn welcome(
    stream: TcpStream,
    wire: &Wire,
    router: Router,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let tls = match wire {
        Wire::Plain => return converse(stream, router, limits, stop).await,
        Wire::Tls(tls) => tls,
    };
    let secured = tokio::select! {
        secured = tls.secure(stream, limits.handshake_within) => secured,
        () = stopped(&mut stop) => None,
    };
    if let Some(stream) = secured {
        converse(stream, router, limits, stop).await;
    }
}

/// What is said on one connection, from the first byte to the last.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    router: Router,
    limits: &Limits,
    mut stop: watch::Receiver<bool>,
) {
    let ended = {
        let bytes = Connection::new(&mut stream, limits);
        let service = service_fn(|request| answer(router.clone(), request, limits.answer_within));
        // `Connection` keeps the deadlines: the library's own would count idle time as header time.
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(bytes), service);
        let mut connection = pin!(connection);
        let draining = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = stopped(&mut stop) => None,
        };
        match draining {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if ended.is_ok() {
        linger(&mut stream).await;
    }
}

/// One request; a head that was refused is answered for what it was.
async fn answer(
    router: Router,
    request: Request<Incoming>,
    within: Duration,
) -> Result<Response, Infallible> {
    if request.method().as_str() == REFUSED {
        let mut answer = refusal(request.uri().path()).into_response();
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(answer);
    }
    match tokio::time::timeout(within, router.oneshot(request.map(Body::new))).await {
        Ok(answer) => answer,
        Err(_) => Ok(Problem::TooSlow.into_response()),
    }
}

/// Reads and drops what the client still sends.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let drained = async {
        stream.shutdown().await?;
        let mut scratch = [0; 4096];
        let mut left = LINGER_BYTES;
        loop {
            match stream.read(&mut scratch).await? {
                0 => return Ok::<(), io::Error>(()),
                count if count >= left => return Ok(()),
                count => left -= count,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drained).await;
}
