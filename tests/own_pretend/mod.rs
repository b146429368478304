//! A pretend deployer of the user's own, over HTTP: it keeps the contract, and lies where a test says so.

#![allow(dead_code, reason = "shared by tests that each use a part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::pretend::{self, Answer, Asked, Service, Wire};

pub(crate) struct State {
    /// What serves.
    pub(crate) current: String,
    /// v3 is on its way.
    pub(crate) goes_out: bool,
    /// What each key asked for.
    pub(crate) keys: BTreeMap<String, String>,
    /// What it begins fails.
    pub(crate) fails: bool,
    /// It says that it is done, and nothing was put out.
    pub(crate) lies: bool,
}

pub(crate) struct Pretend {
    pub(crate) wire: Wire,
    state: Mutex<State>,
}

impl Pretend {
    pub(crate) fn start() -> Arc<Pretend> {
        let state =
            State { current: "v2".into(), goes_out: false, keys: BTreeMap::new(), fails: false, lies: false };
        let deployer = Arc::new(Pretend { wire: Wire::default(), state: Mutex::new(state) });
        pretend::listen(&deployer);
        deployer
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// Rollbacks that it was asked for, and those that it took.
    pub(crate) fn counted(&self) -> (usize, usize) {
        let asked = self.wire.calls();
        let asked = asked.iter().filter(|call| call.body["action"] == "rollback").count();
        (asked, self.state().keys.len())
    }
}

impl State {
    fn answer(&mut self, question: &Value) -> Value {
        let text = |name: &str| question[name].as_str().unwrap_or_default().to_owned();
        match text("action").as_str() {
            "describe" => {
                let on_its_way = self.goes_out.then_some("d3");
                json!({ "current": self.current, "in_flight": on_its_way, "remembers": true })
            }
            "history" => json!({ "deployments": self.history() }),
            "rollback" => self.rollback(&text("key"), &text("from"), &text("to")),
            _ => json!({ "state": self.stands(&text("key")), "says": "as it stands" }),
        }
    }

    fn history(&self) -> Vec<Value> {
        let line = |name: &str, minute: u8| {
            let at = |second: u8| format!("2026-03-02T08:{minute:02}:{second:02}Z");
            json!({ "deployment": name.replace('v', "d"), "release": name, "started_at": at(0), "finished_at": at(30), "status": "finished" })
        };
        let mut all = vec![line("v1", 10), line("v2", 20)];
        if self.goes_out {
            all.push(json!({ "deployment": "d3", "release": "v3", "started_at": "2026-03-02T08:59:00Z", "status": "going_out" }));
        }
        all
    }

    fn rollback(&mut self, key: &str, from: &str, to: &str) -> Value {
        if self.keys.contains_key(key) {
            return json!({ "state": "begun" });
        }
        if self.current != from && !self.goes_out {
            return json!({ "state": "moved", "says": self.current });
        }
        self.keys.insert(key.to_owned(), to.to_owned());
        if !self.fails && !self.lies {
            self.goes_out = false;
            to.clone_into(&mut self.current);
        }
        json!({ "state": "begun" })
    }

    fn stands(&self, key: &str) -> &'static str {
        match self.keys.get(key) {
            None => "unknown",
            Some(_) if self.fails => "failed",
            Some(to) if *to == self.current || self.lies => "done",
            Some(_) => "superseded",
        }
    }
}

impl Service for Pretend {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn answer(self: &Arc<Pretend>, asked: &Asked) -> Answer {
        Answer::Json(200, self.state().answer(&asked.body))
    }
}
