//! The shapes of what the pretend GitHub answers, with every field that GitHub's description asks for.

use serde_json::{Map, Value, json};

use super::runs::link;
use super::{Branch, Deployment, Hub, REPOSITORY, Run, State, Status, commit};

const API: &str = "https://api.github.com/repos/acme/checkout";

pub(super) fn user(login: &str) -> Value {
    let mut user = json!({
        "login": login, "id": 7, "node_id": "U_7", "type": "User", "site_admin": false, "gravatar_id": "",
        "following_url": "https://api.github.com/users/x/following{/other_user}",
        "gists_url": "https://api.github.com/users/x/gists{/gist_id}",
        "starred_url": "https://api.github.com/users/x/starred{/owner}{/repo}",
        "events_url": "https://api.github.com/users/x/events{/privacy}",
    });
    for name in ["avatar", "followers", "html", "organizations", "received_events", "repos", "subscriptions"]
    {
        user[format!("{name}_url")] = "https://api.github.com/users/x".into();
    }
    user["url"] = "https://api.github.com/users/x".into();
    user
}

fn repository() -> Value {
    const URLS: &str = "archive assignees blobs branches collaborators comments commits compare contents contributors deployments \
        downloads events forks git_commits git_refs git_tags hooks html issue_comment issue_events issues keys labels languages merges \
        milestones notifications pulls releases stargazers statuses subscribers subscription tags teams trees";
    let mut of = json!({
        "id": 1, "node_id": "R_1", "name": "checkout", "full_name": REPOSITORY, "owner": user("acme"), "private": true,
        "description": null, "fork": false, "url": API,
    });
    for name in URLS.split_whitespace() {
        of[format!("{name}_url")] = API.into();
    }
    of
}

pub(super) fn deployment(of: &Deployment) -> Value {
    json!({
        "id": of.id, "node_id": format!("DE_{}", of.id), "sha": of.sha, "ref": of.reference, "task": of.task,
        "payload": of.payload, "environment": of.environment, "original_environment": of.environment,
        "description": null, "creator": user(of.creator), "created_at": of.at.to_string(), "updated_at": of.at.to_string(),
        "statuses_url": format!("{API}/deployments/{}/statuses", of.id), "repository_url": API,
        "url": format!("{API}/deployments/{}", of.id), "transient_environment": false, "production_environment": true,
    })
}

pub(super) fn status(of: &Status, deployment: u64) -> Value {
    // Where nobody tells of an output GitHub says nothing, which its own description takes for no address.
    let url =
        if of.log_url.is_empty() { "https://github.com/acme/checkout/deployments" } else { &of.log_url };
    json!({
        "id": of.id, "node_id": format!("DES_{}", of.id), "state": of.state, "creator": user("github-actions[bot]"),
        "description": of.description, "environment": "production", "target_url": url, "log_url": url,
        "created_at": of.at.to_string(), "updated_at": of.at.to_string(),
        "deployment_url": format!("{API}/deployments/{deployment}"), "repository_url": API,
        "url": format!("{API}/deployments/{deployment}/statuses/{}", of.id),
    })
}

pub(super) fn run(state: &State, of: &Run) -> Value {
    let url = format!("{API}/actions/runs/{}", of.id);
    let person = json!({ "name": "ann", "email": "ann@example.com" });
    json!({
        "id": of.id, "node_id": format!("WFR_{}", of.id), "name": of.workflow, "head_branch": "main", "head_sha": commit(of.head),
        "path": format!(".github/workflows/{}", of.workflow), "display_title": state.title(of), "run_number": of.id,
        "run_attempt": of.attempt, "event": of.event, "status": of.status, "conclusion": of.conclusion, "workflow_id": 5,
        "url": url, "html_url": link(of.id), "pull_requests": [],
        "created_at": of.created_at.to_string(), "updated_at": of.updated_at.to_string(),
        "jobs_url": format!("{url}/jobs"), "logs_url": format!("{url}/logs"), "check_suite_url": API, "artifacts_url": url,
        "cancel_url": format!("{url}/cancel"), "rerun_url": format!("{url}/rerun"), "workflow_url": format!("{API}/actions/workflows/5"),
        "head_commit": {
            "id": commit(of.head), "tree_id": commit(of.head), "message": "a change", "timestamp": of.created_at.to_string(),
            "author": person, "committer": person,
        },
        "repository": repository(), "head_repository": repository(),
    })
}

/// The jobs of a run: one that puts it out, of which nothing is seen before it began.
pub(super) fn jobs(state: &State, of: &Run) -> Value {
    let began = of.began_at.is_some();
    let skipped = of.workflow == super::WORKFLOW && state.written.does_nothing;
    let conclusion = match of.conclusion {
        Some(_) if skipped => json!("skipped"),
        other => json!(other),
    };
    let name = match of.inputs.get("rollback_id") {
        Some(mark) if state.written.names_jobs => format!("rollback ({mark})"),
        _ => "deploy".to_owned(),
    };
    let at = of.began_at.unwrap_or(of.created_at).to_string();
    let step = |name: &str, conclusion: &Value| json!({ "name": name, "status": "completed", "conclusion": conclusion, "number": 1 });
    let steps = match of.failed_step {
        Some(failed) => json!([step("Set up job", &json!("success")), step(failed, &json!("failure"))]),
        None if began && of.conclusion.is_some() => json!([step("Set up job", &conclusion)]),
        None => json!([]),
    };
    let job = json!({
        "id": of.id + 500_000, "node_id": "J_1", "run_id": of.id, "run_url": format!("{API}/actions/runs/{}", of.id),
        "head_sha": commit(of.head), "head_branch": "main", "workflow_name": of.workflow, "name": name, "run_attempt": of.attempt,
        "url": API, "html_url": format!("{}/job/{}", link(of.id), of.id + 500_000),
        "status": of.status, "conclusion": conclusion, "started_at": at, "created_at": of.created_at.to_string(),
        "completed_at": of.conclusion.map(|_| of.updated_at.to_string()), "check_run_url": API, "labels": ["ubuntu-latest"],
        "runner_id": began.then_some(3), "runner_name": began.then_some("r"), "runner_group_id": began.then_some(1),
        "runner_group_name": began.then_some("g"), "steps": steps,
    });
    json!({ "total_count": 1, "jobs": [job] })
}

