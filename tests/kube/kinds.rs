//! The kinds of object that the pretend API server knows, and what it says about them: discovery, and as much of OpenAPI
//! as clients need to leave validation to the server.

use serde_json::{Value, json};

/// A kind of object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short: &'static [&'static str],
    /// Its `status` is written by a door of its own only.
    pub(crate) status: bool,
    pub(crate) scale: bool,
    /// A custom resource, which has no strategic merge.
    pub(crate) custom: bool,
}

impl Kind {
    /// `deployments.apps`, as messages name it and the store keeps it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether its `metadata.generation` counts the changes of what is wanted.
    pub(crate) fn generations(&self) -> bool {
        self.custom || matches!(self.group, "apps" | "batch")
    }
}

const fn core(plural: &'static str, kind: &'static str, short: &'static [&'static str]) -> Kind {
    Kind {
        group: "",
        version: "v1",
        plural,
        kind,
        namespaced: true,
        short,
        status: false,
        scale: false,
        custom: false,
    }
}

const fn wide(kind: Kind) -> Kind {
    Kind { namespaced: false, ..kind }
}

const fn with_status(kind: Kind) -> Kind {
    Kind { status: true, ..kind }
}

const fn of(group: &'static str, version: &'static str, kind: Kind) -> Kind {
    Kind { group, version, ..kind }
}

const fn scaled(kind: Kind) -> Kind {
    Kind { scale: true, ..kind }
}

const fn custom(kind: Kind) -> Kind {
    Kind { custom: true, ..kind }
}

/// Every kind, by group and version.
pub(crate) static KINDS: [Kind; 26] = [
    wide(with_status(core("namespaces", "Namespace", &["ns"]))),
    wide(with_status(core("nodes", "Node", &["no"]))),
    with_status(core("pods", "Pod", &["po"])),
    core("configmaps", "ConfigMap", &["cm"]),
    core("secrets", "Secret", &[]),
    with_status(core("services", "Service", &["svc"])),
    core("serviceaccounts", "ServiceAccount", &["sa"]),
    core("events", "Event", &["ev"]),
    core("podtemplates", "PodTemplate", &[]),
    scaled(with_status(core("replicationcontrollers", "ReplicationController", &["rc"]))),
    with_status(core("persistentvolumeclaims", "PersistentVolumeClaim", &["pvc"])),
    scaled(with_status(of("apps", "v1", core("deployments", "Deployment", &["deploy"])))),
    scaled(with_status(of("apps", "v1", core("replicasets", "ReplicaSet", &["rs"])))),
    scaled(with_status(of("apps", "v1", core("statefulsets", "StatefulSet", &["sts"])))),
    with_status(of("apps", "v1", core("daemonsets", "DaemonSet", &["ds"]))),
    of("apps", "v1", core("controllerrevisions", "ControllerRevision", &[])),
    with_status(of("batch", "v1", core("jobs", "Job", &[]))),
    with_status(of("batch", "v1", core("cronjobs", "CronJob", &["cj"]))),
    with_status(of(
        "autoscaling",
        "v2",
        core("horizontalpodautoscalers", "HorizontalPodAutoscaler", &["hpa"]),
    )),
    wide(of("authorization.k8s.io", "v1", core("selfsubjectaccessreviews", "SelfSubjectAccessReview", &[]))),
    wide(of("authorization.k8s.io", "v1", core("selfsubjectrulesreviews", "SelfSubjectRulesReview", &[]))),
    scaled(with_status(custom(of("argoproj.io", "v1alpha1", core("rollouts", "Rollout", &["ro"]))))),
    custom(of("argoproj.io", "v1alpha1", core("analysisruns", "AnalysisRun", &["ar"]))),
    custom(of("argoproj.io", "v1alpha1", core("analysistemplates", "AnalysisTemplate", &["at"]))),
    custom(of("argoproj.io", "v1alpha1", core("experiments", "Experiment", &["exp"]))),
    with_status(custom(of("flagger.app", "v1beta1", core("canaries", "Canary", &[])))),
];

