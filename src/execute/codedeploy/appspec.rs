//! AppSpecs of ECS and Lambda: what they put out, and the one that leads a Lambda alias from what it points to now to
//! another version. YAML or JSON, foreign text; the shape is that of the AppSpec reference in the user guide.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::case::id::ReleaseId;

/// A longer one is not read: the service takes no content of such a size in one request.
const LONGEST: usize = 256 * 1024;

/// A parsed AppSpec.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AppSpec {
    whole: Value,
    /// What it puts out.
    pub(super) puts: Puts,
}

/// What an AppSpec puts out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Puts {
    /// An ECS task definition, as `family:revision`.
    TaskDefinition(String),
    /// A version of a Lambda function, behind an alias.
    Version { function: String, alias: String, target: String },
}

impl Puts {
    /// The release: the task definition, or the function's version.
    pub(super) fn release(&self) -> ReleaseId {
        match self {
            Puts::TaskDefinition(name) => ReleaseId::new(name),
            Puts::Version { function, target, .. } => version(function, target),
        }
    }
}

/// The release of a function's version.
pub(super) fn version(function: &str, version: &str) -> ReleaseId {
    ReleaseId::new(format!("{function}:{version}"))
}

/// A task definition without its account: `family:revision`.
pub(super) fn task_definition(arn: &str) -> &str {
    arn.rsplit_once("task-definition/").map_or(arn, |(_, name)| name)
}

impl AppSpec {
    /// Reads one; says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<AppSpec, String> {
        if text.len() > LONGEST {
            return Err(format!("it has {} bytes, more than {LONGEST}", text.len()));
        }
        let whole: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let resource = only_resource(&whole).ok_or("it has not exactly one resource")?;
        let kind = text_of(resource, "Type").unwrap_or_default();
        let properties = member(resource, "Properties").unwrap_or(&Value::Null);
        let property = |name: &str| text_of(properties, name).ok_or(format!("its resource has no {name}"));
        let puts = match kind.as_str() {
            "AWS::ECS::Service" => {
                Puts::TaskDefinition(task_definition(&property("TaskDefinition")?).to_owned())
            }
            "AWS::Lambda::Function" => Puts::Version {
                function: function_name(&property("Name")?).to_owned(),
                alias: property("Alias")?,
                target: property("TargetVersion")?,
            },
            other => return Err(format!("its resource is of type {other:?}")),
        };
        Ok(AppSpec { whole, puts })
    }

    /// The same AppSpec, hooks and all, leading from the version that the alias points to now to another one. A replay of
    /// the old text would be refused: its `CurrentVersion` is no longer what the alias points to
    /// (aws/serverless-application-model#291).
    pub(super) fn between(&self, current: &str, target: &str) -> Option<Content> {
        let mut whole = self.whole.clone();
        let properties = properties_mut(&mut whole)?;
        for (name, version) in [("CurrentVersion", current), ("TargetVersion", target)] {
            let key = properties.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
            properties.insert(key.unwrap_or_else(|| name.to_owned()), Value::from(version));
        }
        Some(Content::of(whole.to_string()))
    }
}

/// The text of an AppSpec with its digest, as a request carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) text: String,
    /// SHA-256 of the text, in hexadecimal.
    pub(super) sha256: String,
}

impl Content {
    pub(super) fn of(text: String) -> Content {
        let sha256 =
            digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Content { text, sha256 }
    }
}

/// A function's own name, of an ARN too.
fn function_name(name: &str) -> &str {
    name.rsplit_once(":function:").map_or(name, |(_, name)| name)
}

/// The keys of AppSpecs are written with a capital in the reference, and without one in examples.
fn member<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    of.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A text; versions are often written as numbers.
fn text_of(of: &Value, name: &str) -> Option<String> {
    match member(of, name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `Resources` is a list of one entry, whose only member is the resource by its name.
fn only_resource(whole: &Value) -> Option<&Value> {
    let resources = member(whole, "Resources")?;
    let entry = match resources {
        Value::Array(entries) if entries.len() == 1 => entries.first()?,
        Value::Object(_) => resources,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => return None,
    };
    let named = entry.as_object().filter(|named| named.len() == 1)?;
    named.values().next()
}

fn properties_mut(whole: &mut Value) -> Option<&mut Map<String, Value>> {
    let resources = member_mut(whole, "Resources")?;
    let entry = if resources.is_array() { resources.get_mut(0)? } else { resources };
    let resource = entry.as_object_mut()?.values_mut().next()?;
    member_mut(resource, "Properties")?.as_object_mut()
}

fn member_mut<'v>(of: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    of.as_object_mut()?.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECS: &str = r#"
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "arn:aws:ecs:eu-west-1:111122223333:task-definition/checkout:42"
        LoadBalancerInfo:
          ContainerName: "web"
          ContainerPort: 80
"#;
    const LAMBDA: &str = r#"{"version": 0.0, "Resources": [{"checkout": {"Type": "AWS::Lambda::Function",
        "Properties": {"Name": "checkout", "Alias": "live", "CurrentVersion": "6", "TargetVersion": 7}}}],
        "Hooks": [{"BeforeAllowTraffic": "probe"}]}"#;

    #[test]
    fn both_notations_are_read() {
        let ecs = AppSpec::parse(ECS).expect("an AppSpec");
        assert_eq!(ecs.puts, Puts::TaskDefinition("checkout:42".into()));
        let lambda = AppSpec::parse(LAMBDA).expect("an AppSpec");
        let puts = Puts::Version { function: "checkout".into(), alias: "live".into(), target: "7".into() };
        assert_eq!(lambda.puts, puts);
        assert_eq!(lambda.puts.release(), ReleaseId::new("checkout:7"));
    }

    #[test]
    fn a_way_back_keeps_the_hooks_and_names_what_serves_now() {
        let spec = AppSpec::parse(LAMBDA).expect("an AppSpec");
        let content = spec.between("7", "5").expect("a way back");
        let back: Value = serde_json::from_str(&content.text).expect("JSON");
        let properties = &back["Resources"][0]["checkout"]["Properties"];
        assert_eq!((&properties["CurrentVersion"], &properties["TargetVersion"]), (&"7".into(), &"5".into()));
        assert_eq!(back["Hooks"][0]["BeforeAllowTraffic"], "probe");
        assert_eq!(content.sha256.len(), 64);
    }

    #[test]
    fn what_is_no_appspec_says_why() {
        for (text, why) in [
            ("[", "expect"),
            ("version: 0.0\nos: linux\n", "not exactly one resource"),
            ("Resources: [{a: {Type: AWS::ECS::Service, Properties: {}}}]", "TaskDefinition"),
            ("Resources: [{a: {Type: AWS::S3::Bucket}}]", "AWS::S3::Bucket"),
        ] {
            let said = AppSpec::parse(text).expect_err("no AppSpec");
            assert!(why == "expect" || said.contains(why), "{said}");
        }
    }
}
