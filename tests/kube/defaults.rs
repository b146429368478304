//! What the API server fills in and refuses in workloads: the defaults that templates are compared with, and the few rules
//! of validity that clients run into.

use serde_json::{Value, json};

use super::json::{at, drop_nulls, int, set, text};
use super::kinds::Kind;
use super::select::Selector;
use super::status::Refusal;

/// Fills in what was left out of an object.
pub(crate) fn fill(kind: &Kind, object: &mut Value) {
    if !kind.custom {
        drop_nulls(object);
    }
    match kind.plural {
        "pods" => pod(&mut object["spec"]),
        "secrets" => {
            or(object, "/type", json!("Opaque"));
            if let Some(texts) = object.as_object_mut().and_then(|secret| secret.remove("stringData")) {
                for (name, value) in texts.as_object().into_iter().flatten() {
                    use base64::Engine;
                    let bytes = value.as_str().unwrap_or_default();
                    let coded = base64::engine::general_purpose::STANDARD.encode(bytes);
                    set(object, &format!("/data/{}", name.replace('/', "~1")), coded);
                }
            }
        }
        "services" => {
            or(object, "/spec/type", json!("ClusterIP"));
            or(object, "/spec/clusterIP", json!("10.0.0.10"));
            or(object, "/spec/sessionAffinity", json!("None"));
        }
        "namespaces" => {
            set(object, "/status/phase", "Active");
            let name = at(object, "/metadata/name");
            set(object, "/metadata/labels/kubernetes.io~1metadata.name", name);
        }
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" if kind.group == "apps" => {
            workload(kind.plural, object);
        }
        _ => {}
    }
}

fn workload(plural: &str, object: &mut Value) {
    if plural != "daemonsets" {
        or(object, "/spec/replicas", json!(1));
    }
    if plural != "replicasets" {
        or(object, "/spec/revisionHistoryLimit", json!(10));
    }
    match plural {
        "deployments" => {
            or(object, "/spec/progressDeadlineSeconds", json!(600));
            or(object, "/spec/strategy/type", json!("RollingUpdate"));
            if text(object, "/spec/strategy/type") == "RollingUpdate" {
                or(object, "/spec/strategy/rollingUpdate/maxSurge", json!("25%"));
                or(object, "/spec/strategy/rollingUpdate/maxUnavailable", json!("25%"));
            }
        }
        "statefulsets" => {
            or(object, "/spec/podManagementPolicy", json!("OrderedReady"));
            or(object, "/spec/updateStrategy/type", json!("RollingUpdate"));
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                or(object, "/spec/updateStrategy/rollingUpdate/partition", json!(0));
            }
        }
        "daemonsets" => {
            or(object, "/spec/updateStrategy/type", json!("RollingUpdate"));
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                or(object, "/spec/updateStrategy/rollingUpdate/maxSurge", json!(0));
                or(object, "/spec/updateStrategy/rollingUpdate/maxUnavailable", json!(1));
            }
        }
        _ => {}
    }
    template(&mut object["spec"]["template"]);
}

fn or(object: &mut Value, at: &str, value: Value) {
    if object.pointer(at).is_none_or(Value::is_null) {
        set(object, at, value);
    }
}

/// Fills in what was left out of a template of pods.
pub(crate) fn template(template: &mut Value) {
    drop_nulls(template);
    if template["metadata"].is_null() {
        template["metadata"] = json!({});
    }
    pod(&mut template["spec"]);
}

fn pod(spec: &mut Value) {
    or(spec, "/restartPolicy", json!("Always"));
    or(spec, "/terminationGracePeriodSeconds", json!(30));
    or(spec, "/dnsPolicy", json!("ClusterFirst"));
    or(spec, "/securityContext", json!({}));
    or(spec, "/schedulerName", json!("default-scheduler"));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let image = text(container, "/image");
            let tag = image.rsplit('/').next().unwrap_or_default();
            let floats = tag.ends_with(":latest") || !tag.contains([':', '@']);
            or(container, "/imagePullPolicy", json!(if floats { "Always" } else { "IfNotPresent" }));
            or(container, "/resources", json!({}));
            or(container, "/terminationMessagePath", json!("/dev/termination-log"));
            or(container, "/terminationMessagePolicy", json!("File"));
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                or(port, "/protocol", json!("TCP"));
            }
        }
    }
}

/// Refuses what the genuine server would not take; `before` is what is there already.
pub(crate) fn check(kind: &Kind, object: &Value, before: Option<&Value>) -> Result<(), Refusal> {
    let name = text(object, "/metadata/name");
    let wrong = |field: &str, why: &str| Err(Refusal::invalid(kind, name, field, why));
    if name.is_empty() {
        return wrong("metadata.name", "Required value: name or generateName is required");
    }
    let workload = matches!(kind.plural, "deployments" | "replicasets" | "statefulsets" | "daemonsets");
    if !workload || kind.group != "apps" {
        return Ok(());
    }
    if object["spec"]["selector"].is_null() {
        return wrong("spec.selector", "Required value");
    }
    if !Selector::of_object(&object["spec"]["selector"]).matches(&object["spec"]["template"]) {
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        let why = format!("Invalid value: {labels}: `selector` does not match template `labels`");
        return wrong("spec.template.metadata.labels", &why);
    }
    if before.is_some_and(|before| before["spec"]["selector"] != object["spec"]["selector"]) {
        let why = format!("Invalid value: {}: field is immutable", object["spec"]["selector"]);
        return wrong("spec.selector", &why);
    }
    if int(object, "/spec/replicas").is_some_and(|replicas| replicas < 0) {
        return wrong("spec.replicas", "Invalid value: must be greater than or equal to 0");
    }
    let containers = super::json::list(object, "/spec/template/spec/containers");
    if containers.is_empty() {
        return wrong("spec.template.spec.containers", "Required value");
    }
    for (nth, container) in containers.iter().enumerate() {
        if text(container, "/image").is_empty() {
            return wrong(&format!("spec.template.spec.containers[{nth}].image"), "Required value");
        }
    }
    Ok(())
}
