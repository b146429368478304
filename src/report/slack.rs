//! Slack as voice: one thread per case, its first message edited in place, its replies in order. Knows how a message is
//! found again after its answer was lost; leaves what is said to `case`, how it looks to `blocks`, and when, how often and
//! how fast to the engine.

pub mod blocks;
mod client;
mod people;
mod rehearse;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use slack_morphism::prelude::*;
use tokio::sync::watch;

use crate::case::face::{Button, Face};
use crate::case::id::{AnswerUrl, CaseId, PersonId, Place, ServiceId, Timestamp};
use crate::case::thread::{Thread, Workspace};
use crate::case::turn::{Bulletin, Manner, Whisper};
use crate::case::words::Note;
use crate::outbound::Trouble;

use client::{Client, Failed, Range};

/// What we write beside each message, to find it again.
const MARK: &str = "snapback_note";
/// The number of a first message that took the place of one that is gone.
const AGAIN: &str = "again";
/// A search reads so many pages of 200 messages: more was not posted since a call that was just lost.
const PAGES_MAX: usize = 5;
/// Clocks differ: a search begins so long before what it looks for.
const SEARCH_SLACK: crate::case::id::Duration = crate::case::id::Duration::from_secs(120);

/// What the configuration says of Slack.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bot's token; nothing when it is configured and was not there.
    pub bot_token: Option<SecretString>,
    /// The API's address, without a slash at its end.
    pub api_url: String,
    /// Where services without a channel of their own are told.
    pub channel: String,
    /// The channels of the others.
    pub channels: BTreeMap<ServiceId, String>,
}

/// The voice.
pub struct Slack {
    client: Client,
    settings: Settings,
    workspace: watch::Sender<Option<Workspace>>,
    /// Ids of channels that are configured by name.
    ids: Mutex<BTreeMap<String, String>>,
    /// A thread is opened again by one at a time: whoever comes second finds it.
    reopening: tokio::sync::Mutex<()>,
    /// Whatever was said before may have been said by a process before this one.
    since: Timestamp,
}

/// What became of a note that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It stands in this thread.
    There(Place),
    /// The first message of its thread is gone, and the reply stands in the channel by itself.
    Strayed(Thread),
    /// The first message of its thread is gone, and no reply is taken; what Slack says.
    ThreadGone(String),
}

/// What became of a first message that was edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// It shows what it should.
    Shows,
    /// It is gone.
    Gone,
}

/// Where a message that was posted stands, as far as the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    InThread,
    Alone,
}

/// What a search for a message found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// It is there.
    Found(Thread),
    /// It is not.
    Absent,
}

impl Slack {
    /// A voice that begins now.
    pub fn new(settings: Settings, since: Timestamp) -> Slack {
        let token = settings.bot_token.clone().unwrap_or_else(|| SecretString::from(String::new()));
        let client = Client::new(&settings.api_url, &token);
        Slack {
            client,
            settings,
            workspace: watch::channel(None).0,
            ids: Mutex::default(),
            reopening: tokio::sync::Mutex::default(),
            since,
        }
    }

    /// The workspace, once Slack said which.
    pub fn workspace(&self) -> watch::Receiver<Option<Workspace>> {
        self.workspace.subscribe()
    }

    /// The channel in which a service is told, as it is configured: who shares it shares its pace.
    pub fn channel(&self, service: &ServiceId) -> &str {
        self.settings.channels.get(service).unwrap_or(&self.settings.channel)
    }

    /// Whether a note may have been said already, by a process before this one.
    pub fn may_have_said(&self, note: &Note) -> bool {
        note.at < self.since
    }

    /// Learns to which workspace the token belongs, if that is not known.
    ///
    /// # Errors
    /// When Slack does not say.
    pub async fn introduce(&self) -> Result<Workspace, Trouble> {
        if let Some(known) = self.workspace.borrow().clone() {
            return Ok(known);
        }
        let who = self.client.auth_test().await?;
        let workspace = Workspace { team: who.team_id.to_string(), url: who.url.0.to_string() };
        self.workspace.send_replace(Some(workspace.clone()));
        tracing::info!(team = workspace.team, url = workspace.url, "the Slack workspace is known");
        Ok(workspace)
    }

