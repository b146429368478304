//! The shape of sources, providers and services.
#![expect(dead_code, reason = "the shapes are only described, never filled")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::shapes::{Length, Mode, OneOrMany, Secret};

/// Who may tell that something is wrong.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Source {
    /// Its kind.
    kind: SourceKind,
    /// One token, or several for rotation.
    bearer_token: Option<OneOrMany<Secret>>,
    /// A user and a password, in place of a token.
    basic: Option<Basic>,
    /// Patterns of what it may speak about and cause to be changed.
    services: Vec<String>,
    /// Its own table, where labels cannot say: the value of a label, to a service.
    map: Option<BTreeMap<String, String>>,
    /// How long its alarms take to fire, where the alert does not say. Default 5m.
    lag: Option<Length>,
    /// `alertmanager`: the Prometheus that is asked for each alert's true onset, its `activeAt`.
    prometheus_url: Option<String>,
    /// An alert that always fires there, by which the silence of the source is noticed: when two are missed.
    heartbeat: Option<Heartbeat>,
    /// What signs the bodies of `pagerduty`, `grafana` and `generic`: any of them.
    secrets: Option<OneOrMany<Secret>>,
    /// `generic`: how its messages become alerts.
    signal: Option<Signal>,
    /// `generic`: what stands before the signature in its header, such as `sha256=`.
    signature_prefix: Option<String>,
    /// `grafana`, `generic`: the header of the signature. Default for Grafana: X-Grafana-Alerting-Signature.
    signature_header: Option<String>,
    /// `grafana`: the header of the time that is signed; without it what comes again is known by its bytes alone.
    timestamp_header: Option<String>,
    /// `sns`: the topics that are heard, by their exact ARNs.
    topics: Option<Vec<String>>,
    /// `sns`: whether subscriptions to these topics are confirmed. Default false.
    confirm_subscriptions: Option<bool>,
    /// `sns`: 2 refuses signatures of version 1, which are SHA-1. Default 1.
    #[schemars(range(min = 1, max = 2))]
    signature_version: Option<u8>,
    /// `sns`: a folder of AWS's certificates, each called as its address ends; then none is fetched.
    certificates: Option<String>,
    /// `sns`: a pretend SNS on this machine that is asked to confirm, in the place of AWS.
    endpoint_url: Option<String>,
}

/// Who may tell what was deployed when.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Feed {
    /// Its kind.
    kind: FeedKind,
    /// `github`: what signs its events; one, or several for rotation.
    secret: Option<OneOrMany<Secret>>,
    /// `argocd`, `cdevents`, `codedeploy`, `generic`: what its notices bear.
    bearer_token: Option<OneOrMany<Secret>>,
    /// A user and a password, in place of a token.
    basic: Option<Basic>,
    /// `codedeploy`: the topics of its triggers, by their exact ARNs; without them, EventBridge sends its events.
    topics: Option<Vec<String>>,
    /// With `topics`: as of a source of kind `sns`.
    confirm_subscriptions: Option<bool>,
    /// With `topics`: as of a source of kind `sns`.
    #[schemars(range(min = 1, max = 2))]
    signature_version: Option<u8>,
    /// With `topics`: as of a source of kind `sns`.
    certificates: Option<String>,
    /// With `topics`: as of a source of kind `sns`.
    endpoint_url: Option<String>,
    /// Patterns of what it may speak about. Default everything: a feed makes nothing happen by itself.
    services: Option<Vec<String>>,
    /// Its own table, where its notices cannot say: the value of a label, to a service.
    map: Option<BTreeMap<String, String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum FeedKind {
    Github,
    Argocd,
    Cdevents,
    Codedeploy,
    Generic,
}

