//! A pod template as a release: its identity, what people call it, and what it says about itself. Leaves to `history` where
//! templates are found.
//!
//! The identity is a digest over the whole template, without what the controllers add to it and what only restarts its pods: an
//! image named by a tag alone is as exact as its team's tags are.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use crate::case::id::{ChangeId, ReleaseId};
use crate::case::release::{MigrationMarks, Release, RollbackMark};

/// What the Deployment controller adds to the templates of its ReplicaSets, and those of other controllers to theirs.
const CONTROLLERS_LABELS: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];
/// `kubectl rollout restart` writes the moment here: the pods are new, and what they run is not.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// Stands before every annotation of ours.
pub(super) const PREFIX: &str = "snapback.dev/";
/// Annotations and labels are read up to this length.
const TEXT_MAX: usize = 200;

/// The template without what a controller added to it: what goes back.
pub(super) fn bare(template: &Value) -> Value {
    let mut bare = template.clone();
    // A ControllerRevision holds its template as a patch that replaces the whole.
    remove(&mut bare, "$patch");
    if let Some(labels) = bare.pointer_mut("/metadata/labels") {
        CONTROLLERS_LABELS.iter().for_each(|label| remove(labels, label));
    }
    bare
}

/// The release that a template is.
pub(super) fn release_id(template: &Value) -> ReleaseId {
    let mut bare = bare(template);
    if let Some(annotations) = bare.pointer_mut("/metadata/annotations") {
        remove(annotations, RESTARTED_AT);
    }
    // What is empty is as good as not there: one server writes `creationTimestamp: null`, the next does not.
    prune(&mut bare);
    bare.sort_all_objects();
    let digest = digest(&SHA256, bare.to_string().as_bytes());
    let hex: String = digest.as_ref()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    ReleaseId::new(format!("template:{hex}"))
}

/// The release with what its template says of it.
pub(in crate::execute) fn release(template: &Value) -> Release {
    let annotation = |name: &str| text(template, &format!("/metadata/annotations/{}", escaped(name)));
    let ours = |name: &str| annotation(&format!("{PREFIX}{name}"));
    let number = |name: &str| ours(name).and_then(|text| text.parse().ok());
    let mut release = Release::bare(release_id(template));
    release.version = ours("version")
        .or_else(|| text(template, "/metadata/labels/app.kubernetes.io~1version"))
        .or_else(|| images(template));
    // The annotation that image builders write too (OCI image specification, annotations).
    release.commit = ours("commit").or_else(|| annotation("org.opencontainers.image.revision"));
    release.author = ours("author");
    release.change = ours("change").or_else(|| release.commit.clone()).map(ChangeId::new);
    release.links = ours("link").into_iter().collect();
    release.marks = MigrationMarks {
        // A word that is none must not let somebody go back who may not.
        rollback: ours("rollback")
            .map(|word| RollbackMark::parse(&word).unwrap_or(RollbackMark::Irreversible)),
        schema_version: number("schema-version"),
        min_compatible_schema: number("min-compatible-schema"),
    };
    release
}

/// The images of a template's containers, each by its last part: `shop:1.4.2`.
fn images(template: &Value) -> Option<String> {
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let short = |image: &Value| {
        let image = image["image"].as_str()?;
        let last = image.rsplit('/').next().unwrap_or(image);
        Some(match last.split_once("@sha256:") {
            Some((name, digest)) => format!("{name}@{}", digest.get(..12).unwrap_or(digest)),
            None => last.to_owned(),
        })
    };
    let images: Vec<String> = containers.iter().filter_map(short).collect();
    let joined: String = images.join(" ").chars().take(TEXT_MAX).collect();
    (!joined.is_empty()).then_some(joined)
}

/// A text at this place; nothing where it is empty.
pub(super) fn text(of: &Value, pointer: &str) -> Option<String> {
    let text = of.pointer(pointer)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.chars().take(TEXT_MAX).collect())
}

/// A name as a part of a JSON pointer (RFC 6901).
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn remove(from: &mut Value, name: &str) {
    if let Some(map) = from.as_object_mut() {
        map.remove(name);
    }
}

/// Takes away nulls, and objects that are empty by that.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|name, value| {
                // `emptyDir: {}` says something; a map of labels without labels does not.
                let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
                !(value.is_null() || empty && ["labels", "annotations", "metadata"].contains(&name.as_str()))
            });
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(image: &str) -> Value {
        json!({
            "metadata": { "creationTimestamp": null, "labels": { "app": "checkout" } },
            "spec": { "containers": [{ "name": "web", "image": image }], "volumes": [{ "name": "tmp", "emptyDir": {} }] },
        })
    }

    #[test]
    fn a_release_is_its_template_without_what_controllers_and_restarts_add() {
        let own = release_id(&template("registry.example/shop:1"));
        let mut of_set = template("registry.example/shop:1");
        of_set["metadata"]["labels"]["pod-template-hash"] = "7d9fc".into();
        of_set["metadata"]["annotations"] = json!({ RESTARTED_AT: "2026-11-27T09:00:00Z" });
        of_set["metadata"].as_object_mut().expect("a map").remove("creationTimestamp");
        assert_eq!(release_id(&of_set), own);
        let mut of_revision = template("registry.example/shop:1");
        of_revision["$patch"] = "replace".into();
        assert_eq!(release_id(&of_revision), own);
        assert_eq!(bare(&of_revision)["$patch"], Value::Null, "what goes back is no patch");
        assert_ne!(release_id(&template("registry.example/shop:2")), own);
        let mut other = template("registry.example/shop:1");
        other["spec"]["volumes"][0] = json!({ "name": "tmp", "configMap": { "name": "settings-7fg" } });
        assert_ne!(release_id(&other), own, "configuration by hashed names is part of it");
    }

    #[test]
    fn a_template_says_what_people_call_it_and_what_it_marks() {
        let mut of = template("registry.example/team/shop@sha256:0123456789abcdef0123456789abcdef");
        assert_eq!(release(&of).version.as_deref(), Some("shop@0123456789ab"));
        of["metadata"]["labels"]["app.kubernetes.io/version"] = "4.2".into();
        of["metadata"]["annotations"] = json!({
            "snapback.dev/rollback": "contract", "snapback.dev/schema-version": "7", "snapback.dev/commit": "9f2c1ab",
        });
        let told = release(&of);
        assert_eq!(told.version.as_deref(), Some("4.2"));
        assert_eq!(
            (told.commit.as_deref(), told.change.as_ref().map(ChangeId::as_str)),
            (Some("9f2c1ab"), Some("9f2c1ab"))
        );
        assert_eq!(told.marks.rollback, Some(RollbackMark::Contract));
        assert_eq!(told.marks.schema_version, Some(7));
        of["metadata"]["annotations"]["snapback.dev/rollback"] = "perhaps".into();
        assert_eq!(
            release(&of).marks.rollback,
            Some(RollbackMark::Irreversible),
            "what cannot be read bars the way"
        );
    }
}
