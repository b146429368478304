//! What GitHub shows of an environment: its history, what the newest deployment brought since the release before, and how its run went. Logs
//! lie behind addresses that hold for a minute, elsewhere: their links are told.

use super::deployment::{Stands, short};
use super::run::{Job, what_failed};
use super::scene::{Scene, Went};
use super::{GitHub, Site};
use crate::case::commits::Commits;
use crate::case::exhibit::Exhibit;
use crate::case::id::ReleaseId;
use crate::outbound::Trouble;

/// Deployments that are shown, the newest.
const SHOWN_MAX: usize = 10;
/// Commits that are shown, the newest.
const COMMITS_SHOWN: usize = 20;

impl GitHub {
    pub(super) async fn diagnosis(&self, site: &Site) -> Result<Vec<Exhibit>, Trouble> {
        let scene = self.scene(site).await?;
        let mut shown = vec![history(site, &scene)];
        if let Some((before, newest)) = brought(&scene) {
            let name = format!("commits from {} to {}", short(before.as_str()), short(newest.as_str()));
            let text = match self.range(site, &before, &newest).await {
                Ok(commits) => between(&commits),
                // Whoever cannot read them still sees the rest.
                Err(trouble) => trouble.to_string(),
            };
            shown.push(Exhibit { name, text });
        }
        let Some((newest, run)) = scene.went.last().and_then(|newest| Some((newest, newest.run?))) else {
            return Ok(shown);
        };
        let name = format!("run {run} of {}, deployment {}", site.repository, newest.made.id);
        let text = match self.jobs(site, run).await {
            Ok(jobs) => how_it_went(&jobs),
            Err(trouble) => trouble.to_string(),
        };
        shown.push(Exhibit { name, text });
        Ok(shown)
    }
}

/// The newest release, and the last other one that went out whole before it.
fn brought(scene: &Scene) -> Option<(ReleaseId, ReleaseId)> {
    let newest = scene.went.last()?.release.as_ref()?;
    let is_before = |went: &&Went| {
        matches!(went.stands, Stands::Succeeded(_)) && went.release.as_ref().is_some_and(|of| of != newest)
    };
    let before = scene.went.iter().rev().find(is_before)?;
    Some((before.release.clone()?, newest.clone()))
}

/// The commits, the newest last.
fn between(commits: &Commits) -> String {
    let shown = &commits.read[commits.read.len().saturating_sub(COMMITS_SHOWN)..];
    let mut lines = vec![format!("{} of {} commits", shown.len(), commits.all)];
    lines.extend(shown.iter().map(|commit| {
        let by = commit.author.as_deref().unwrap_or("nobody who is named");
        format!("{} {} by {by}", commit.called, commit.message.lines().next().unwrap_or_default())
    }));
    lines.join("\n")
}

fn history(site: &Site, scene: &Scene) -> Exhibit {
    let lines = scene.went.iter().rev().take(SHOWN_MAX).map(line).collect::<Vec<_>>();
    Exhibit { name: format!("deployments to {site}"), text: lines.join("\n") }
}

fn line(went: &Went) -> String {
    let how = match went.stands {
        Stands::GoingOut => "going out".to_owned(),
        Stands::Succeeded(at) => format!("success at {at}"),
        Stands::Failed(at) => format!("ended without success at {at}"),
        Stands::NotBegun => "not begun".to_owned(),
    };
    let by = went.made.by.as_deref().unwrap_or("nobody who is named");
    let says = if went.says.is_empty() { String::new() } else { format!(": {}", went.says) };
    let link = went.link.as_ref().map_or_else(String::new, |link| format!(" {link}"));
    format!("{} {} by {by}, {how}{says}{link}", went.began_at, went.called())
}

fn how_it_went(jobs: &[Job]) -> String {
    let failed = what_failed(jobs);
    let each = jobs
        .iter()
        .map(|job| format!("job {}: {}", job.name, job.conclusion.as_deref().unwrap_or("still at it")));
    each.chain(failed).collect::<Vec<_>>().join("\n")
}
