//! Who may do what: tokens with their rights, and what `SelfSubjectAccessReview` answers about them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::text;
use super::kinds::Kind;
use super::status::Refusal;

/// A right: some verbs on some resources, in one namespace or in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Right {
    /// `""` is the core group; `*` is every group.
    pub(crate) group: &'static str,
    /// Resources with blanks between them, subresources as `pods/log`; `*` is every one.
    pub(crate) resources: &'static str,
    /// Verbs with blanks between them; `*` is every one.
    pub(crate) verbs: &'static str,
    /// `None`: in every namespace, and what is in none.
    pub(crate) namespace: Option<&'static str>,
}

/// Everything.
pub(crate) const ALL: Right = Right { group: "*", resources: "*", verbs: "*", namespace: None };

/// What is asked for.
pub(crate) struct Ask<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// With its subresource, as `deployments/scale`.
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
}

/// The tokens that are known: who each is, and what they may.
#[derive(Debug, Default)]
pub(crate) struct Rights(BTreeMap<String, (String, Vec<Right>)>);

impl Rights {
    pub(crate) fn grant(&mut self, token: &str, name: &str, rights: &[Right]) {
        self.0.insert(token.to_owned(), (name.to_owned(), rights.to_vec()));
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.0.remove(token);
    }

    /// Whose token it is.
    pub(crate) fn user(&self, token: &str) -> Option<&str> {
        self.0.get(token).map(|(name, _)| name.as_str())
    }

    pub(crate) fn may(&self, token: &str, ask: &Ask<'_>) -> bool {
        let has = |list: &str, one: &str| list.split(' ').any(|listed| listed == one || listed == "*");
        self.0.get(token).is_some_and(|(_, rights)| {
            rights.iter().any(|right| {
                has(right.group, ask.group)
                    && has(right.resources, ask.resource)
                    && has(right.verbs, ask.verb)
                    && right.namespace.is_none_or(|namespace| namespace == ask.namespace)
            })
        })
    }

    /// Refuses what a token may not, in the words of the genuine server.
    pub(crate) fn check(&self, token: &str, kind: &Kind, name: &str, ask: &Ask<'_>) -> Result<(), Refusal> {
        if self.may(token, ask) {
            return Ok(());
        }
        let user = self.user(token).unwrap_or_default();
        let scope = if ask.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", ask.namespace)
        };
        let why = format!(
            "User \"{user}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
            ask.verb, ask.resource, ask.group
        );
        Err(Refusal::forbidden(kind, name, &why))
    }

    /// What the review of a token's own rules in a namespace answers.
    pub(crate) fn rules(&self, token: &str, review: &Value) -> Value {
        let namespace = text(review, "/spec/namespace");
        let parts = |list: &str| list.split(' ').map(|one| json!(one)).collect::<Vec<_>>();
        let rights = self.0.get(token).map_or(&[][..], |(_, rights)| rights);
        let rules: Vec<Value> = rights
            .iter()
            .filter(|right| right.namespace.is_none_or(|of| of == namespace))
            .map(|right| {
                json!({
                    "verbs": parts(right.verbs), "apiGroups": [right.group], "resources": parts(right.resources),
                })
            })
            .collect();
        let mut answer = review.clone();
        answer["apiVersion"] = json!("authorization.k8s.io/v1");
        answer["kind"] = json!("SelfSubjectRulesReview");
        answer["status"] = json!({ "resourceRules": rules, "nonResourceRules": [], "incomplete": false });
        answer
    }

    /// What the review of a token's own right answers.
    pub(crate) fn review(&self, token: &str, review: &Value) -> Value {
        let asked = &review["spec"]["resourceAttributes"];
        let mut resource = text(asked, "/resource").to_owned();
        if !text(asked, "/subresource").is_empty() {
            resource = format!("{resource}/{}", text(asked, "/subresource"));
        }
        let ask = Ask {
            verb: text(asked, "/verb"),
            group: text(asked, "/group"),
            resource: &resource,
            namespace: text(asked, "/namespace"),
        };
        let mut answer = review.clone();
        answer["apiVersion"] = json!("authorization.k8s.io/v1");
        answer["kind"] = json!("SelfSubjectAccessReview");
        answer["status"] = json!({ "allowed": self.may(token, &ask) });
        answer
    }
}
