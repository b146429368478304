//! Argo CD's notifications (argoproj/argo-cd `docs/operator-manual/notifications`; signals §11.2). They have no body of their
//! own: ours is `deploy/argocd-notifications.yaml`. A template prints `<no value>` for what is not there. One end of one sync
//! is one notice, however often the trigger fires.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::alert::{Told, Unreadable, cut};
use super::json::{Listed, Object, sound};
use super::moment::moment;
use super::proof::Proven;
use super::sender::Protocol;
use super::told::{Facts, Said, told_text};
use crate::case::deployment::DeploymentStatus;
use crate::journal::inbox::Content;

/// No `Content-Type` unless the service's headers say one. 4xx is not sent again, and only logged there.
pub(super) const PROTOCOL: Protocol = Protocol {
    media: &["application/json", "", "text/plain"],
    body_max: 1 << 20,
    stored: StatusCode::OK,
    unreadable: StatusCode::UNPROCESSABLE_ENTITY,
};

/// Reads what one notification says.
///
/// # Errors
/// What is not by our template.
pub(super) fn read(body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
    let text = sound(body.get()).map_err(Unreadable::new)?;
    let Object(sync): Object<Sync> = serde_json::from_str(text).map_err(Unreadable::new)?;
    let (Some(app), Some(phase)) = (sync.of(&sync.app), sync.of(&sync.phase)) else {
        return Err(Unreadable::new(
            "the body names no app and phase: use the template of deploy/argocd-notifications.yaml",
        ));
    };
    let stands = match &*phase {
        "Running" => DeploymentStatus::GoingOut,
        "Succeeded" => DeploymentStatus::Finished,
        "Failed" | "Error" => DeploymentStatus::Failed,
        "Terminating" => DeploymentStatus::Stopped,
        other => return Err(Unreadable::new(format_args!("the phase is {:?}", cut(other, 50)))),
    };
    let at = |text: &Option<String>| match sync.of(text).map(|text| moment(&text)).transpose() {
        Ok(at) => Ok(at.flatten()),
        Err(why) => Err(Unreadable::new(why)),
    };
    let (started_at, finished_at) = (at(&sync.started_at)?, at(&sync.finished_at)?);
    let revision = sync.of(&sync.revision);
    let began = started_at.or(finished_at).unwrap_or(told.received_at);
    let said = Said {
        // The same sync again, whatever health it was told with.
        id: format!("{app}/{}/{began}", revision.as_deref().unwrap_or("several")),
        status: stands,
        at: finished_at.filter(|_| stands != DeploymentStatus::GoingOut).unwrap_or(began),
        started_at,
        by: None,
        rolled_back: false,
        labels: vec![
            ("application", Some(app)),
            ("project", sync.of(&sync.project)),
            ("namespace", sync.of(&sync.dest_namespace)),
            ("cluster", sync.of(&sync.dest_server)),
        ],
        version: version(&sync.images.clone().unwrap_or_default().0),
        commit: revision,
        links: vec![sync.of(&sync.link)],
    };
    sync.facts.notice(said, told).map(|notice| Content::Notices(vec![notice]))
}

/// The tag of the image, where there is one image.
fn version(images: &[String]) -> Option<String> {
    let [image] = images else { return None };
    let name = image.split('@').next()?.rsplit('/').next()?;
    name.split_once(':').map(|(_, tag)| tag.to_owned())
}

/// What our template writes, and facts that a user adds to it.
#[derive(Deserialize)]
struct Sync {
    app: Option<String>,
    project: Option<String>,
    dest_server: Option<String>,
    dest_namespace: Option<String>,
    phase: Option<String>,
    revision: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    images: Option<Listed>,
    link: Option<String>,
    #[serde(default)]
    facts: Facts,
}

impl Sync {
    /// A text that was there when the template was filled in.
    fn of(&self, text: &Option<String>) -> Option<String> {
        told_text(text.clone()).filter(|text| !matches!(text.as_str(), "<no value>" | "<nil>" | "null"))
    }
}
