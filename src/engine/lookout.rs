//! Waits for changes at a provider that can be watched, so that what people and pipelines do there is read at once. It decides nothing:
//! it says that something moved. Leaves to each provider how it is watched.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::arrival::Arrival;
use super::rim::Rim;
use crate::case::id::ServiceId;
use crate::clock::sleep;
use crate::outbound::Trouble;

/// Changes of a rollout come many in a second: they are told as one.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// What cannot be watched for now is tried again after so long; it is read in its turn all the same.
const AFTER_TROUBLE: Duration = Duration::from_secs(15);
/// What may not be watched: somebody has to give the right first.
const AFTER_REFUSAL: Duration = Duration::from_mins(5);

/// Tells of each change, for as long as the settings stand.
pub(super) async fn look_out(service: ServiceId, rim: Arc<Rim>, told: mpsc::Sender<Arrival>) {
    let Some((provider, target)) = rim.services.get(&service) else { return };
    loop {
        match provider.changed(target).await {
            Ok(()) => {
                // A closed channel means that the engine stopped.
                if told.send(Arrival::Moved(service.clone())).await.is_err() {
                    return;
                }
                sleep(TOLD_EVERY).await;
            }
            Err(trouble) => {
                tracing::debug!(%service, error = %trouble, "its provider cannot be watched for changes now");
                sleep(match trouble {
                    Trouble::Refused(_) => AFTER_REFUSAL,
                    Trouble::Busy { .. } | Trouble::Moved(_) | Trouble::Unclear(_) => AFTER_TROUBLE,
                })
                .await;
            }
        }
    }
}
