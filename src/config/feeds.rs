//! `[feeds.NAME]`: who may tell what was deployed when, what proves it, and what it may speak about. A feed informs: it can make
//! nothing happen by itself, so that without `services` it may speak about all of them.

use std::collections::BTreeMap;

use super::credential::{Credential, SeenSecrets, Way, credential};
use super::fault::quoted;
use super::read::Table;
use super::sns::{SnsSettings, sns};
use super::sources::{map, scope_of, source_name};
use crate::case::id::{ServiceId, SourceName};

/// A feed of deployments.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedSettings {
    /// Under which name what it tells is kept: [`SourceName::feed`].
    pub name: SourceName,
    /// What it speaks.
    pub kind: FeedKind,
    /// What proves a notice. `None` where that is a fault, and for SNS, which has none.
    pub credential: Option<Credential>,
    /// Patterns of the services that it may speak about.
    pub services: Vec<String>,
    /// Its own table: the value of any label, to the service.
    pub map: BTreeMap<String, ServiceId>,
}

/// What a feed speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedKind {
    /// GitHub's deployments.
    GitHub,
    /// Argo CD's notifications.
    ArgoCd,
    /// CDEvents.
    CdEvents,
    /// CodeDeploy's triggers, through SNS.
    CodeDeployTriggers(SnsSettings),
    /// CodeDeploy's events, through EventBridge.
    CodeDeployEvents,
    /// The list of deployments of our own.
    Generic,
}

#[derive(Clone, Copy)]
enum Kind {
    GitHub,
    ArgoCd,
    CdEvents,
    CodeDeploy,
    Generic,
}

const KINDS: [(&str, Kind); 5] = [
    ("github", Kind::GitHub),
    ("argocd", Kind::ArgoCd),
    ("cdevents", Kind::CdEvents),
    ("codedeploy", Kind::CodeDeploy),
    ("generic", Kind::Generic),
];

/// Reads `[feeds.NAME]`.
pub(super) fn feeds(root: &Table<'_>, services: &[ServiceId], seen: &mut SeenSecrets) -> Vec<FeedSettings> {
    let mut feeds = Vec::new();
    for (name, table) in root.named_tables("feeds") {
        source_name(table.page(), &name);
        if !table.has("kind") {
            table.missing("kind", "write kind = \"github\"");
        }
        let whose = format!("feed {}", quoted(name.value));
        let mut shown = |ways: &[Way]| credential(&table, ways, seen, &whose);
        let (kind, credential) = match table.word("kind", &KINDS).map(|kind| kind.value) {
            Some(Kind::GitHub) => (FeedKind::GitHub, shown(&[Way::Secret])),
            Some(Kind::ArgoCd) => (FeedKind::ArgoCd, shown(&[Way::Bearer, Way::Basic])),
            Some(Kind::CdEvents) => (FeedKind::CdEvents, shown(&[Way::Bearer, Way::Basic])),
            Some(Kind::CodeDeploy) if table.has("topics") => {
                for key in ["bearer_token", "basic"] {
                    if table.has(key) {
                        let message = format!("`{key}` beside `topics`");
                        table.page().fault(
                            table.key_span(key),
                            message,
                            "keep one of them: what SNS sends AWS signs",
                        );
                        table.item(if key == "basic" { "basic" } else { "bearer_token" });
                    }
                }
                (FeedKind::CodeDeployTriggers(sns(&table)), None)
            }
            Some(Kind::CodeDeploy) => (FeedKind::CodeDeployEvents, shown(&[Way::Bearer, Way::Basic])),
            Some(Kind::Generic) => (FeedKind::Generic, shown(&[Way::Bearer, Way::Basic])),
            None => {
                table.leave_unchecked();
                (FeedKind::Generic, None)
            }
        };
        let everything = || vec!["*".to_owned()];
        feeds.push(FeedSettings {
            name: SourceName::feed(name.value),
            kind,
            credential,
            services: if table.has("services") { scope_of(&table, services) } else { everything() },
            map: map(&table, services),
        });
    }
    feeds
}