    /// Posts the first message of a thread, or a reply; tells where.
    ///
    /// # Errors
    /// [`Trouble::Unclear`] when it may be there all the same: it is sought before it is posted again.
    pub async fn post(&self, note: &Note, thread: Option<&Place>, face: &Face) -> Result<Posted, Trouble> {
        let workspace = self.introduce().await?;
        let root = thread.and_then(Thread::of);
        let content = if root.is_some() { blocks::note(note) } else { blocks::face(face) };
        let channel = match &root {
            Some(root) => root.channel.clone(),
            None => self.channel(&note.case.service()).to_owned(),
        };
        let mark = mark(&note.case, &note.number.0.to_string());
        match self.post_marked(&channel, root.as_ref(), content, mark).await {
            Ok((posted, stands)) => match root {
                Some(root) if stands == Stands::Alone && self.strayed(&root, &posted).await => {
                    Ok(Posted::Strayed(posted))
                }
                root => Ok(Posted::There(root.unwrap_or(posted).link(&workspace))),
            },
            Err(Failed::Said(code)) if root.is_some() && is_about_the_root(&code) => {
                Ok(Posted::ThreadGone(code))
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// Whether a reply of which Slack's answer names no thread is in none. Where that cannot be read, it is taken for well posted.
    async fn strayed(&self, root: &Thread, reply: &Thread) -> bool {
        let range = Range { channel: &root.channel, thread: Some(&root.ts), oldest: &reply.ts };
        match self.client.posted(range, None).await {
            Ok((messages, _)) => messages.iter().all(|message| message.ts != reply.ts),
            Err(Failed::Said(code)) => is_about_the_root(&code),
            Err(Failed::Trouble(_)) => false,
        }
    }

    /// Opens the thread of a case again, below another first message: the old one is gone. One that was opened so already, by a
    /// call whose answer was lost, is taken; what it shows is then not known.
    ///
    /// # Errors
    /// When it could not be sought, or not be posted.
    pub async fn reopen(&self, lost: &Place, face: &Face) -> Result<(Place, Sought), Trouble> {
        let workspace = self.introduce().await?;
        let _alone = self.reopening.lock().await;
        let named = self.channel(&face.case.service()).to_owned();
        let channel = Thread::of(lost).map_or(named, |lost| lost.channel);
        let began = face.clock.first().map_or(self.since, |(_, at)| *at);
        let sought =
            self.marked(&channel, None, began, |metadata| is_marked(metadata, &face.case, AGAIN)).await?;
        if let Some(ts) = sought.into_iter().next() {
            let found = Thread { channel, ts };
            return Ok((found.link(&workspace), Sought::Found(found)));
        }
        let (posted, _) =
            self.post_marked(&channel, None, blocks::face(face), mark(&face.case, AGAIN)).await?;
        Ok((posted.link(&workspace), Sought::Absent))
    }

    async fn post_marked(
        &self,
        channel: &str,
        root: Option<&Thread>,
        content: SlackMessageContent,
        mark: SlackMessageMetadata,
    ) -> Result<(Thread, Stands), Failed> {
        let request = |content: SlackMessageContent| {
            SlackApiChatPostMessageRequest::new(channel.into(), content.with_metadata(mark.clone()))
                .opt_thread_ts(root.map(|root| root.ts.clone().into()))
                .with_unfurl_links(false)
                .with_unfurl_media(false)
        };
        let answer = match self.client.post(&request(content.clone())).await {
            Err(Failed::Said(code)) if is_about_blocks(&code) => {
                tracing::error!(code, "Slack refused how a message looks; it is said without");
                self.client.post(&request(blocks::bare(&content))).await?
            }
            answered => answered?,
        };
        let thread = Thread { channel: answer.channel.to_string(), ts: answer.ts.to_string() };
        let stands = if answer.message.origin.thread_ts.is_some() { Stands::InThread } else { Stands::Alone };
        lock(&self.ids).insert(channel.to_owned(), thread.channel.clone());
        Ok((thread, stands))
    }

    /// Posts a bulletin in the channel of its service.
    ///
    /// # Errors
    /// [`Trouble::Unclear`] when it may be there all the same.
    pub async fn announce(&self, bulletin: &Bulletin) -> Result<(), Trouble> {
        let content = blocks::answer(&bulletin.lines, &BTreeSet::new(), &[]);
        let channel = self.channel(&bulletin.service);
        let post = SlackApiChatPostMessageRequest::new(channel.into(), content)
            .with_unfurl_links(false)
            .with_unfurl_media(false);
        self.client.post(&post).await?;
        Ok(())
    }

    /// Takes a message of ours back. One that stays does no harm beyond being read without its thread.
    pub async fn withdraw(&self, message: &Thread) {
        let request =
            SlackApiChatDeleteRequest::new(message.channel.clone().into(), message.ts.clone().into());
        if let Err(failed) = self.client.delete(&request).await {
            tracing::warn!(error = %Trouble::from(failed), "a reply stands outside of its thread");
        }
    }

    /// Looks for a note that was perhaps posted. One that is there twice is deleted but for the first.
    ///
    /// # Errors
    /// When what was posted cannot be read.
    pub async fn seek(&self, note: &Note, thread: Option<&Place>) -> Result<Sought, Trouble> {
        let root = thread.and_then(Thread::of);
        let channel = match &root {
            Some(root) => root.channel.clone(),
            None => self.channel_id(self.channel(&note.case.service())).await?,
        };
        let thread = root.as_ref().map(|root| root.ts.as_str());
        let number = note.number.0.to_string();
        let is_it = |metadata: &serde_json::Value| is_marked(metadata, &note.case, &number);
        let mut found = self.marked(&channel, thread, note.at, is_it).await?.into_iter();
        let Some(ts) = found.next() else { return Ok(Sought::Absent) };
        for twin in found {
            let request = SlackApiChatDeleteRequest::new(channel.clone().into(), twin.into());
            self.client.delete(&request).await?;
        }
        Ok(Sought::Found(root.unwrap_or(Thread { channel, ts })))
    }

    /// The times of our messages there that carry a mark, the oldest first.
    async fn marked(
        &self,
        channel: &str,
        thread: Option<&str>,
        since: Timestamp,
        is_it: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<Vec<String>, Failed> {
        let oldest = (since - SEARCH_SLACK).as_second().to_string();
        let range = Range { channel, thread, oldest: &oldest };
        let mut found = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let (messages, next) = self.client.posted(range, cursor.as_deref()).await?;
            found.extend(
                messages.into_iter().filter(|message| is_it(&message.metadata)).map(|found| found.ts),
            );
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        found.sort();
        Ok(found)
    }

    /// The link of a message that was found.
    ///
    /// # Errors
    /// When the workspace is not known.
    pub async fn link(&self, thread: &Thread) -> Result<Place, Trouble> {
        Ok(thread.link(&self.introduce().await?))
    }

    /// Lets the first message of a thread show this face. A message that somebody deleted shows nothing any more.
    ///
    /// # Errors
    /// When it was not edited.
    pub async fn show(&self, thread: &Place, face: &Face) -> Result<Edited, Trouble> {
        let Some(Thread { channel, ts }) = Thread::of(thread) else { return Ok(Edited::Shows) };
        let request =
            |content| SlackApiChatUpdateRequest::new(channel.clone().into(), content, ts.clone().into());
        let content = blocks::face(face);
        let edited = match self.client.update(&request(content.clone())).await {
            Err(Failed::Said(code)) if is_about_blocks(&code) => {
                tracing::error!(code, "Slack refused how a message looks; it is said without");
                self.client.update(&request(blocks::bare(&content))).await
            }
            edited => edited,
        };
        match edited {
            Err(Failed::Said(code))
                if matches!(code.as_str(), "message_not_found" | "cant_update_message") =>
            {
                tracing::warn!(case.id = %face.case, code, "the first message of a thread is gone");
                Ok(Edited::Gone)
            }
            edited => Ok(edited.map(|()| Edited::Shows)?),
        }
    }

    /// Answers one person, where Slack said.
    ///
    /// # Errors
    /// When the address is not Slack's, or it did not take the answer.
    pub async fn whisper(&self, whisper: &Whisper) -> Result<(), Trouble> {
        if !self.is_slacks(&whisper.to) {
            return Err(Trouble::Refused("the address to answer at is not Slack's".into()));
        }
        let people = people_in(&whisper.says);
        let content = blocks::answer(std::slice::from_ref(&whisper.says), &people, &[]);
        let thread = match &whisper.manner {
            Manner::Public(Some(place)) => Thread::of(place).map(|thread| thread.ts),
            Manner::Public(None) | Manner::Private | Manner::Replacing => None,
        };
        let body = Answer {
            content,
            response_type: if matches!(whisper.manner, Manner::Public(_)) {
                "in_channel"
            } else {
                "ephemeral"
            },
            replace_original: whisper.manner == Manner::Replacing,
            thread_ts: thread,
        };
        Ok(self.client.respond(whisper.to.as_str(), &body).await?)
    }

    /// Answers go to Slack's own host and nowhere else (threat T70); with a workspace on this machine, to that.
    fn is_slacks(&self, to: &AnswerUrl) -> bool {
        let ours = format!("{}/", host_of(&self.settings.api_url));
        let on_this_machine =
            ["http://127.0.0.1:", "http://[::1]:"].iter().any(|local| ours.starts_with(local));
        to.as_str().starts_with("https://hooks.slack.com/")
            || (on_this_machine && to.as_str().starts_with(&ours))
    }

    /// The id of a channel that is configured by name or by id.
    async fn channel_id(&self, channel: &str) -> Result<String, Trouble> {
        let name = channel.trim_start_matches('#');
        let is_id = name == channel && name.starts_with(['C', 'G', 'D']);
        if is_id {
            return Ok(channel.to_owned());
        }
        if let Some(id) = lock(&self.ids).get(channel) {
            return Ok(id.clone());
        }
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX * 4 {
            let parameters = vec![
                ("types", Some("public_channel,private_channel")),
                ("exclude_archived", Some("true")),
                ("limit", Some("1000")),
                ("cursor", cursor.as_deref()),
            ];
            let page: Channels =
                self.client.get("list Slack's channels", "conversations.list", &parameters).await?;
            if let Some(found) = page.channels.into_iter().find(|found| found.name.as_deref() == Some(name)) {
                lock(&self.ids).insert(channel.to_owned(), found.id.clone());
                return Ok(found.id);
            }
            cursor =
                page.response_metadata.and_then(|m| m.next_cursor).map(|c| c.0).filter(|c| !c.is_empty());
            if cursor.is_none() {
                break;
            }
        }
        Err(Trouble::Refused(format!(
            "no channel {channel} is to be seen: invite the app there, and name it by id"
        )))
    }
}

/// What a typed command is answered at once, for the eyes of whoever typed it.
pub fn ephemeral(lines: &[String], buttons: &[Button]) -> serde_json::Value {
    let content = blocks::answer(lines, &std::collections::BTreeSet::new(), buttons);
    let mut body = serde_json::to_value(content).unwrap_or_else(|_| serde_json::json!({ "text": "" }));
    body["response_type"] = "ephemeral".into();
    body
}

/// What is sent to where Slack says that somebody is answered (signals §10.4).
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    content: SlackMessageContent,
    response_type: &'static str,
    replace_original: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<String>,
}

#[derive(Deserialize)]
struct Channels {
    channels: Vec<Channel>,
    response_metadata: Option<SlackResponseMetadata>,
}

#[derive(Deserialize)]
struct Channel {
    id: String,
    name: Option<String>,
}

fn mark(case: &CaseId, note: &str) -> SlackMessageMetadata {
    let payload =
        HashMap::from([("case".to_owned(), case.to_string()), ("note".to_owned(), note.to_owned())]);
    SlackMessageMetadata::new(MARK.to_owned()).with_event_payload(payload)
}

fn is_marked(metadata: &serde_json::Value, case: &CaseId, note: &str) -> bool {
    metadata["event_type"] == MARK
        && metadata["event_payload"]["case"] == case.as_str()
        && metadata["event_payload"]["note"] == note
}

/// Facts differ on what becomes of a reply to a message that is not there any more (signals §10.5).
fn is_about_the_root(code: &str) -> bool {
    matches!(code, "thread_not_found" | "message_not_found")
}

fn is_about_blocks(code: &str) -> bool {
    matches!(code, "invalid_blocks" | "msg_blocks_too_long" | "msg_too_long" | "invalid_blocks_format")
}

/// Whoever a sentence of ours begins with.
fn people_in(says: &str) -> std::collections::BTreeSet<PersonId> {
    let first = says.split(": ").next().filter(|first| first.starts_with("slack:") && !first.contains(' '));
    first.map(PersonId::new).into_iter().collect()
}

/// Scheme, host and port.
fn host_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..].find('/').map_or(url, |at| &url[..after_scheme + at])
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
