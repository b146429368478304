//! What the pretend GitHub answers: who asks, what they may, and each route.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use serde_json::{Value, json};
use snapback::case::id::Duration;

use super::{APP, ENVIRONMENT, Hub, INSTALLATION, State, TOKEN, WORKFLOW, number, shapes};
use crate::pretend::{Answer, Asked};

/// A status and what is said.
type No = (u16, String);

fn no(status: u16, message: &str) -> No {
    (status, message.to_owned())
}

fn not_found() -> No {
    no(404, "Not Found")
}

impl Hub {
    pub(super) fn routed(self: &Arc<Hub>, asked: &Asked) -> Answer {
        self.state().step();
        let told = self.allowed(asked).and_then(|()| self.told_of(asked));
        let (status, value) = match told {
            Ok((status, value)) => (status, value),
            Err((status, message)) => {
                let about = "https://docs.github.com/rest";
                let body =
                    json!({ "message": message, "documentation_url": about, "status": status.to_string() });
                (status, Some(body))
            }
        };
        let mut heads = self.spent(status);
        if asked.method == Method::GET && status == 200 {
            let mut hasher = DefaultHasher::new();
            value.as_ref().map_or_else(String::new, Value::to_string).hash(&mut hasher);
            let etag = format!("W/\"{:x}\"", hasher.finish());
            if etag == asked.known() {
                return Answer::Headed(304, vec![("etag", etag)], None);
            }
            heads.push(("etag", etag));
        }
        Answer::Headed(status, heads, value)
    }

    fn spent(&self, status: u16) -> Vec<(&'static str, String)> {
        match self.state().allowance {
            Some((left, reset)) if status == 403 || left > 0 => vec![
                ("x-ratelimit-remaining", left.to_string()),
                ("x-ratelimit-reset", reset.as_second().to_string()),
            ],
            _ => Vec::new(),
        }
    }

    fn allowed(&self, asked: &Asked) -> Result<(), No> {
        let mut state = self.state();
        let now = state.now();
        if asked.path.contains("/app/installations/") {
            return is_signed(&state.app_key, &asked.token, now.as_second());
        }
        let is_known = asked.token == TOKEN || state.tokens.get(&asked.token).is_some_and(|ends| now < *ends);
        if !is_known {
            return Err(no(401, "Bad credentials"));
        }
        if let Some((left, reset)) = &mut state.allowance {
            if now >= *reset {
                state.allowance = None;
            } else if *left == 0 {
                return Err(no(403, "API rate limit exceeded for installation ID 77."));
            } else {
                *left -= 1;
            }
        }
        Ok(())
    }

    fn told_of(self: &Arc<Hub>, asked: &Asked) -> Result<(u16, Option<Value>), No> {
        let path = asked.path.strip_prefix("/api/v3").unwrap_or(&asked.path);
        let decoded: Vec<String> = path
            .trim_start_matches('/')
            .split('/')
            .map(|part| part.replace("%2F", "/").replace("%2f", "/"))
            .collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match (&asked.method, parts.as_slice()) {
            (&Method::POST, ["app", "installations", installation, "access_tokens"]) => {
                if *installation != INSTALLATION.to_string() {
                    return Err(not_found());
                }
                Ok((201, Some(self.state().gives_a_token())))
            }
            (method, ["repos", owner, name, rest @ ..])
                if format!("{owner}/{name}").eq_ignore_ascii_case(super::REPOSITORY) =>
            {
                if !self.state().may.contains("read") {
                    return Err(not_found());
                }
                if *method == Method::GET { self.reads(rest, asked) } else { self.writes_to(rest, asked) }
            }
            _ => Err(not_found()),
        }
    }