/// Each an expression in CEL over `body`, the message, and `item`, one of `each`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Signal {
    /// The list of alerts; without it the message is one.
    each: Option<String>,
    /// Gives firing, cleared, no_data or aside.
    state: String,
    /// Gives the alert's name.
    name: String,
    /// Gives what is the same from firing to clear.
    episode: String,
    /// Gives when it began; else when it was received.
    started_at: Option<String>,
    /// Gives when it ended; else when that was received.
    ended_at: Option<String>,
    /// Gives where a person can look.
    link: Option<String>,
    /// Labels by name.
    labels: Option<BTreeMap<String, String>>,
    /// Annotations by name.
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum SourceKind {
    Alertmanager,
    Pagerduty,
    Sns,
    Eventbridge,
    Datadog,
    Newrelic,
    Grafana,
    Generic,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Basic {
    /// The user, without a colon.
    user: String,
    /// One password, or several for rotation.
    password: OneOrMany<Secret>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Heartbeat {
    /// Which alert it is.
    #[schemars(rename = "match")]
    matchers: Vec<String>,
    /// How often it comes, at least 1s.
    every: Length,
}

/// Whoever puts releases on services.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Provider {
    /// Its kind; `directory`, `codedeploy`, `kubernetes`, `helm`, `argocd`, `github-actions`, `spinnaker`, `command` and `http` are built.
    kind: ProviderKind,
    /// CodeDeploy: the region of its groups.
    region: Option<String>,
    /// CodeDeploy: another address than AWS's own.
    endpoint_url: Option<String>,
    /// Kubernetes, Helm: who we are and where the API is; a relative path lies beside this file. Left out: as kubectl finds it, and in a pod
    /// the pod's own account.
    kubeconfig: Option<String>,
    /// Kubernetes, Helm: the context in it. Default: its current one.
    context: Option<String>,
    /// Helm: the program; a path, or a name that is looked for. Default "helm".
    program: Option<String>,
    /// Helm: what it finds as HOME, where a kubeconfig's credential plugin needs one. Default: nothing.
    home: Option<String>,
    /// Helm: what holds the records of releases. Default "secret".
    driver: Option<Driver>,
    /// Helm: how long it waits for each hook, and for what it applied; default 5m. A command: a question that changes nothing; default, and at most, 4s.
    timeout: Option<Length>,
    /// Helm: how many revisions it keeps; the same as where you deploy. Default 10.
    history_max: Option<u32>,
    /// A command: what it finds in its environment beside PATH, each `{ env = "NAME" }` or `{ file = "PATH" }`.
    environment: Option<BTreeMap<String, Secret>>,
    /// A command, or HTTP: a rollback may take so long. Default 30m.
    deadline: Option<Length>,
    /// HTTP: what signs each request.
    secret: Option<Secret>,
    /// Argo CD, Spinnaker, GitHub Actions: where its API is; of Spinnaker that is Gate; of GitHub the default is https://api.github.com.
    url: Option<String>,
    /// Argo CD: who we are there; a token of a project's role or of an account. Spinnaker: what Gate takes as a bearer token. GitHub Actions: a token, where it is no App.
    token: Option<Secret>,
    /// GitHub Actions: the GitHub App that we are.
    app: Option<App>,
    /// Spinnaker: a client certificate that Gate knows, in the place of a token.
    client: Option<ClientCertificate>,
    /// Spinnaker: where people look, for links.
    deck_url: Option<String>,
    /// Spinnaker: a late copy of a request was shown to be refused there. Default false.
    refuses_duplicates: Option<bool>,
    /// After a lost reply, how long "not there" is no proof. Default 90s for GitHub Actions, 75s for Kubernetes, Helm and Argo CD, 120s for Spinnaker, 60s for the
    /// others; shorter only with an `endpoint_url`, a `kubeconfig` or a `url` that leads to this machine.
    quarantine: Option<Length>,
}

/// A GitHub App where it is installed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct App {
    /// Its id, or its client id.
    id: String,
    /// The installation's number.
    installation: String,
    /// Its private key, PEM.
    private_key: Secret,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ClientCertificate {
    /// The file with the certificate chain, as PEM; a relative path lies beside this file.
    certificate: String,
    /// Its key, as PEM.
    key: Secret,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the schema alone")]
enum Driver {
    Secret,
    ConfigMap,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum ProviderKind {
    Directory,
    #[schemars(rename = "codedeploy")]
    CodeDeploy,
    Kubernetes,
    #[schemars(rename = "argocd")]
    ArgoCd,
    Helm,
    GithubActions,
    Spinnaker,
    Command,
    Http,
}

/// What is deployed and rolled back as one: `name@environment`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Service {
    /// Its name.
    name: String,
    /// Its environment; a region is part of it, as in `production-eu`.
    environment: String,
    /// Its provider, `[providers.NAME]`.
    provider: String,
    /// Where it lives there, in the shape of the provider's kind.
    target: Target,
    /// Matchers in Alertmanager's syntax that name it where labels do not; all must hold.
    #[schemars(rename = "match")]
    matchers: Option<Vec<String>>,
    /// Whether anything acts on it. Default live, so that the outer mode decides.
    mode: Option<Mode>,
    /// Its tier, for rows and pages.
    tier: Option<String>,
    /// A release that served so long and raised nothing is good. Default 30m.
    soak: Option<Length>,
    /// Whether releases from before Snapback came count as proven. Default false.
    inherit_good: Option<bool>,
    /// What a release without migration marks means. Default unknown.
    migrations: Option<Migrations>,
    /// Services whose deployments may be to blame for this one's trouble.
    depends_on: Option<Vec<String>>,
    /// Services that go back together with it, in this order.
    with: Option<Vec<String>>,
    /// How far back a target may lie. Default 5 releases, 7d.
    max_back: Option<MaxBack>,
    /// A batch job's rhythm: window and soak last at least one run.
    cadence: Option<Length>,
    /// Who may say yes, `[approvals.NAME]`. Default default.
    approval: Option<String>,
    /// How recovery is judged, `[verify.NAME]`. Default default.
    verify: Option<String>,
    /// The probes by which it is watched after each deployment, `[probes.NAME]`.
    probes: Option<Vec<String>>,
    /// The plan whose steps go with its rollbacks.
    plan: Option<String>,
    /// Not built yet.
    channel: Option<String>,
    /// Not built yet.
    drills: Option<Drills>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Migrations {
    None,
    Marked,
    Unknown,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct MaxBack {
    /// Releases between suspect and target. Default 5.
    #[schemars(range(min = 1, max = 200))]
    releases: Option<u32>,
    /// Age of the target's last deployment. Default 7d.
    age: Option<Length>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Drills {
    /// Whether drills may touch it.
    allowed: Option<bool>,
    /// How often.
    every: Option<Length>,
    /// Whether the provider only pretends.
    dry_run: Option<bool>,
}

/// Where a service lives. For a provider of kind `directory`: `root` and `restart`; of kind `codedeploy`: `application`,
/// `deployment_group` and `rollback_config`; of kind `kubernetes`: `namespace` and one of `deployment`, `statefulset`, `daemonset` and `rollout`; of kind
/// `helm`: `namespace` and `release`; of kind `argocd`: `application`, `namespace`, `project` and `prune`; of kind `github-actions`: `repository`, `workflow`, `ref`, `github_environment`, `repeatable` and
/// `record`; of kind `spinnaker`: `application`, `deploy_pipeline` and either `pipeline` or `manifest`, `account` and `location`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Target {
    /// The folder of releases/ and current; a relative path lies beside this file.
    root: Option<String>,
    /// The command that makes a switched release serve; no shell reads it.
    restart: Option<Vec<String>>,
    /// CodeDeploy, Argo CD, Spinnaker.
    application: Option<String>,
    /// CodeDeploy.
    deployment_group: Option<String>,
    /// CodeDeploy: the deployment configuration of a rollback, where the group's own would be too slow.
    rollback_config: Option<String>,
    /// Kubernetes, Helm; of Argo CD that of the application, where it is not Argo CD's own.
    namespace: Option<String>,
    /// Argo CD: the application's project.
    project: Option<String>,
    /// Argo CD: whether a rollback deletes what the bad release added. Default false.
    prune: Option<bool>,
    /// Kubernetes.
    deployment: Option<String>,
    /// Kubernetes.
    statefulset: Option<String>,
    /// Kubernetes.
    daemonset: Option<String>,
    /// Kubernetes with Argo Rollouts.
    rollout: Option<String>,
    /// Helm.
    release: Option<String>,
    /// GitHub Actions: OWNER/NAME.
    repository: Option<String>,
    /// GitHub Actions: the file of the rollback workflow in .github/workflows.
    workflow: Option<String>,
    /// GitHub Actions: the protected branch that it is run on.
    #[schemars(rename = "ref")]
    reference: Option<String>,
    /// GitHub Actions: the environment of the deployments. Default the service's.
    github_environment: Option<String>,
    /// GitHub Actions: the workflow does nothing under a `rollback_id` that it has seen. Default false.
    repeatable: Option<bool>,
    /// GitHub Actions: whether Snapback writes what was put out into GitHub's deployments. Default true.
    record: Option<bool>,
    /// Spinnaker: the pipeline that takes a release back.
    pipeline: Option<String>,
    /// Spinnaker: the pipeline that puts releases out.
    deploy_pipeline: Option<String>,
    /// Spinnaker: the parameter of both that says which release. Default "version".
    version_parameter: Option<String>,
    /// Spinnaker: the parameter of the rollback pipeline that keeps our mark. Default "rollback_id".
    rollback_id_parameter: Option<String>,
    /// Spinnaker: the image by which a release is known, where that is no parameter.
    artifact: Option<String>,
    /// Spinnaker: the Deployment whose rollout is undone, in the place of a pipeline: "deployment NAME".
    manifest: Option<String>,
    /// Spinnaker, with `manifest`: the account.
    account: Option<String>,
    /// Spinnaker, with `manifest`: the namespace.
    location: Option<String>,
    /// A command.
    argv: Option<Vec<String>>,
    /// A deployer over HTTP.
    url: Option<String>,
}
