//! What stands behind CodeDeploy in the pretend world: Lambda's functions with their versions and aliases, ECS's services
//! with their task sets, task definitions, and ECR's images.

use std::collections::{BTreeMap, BTreeSet};

use hyper::{Method, Uri};
use serde_json::{Value, json};

use super::codedeploy::{Deployment, Group, State};
use super::{Answer, Refusal};

/// What stands behind.
#[derive(Default)]
pub(crate) struct Behind {
    pub functions: BTreeMap<String, Function>,
    /// The task definition that serves, by ECS service.
    pub services: BTreeMap<String, String>,
    /// Task definitions that are active, with their image.
    pub definitions: BTreeMap<String, String>,
    /// Images that are in the registry, as `repository:tag`.
    pub images: BTreeSet<String>,
    /// Revisions that are gone, as their JSON.
    pub missing: BTreeSet<String>,
}

/// A function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Function {
    pub versions: BTreeSet<String>,
    pub aliases: BTreeMap<String, String>,
    /// A part of an alias's traffic that goes to another version.
    pub weights: BTreeMap<String, (String, f64)>,
}

impl Behind {
    /// Why the deployment of this revision must fail, by what stands behind.
    pub(crate) fn refusal(
        &self,
        group: &Group,
        deployment: &Deployment,
        specs: &BTreeMap<(String, String), String>,
    ) -> Option<(String, String)> {
        let properties = properties(deployment, specs)?;
        match group.platform {
            "Lambda" if !deployment.moved => {
                let alias = self.alias(&properties)?;
                let current = text(&properties, "CurrentVersion");
                (alias != current).then(|| {
                    let why = format!(
                        "alias version {alias} does not match the current version {current} in AppSpec file"
                    );
                    ("INVALID_LAMBDA_CONFIGURATION".to_owned(), why)
                })
            }
            "ECS" => {
                let definition = short(&text(&properties, "TaskDefinition"));
                (!self.definitions.contains_key(&definition)).then(|| {
                    ("INVALID_ECS_SERVICE".to_owned(), format!("no active task definition {definition}"))
                })
            }
            _ => None,
        }
    }

    fn alias(&self, properties: &Value) -> Option<String> {
        self.functions.get(&text(properties, "Name"))?.aliases.get(&text(properties, "Alias")).cloned()
    }

    /// The traffic moved to what this deployment puts out.
    pub(crate) fn moved(
        &mut self,
        group: &Group,
        deployment: &Deployment,
        specs: &BTreeMap<(String, String), String>,
    ) {
        let Some(properties) = properties(deployment, specs) else { return };
        match group.platform {
            "Lambda" => {
                let function = self.functions.get_mut(&text(&properties, "Name")).expect("a function");
                function.aliases.insert(text(&properties, "Alias"), text(&properties, "TargetVersion"));
            }
            "ECS" => {
                self.services.insert(group.subject.clone(), short(&text(&properties, "TaskDefinition")));
            }
            _ => {}
        }
    }

    /// The AppSpec by which CodeDeploy itself goes back on Lambda: from what the alias points to now.
    pub(crate) fn way_back(
        &self,
        group: &Group,
        last: &Deployment,
        specs: &BTreeMap<(String, String), String>,
    ) -> Option<String> {
        let properties = properties(last, specs).filter(|_| group.platform == "Lambda")?;
        let current = self.alias(&properties)?;
        Some(lambda_spec(&text(&properties, "Name"), &current, &text(&properties, "TargetVersion")))
    }
}

/// An AppSpec that moves the alias `live` of a function.
pub(crate) fn lambda_spec(function: &str, current: &str, target: &str) -> String {
    json!({
        "version": 0.0,
        "Resources": [{ "function": { "Type": "AWS::Lambda::Function", "Properties": {
            "Name": function, "Alias": "live", "CurrentVersion": current, "TargetVersion": target } } }],
        "Hooks": [{ "BeforeAllowTraffic": "probe" }],
    })
    .to_string()
}

/// An AppSpec of an ECS service, in YAML as people write it.
pub(crate) fn ecs_spec(definition: &str) -> String {
    format!(
        "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        \
         TaskDefinition: \"arn:aws:ecs:eu-west-1:111122223333:task-definition/{definition}\"\n        \
         LoadBalancerInfo:\n          ContainerName: \"web\"\n          ContainerPort: 80\n"
    )
}

/// A revision of this AppSpec, as a request carries it.
pub(crate) fn appspec(content: &str) -> Value {
    json!({ "revisionType": "AppSpecContent", "appSpecContent": { "content": content } })
}

/// A revision in S3.
pub(crate) fn s3(key: &str, version: Option<&str>) -> Value {
    let mut location = json!({ "bucket": "releases", "key": key, "bundleType": "zip" });
    if let Some(version) = version {
        location["version"] = version.into();
    }
    json!({ "revisionType": "S3", "s3Location": location })
}