    fn reads(&self, rest: &[&str], asked: &Asked) -> Result<(u16, Option<Value>), No> {
        let whole = |value: Value| Ok((200, Some(value)));
        if let ["contents", ".github/workflows/rollback.yml"] = rest {
            return whole(shapes::file(self));
        }
        let state = self.state();
        let page = |name: &str, default: usize| {
            asked.query.get(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(default)
        };
        let (per_page, nth) = (page("per_page", 30), page("page", 1));
        match rest {
            ["deployments"] => {
                let environment = asked.query.get("environment");
                let all = state
                    .deployments
                    .iter()
                    .rev()
                    .filter(|of| environment.is_none_or(|name| *name == of.environment));
                whole(all.skip((nth - 1) * per_page).take(per_page).map(shapes::deployment).collect())
            }
            ["deployments", id, "statuses"] => {
                let of =
                    state.deployments.iter().find(|of| of.id.to_string() == *id).ok_or_else(not_found)?;
                whole(
                    of.statuses
                        .iter()
                        .rev()
                        .take(per_page)
                        .map(|status| shapes::status(status, of.id))
                        .collect(),
                )
            }
            ["actions", "workflows", WORKFLOW] => whole(shapes::workflow(&state)),
            ["actions", "workflows", WORKFLOW, "runs"] => {
                let event = asked.query.get("event");
                let all = state.runs.iter().rev().filter(|run| {
                    run.workflow == WORKFLOW
                        && event.is_none_or(|event| event == run.event)
                        && state.shows(run)
                });
                let shown: Vec<Value> = all
                    .clone()
                    .skip((nth - 1) * per_page)
                    .take(per_page)
                    .map(|run| shapes::run(&state, run))
                    .collect();
                whole(json!({ "total_count": all.count(), "workflow_runs": shown }))
            }
            ["actions", "runs", id, below @ ..] => {
                let run = state.runs.iter().find(|run| run.id.to_string() == *id && state.shows(run));
                let run = run.ok_or_else(not_found)?;
                match below {
                    [] => whole(shapes::run(&state, run)),
                    ["jobs"] => whole(shapes::jobs(&state, run)),
                    ["pending_deployments"] => whole(shapes::pending(&state, run)),
                    _ => Err(not_found()),
                }
            }
            ["branches", name] => {
                let branch = state.branches.get(name).ok_or_else(|| no(404, "Branch not found"))?;
                whole(shapes::branch(&state, name, branch))
            }
            ["rules", "branches", name] => {
                let rules = state.branches.get(name).map(|branch| branch.rules.clone()).unwrap_or_default();
                let rule = |rule: &str| {
                    let mut shown = json!({
                        "type": rule, "ruleset_source_type": "Repository", "ruleset_source": super::REPOSITORY, "ruleset_id": 1,
                    });
                    if rule == "pull_request" {
                        shown["parameters"] = json!({
                            "dismiss_stale_reviews_on_push": false, "require_code_owner_review": false,
                            "require_last_push_approval": false, "required_approving_review_count": 1,
                            "required_review_thread_resolution": false,
                        });
                    }
                    shown
                };
                whole(rules.into_iter().map(rule).collect())
            }
            ["commits", sha] => {
                let known = sha.len() == 40 && !state.gone.contains(&number(sha));
                if !known {
                    return Err(no(422, &format!("No commit found for SHA: {sha}")));
                }
                whole(shapes::commit_of(&state, number(sha)))
            }
            ["compare", range] => {
                let (base, head) = range.split_once("...").ok_or_else(not_found)?;
                if state.gone.contains(&number(base)) || state.gone.contains(&number(head)) {
                    return Err(not_found());
                }
                let (nth, per_page) =
                    (u32::try_from(nth).expect("few"), u32::try_from(per_page).expect("few"));
                whole(shapes::compared(&state, number(base), number(head), nth, per_page))
            }
            ["environments", ENVIRONMENT] => whole(shapes::environment()),
            _ => Err(not_found()),
        }
    }

    fn writes_to(&self, rest: &[&str], asked: &Asked) -> Result<(u16, Option<Value>), No> {
        let mut state = self.state();
        let now = state.now();
        let needs = if rest[0] == "actions" { "actions" } else { "deployments" };
        if !state.may.contains(needs) {
            return Err(no(403, "Resource not accessible by integration"));
        }
        match rest {
            ["actions", "workflows", WORKFLOW, "dispatches"] => state.starts(&asked.body),
            ["actions", "runs", id, "cancel"] => {
                let run =
                    state.runs.iter_mut().find(|run| run.id.to_string() == *id).ok_or_else(not_found)?;
                if run.conclusion.is_some() {
                    return Err(no(409, "Cannot cancel a workflow run that is completed."));
                }
                if !run.cancelling {
                    run.cancelling = true;
                    let number = run.number;
                    state.effects.push(format!("cancel {number}"));
                }
                Ok((202, Some(json!({}))))
            }
            ["deployments"] => {
                // GitHub merges the default branch into what is behind it, if nobody says otherwise.
                if asked.body["auto_merge"] != false {
                    return Ok((
                        202,
                        Some(json!({ "message": "Auto-merged main into the commit on deployment." })),
                    ));
                }
                if asked.body["required_contexts"] != json!([]) {
                    return Err(no(409, "Conflict: Commit status checks failed for the commit."));
                }
                let sha = asked.body["ref"].as_str().unwrap_or_default().to_owned();
                if sha.len() != 40 || state.gone.contains(&number(&sha)) {
                    return Err(no(422, &format!("No ref found for: {sha}")));
                }
                let task = asked.body["task"].as_str().unwrap_or("deploy").to_owned();
                let id = state.makes(sha.clone(), &task, asked.body["payload"].clone(), "snapback[bot]", now);
                state.effects.push(format!("deployment of {}", number(&sha)));
                let made = state.deployments.iter().find(|of| of.id == id).expect("it was made");
                Ok((201, Some(shapes::deployment(made))))
            }
            ["deployments", id, "statuses"] => {
                let id: u64 = id.parse().map_err(|_| not_found())?;
                if !state.deployments.iter().any(|of| of.id == id) {
                    return Err(not_found());
                }
                let told = asked.body["state"].as_str().unwrap_or_default().to_owned();
                let status = state.says(id, &told, "", now);
                state.effects.push(format!("status {told}"));
                Ok((201, Some(shapes::status(&status, id))))
            }
            _ => Err(not_found()),
        }
    }
}

impl State {
    fn starts(&mut self, body: &Value) -> Result<(u16, Option<Value>), No> {
        let details = !body["return_run_details"].is_null();
        if self.is_older && details {
            return Err(no(422, "Invalid request.\n\n\"return_run_details\" is not a permitted key."));
        }
        let branch = body["ref"].as_str().unwrap_or_default().to_owned();
        if !self.branches.contains_key(branch.as_str()) {
            return Err(no(422, &format!("No ref found for: {branch}")));
        }
        if self.workflow_state != "active" {
            return Err(no(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow"));
        }
        let sent = body["inputs"].as_object().cloned().unwrap_or_default();
        let unexpected: Vec<&String> =
            sent.keys().filter(|name| !self.written.inputs.contains(&name.as_str())).collect();
        if !unexpected.is_empty() {
            return Err(no(422, &format!("Unexpected inputs provided: {unexpected:?}")));
        }
        let now = self.now();
        let run = self.dispatched(&body["inputs"], &branch, now);
        let wanted = self.runs.last().expect("it was made").number;
        self.effects.push(format!("rollback to {wanted}"));
        if !details {
            return Ok((204, None));
        }
        Ok((
            200,
            Some(json!({
                "workflow_run_id": run,
                "run_url": format!("https://api.github.com/repos/acme/checkout/actions/runs/{run}"),
                "html_url": super::runs::link(run),
            })),
        ))
    }

    fn gives_a_token(&mut self) -> Value {
        let token = format!("ghs_{}", self.id());
        let ends = self.now() + Duration::from_hours(1);
        self.tokens.insert(token.clone(), ends);
        let level = |right: &str| if self.may.contains(right) { "write" } else { "read" };
        json!({
            "token": token, "expires_at": ends.to_string(),
            "permissions": { "actions": level("actions"), "deployments": level("deployments"), "contents": "read", "metadata": "read" },
            "repository_selection": "selected",
        })
    }
}

/// What an App says of itself: signed by its key, for at most ten minutes, and not from the future.
fn is_signed(key: &[u8], token: &str, now: i64) -> Result<(), No> {
    let bad = |why: &str| no(401, why);
    let (said, signature) =
        token.rsplit_once('.').ok_or_else(|| bad("A JSON web token could not be decoded"))?;
    let bytes =
        |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("A JSON web token could not be decoded"));
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(said.as_bytes(), &bytes(signature)?)
        .map_err(|_| bad("A JSON web token could not be decoded"))?;
    let (head, claims) = said.split_once('.').ok_or_else(|| bad("A JSON web token could not be decoded"))?;
    let read = |text: &str| Ok::<Value, No>(serde_json::from_slice(&bytes(text)?).unwrap_or_default());
    let (head, claims) = (read(head)?, read(claims)?);
    let (issued, ends) = (claims["iat"].as_i64().unwrap_or(i64::MAX), claims["exp"].as_i64().unwrap_or(0));
    if head["alg"] != "RS256" || claims["iss"] != APP {
        return Err(bad("Integration not found"));
    }
    if issued > now || ends <= now || ends - now > 600 {
        return Err(bad("'Expiration time' claim ('exp') is too far in the future"));
    }
    Ok(())
}
