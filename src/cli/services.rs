//! `snapback services`: what a running server watches, what it knows of each release, and what was put out when.

use clap::{Args, Subcommand};
use snapback::admin::shapes::{DeploymentsShape, ServiceShape, ServicesShape};

use super::Output;
use super::client::{Client, ServerFlags, shaped};
use super::failure::{Failure, Finished, print, print_json};
use super::table::{moment, moment_or_dash, or_dash, plain, table};

#[derive(Debug, Args)]
pub(super) struct ServicesFlags {
    #[command(flatten)]
    server: ServerFlags,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them
    List,
    /// One service with its releases
    Show {
        /// The service, such as checkout@production
        service: String,
    },
    /// What was put out on a service, the newest first
    Deployments {
        /// The service, such as checkout@production
        service: String,
    },
}

pub(super) fn run(flags: &ServicesFlags) -> Result<Finished, Failure> {
    let client = Client::new(&flags.server)?;
    match &flags.what {
        None | Some(What::List) => list(&client, flags.server.output),
        Some(What::Show { service }) => show(&client, flags.server.output, service),
        Some(What::Deployments { service }) => deployments(&client, flags.server.output, service),
    }
}

fn list(client: &Client, output: Output) -> Result<Finished, Failure> {
    let answer = client.list(&["v1", "services"], &[], "services")?;
    if output == Output::Json {
        return print_json(&answer);
    }
    let ServicesShape { services, .. } = shaped(&answer)?;
    let mut rows = table(&["service", "provider", "mode", "serves", "can go back", "open case"]);
    for service in &services {
        let ready =
            if service.ready.now { "yes".to_owned() } else { plain(&service.ready.reasons.join("; ")) };
        rows.add_row([
            plain(&service.service),
            plain(&service.provider),
            plain(&service.mode),
            serves(service),
            ready,
            or_dash(service.open_case.as_deref()),
        ]);
    }
    print(&rows.to_string())
}

/// What serves, as people call it.
fn serves(service: &ServiceShape) -> String {
    let current = service.current.as_deref();
    let release = service.releases.iter().find(|release| Some(release.release.as_str()) == current);
    or_dash(release.and_then(|release| release.version.as_deref()).or(current))
}

fn show(client: &Client, output: Output, id: &str) -> Result<Finished, Failure> {
    let answer = client.get(&["v1", "services", id], &[])?;
    if output == Output::Json {
        return print_json(&answer);
    }
    let service: ServiceShape = shaped(&answer)?;
    let mut lines = vec![format!(
        "{}: {} serves ({}, {})",
        plain(&service.service),
        serves(&service),
        plain(&service.provider),
        plain(&service.mode)
    )];
    if service.ready.now {
        lines.push("could be rolled back right now".to_owned());
    }
    lines.extend(
        service.ready.reasons.iter().map(|reason| format!("could not be rolled back now: {}", plain(reason))),
    );
    if let Some(freeze) = &service.freeze {
        let until = moment(freeze.until);
        lines.push(format!("frozen until {until} by {}: {}", plain(&freeze.by), plain(&freeze.reason)));
    }
    if let Some(case) = &service.open_case {
        lines.push(format!("open case: {}", plain(case)));
    }
    let mut rows = table(&["release", "version", "commit", "ledger", "why", "put out", "locked"]);
    for release in &service.releases {
        rows.add_row([
            plain(&release.release),
            or_dash(release.version.as_deref()),
            or_dash(release.commit.as_deref()),
            plain(&release.ledger),
            plain(&release.why),
            moment_or_dash(release.deployed_at),
            if release.locked { "yes" } else { "no" }.to_owned(),
        ]);
    }
    lines.push(rows.to_string());
    print(&lines.join("\n"))
}

fn deployments(client: &Client, output: Output, id: &str) -> Result<Finished, Failure> {
    // A name that nobody knows would give an empty list: the service itself is asked first.
    client.get(&["v1", "services", id], &[])?;
    let answer = client.list(&["v1", "deployments"], &[("service", id)], "deployments")?;
    if output == Output::Json {
        return print_json(&answer);
    }
    let DeploymentsShape { deployments, .. } = shaped(&answer)?;
    let mut rows = table(&["begun", "release", "version", "status", "finished", "by", "why", "deployment"]);
    for deployment in &deployments {
        rows.add_row([
            moment(deployment.started_at),
            plain(&deployment.release),
            or_dash(deployment.version.as_deref()),
            plain(&deployment.status).replace('_', " "),
            moment_or_dash(deployment.finished_at),
            or_dash(deployment.by.as_deref().or(deployment.author.as_deref())),
            plain(&deployment.origin),
            plain(&deployment.deployment),
        ]);
    }
    print(&rows.to_string())
}
