//! Who else decides what runs in a workload: a template that we write into what somebody else owns is undone by them, soon or at their
//! next turn. Facts: what Argo CD, Flux, Helm and Flagger write onto the objects they manage, from their documents and sources.

use serde_json::Value;

use super::template::text;
use super::workload::annotation;

/// Who owns it, in words; nothing where nobody else does.
pub(super) fn owner(object: &Value) -> Option<String> {
    controller(object)
        .or_else(|| argo_cd(object))
        .or_else(|| flux(object))
        .or_else(|| helm(object))
        .or_else(|| writer(object))
}

/// An operator, a Rollout, Flagger's primary: whoever made it makes it anew.
fn controller(object: &Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"].as_bool() == Some(true))?;
    Some(format!("{} {}", text(owner, "/kind")?, text(owner, "/name")?))
}

/// `argocd.argoproj.io/tracking-id` is `application:group/kind:namespace/name`; older ones use a label of their own. The common label
/// `app.kubernetes.io/instance` alone says nothing: Helm writes it too.
fn argo_cd(object: &Value) -> Option<String> {
    let tracked = annotation(object, "argocd.argoproj.io/tracking-id");
    let application = tracked.and_then(|id| id.split(':').next().map(str::to_owned));
    let application = application.or_else(|| label(object, "argocd.argoproj.io/instance"))?;
    Some(format!("Argo CD application {application}"))
}

fn flux(object: &Value) -> Option<String> {
    let named = |tool: &str, what: &str| {
        let name = label(object, &format!("{tool}.toolkit.fluxcd.io/name"))?;
        let namespace = label(object, &format!("{tool}.toolkit.fluxcd.io/namespace")).unwrap_or_default();
        Some(format!("Flux {what} {namespace}/{name}"))
    };
    named("helm", "HelmRelease").or_else(|| named("kustomize", "Kustomization"))
}

fn helm(object: &Value) -> Option<String> {
    if label(object, "app.kubernetes.io/managed-by").as_deref() != Some("Helm") {
        return None;
    }
    let release = annotation(object, "meta.helm.sh/release-name")?;
    let namespace = annotation(object, "meta.helm.sh/release-namespace").unwrap_or_default();
    Some(format!("Helm release {namespace}/{release}"))
}

/// Whoever writes the template and is known to come back, where nothing else tells.
fn writer(object: &Value) -> Option<String> {
    let fields = object.pointer("/metadata/managedFields")?.as_array()?;
    let writers = fields.iter().filter(|entry| entry.pointer("/fieldsV1/f:spec/f:template").is_some());
    writers.filter_map(|entry| entry["manager"].as_str()).find_map(|manager| {
        let who = match manager {
            "argocd-controller" | "argocd-application-controller" => "Argo CD",
            "kustomize-controller" | "helm-controller" => "Flux",
            "flagger" => "Flagger",
            _ => return None,
        };
        Some(format!("{who} (it writes the pod template)"))
    })
}

fn label(object: &Value, name: &str) -> Option<String> {
    text(object, &format!("/metadata/labels/{}", super::template::escaped(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_would_undo_it_is_named() {
        for (metadata, expected) in [
            (json!({}), None),
            (json!({ "labels": { "app.kubernetes.io/instance": "checkout" } }), None),
            (json!({ "labels": { "app.kubernetes.io/managed-by": "Helm" } }), None),
            (
                json!({ "annotations": { "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/checkout" } }),
                Some("Argo CD application shop"),
            ),
            (
                json!({ "labels": { "argocd.argoproj.io/instance": "shop" } }),
                Some("Argo CD application shop"),
            ),
            (
                json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" } }),
                Some("Flux Kustomization flux-system/apps"),
            ),
            (
                json!({
                    "labels": { "app.kubernetes.io/managed-by": "Helm", "helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "shop" },
                    "annotations": { "meta.helm.sh/release-name": "web" },
                }),
                Some("Flux HelmRelease shop/web"),
            ),
            (
                json!({
                    "labels": { "app.kubernetes.io/managed-by": "Helm" },
                    "annotations": { "meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop" },
                }),
                Some("Helm release shop/web"),
            ),
            (
                json!({ "ownerReferences": [{ "kind": "Canary", "name": "checkout", "controller": true }] }),
                Some("Canary checkout"),
            ),
            (json!({ "ownerReferences": [{ "kind": "Budget", "name": "checkout" }] }), None),
            (
                json!({ "managedFields": [{ "manager": "kustomize-controller", "fieldsV1": { "f:spec": { "f:template": {} } } }] }),
                Some("Flux (it writes the pod template)"),
            ),
            (
                json!({ "managedFields": [{ "manager": "kubectl-set", "fieldsV1": { "f:spec": { "f:template": {} } } }] }),
                None,
            ),
        ] {
            let object = json!({ "metadata": metadata });
            assert_eq!(owner(&object).as_deref(), expected, "{object}");
        }
    }
}
