//! What is read from Gate: executions, tasks, the configuration of a pipeline, a manifest as it is live. Leaves to `run` what one of them says.

use serde_json::Value;

use super::run::{Kind, Run};
use super::{Site, Spinnaker, Way};
use crate::outbound::api::Denial;
use crate::outbound::{CallError, Trouble};

/// The newest executions of a pipeline that are read. Nobody goes back farther than `max_back`, five releases where nobody says otherwise; and an
/// execution without the contexts of its stages, which is how they are asked for, has some ten kilobytes.
const EXECUTIONS: usize = 50;
/// The newest tasks of an application that are read: a rollout that is undone is one of many kinds.
const TASKS: usize = 100;

impl Spinnaker {
    pub(super) async fn read(&self, doing: &str, path: &str) -> Result<Value, Trouble> {
        self.api.get(doing, path).await?.map_err(|denial| denied(doing, denial))
    }

    /// The same; `None` where it is not there.
    async fn read_if_there(&self, doing: &str, path: &str) -> Result<Option<Value>, Trouble> {
        match self.api.get(doing, path).await? {
            Ok(told) => Ok(Some(told)),
            Err(Denial { status: 404, .. }) => Ok(None),
            Err(denial) => Err(denied(doing, denial)),
        }
    }

    /// The newest runs of this pipeline (Orca's `searchForPipelinesByTrigger`, newest first by the time they were asked for).
    pub(super) async fn executions(
        &self,
        site: &Site,
        pipeline: &str,
        kind: Kind,
    ) -> Result<Vec<Run>, Trouble> {
        let doing = format!("read the executions of {pipeline} of {site}");
        let query = [("pipelineName", pipeline), ("size", &EXECUTIONS.to_string()), ("expand", "false")];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let path = format!("/applications/{}/executions/search?{query}", segment(&site.application));
        let told = self.read(&doing, &path).await?;
        let unread = |said: &str| CallError::Answer { doing: doing.clone(), said: said.to_owned() };
        let listed = told.as_array().ok_or_else(|| unread("the answer is no list of executions"))?;
        let ours = listed.iter().filter(|one| is_of(site, one));
        let ours = ours.filter(|one| one["name"] == pipeline).take(EXECUTIONS);
        // A dry run succeeds, and nothing of it is there.
        let ours = ours.filter(|one| one["trigger"]["dryRun"] != Value::Bool(true));
        // One that cannot be read may be what serves: half a list is none.
        let read = ours.map(|one| Run::execution(one, kind, site));
        let read: Option<Vec<Run>> = read.collect();
        Ok(read.ok_or_else(|| unread("an execution in it cannot be read"))?)
    }

    /// The newest tasks that undid a rollout of this Deployment.
    pub(super) async fn undone(&self, site: &Site) -> Result<Vec<Run>, Trouble> {
        let doing = format!("read the tasks of {site}");
        let path = format!("/applications/{}/tasks?limit={TASKS}", segment(&site.application));
        let told = self.read(&doing, &path).await?;
        let unread = |said: &str| CallError::Answer { doing: doing.clone(), said: said.to_owned() };
        let listed = told.as_array().ok_or_else(|| unread("the answer is no list of tasks"))?;
        let read: Option<Vec<Option<Run>>> =
            listed.iter().take(TASKS).map(|one| Run::task(one, site)).collect();
        let read = read.ok_or_else(|| unread("a task in it cannot be read"))?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The runs by which this site goes back: executions of its rollback pipeline, or tasks.
    pub(super) async fn rollbacks(&self, site: &Site) -> Result<Vec<Run>, Trouble> {
        match &site.way {
            Way::Pipeline { pipeline, .. } => self.executions(site, pipeline, Kind::Rollback).await,
            Way::Manifest { .. } => self.undone(site).await,
        }
    }

    /// One run, whole: an execution with the contexts of its stages. `None`: not there, which a fresh one is for some seconds.
    pub(super) async fn whole(
        &self,
        site: &Site,
        kind: Kind,
        id: &str,
    ) -> Result<Option<(Run, Value)>, Trouble> {
        let (doing, path) = match (kind, &site.way) {
            (Kind::Rollback, Way::Manifest { .. }) => (format!("read task {id}"), format!("/tasks/{id}")),
            (Kind::Rollback | Kind::Deploy, _) => {
                (format!("read execution {id}"), format!("/pipelines/{id}"))
            }
        };
        let Some(told) = self.read_if_there(&doing, &path).await? else { return Ok(None) };
        let run = match (kind, &site.way) {
            (Kind::Rollback, Way::Manifest { .. }) => Run::task(&told, site).flatten(),
            (Kind::Rollback | Kind::Deploy, _) => Run::execution(&told, kind, site),
        };
        let run = run.filter(|run| run.id == id && is_of(site, &told));
        let other = || CallError::Answer { doing, said: "the answer is another thing".into() };
        Ok(Some((run.ok_or_else(other)?, told)))
    }

    /// The configuration of a pipeline. `None`: there is none of this name.
    pub(super) async fn pipeline(&self, site: &Site, name: &str) -> Result<Option<Value>, Trouble> {
        let doing = format!("read the pipeline {name} of {site}");
        let path = format!("/applications/{}/pipelineConfigs/{}", segment(&site.application), segment(name));
        let Some(told) = self.read_if_there(&doing, &path).await? else { return Ok(None) };
        let other = || CallError::Answer { doing, said: "the answer is no pipeline of this name".into() };
        let its = |told: &Value| told["name"] == name && is_of(site, told);
        Ok(Some(Some(told).filter(its).ok_or_else(other)?))
    }
}

/// What an answer that is a no means. A token or a certificate that is not taken is renewed by nobody here.
pub(super) fn denied(doing: &str, denial: Denial) -> Trouble {
    match denial.status {
        // Gate does not tell everywhere whether it is not there or may not be seen.
        403 | 404 => Trouble::Refused(format!(
            "{doing}: it is not there, or its account may not ({}: {})",
            denial.status, denial.said
        )),
        _ => denial.trouble(doing),
    }
}

/// Spinnaker keeps names of applications in small letters, and takes them in any.
fn is_of(site: &Site, told: &Value) -> bool {
    told["application"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(&site.application))
}

/// One part of a path.
pub(super) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
