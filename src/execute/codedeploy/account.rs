//! The clients of one region, and what an answer that is none means. Every call has a deadline, and none is repeated by
//! the library: when a call goes again is the engine's to say.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_codedeploy::config::http::HttpResponse;
use aws_sdk_codedeploy::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use super::{Credentials, Settings};
use crate::case::id::Duration;
use crate::outbound::{CallError, Trouble, aws_http_client};

/// A connection is there within this, or the service is not.
const CONNECT: StdDuration = StdDuration::from_secs(2);
/// One call from its beginning to its last byte. Shorter than a permit's wire deadline, so that what left late is over
/// when the quarantine begins to count.
const CALL: StdDuration = StdDuration::from_secs(6);
/// The same: a request that left at the last moment is over so much later.
pub(super) const CALL_MAX: Duration = Duration::from_secs(6);

/// The codes by which AWS says "later" and surely did nothing.
const THROTTLED: [&str; 5] = [
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottledException",
];
/// The codes by which AWS says that the credentials were good once.
const EXPIRED: [&str; 3] = ["ExpiredTokenException", "ExpiredToken", "RequestExpired"];
/// The codes by which AWS says that somebody may not.
const DENIED: [&str; 5] = [
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "NotAuthorized",
];

/// The clients, made when they are first needed, and anew when their credentials expired under them.
pub(super) struct Account {
    region: String,
    endpoint_url: Option<String>,
    credentials: Credentials,
    clients: Mutex<Option<Arc<Clients>>>,
}

/// One client for each service that is asked.
pub(super) struct Clients {
    pub(super) codedeploy: aws_sdk_codedeploy::Client,
    pub(super) lambda: aws_sdk_lambda::Client,
    pub(super) ecs: aws_sdk_ecs::Client,
    pub(super) ecr: aws_sdk_ecr::Client,
}

impl Account {
    pub(super) fn new(settings: &Settings, credentials: Credentials) -> Account {
        Account {
            region: settings.region.clone(),
            endpoint_url: settings.endpoint_url.clone(),
            credentials,
            clients: Mutex::new(None),
        }
    }

    pub(super) async fn clients(&self) -> Arc<Clients> {
        let mut clients = self.clients.lock().await;
        if let Some(clients) = &*clients {
            return clients.clone();
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(CALL)
            .operation_timeout(CALL)
            .build();
        let mut shared = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .http_client(aws_http_client())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(url) = &self.endpoint_url {
            shared = shared.endpoint_url(url);
        }
        if let Credentials::Given { id, secret } = &self.credentials {
            let given =
                aws_credential_types::Credentials::new(id, secret.expose_secret(), None, None, "given");
            shared = shared.credentials_provider(given);
        }
        let shared = shared.load().await;
        let made = Arc::new(Clients {
            codedeploy: aws_sdk_codedeploy::Client::new(&shared),
            lambda: aws_sdk_lambda::Client::new(&shared),
            ecs: aws_sdk_ecs::Client::new(&shared),
            ecr: aws_sdk_ecr::Client::new(&shared),
        });
        *clients = Some(made.clone());
        made
    }

    /// Sorts what went wrong with a call by what follows from it.
    pub(super) async fn sorted<E>(&self, doing: &str, error: SdkError<E, HttpResponse>) -> Trouble
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if error.code().is_some_and(|code| EXPIRED.contains(&code)) {
            // The next call reads them again, once; a second refusal is the same trouble again.
            *self.clients.lock().await = None;
        }
        sorted(doing, &error)
    }
}

/// The code of a service's own refusal.
pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

fn sorted<E>(doing: &str, error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let unclear = |said: String| Trouble::Unclear(CallError::Answer { doing: doing.to_owned(), said });
    match error {
        SdkError::ServiceError(refusal) => refused(doing, refusal.err(), refusal.raw()),
        SdkError::ConstructionFailure(_) => Trouble::Refused(format!("{doing}: {}", told(error))),
        SdkError::TimeoutError(_) => Trouble::Unclear(CallError::Deadline {
            doing: doing.to_owned(),
            within: Duration::try_from(CALL).unwrap_or(Duration::MAX),
        }),
        SdkError::DispatchFailure(_) if never_left(error) => {
            Trouble::Busy { why: format!("{doing}: {}", told(error)), after: None }
        }
        // What the library may come to tell apart later is no "no" either.
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) | _ => unclear(told(error)),
    }
}

/// What a service's own words mean.
fn refused<E: ProvideErrorMetadata>(doing: &str, error: &E, answer: &HttpResponse) -> Trouble {
    let status = answer.status().as_u16();
    let code = error.code().unwrap_or("no code");
    let said = format!("{doing}: {code}: {}", error.message().unwrap_or("no message"));
    if THROTTLED.contains(&code) || EXPIRED.contains(&code) || status == 429 {
        let after = answer.headers().get("retry-after").and_then(|wait| wait.parse().ok());
        return Trouble::Busy { why: said, after: after.map(Duration::from_secs) };
    }
    if !(400..500).contains(&status) {
        // A failure of the service itself is no "no", and a redirect is not followed: who answered is not known.
        return Trouble::Unclear(CallError::Answer {
            doing: doing.to_owned(),
            said: format!("{status}: {said}"),
        });
    }
    if DENIED.contains(&code) || status == 401 || status == 403 {
        return Trouble::Refused(format!("{said}: see the rights in deploy/codedeploy-policy.json"));
    }
    Trouble::Refused(said)
}

/// The request surely never left: there was no connection to send it on, or nothing to sign it with.
fn never_left(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let no_connection =
            error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect());
        if no_connection || error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error with its causes; the library's own words alone say "service error".
fn told(error: &(impl Error + 'static)) -> String {
    DisplayErrorContext(error).to_string()
}
