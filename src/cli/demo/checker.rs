//! The demo's checks: ask the shop as a customer would, notice when it fails, and tell Snapback in Alertmanager's
//! words. Stands for Prometheus and Alertmanager, and speaks over HTTP only.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use snapback::clock::{Clock, sleep};

use super::DEMO_TOKEN;
use crate::cli::failure::print_line;

/// The shop is asked so often.
const EVERY: Duration = Duration::from_millis(200);
/// So many answers of the same kind in a row are believed.
const IN_A_ROW: u32 = 4;

/// When an alert is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watching {
    /// As soon as it is noticed.
    Closely,
    /// Only when the stage says so, as an alert that waits in its group.
    Slowly,
}

/// The checks, running.
pub(super) struct Checker {
    noticed: watch::Receiver<bool>,
    may_tell: watch::Sender<bool>,
    checking: JoinHandle<()>,
}

impl Checker {
    /// Starts to ask the shop, and to tell Snapback at `alerts`.
    pub(super) fn start(shop: String, alerts: &str, watching: Watching) -> Checker {
        let (notice, noticed) = watch::channel(false);
        let (may_tell, telling) = watch::channel(watching == Watching::Closely);
        let check = Check { shop, alerts: format!("{alerts}/v1/alerts/prometheus"), notice, telling };
        Checker { noticed, may_tell, checking: tokio::spawn(check.run()) }
    }

    /// Waits until trouble was noticed.
    pub(super) async fn noticed(&self) -> Result<(), String> {
        let mut noticed = self.noticed.clone();
        let waited =
            tokio::time::timeout(Duration::from_secs(20), noticed.wait_for(|noticed| *noticed)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err("the checks did not notice that the shop fails".into()),
        }
    }

    /// Lets the alert be told.
    pub(super) fn tell(&self) {
        self.may_tell.send_replace(true);
    }

    /// No more checks.
    pub(super) fn stop(&self) {
        self.checking.abort();
    }
}

struct Check {
    shop: String,
    alerts: String,
    notice: watch::Sender<bool>,
    telling: watch::Receiver<bool>,
}

impl Check {
    async fn run(mut self) {
        let Ok(client) = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build() else {
            return;
        };
        let client = Arc::new(client);
        let (mut firing_since, mut in_a_row, mut last_ok) = (None, 0_u32, true);
        loop {
            let ok =
                matches!(client.get(&self.shop).send().await, Ok(answer) if answer.status().is_success());
            in_a_row = if ok == last_ok { in_a_row + 1 } else { 1 };
            last_ok = ok;
            let now = Clock.now();
            if in_a_row == IN_A_ROW && !ok && firing_since.is_none() {
                firing_since = Some(now);
                print_line("shop | checkout fails");
                self.notice.send_replace(true);
                let _ = self.telling.wait_for(|may| *may).await;
                tell(&client, &self.alerts, now, None).await;
            }
            if in_a_row == IN_A_ROW
                && ok
                && let Some(since) = firing_since.take()
            {
                print_line("shop | checkout works again");
                tell(&client, &self.alerts, since, Some(now)).await;
            }
            sleep(EVERY).await;
        }
    }
}

/// One message as Alertmanager writes it (signals.md §1), retried as it retries: until it is taken.
async fn tell(
    client: &reqwest::Client,
    alerts: &str,
    since: jiff::Timestamp,
    ended: Option<jiff::Timestamp>,
) {
    let status = if ended.is_some() { "resolved" } else { "firing" };
    let labels = json!({
        "alertname": "CheckoutFails", "service": "checkout", "environment": "production", "severity": "critical",
    });
    let ends_at = ended.map_or("0001-01-01T00:00:00Z".to_owned(), |at| at.to_string());
    let alert = json!({
        "status": status, "labels": labels, "startsAt": since.to_string(), "endsAt": ends_at,
        "annotations": { "summary": "customers cannot check out" },
        "generatorURL": "", "fingerprint": "5d1c0c8be3a1f9d2",
    });
    let body = json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status, "receiver": "snapback",
        "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "",
        "alerts": [alert],
    });
    for _ in 0..50 {
        let sent = client.post(alerts).bearer_auth(DEMO_TOKEN).json(&body).send().await;
        if matches!(sent, Ok(answer) if answer.status().is_success()) {
            return;
        }
        sleep(EVERY).await;
    }
    print_line("shop | the alert could not be told");
}
