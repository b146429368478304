//! The demo's little shop: a real HTTP service that answers with what the release directory says. Knows nothing of
//! Snapback.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The shop, open for business.
pub(super) struct Shop {
    url: String,
    broken_outside: Arc<AtomicBool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Shop {
    /// Opens the shop on a free port of loopback; it serves from `root/current`.
    pub(super) async fn open(root: PathBuf) -> Result<Shop, String> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|error| format!("the little shop could not listen on loopback: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let broken_outside = Arc::new(AtomicBool::new(false));
        let serving = tokio::spawn(serve(listener, root, broken_outside.clone()));
        Ok(Shop { url: format!("http://{address}/checkout"), broken_outside, serving })
    }

    /// Where it answers.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Something outside every release breaks.
    pub(super) fn break_outside(&self) {
        self.broken_outside.store(true, Ordering::Relaxed);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, root: PathBuf, broken_outside: Arc<AtomicBool>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (root, broken_outside) = (root.clone(), broken_outside.clone());
        let answer = service_fn(move |_| {
            let answer = answer(&root, broken_outside.load(Ordering::Relaxed));
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
        );
    }
}

fn answer(root: &std::path::Path, broken_outside: bool) -> Response<Full<Bytes>> {
    let text = std::fs::read_to_string(root.join("current/answer")).unwrap_or_default();
    let (status, text) = match (broken_outside, text.as_str()) {
        (true, _) => (StatusCode::BAD_GATEWAY, "the payment partner does not answer".to_owned()),
        (false, "ok") => (StatusCode::OK, text),
        (false, _) => (StatusCode::INTERNAL_SERVER_ERROR, text),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
