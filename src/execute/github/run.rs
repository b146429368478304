//! A run of a workflow and its jobs, read. Its name may hold our mark and the commit that it puts out, where the workflow's `run-name`
//! shows its inputs; GitHub tells the inputs of a run nowhere else. Facts: the schemas `workflow-run` and `job` of GitHub's description.

use serde_json::Value;

use super::deployment::is_commit;
use super::{GitHub, Site};
use crate::case::id::{Mark, Timestamp};
use crate::case::plan::Plan;
use crate::outbound::Trouble;

use super::asking::no_such;

/// How each of our marks begins.
const OURS: &str = "snapback/";
/// Jobs of one run that are read: the largest page.
const JOBS_MAX: usize = 100;

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: u64,
    /// How often it was run again, and once more.
    pub(super) attempt: u64,
    /// As its workflow names it.
    pub(super) title: String,
    /// The commit whose workflow it is.
    pub(super) head: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    pub(super) link: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// A job of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) conclusion: Option<String>,
    pub(super) link: String,
    /// A machine took it up.
    pub(super) has_begun: bool,
    /// The first of its steps that failed.
    pub(super) failed_step: Option<String>,
}

impl Run {
    /// Reads one.
    pub(super) fn read(told: &Value) -> Option<Run> {
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        let moment = |name: &str| told[name].as_str()?.parse().ok();
        Some(Run {
            id: told["id"].as_u64()?,
            attempt: told["run_attempt"].as_u64().unwrap_or(1),
            title: text("display_title")?,
            head: text("head_sha")?,
            status: text("status")?,
            conclusion: text("conclusion"),
            link: text("html_url")?,
            created_at: moment("created_at")?,
            updated_at: moment("updated_at")?,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.status == "completed"
    }

    /// The commit that it puts out, by its name.
    pub(super) fn puts_out(&self) -> Option<String> {
        let mut words = self.title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_commit(word));
        let one = words.next()?.to_lowercase();
        words.all(|other| other.eq_ignore_ascii_case(&one)).then_some(one)
    }

    /// Our mark in its name.
    pub(super) fn mark(&self) -> Option<Mark> {
        mark_in(&self.title)
    }
}

/// A mark of ours in a text; what people write there that only begins so is none.
pub(super) fn mark_in(text: &str) -> Option<Mark> {
    let rest = &text[text.find(OURS)? + OURS.len()..];
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let told = format!("{OURS}{}", &rest[..end]);
    Plan::is_mark(&told).then(|| Mark::new(told))
}

/// The runs of a list. `None`: it is none.
pub(super) fn runs(told: &Value) -> Option<Vec<Run>> {
    told["workflow_runs"].as_array()?.iter().map(Run::read).collect()
}

/// The run whose output this is: `https://HOST/OWNER/NAME/actions/runs/ID/…`.
pub(super) fn run_of(site: &Site, url: &str) -> Option<u64> {
    let (before, after) = url.split_once("/actions/runs/")?;
    let is_here = before.to_lowercase().ends_with(&format!("/{}", site.repository.to_lowercase()));
    after.split(['/', '?', '#']).next().filter(|_| is_here)?.parse().ok()
}

impl Job {
    fn read(told: &Value) -> Option<Job> {
        let text = |of: &Value| of.as_str().map(str::to_owned);
        let steps = || told["steps"].as_array().into_iter().flatten();
        let failed = steps().find(|step| step["conclusion"] == "failure");
        let has_runner = told["runner_id"].as_u64().is_some_and(|runner| runner > 0);
        Some(Job {
            name: text(&told["name"])?,
            conclusion: text(&told["conclusion"]),
            link: text(&told["html_url"]).unwrap_or_default(),
            has_begun: has_runner || steps().next().is_some(),
            failed_step: failed.and_then(|step| text(&step["name"])),
        })
    }

    fn has_failed(&self) -> bool {
        matches!(self.conclusion.as_deref(), Some("failure" | "timed_out" | "startup_failure"))
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.conclusion.as_deref() == Some("success")
    }
}

/// Which jobs failed, at which step, and where that can be read.
pub(super) fn what_failed(jobs: &[Job]) -> Vec<String> {
    let failed = jobs.iter().filter(|job| job.has_failed());
    failed
        .map(|job| {
            let step = job.failed_step.as_ref().map_or_else(String::new, |step| format!(" at step {step}"));
            format!("job {} failed{step}: {}", job.name, job.link)
        })
        .collect()
}

impl GitHub {
    /// One run. `None`: there is none of this number any more.
    pub(super) async fn run(&self, site: &Site, id: u64) -> Result<Option<Run>, Trouble> {
        let doing = format!("read run {id} of {}", site.repository);
        match self.read(&doing, &site.path(&format!("/actions/runs/{id}"))).await? {
            Ok(told) => Ok(Some(Run::read(&told).filter(|run| run.id == id).ok_or_else(|| no_such(&doing))?)),
            Err(denial) if denial.status == 404 => Ok(None),
            Err(denial) => Err(super::asking::denied(&doing, denial, self.now())),
        }
    }

    /// The jobs of a run, as it went the last time.
    pub(super) async fn jobs(&self, site: &Site, id: u64) -> Result<Vec<Job>, Trouble> {
        let doing = format!("read the jobs of run {id} of {}", site.repository);
        let path = site.path(&format!("/actions/runs/{id}/jobs?filter=latest&per_page={JOBS_MAX}"));
        let told = self.must_read(&doing, &path).await?;
        let jobs =
            told["jobs"].as_array().map(|jobs| jobs.iter().map(Job::read).collect::<Option<Vec<Job>>>());
        Ok(jobs.flatten().ok_or_else(|| no_such(&doing))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_mark_and_commit() {
        let title = format!("rollback production to {} (snapback/0a1b2c3d4e5f0a1b2c3d4e5f)", "a".repeat(40));
        let run = Run {
            id: 1,
            attempt: 1,
            title,
            head: "b".repeat(40),
            status: "queued".into(),
            conclusion: None,
            link: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            (run.puts_out(), run.mark()),
            (Some("a".repeat(40)), Some(Mark::new("snapback/0a1b2c3d4e5f0a1b2c3d4e5f")))
        );
        let two = Run { title: format!("{} {}", "a".repeat(40), "c".repeat(40)), ..run.clone() };
        assert_eq!((two.puts_out(), two.mark()), (None, None));
        let empty = Run { title: "rollback snapback/main".into(), ..run };
        assert_eq!(empty.mark(), None);
    }

    #[test]
    fn the_output_of_a_deployment_leads_to_its_run() {
        let site = Site {
            repository: "acme/checkout".into(),
            workflow: "rollback.yml".into(),
            branch: "main".into(),
            environment: "production".into(),
            repeatable: false,
            record: true,
        };
        let run = |url: &str| run_of(&site, url);
        assert_eq!(run("https://github.com/Acme/checkout/actions/runs/7/job/9"), Some(7));
        assert_eq!(run("https://ghe.example.com/acme/checkout/actions/runs/7?pr=1"), Some(7));
        assert_eq!(run("https://github.com/other/checkout/actions/runs/7"), None, "somebody else's");
        assert_eq!(run("https://ci.example.com/7"), None);
    }
}
