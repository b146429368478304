//! The commands by which a person does it with kubectl. They go by the revision's number, which kubectl knows; it is given anew when an
//! old revision is taken up again, so that the history is looked at first.

use super::work::{How, Way};
use super::{Kind, Kubernetes, Settings, Site};
use crate::case::step::Act;
use crate::execute::shell;

impl Kubernetes {
    pub(in crate::execute) fn by_hand(&self, act: &Act) -> Result<String, String> {
        let way = Way::of(act).map_err(|trouble| trouble.to_string())?;
        match &way.how {
            // Flagger stops its analysis when the template is again the one that serves.
            How::Undo { number, .. } | How::Gate { number, .. } => {
                self.settings.kubectl(&way.site, "undo", Some(&number.to_string()))
            }
            How::Abort { .. } => self.settings.kubectl(&way.site, "abort", None),
        }
    }

    /// For a service of which nothing could be read.
    pub(in crate::execute) fn by_hand_unplanned(&self, site: &Site) -> Vec<String> {
        // A Rollout shows its history with its state; what is still going out is aborted.
        let (look, stop) = match site.kind {
            Kind::Rollout => ("get", self.settings.kubectl(site, "abort", None).ok()),
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => ("history", None),
        };
        let lines = [
            self.settings.kubectl(site, look, None),
            self.settings.kubectl(site, "undo", Some("NUMBER")),
            self.settings.kubectl(site, "status", None),
        ];
        stop.into_iter().map(Ok::<String, String>).chain(lines).filter_map(Result::ok).collect()
    }
}

impl Settings {
    fn kubectl(&self, site: &Site, verb: &str, revision: Option<&str>) -> Result<String, String> {
        if site.kind == Kind::Rollout {
            return self.argo(site, verb, revision);
        }
        let mut words = vec!["kubectl".to_owned()];
        words.extend(self.place(&site.namespace));
        words.extend(["rollout".to_owned(), verb.to_owned(), format!("{}/{}", site.kind.word(), site.name)]);
        if let Some(revision) = revision {
            words.extend(["--to-revision".to_owned(), revision.to_owned()]);
        }
        shell(words.iter().map(String::as_str))
    }

    /// By Argo's plugin of kubectl, which takes its options after the verb.
    fn argo(&self, site: &Site, verb: &str, revision: Option<&str>) -> Result<String, String> {
        let mut words: Vec<String> = ["kubectl", "argo", "rollouts", verb].map(str::to_owned).into();
        if verb == "get" {
            words.push("rollout".to_owned());
        }
        words.push(site.name.clone());
        if let Some(revision) = revision {
            words.extend(["--to-revision".to_owned(), revision.to_owned()]);
        }
        words.extend(self.place(&site.namespace));
        shell(words.iter().map(String::as_str))
    }

    /// Which cluster, and where in it.
    fn place(&self, namespace: &str) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(path) = &self.kubeconfig {
            words.extend(["--kubeconfig".to_owned(), path.display().to_string()]);
        }
        if let Some(context) = &self.context {
            words.extend(["--context".to_owned(), context.clone()]);
        }
        words.extend(["--namespace".to_owned(), namespace.to_owned()]);
        words
    }
}
