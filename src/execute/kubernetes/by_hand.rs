//! The commands by which a person does it with kubectl. They go by the revision's number, which kubectl knows; it is given anew when an
//! old revision is taken up again, so that the history is looked at first.

use super::work::Undo;
use super::{Kubernetes, Settings, Site};
use crate::case::step::Act;
use crate::execute::shell;

impl Kubernetes {
    pub(in crate::execute) fn by_hand(&self, act: &Act) -> Result<String, String> {
        let undo = Undo::of(act).map_err(|trouble| trouble.to_string())?;
        self.settings.kubectl(&undo.site, "undo", Some(&undo.number.to_string()))
    }

    /// For a service of which nothing could be read.
    pub(in crate::execute) fn by_hand_unplanned(&self, site: &Site) -> Vec<String> {
        let lines = [
            self.settings.kubectl(site, "history", None),
            self.settings.kubectl(site, "undo", Some("NUMBER")),
            self.settings.kubectl(site, "status", None),
        ];
        lines.into_iter().filter_map(Result::ok).collect()
    }
}

impl Settings {
    fn kubectl(&self, site: &Site, verb: &str, revision: Option<&str>) -> Result<String, String> {
        let mut words = vec!["kubectl".to_owned()];
        if let Some(path) = &self.kubeconfig {
            words.extend(["--kubeconfig".to_owned(), path.display().to_string()]);
        }
        if let Some(context) = &self.context {
            words.extend(["--context".to_owned(), context.clone()]);
        }
        words.extend(["--namespace".to_owned(), site.namespace.clone()]);
        words.extend(["rollout".to_owned(), verb.to_owned(), format!("{}/{}", site.kind.word(), site.name)]);
        if let Some(revision) = revision {
            words.extend(["--to-revision".to_owned(), revision.to_owned()]);
        }
        shell(words.iter().map(String::as_str))
    }
}
