//! What Spinnaker shows of a service: the newest runs, the stages of the newest with why they failed, and the Deployment as it is live.

use serde_json::Value;

use super::run::{Kind, Run, reasons};
use super::{Site, Spinnaker};
use crate::case::exhibit::Exhibit;
use crate::outbound::Trouble;

/// Runs that are shown, the newest.
const RUNS_MAX: usize = 10;
/// Stages of one execution that are shown.
const STAGES_MAX: usize = 20;

impl Spinnaker {
    pub(super) async fn diagnosis(&self, site: &Site) -> Result<Vec<Exhibit>, Trouble> {
        let scene = self.scene(site).await?;
        let mut shown = vec![runs(site, &scene.runs)];
        if let Some(live) = &scene.live {
            let state = if live.is_stable { "stable" } else { "not stable" };
            let runs = live.release.as_ref().map_or("several images", |release| release.as_str());
            let text = format!("{state}, runs {runs}\n{}", live.says);
            shown.push(Exhibit { name: format!("the live Deployment of {site}"), text });
        }
        if let Some(newest) = scene.runs.iter().rfind(|run| run.kind == Kind::Deploy) {
            let name = format!("execution {} of {}", newest.id, site.deploy_pipeline);
            let text = match self.whole(site, Kind::Deploy, &newest.id).await {
                Ok(Some((_, told))) => stages(&told),
                Ok(None) => "it is gone".to_owned(),
                // Whoever cannot read it still sees the rest.
                Err(trouble) => trouble.to_string(),
            };
            shown.push(Exhibit { name, text });
        }
        Ok(shown)
    }
}

fn runs(site: &Site, all: &[Run]) -> Exhibit {
    let line = |run: &Run| {
        let by = run.by.as_deref().unwrap_or("nobody who is named");
        let kind = if run.kind == Kind::Rollback { "rollback to " } else { "" };
        let (called, status) = (run.called(), run.status.word());
        format!("{} {kind}{called} {status}, by {by} ({})", run.began, run.id)
    };
    let lines: Vec<String> = all.iter().rev().take(RUNS_MAX).map(line).collect();
    Exhibit { name: format!("executions of {site}"), text: lines.join("\n") }
}

fn stages(told: &Value) -> String {
    let all = told["stages"].as_array().into_iter().flatten().take(STAGES_MAX);
    let line = |stage: &Value| {
        let text = |name: &str| stage[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} ({})", text("status"), text("name"), text("type"))
    };
    let mut lines: Vec<String> = all.map(line).collect();
    let failed =
        told["status"].as_str().is_some_and(|of| matches!(of, "TERMINAL" | "STOPPED" | "FAILED_CONTINUE"));
    if failed {
        lines.insert(0, reasons(told));
    }
    lines.join("\n")
}