/// A kind by its group, version and plural.
pub(crate) fn kind(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// A kind by its plural, with or without its group.
pub(crate) fn named(plural: &str) -> &'static Kind {
    KINDS
        .iter()
        .find(|kind| kind.plural == plural || kind.qualified() == plural)
        .unwrap_or_else(|| panic!("no kind is called {plural}"))
}

/// A kind by what objects say of themselves.
pub(crate) fn of_object(object: &Value) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| object["kind"] == kind.kind && object["apiVersion"] == *kind.api_version())
}

/// What a path of discovery or OpenAPI answers.
pub(crate) fn discovery(path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        ["version"] => Some(json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "pretend", "gitTreeState": "clean",
            "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.24", "compiler": "gc", "platform": "linux/amd64",
        })),
        ["api"] => {
            Some(json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }))
        }
        ["apis"] => {
            let groups: Vec<_> = groups().into_iter().map(group).collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", "v1"] => resources("", "v1"),
        ["apis", name] => groups().into_iter().find(|(group, _)| *group == name).map(group),
        ["apis", group, version] => resources(group, version),
        ["openapi", "v3"] => {
            let paths: serde_json::Map<String, Value> = std::iter::once("api/v1".to_owned())
                .chain(groups().into_iter().map(|(group, version)| format!("apis/{group}/{version}")))
                .map(|path| (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}") })))
                .collect();
            Some(json!({ "paths": paths }))
        }
        ["openapi", "v3", "api", version] => Some(open_api("", version)),
        ["openapi", "v3", "apis", group, version] => Some(open_api(group, version)),
        ["healthz" | "readyz" | "livez"] => Some(json!("ok")),
        _ => None,
    }
}

fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<_> =
        KINDS.iter().filter(|kind| !kind.group.is_empty()).map(|kind| (kind.group, kind.version)).collect();
    groups.dedup();
    groups
}

fn group((name, version): (&str, &str)) -> Value {
    let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [version], "preferredVersion": version,
    })
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    let of_group = KINDS.iter().filter(|kind| kind.group == group && kind.version == version);
    for kind in of_group.clone() {
        let verbs: &[&str] = if kind.plural.starts_with("selfsubject") {
            &["create"]
        } else {
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        };
        // What `kubectl get all` shows.
        let all = kind.namespaced && kind.status && kind.plural != "persistentvolumeclaims";
        let categories: &[&str] = if all { &["all"] } else { &[] };
        resources.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs, "shortNames": kind.short, "categories": categories,
        }));
        let part = |part: &str, kind_of: &str, verbs: &[&str]| {
            json!({
                "name": format!("{}/{part}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind_of, "verbs": verbs,
            })
        };
        if kind.status {
            resources.push(part("status", kind.kind, &["get", "patch", "update"]));
        }
        if kind.scale {
            let mut scale = part("scale", "Scale", &["get", "patch", "update"]);
            scale["group"] = json!("autoscaling");
            scale["version"] = json!("v1");
            resources.push(scale);
        }
        if kind.plural == "pods" {
            resources.push(part("log", "Pod", &["get"]));
        }
    }
    let first = of_group.clone().next()?;
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(), "resources": resources,
    }))
}

/// A document that says only that the server checks fields itself.
fn open_api(group: &str, version: &str) -> Value {
    let mut paths = serde_json::Map::new();
    for kind in KINDS.iter().filter(|kind| kind.group == group && kind.version == version) {
        let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        let inside = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let field = json!([{ "name": "fieldValidation", "in": "query", "schema": { "type": "string" } }]);
        let patch = json!({
            "parameters": field, "responses": {},
            "x-kubernetes-group-version-kind": { "group": group, "kind": kind.kind, "version": version },
        });
        paths.insert(format!("{root}/{version}{inside}/{}/{{name}}", kind.plural), json!({ "patch": patch }));
    }
    json!({ "openapi": "3.0.0", "info": { "title": "pretend", "version": "v1.33.0" }, "paths": paths })
}
