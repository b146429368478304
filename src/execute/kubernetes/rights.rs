//! Whether we may do what a rollback takes: asked of the API, right by right, and tried without effect. Facts: `SelfSubjectAccessReview`,
//! which everybody may ask, and `dryRun=All`, by which admission says what it would say.

use serde_json::{Value, json};

use super::cluster::{Dry, Refusal};
use super::{Kind, Kubernetes, Site};
use crate::case::id::ServiceId;
use crate::execute::Finding;
use crate::outbound::Trouble;

/// Where the rights are written down.
const REMEDY: &str = "give the rights of deploy/kubernetes-role.yaml in its namespace";

/// A right: verb, API group, resource, subresource, and what goes without it.
type Right = (&'static str, &'static str, &'static str, &'static str, &'static str);

impl Kubernetes {
    pub(super) async fn rights(&self, service: &ServiceId, site: &Site) -> Vec<Finding> {
        let finding = |says: String, remedy: &str| Finding { says, remedy: remedy.to_owned() };
        let (workload, history) = (site.kind.resource(), site.kind.history());
        let group = site.kind.group();
        let mut rights: Vec<Right> = vec![
            ("get", group, workload, "", "what shall run there cannot be read"),
            ("patch", group, workload, "", "nothing can be rolled back"),
            ("list", "apps", history, "", "its history cannot be read"),
            ("list", "", "pods", "", "pods that fail cannot be seen"),
            ("list", "", "events", "", "why a pod fails is not shown"),
            ("get", "", "pods", "log", "the log of a container that fails is not shown"),
            ("watch", group, workload, "", "a change is seen only when it is asked for"),
        ];
        rights.extend(match site.kind {
            Kind::Rollout => vec![
                ("patch", group, workload, "status", "what is going out cannot be aborted"),
                ("list", group, "analysisruns", "", "why an analysis failed is not shown"),
            ],
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                let without = "a Flagger canary would not be seen, and its target written into";
                vec![("list", "flagger.app", "canaries", "", without)]
            }
        });
        let mut found = Vec::new();
        for (verb, group, resource, subresource, without) in rights {
            match self.may_in(&site.namespace, (verb, group, resource, subresource)).await {
                Ok(true) => {}
                Ok(false) => {
                    let resource = if subresource.is_empty() {
                        resource.to_owned()
                    } else {
                        format!("{resource}/{subresource}")
                    };
                    let of = if group.is_empty() { String::new() } else { format!(".{group}") };
                    let says =
                        format!("may not {verb} {resource}{of} in namespace {}: {without}", site.namespace);
                    found.push(finding(says, REMEDY));
                }
                // One cause for all of them.
                Err(trouble) => {
                    return vec![finding(
                        trouble.to_string(),
                        "see the address and the credentials of its kubeconfig",
                    )];
                }
            }
        }
        if !found.is_empty() {
            return found;
        }
        if let Err(trouble) = self.picture(service, site).await {
            return vec![finding(trouble.to_string(), "see that its namespace, kind and name are right")];
        }
        let workload = self.workload(site).await.ok().flatten();
        let canary = workload.and_then(|workload| workload.canary).filter(|canary| !canary.asks_us());
        let unasked = canary
            .map(|canary| finding(canary.wants_a_webhook(), "see docs/providers/kubernetes.md, Flagger"));
        unasked.into_iter().chain(self.admission(site).await).collect()
    }

    /// What stands between us and the object beside rights, such as a webhook that refuses whoever is not a pipeline.
    async fn admission(&self, site: &Site) -> Option<Finding> {
        let workload = self.workload(site).await.ok().flatten()?;
        if workload.is_written_elsewhere() {
            return None;
        }
        let nothing = json!([
            { "op": "test", "path": "/metadata/uid", "value": workload.uid() },
            { "op": "replace", "path": "/spec/template", "value": workload.template() },
        ]);
        let says = match self.cluster.patch(&site.path(), &nothing, Dry::Run).await {
            Ok(_) => return None,
            Err(Refusal::NotFound | Refusal::Gone) => "it is not there any more".to_owned(),
            Err(Refusal::Conflict(says)) => says,
            Err(Refusal::Trouble(trouble)) => trouble.to_string(),
        };
        let remedy = "let its admission allow the account of Snapback to write pod templates";
        Some(Finding { says: format!("a write into {site} would be refused: {says}"), remedy: remedy.into() })
    }

    /// Whether the API would let us.
    pub(in crate::execute) async fn may_in(
        &self,
        namespace: &str,
        (verb, group, resource, subresource): (&str, &str, &str, &str),
    ) -> Result<bool, Trouble> {
        let question = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource,
            } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.cluster.ask(path, &question).await?;
        Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
    }
}
