//! What Kubernetes shows of a workload: the history, the pods that are not ready, their events, and the end of the log of a
//! container that fails.

use serde_json::Value;

use super::pods::Pod;
use super::template::{self, text};
use super::workload::{Workload, is_controlled_by};
use super::{Kind, Kubernetes, Site};
use crate::case::exhibit::Exhibit;
use crate::outbound::Trouble;

/// Pods that are shown: they mostly fail alike.
const PODS_MAX: usize = 5;
/// Events that are shown of one pod, the newest.
const EVENTS_MAX: usize = 10;
/// Analyses that are shown, the newest, and metrics of each.
const ANALYSES_MAX: usize = 3;
const METRICS_MAX: usize = 10;
/// Logs that are shown.
const LOGS_MAX: usize = 2;
/// Lines of one log, and the most bytes that are asked for.
const LOG_LINES: usize = 40;
const LOG_BYTES: usize = 4096;

impl Kubernetes {
    pub(in crate::execute) async fn diagnosis(&self, site: &Site) -> Result<Vec<Exhibit>, Trouble> {
        let Some(workload) = self.workload(site).await? else { return Ok(Vec::new()) };
        let mut shown = vec![self.shown_history(site, &workload).await?];
        if site.kind == Kind::Rollout {
            shown.extend(self.shown_analyses(site, &workload).await?);
        }
        let pods = match self.pods(site, &workload).await {
            Ok(pods) => pods,
            // Who may not read pods still sees the rest, and what is missing.
            Err(Trouble::Refused(text)) => {
                shown.push(Exhibit { name: format!("pods of {site}"), text });
                return Ok(shown);
            }
            Err(other) => return Err(other),
        };
        let unready: Vec<&Pod> = pods.iter().filter(|pod| !pod.is_ready()).take(PODS_MAX).collect();
        for pod in &unready {
            shown.push(self.shown_pod(site, pod).await?);
        }
        for pod in unready {
            if shown.iter().filter(|exhibit| exhibit.name.starts_with("log of")).count() < LOGS_MAX {
                shown.extend(self.shown_log(site, pod).await);
            }
        }
        Ok(shown)
    }

    async fn shown_history(&self, site: &Site, workload: &Workload) -> Result<Exhibit, Trouble> {
        let revisions = self.revisions(site, workload).await?;
        let lines = revisions.iter().map(|revision| {
            let called = template::release(&revision.template);
            format!("{} {} {} {}", revision.number, revision.created_at, called.called(), revision.name)
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        Ok(Exhibit { name: format!("rollout history of {site}"), text })
    }

    /// The newest analyses of a Rollout, with what each of their metrics said.
    async fn shown_analyses(&self, site: &Site, of: &Workload) -> Result<Vec<Exhibit>, Trouble> {
        let mut runs = match self.cluster.list(&site.list(site.kind.root(), "analysisruns"), "").await {
            Ok(runs) => runs,
            Err(Trouble::Refused(_)) => Vec::new(),
            Err(other) => return Err(other),
        };
        runs.retain(|run| is_controlled_by(run, of.uid()));
        runs.sort_by_key(|run| std::cmp::Reverse(text(run, "/metadata/creationTimestamp")));
        let shown = runs.iter().take(ANALYSES_MAX).map(|run| {
            let line = |of: &Value, what: &str| {
                let said = |name: &str| of[name].as_str().unwrap_or_default();
                format!("{what} {}: {}", said("phase"), said("message"))
            };
            let metrics = run.pointer("/status/metricResults").and_then(Value::as_array);
            let metrics = metrics.into_iter().flatten().take(METRICS_MAX);
            let each = metrics.map(|metric| line(metric, metric["name"].as_str().unwrap_or_default()));
            let text_of = std::iter::once(line(&run["status"], "analysis")).chain(each);
            let name = text(run, "/metadata/name").unwrap_or_default();
            Exhibit { name: format!("analysis {name}"), text: text_of.collect::<Vec<_>>().join("\n") }
        });
        Ok(shown.collect())
    }

    async fn shown_pod(&self, site: &Site, pod: &Pod) -> Result<Exhibit, Trouble> {
        let why = pod.failing().map_or_else(
            || pod.object.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Unknown").to_owned(),
            |why| format!("{} {}: {}", why.container, why.reason, why.message),
        );
        let by = format!("involvedObject.kind=Pod,involvedObject.name={}", pod.name);
        let events = self.cluster.list_by(&site.list("/api/v1", "events"), &[("fieldSelector", &by)]).await;
        let mut events = match events {
            Ok(events) => events,
            // Who may not read events still sees the rest.
            Err(Trouble::Refused(_)) => Vec::new(),
            Err(other) => return Err(other),
        };
        let at = |event: &Value| {
            text(event, "/lastTimestamp").or_else(|| text(event, "/eventTime")).unwrap_or_default()
        };
        events.sort_by_key(|event| std::cmp::Reverse(at(event)));
        let lines = events.iter().take(EVENTS_MAX).map(|event| {
            let of = |name: &str| event[name].as_str().unwrap_or_default();
            format!("{} {} {}: {}", at(event), of("type"), of("reason"), of("message"))
        });
        let text = std::iter::once(why).chain(lines).collect::<Vec<_>>().join("\n");
        Ok(Exhibit { name: format!("pod {}", pod.name), text })
    }

    /// The end of a log, if it can be had: that it cannot is no reason to show nothing else.
    async fn shown_log(&self, site: &Site, pod: &Pod) -> Option<Exhibit> {
        let failing = pod.failing()?;
        let previous = if failing.ran_before { "&previous=true" } else { "" };
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log?container={}&tailLines={LOG_LINES}&limitBytes={LOG_BYTES}{previous}",
            site.namespace, pod.name, failing.container
        );
        let text = self.cluster.text(&path).await.ok()?;
        Some(Exhibit { name: format!("log of {}/{}", pod.name, failing.container), text })
    }
}
