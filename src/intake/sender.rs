//! Senders: what each kind of source speaks, how its requests look, and what it makes of our answers. One line here and
//! one file beside for each. Leaves to each sender's file how its bodies are read.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};

use super::alert::{Told, Unreadable};
use super::problem::Problem;
use super::proof::Proven;
use super::{
    alertmanager, argocd, cdevents, codedeploy, datadog, deployments, eventbridge, generic, github, grafana,
    newrelic, pagerduty, sns,
};
use crate::case::mapping::Mapping;
use crate::journal::inbox::Content;

/// What a source or a feed speaks.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// Alertmanager's webhook.
    Alertmanager,
    /// Grafana's contact point "Webhook".
    Grafana,
    /// PagerDuty's V3 webhooks.
    PagerDuty,
    /// Amazon SNS, with CloudWatch's alarms in it.
    Sns,
    /// EventBridge's API destinations, with CloudWatch's alarms in them.
    EventBridge,
    /// Datadog's webhooks, by our template.
    Datadog,
    /// New Relic's workflow webhooks.
    NewRelic,
    /// Anybody's JSON, by this mapping.
    Generic(Arc<Mapping>),
    /// GitHub's deployments; a feed.
    GitHub,
    /// Argo CD's notifications, by our template; a feed.
    ArgoCd,
    /// CDEvents; a feed.
    CdEvents,
    /// CodeDeploy's triggers, through SNS; a feed.
    CodeDeployTriggers,
    /// CodeDeploy's events, through EventBridge; a feed.
    CodeDeployEvents,
    /// The list of product §20; a feed.
    Deployments,
}

/// How a sender's requests look, and how it reads our answers.
pub(super) struct Protocol {
    /// The media types that it uses; an empty one is a request without `Content-Type`. None at all: its user says which.
    pub(super) media: &'static [&'static str],
    /// Its bodies are at most this long.
    pub(super) body_max: usize,
    /// The answer to what is stored.
    pub(super) stored: StatusCode,
    /// The answer to what is stored, and nobody can read: a success where the sender would drop a refused message for ever
    /// or stop sending; a refusal where a person looks at it (signals §0.1).
    pub(super) unreadable: StatusCode,
}

impl SourceKind {
    /// How its requests look.
    pub(super) fn protocol(&self) -> Protocol {
        match self {
            SourceKind::Alertmanager => alertmanager::PROTOCOL,
            SourceKind::Grafana => grafana::PROTOCOL,
            SourceKind::PagerDuty => pagerduty::PROTOCOL,
            SourceKind::Sns => sns::PROTOCOL,
            SourceKind::EventBridge => eventbridge::PROTOCOL,
            SourceKind::Datadog => datadog::PROTOCOL,
            SourceKind::NewRelic => newrelic::PROTOCOL,
            SourceKind::Generic(_) => generic::PROTOCOL,
            SourceKind::GitHub => github::PROTOCOL,
            SourceKind::ArgoCd => argocd::PROTOCOL,
            SourceKind::CdEvents => cdevents::PROTOCOL,
            SourceKind::CodeDeployTriggers => sns::PROTOCOL,
            SourceKind::CodeDeployEvents => codedeploy::PROTOCOL,
            SourceKind::Deployments => deployments::PROTOCOL,
        }
    }

    /// What a body says.
    pub(super) fn read(&self, body: &Proven<Bytes>, told: Told<'_>) -> Result<Content, Unreadable> {
        match self {
            SourceKind::Alertmanager => alertmanager::read(body, told).map(Content::Signals),
            SourceKind::Grafana => grafana::read(body, told),
            SourceKind::PagerDuty => pagerduty::read(body, told),
            SourceKind::Sns => sns::read(body, told),
            SourceKind::EventBridge => eventbridge::read(body, told),
            SourceKind::Datadog => datadog::read(body, told),
            SourceKind::NewRelic => newrelic::read(body, told),
            SourceKind::Generic(mapping) => generic::read(body, mapping, told),
            SourceKind::GitHub => github::read(body, told),
            SourceKind::ArgoCd => argocd::read(body, told),
            SourceKind::CdEvents => cdevents::read(body, told),
            SourceKind::CodeDeployTriggers => codedeploy::message(body, told),
            SourceKind::CodeDeployEvents => codedeploy::event(body, told),
            SourceKind::Deployments => deployments::read(body, told),
        }
    }
}

impl Protocol {
    /// Checks what a request's head says of its body; returns the body's length.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<u32, Problem> {
        let length = headers.get(CONTENT_LENGTH).ok_or(Problem::LengthRequired)?;
        let length: u32 =
            length.to_str().ok().and_then(|text| text.parse().ok()).ok_or(Problem::BodyTooLarge)?;
        if length as usize > self.body_max {
            return Err(Problem::BodyTooLarge);
        }
        let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let told = told.split(';').next().unwrap_or_default().trim();
        if !self.media.is_empty() && !self.media.iter().any(|media| told.eq_ignore_ascii_case(media)) {
            return Err(Problem::ContentType);
        }
        match headers.get(CONTENT_ENCODING) {
            Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
                Err(Problem::ContentEncoding)
            }
            _ => Ok(length),
        }
    }
}