fn properties(deployment: &Deployment, specs: &BTreeMap<(String, String), String>) -> Option<Value> {
    let sha256 = deployment.revision["appSpecContent"]["sha256"].as_str()?;
    let content = specs.get(&(deployment.application.clone(), sha256.to_owned()))?;
    if let Ok(spec) = serde_json::from_str::<Value>(content) {
        let resource = spec["Resources"][0].as_object()?.values().next()?.clone();
        return Some(resource["Properties"].clone());
    }
    let line = content.lines().find(|line| line.contains("TaskDefinition"))?;
    let (_, arn) = line.split_once(':')?;
    Some(json!({ "TaskDefinition": arn.trim().trim_matches('"') }))
}

fn text(properties: &Value, name: &str) -> String {
    properties[name].as_str().unwrap_or_default().to_owned()
}

fn short(arn: &str) -> String {
    arn.rsplit_once("task-definition/").map_or(arn, |(_, name)| name).to_owned()
}

/// The operation of Lambda that a request is, by its path.
pub(crate) fn lambda_operation(method: &Method, path: &str) -> String {
    match *method {
        Method::GET if path.contains("/aliases/") => "GetAlias",
        Method::GET if path.ends_with("/configuration") => "GetFunctionConfiguration",
        _ => "unknown",
    }
    .to_owned()
}

/// Answers what is not CodeDeploy's.
pub(crate) fn answer(state: &mut State, operation: &str, asked: &Value, uri: &Uri) -> Option<Answer> {
    let behind = &state.behind;
    Some(match operation {
        "GetAlias" => get_alias(behind, uri.path()),
        "GetFunctionConfiguration" => get_function(behind, uri),
        "DescribeServices" => {
            let name = asked["services"][0].as_str().unwrap_or_default();
            Ok(describe_service(behind, name))
        }
        "DescribeTaskDefinition" => describe_definition(behind, asked),
        "DescribeImages" => describe_images(behind, asked),
        _ => return None,
    })
}

fn gone(what: &str) -> Refusal {
    Refusal("ResourceNotFoundException", format!("{what} is not there"))
}

/// `/2015-03-31/functions/NAME/aliases/ALIAS`.
fn get_alias(behind: &Behind, path: &str) -> Answer {
    let mut parts = path.split('/').skip(3);
    let (name, alias) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
    let version = behind.functions.get(name).and_then(|function| function.aliases.get(alias));
    match version {
        Some(version) => {
            let mut told = json!({ "Name": alias, "FunctionVersion": version, "RevisionId": "r" });
            if let Some((other, share)) = behind.functions[name].weights.get(alias) {
                told["RoutingConfig"] = json!({ "AdditionalVersionWeights": { other: share } });
            }
            Ok(told)
        }
        None => Err(gone(alias)),
    }
}

/// `/2015-03-31/functions/NAME/configuration?Qualifier=VERSION`.
fn get_function(behind: &Behind, uri: &Uri) -> Answer {
    let name = uri.path().split('/').nth(3).unwrap_or_default();
    let version = uri.query().and_then(|query| query.strip_prefix("Qualifier=")).unwrap_or_default();
    match behind.functions.get(name).filter(|function| function.versions.contains(version)) {
        Some(_) => Ok(json!({ "FunctionName": name, "Version": version })),
        None => Err(gone(&format!("{name}:{version}"))),
    }
}

fn describe_service(behind: &Behind, name: &str) -> Value {
    let Some(definition) = behind.services.get(name) else {
        return json!({ "services": [], "failures": [{ "arn": name, "reason": "MISSING" }] });
    };
    let arn = format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/{definition}");
    json!({ "services": [{
        "serviceName": name, "status": "ACTIVE", "desiredCount": 2, "runningCount": 2, "pendingCount": 0,
        "deploymentController": { "type": "CODE_DEPLOY" },
        "taskSets": [{ "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": arn }],
    }], "failures": [] })
}

fn describe_definition(behind: &Behind, asked: &Value) -> Answer {
    let name = short(asked["taskDefinition"].as_str().unwrap_or_default());
    match behind.definitions.get(&name) {
        Some(image) => Ok(json!({ "taskDefinition": {
            "family": name.split(':').next(), "status": "ACTIVE",
            "containerDefinitions": [{ "name": "web", "image": image }],
        } })),
        None => Err(Refusal("ClientException", "Unable to describe task definition.".into())),
    }
}

fn describe_images(behind: &Behind, asked: &Value) -> Answer {
    let tag = asked["imageIds"][0]["imageTag"].as_str().unwrap_or_default();
    let name = format!("{}:{tag}", asked["repositoryName"].as_str().unwrap_or_default());
    if behind.images.contains(&name) {
        return Ok(json!({ "imageDetails": [{ "imageTags": [tag] }] }));
    }
    Err(Refusal("ImageNotFoundException", format!("{name} is not there")))
}