pub(super) fn pending(state: &State, of: &Run) -> Value {
    if of.status != "waiting" {
        return json!([]);
    }
    let reviewers: Vec<Value> =
        state.reviewers.iter().map(|login| json!({ "type": "User", "reviewer": user(login) })).collect();
    json!([{
        "environment": {
            "id": 9, "node_id": "EN_9", "name": "production", "url": format!("{API}/environments/production"),
            "html_url": "https://github.com/acme/checkout/deployments",
        },
        "wait_timer": 0, "wait_timer_started_at": null, "current_user_can_approve": false, "reviewers": reviewers,
    }])
}

fn commit_shape(state: &State, number: u32) -> Value {
    let person = json!({ "name": "Ann", "email": "ann@example.com", "date": "2026-03-01T00:00:00Z" });
    let url = format!("{API}/commits/{}", commit(number));
    let login = if number.is_multiple_of(2) { "ben" } else { "ann" };
    json!({
        "sha": commit(number), "node_id": "C_1", "url": url, "html_url": format!("https://github.com/acme/checkout/commit/{}", commit(number)),
        "comments_url": format!("{url}/comments"), "author": user(login), "committer": user(login),
        "commit": {
            "url": url, "author": person, "committer": person, "message": state.messages.get(&number).copied().unwrap_or("a change"),
            "tree": { "sha": commit(number), "url": url }, "comment_count": 0,
        },
        "parents": [{ "sha": commit(number.saturating_sub(1)), "url": url, "html_url": url }],
    })
}

pub(super) fn commit_of(state: &State, number: u32) -> Value {
    let mut of = commit_shape(state, number);
    of["stats"] = json!({ "additions": 1, "deletions": 1, "total": 2 });
    of["files"] = json!([]);
    of
}

/// What lies between two commits: each follows the one before.
pub(super) fn compared(state: &State, base: u32, head: u32, page: u32, per_page: u32) -> Value {
    let all: Vec<u32> = (base + 1..=head).collect();
    let first = (page.saturating_sub(1) * per_page) as usize;
    let shown: Vec<Value> =
        all.iter().skip(first).take(per_page as usize).map(|number| commit_shape(state, *number)).collect();
    let url = format!("{API}/compare/{}...{}", commit(base), commit(head));
    json!({
        "url": url, "html_url": url, "permalink_url": url, "diff_url": url, "patch_url": url,
        "base_commit": commit_shape(state, base), "merge_base_commit": commit_shape(state, base.min(head)),
        "status": if head >= base { "ahead" } else { "behind" },
        "ahead_by": all.len(), "behind_by": base.saturating_sub(head), "total_commits": all.len(), "commits": shown, "files": [],
    })
}

pub(super) fn branch(state: &State, name: &str, of: &Branch) -> Value {
    let url = format!("{API}/branches/{name}");
    json!({
        "name": name, "commit": commit_shape(state, of.head), "_links": { "html": url, "self": url },
        "protected": of.protected, "protection": { "enabled": of.protected }, "protection_url": format!("{url}/protection"),
    })
}

pub(super) fn workflow(state: &State) -> Value {
    json!({
        "id": 5, "node_id": "W_5", "name": "rollback", "path": ".github/workflows/rollback.yml", "state": state.workflow_state,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "url": API, "html_url": API, "badge_url": API,
    })
}

pub(super) fn environment() -> Value {
    json!({
        "id": 9, "node_id": "EN_9", "name": "production", "url": API, "html_url": API,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}

/// The workflow's file.
pub(super) fn file(hub: &Hub) -> Value {
    use base64::Engine as _;
    let state = hub.state();
    let inputs: Map<String, Value> =
        state.written.inputs.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    let name = if state.written.names_runs {
        "rollback ${{ inputs.environment }} to ${{ inputs.sha }} (${{ inputs.rollback_id }})"
    } else {
        "rollback"
    };
    let workflow = json!({ "name": "rollback", "run-name": name, "on": { "workflow_dispatch": { "inputs": inputs } }, "jobs": {} });
    let text = state.file.clone().unwrap_or_else(|| workflow.to_string());
    let mut content = base64::engine::general_purpose::STANDARD.encode(&text);
    content.push('\n');
    let url = format!("{API}/contents/.github/workflows/rollback.yml");
    json!({
        "type": "file", "encoding": "base64", "size": text.len(), "name": "rollback.yml", "path": ".github/workflows/rollback.yml",
        "content": content, "sha": commit(1), "url": url, "git_url": url, "html_url": url, "download_url": url,
        "_links": { "git": url, "self": url, "html": url },
    })
}
