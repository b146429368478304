//! A rehearsal in the chat, for the doctor: everything that a thread needs, once, and nothing of it is left. Leaves to `blocks` how it
//! looks, and to the doctor what it shows.

use slack_morphism::prelude::*;

use super::{Slack, blocks};
use crate::case::rehearsal::Rehearsal;
use crate::outbound::Trouble;

impl Slack {
    /// Posts a message in the channel of services that name none, edits it, and takes it away: what a thread needs. Where a press
    /// is asked for, it stands with its button until `pressed` ends, and what that told comes back.
    ///
    /// # Errors
    /// What Slack refuses first.
    pub async fn rehearse<P>(
        &self,
        asked: Option<Rehearsal>,
        pressed: impl Future<Output = P>,
    ) -> Result<P, Trouble> {
        self.introduce().await?;
        let line = match asked {
            None => "Snapback tries whether it can speak here; this message goes away",
            Some(_) => {
                "Snapback tries whether it is heard and hears here: press the button; this message goes away"
            }
        };
        let channel = self.settings.channel.as_str();
        let post = SlackApiChatPostMessageRequest::new(channel.into(), blocks::rehearsal(line, asked));
        let posted = self.client.post(&post).await?;
        let pressed = pressed.await;
        let edit = SlackApiChatUpdateRequest::new(
            posted.channel.clone(),
            blocks::rehearsal("Snapback can speak here; this message goes away", None),
            posted.ts.clone(),
        );
        let edited = self.client.update(&edit).await;
        // It goes away whatever became of the edit.
        self.client.delete(&SlackApiChatDeleteRequest::new(posted.channel, posted.ts)).await?;
        edited?;
        Ok(pressed)
    }
}
