//! Revisions: which release one is, and one pinned so that it leads to the same bytes whenever it is put out. An S3 key
//! without a version is no pin: the newest object under it would be taken, and "back" would lead to the bad bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_codedeploy::types::{
    AppSpecContent, BundleType, GitHubLocation, RevisionLocation, RevisionLocationType, S3Location,
};
use serde::{Deserialize, Serialize};

use super::account::code;
use super::appspec::{AppSpec, Content, Puts};
use super::{CodeDeploy, Site};
use crate::case::id::ReleaseId;
use crate::outbound::Trouble;

/// AppSpecs that are remembered: some 2 kB each, and their digest never leads to another.
const SPECS_MAX: usize = 5000;

/// AppSpecs by digest; the error is why one cannot be used.
pub(super) type Specs = Mutex<BTreeMap<String, Arc<Spec>>>;

/// An AppSpec as it was registered.
pub(super) struct Spec {
    pub(super) text: String,
    pub(super) sha256: String,
    /// Parsed, or why it cannot be.
    pub(super) parsed: Result<AppSpec, String>,
}

/// What a revision puts out.
pub(super) struct Artifact {
    pub(super) release: ReleaseId,
    /// What people may call it where nobody said anything better.
    pub(super) called: Option<String>,
    pub(super) commit: Option<String>,
    /// What a request carries to put it out again; or why it cannot.
    pub(super) pinned: Result<Pinned, String>,
    /// The AppSpec that it is, on ECS and Lambda.
    pub(super) spec: Option<Arc<Spec>>,
}

/// A revision that leads to the same bytes whenever it is put out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pinned {
    /// An object in S3, by its version or its content.
    S3 { bucket: String, key: String, version: Option<String>, e_tag: Option<String>, bundle: Option<String> },
    /// A commit.
    GitHub { repository: String, commit: String },
    /// An AppSpec.
    AppSpec { content: String, sha256: String },
}

impl Pinned {
    /// An AppSpec of our own making.
    pub(super) fn content(content: Content) -> Pinned {
        Pinned::AppSpec { content: content.text, sha256: content.sha256 }
    }

    /// As a request carries it.
    pub(super) fn location(&self) -> RevisionLocation {
        let revision = RevisionLocation::builder();
        match self.clone() {
            Pinned::S3 { bucket, key, version, e_tag, bundle } => {
                let s3 = S3Location::builder()
                    .bucket(bucket)
                    .key(key)
                    .set_version(version)
                    .set_e_tag(e_tag)
                    .set_bundle_type(bundle.as_deref().map(BundleType::from))
                    .build();
                revision.revision_type(RevisionLocationType::S3).s3_location(s3)
            }
            Pinned::GitHub { repository, commit } => {
                let git = GitHubLocation::builder().repository(repository).commit_id(commit).build();
                revision.revision_type(RevisionLocationType::GitHub).git_hub_location(git)
            }
            Pinned::AppSpec { content, sha256 } => {
                let spec = AppSpecContent::builder().content(content).sha256(sha256).build();
                revision.revision_type(RevisionLocationType::AppSpecContent).app_spec_content(spec)
            }
        }
        .build()
    }
}

impl Artifact {
    /// What it puts out on ECS or Lambda.
    pub(super) fn puts(&self) -> Option<Puts> {
        self.spec.as_ref().and_then(|spec| spec.parsed.as_ref().ok()).map(|parsed| parsed.puts.clone())
    }
}

impl CodeDeploy {
    /// Which release a revision is.
    pub(super) async fn artifact(
        &self,
        site: &Site,
        revision: &RevisionLocation,
    ) -> Result<Artifact, Trouble> {
        if let Some(s3) = revision.s3_location() {
            return Ok(in_s3(s3));
        }
        if let Some(git) = revision.git_hub_location() {
            return Ok(in_git(git));
        }
        match sha256(revision) {
            Some(sha256) => self.in_appspec(site, revision, sha256).await,
            None => Ok(unknown("unknown revision", "CodeDeploy does not say what its revision is")),
        }
    }

