//! How acts ended: each kind of provider, and each way in which the one request of an act may end.

use super::Labels;
use crate::case::command::{Command, Ending};

/// The kinds of providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A release directory.
    Directory,
    /// AWS CodeDeploy.
    CodeDeploy,
    /// Kubernetes.
    Kubernetes,
    /// Helm.
    Helm,
    /// Argo CD.
    ArgoCd,
    /// Spinnaker.
    Spinnaker,
    /// GitHub Actions.
    GitHub,
    /// A program of the user's own.
    Command,
    /// An address of the user's own.
    Http,
    /// A step of the user's own.
    Step,
    /// The service is not configured any more.
    Gone,
}

closed!(Provider, "provider", {
    Directory => "directory",
    CodeDeploy => "codedeploy",
    Kubernetes => "kubernetes",
    Helm => "helm",
    ArgoCd => "argocd",
    Spinnaker => "spinnaker",
    GitHub => "github-actions",
    Command => "command",
    Http => "http",
    Step => "step",
    Gone => "gone",
});

/// How the one request of an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The provider took it.
    Accepted,
    /// It said no.
    Refused,
    /// Something else serves than the plan expected.
    Moved,
    /// It surely never left.
    NotSent,
    /// Nobody can tell.
    Unclear,
}

closed!(Answered, "ending", {
    Accepted => "accepted",
    Refused => "refused",
    Moved => "moved",
    NotSent => "not_sent",
    Unclear => "unclear",
});

impl Answered {
    /// How a command ended, if it was the one that begins an act.
    pub fn of(command: &Command, ending: &Ending) -> Option<Answered> {
        let Command::Begin(..) = command else { return None };
        match ending {
            Ending::Accepted(_) => Some(Answered::Accepted),
            Ending::Refused(_) => Some(Answered::Refused),
            Ending::Moved(_) => Some(Answered::Moved),
            Ending::NotSent => Some(Answered::NotSent),
            Ending::Unclear(_) => Some(Answered::Unclear),
            // No begin ends so.
            Ending::Described(_)
            | Ending::Proposed(_)
            | Ending::Collected(_)
            | Ending::Roster(_)
            | Ending::Found(_)
            | Ending::Absent
            | Ending::Progress(_)
            | Ending::Said { .. }
            | Ending::Shown(_)
            | Ending::Elsewhere { .. }
            | Ending::Unsayable(_)
            | Ending::Began(_)
            | Ending::Probed { .. }
            | Ending::Paged => None,
        }
    }
}

/// An act's request at a provider, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActEnd(pub Provider, pub Answered);

impl Labels for ActEnd {
    const ALL: &'static [ActEnd] = &{
        let mut all = [ActEnd(Provider::Gone, Answered::Unclear); Provider::ALL.len() * Answered::ALL.len()];
        let mut nth = 0;
        while nth < all.len() {
            all[nth] =
                ActEnd(Provider::ALL[nth / Answered::ALL.len()], Answered::ALL[nth % Answered::ALL.len()]);
            nth += 1;
        }
        all
    };

    fn pairs(self) -> Vec<(&'static str, &'static str)> {
        [self.0.pairs(), self.1.pairs()].concat()
    }
}