    async fn in_appspec(
        &self,
        site: &Site,
        revision: &RevisionLocation,
        sha256: &str,
    ) -> Result<Artifact, Trouble> {
        let Some(spec) = self.spec(site, revision, sha256).await? else {
            return Ok(unknown(&format!("sha256:{sha256}"), "CodeDeploy does not keep its AppSpec any more"));
        };
        let pinned = Pinned::AppSpec { content: spec.text.clone(), sha256: spec.sha256.clone() };
        Ok(match &spec.parsed {
            Ok(parsed) => Artifact {
                release: parsed.puts.release(),
                called: Some(called(&parsed.puts)),
                commit: None,
                pinned: Ok(pinned),
                spec: Some(spec.clone()),
            },
            Err(why) => unknown(&format!("sha256:{sha256}"), &format!("its AppSpec cannot be read: {why}")),
        })
    }

    /// The AppSpec of a revision. `GetDeployment` leaves its text out; the application keeps it (the service model).
    async fn spec(
        &self,
        site: &Site,
        revision: &RevisionLocation,
        sha256: &str,
    ) -> Result<Option<Arc<Spec>>, Trouble> {
        let known = self.specs.lock().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let clients = self.account.clients().await;
        let doing = format!("read the revision {sha256} of {}", site.application);
        let asked = clients
            .codedeploy
            .get_application_revision()
            .application_name(&site.application)
            .revision(revision.clone());
        let answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some("RevisionDoesNotExistException") => return Ok(None),
            Err(error) => return Err(self.account.sorted(&doing, error).await),
        };
        let Some(text) = answer.revision.as_ref().and_then(text) else { return Ok(None) };
        let spec =
            Arc::new(Spec { text: text.to_owned(), sha256: sha256.to_owned(), parsed: AppSpec::parse(text) });
        let mut specs = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
        if specs.len() >= SPECS_MAX {
            specs.pop_first();
        }
        specs.insert(sha256.to_owned(), spec.clone());
        Ok(Some(spec))
    }
}

/// The digest of an AppSpec; `String` is the older name of the same kind of revision.
fn sha256(revision: &RevisionLocation) -> Option<&str> {
    let new = revision.app_spec_content().and_then(AppSpecContent::sha256);
    new.or_else(|| revision.string().and_then(|text| text.sha256()))
}

fn text(revision: &RevisionLocation) -> Option<&str> {
    let new = revision.app_spec_content().and_then(AppSpecContent::content);
    new.or_else(|| revision.string().and_then(|text| text.content()))
}

fn in_s3(s3: &S3Location) -> Artifact {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let (bucket, key) = (s3.bucket().unwrap_or_default(), s3.key().unwrap_or_default());
    let base = format!("s3://{bucket}/{key}");
    let release = match (s3.version(), s3.e_tag()) {
        (Some(version), _) => format!("{base}?version={version}"),
        (None, Some(e_tag)) => format!("{base}?etag={}", e_tag.trim_matches('"')),
        (None, None) => base.clone(),
    };
    let unpinned = s3.version().is_none() && s3.e_tag().is_none();
    let pinned = if unpinned {
        Err(format!(
            "{base} has no version: whatever lies there now would be put out, perhaps the same bad bytes"
        ))
    } else {
        Ok(Pinned::S3 {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: text(s3.version()),
            e_tag: text(s3.e_tag()),
            bundle: text(s3.bundle_type().map(BundleType::as_str)),
        })
    };
    let name = key.rsplit('/').next().unwrap_or(key);
    let called = match s3.version() {
        Some(version) => format!("{name} ({})", version.chars().take(8).collect::<String>()),
        None => name.to_owned(),
    };
    Artifact { release: ReleaseId::new(release), called: Some(called), commit: None, pinned, spec: None }
}

fn in_git(git: &GitHubLocation) -> Artifact {
    let repository = git.repository().unwrap_or_default().to_owned();
    let commit = git.commit_id().unwrap_or_default().to_owned();
    Artifact {
        release: ReleaseId::new(format!("github:{repository}@{commit}")),
        called: Some(commit.chars().take(10).collect()),
        commit: Some(commit.clone()),
        pinned: Ok(Pinned::GitHub { repository, commit }),
        spec: None,
    }
}

fn called(puts: &Puts) -> String {
    match puts {
        Puts::TaskDefinition(name) => name.clone(),
        Puts::Version { function, target, .. } => format!("{function} version {target}"),
    }
}

fn unknown(release: &str, why: &str) -> Artifact {
    Artifact {
        release: ReleaseId::new(release),
        called: None,
        commit: None,
        pinned: Err(why.to_owned()),
        spec: None,
    }
}
