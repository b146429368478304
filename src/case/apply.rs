//! How an event changes a dossier: it assigns, and judges nothing. Old events read the same in every version.

use super::deployment::ChangeKind;
use super::dossier::{
    Dossier, ENDED_MAX, EndedEpisode, Freeze, HABITS_MAX, IllegalEvent, OUTCOMES_MAX, PastOutcome,
};
use super::event::{Event, Stamped};
use super::id::{NoteNo, ReleaseId, StepNo, Timestamp};
use super::ledger::{Change, Grade, News, Page};
use super::notice::{NOTICES_MAX, Notice};
use super::pager::Paging;
use super::phase::{Outcome, Phase};
use super::probe::Failing;
use super::release::Release;
use super::signal::{Episode, EpisodeKey, EpisodeStanding, Lag};
use super::story::{Case, CaseClock, CaseSignal, EVENTS_MAX, NoPlan, Suspect};
use super::thread::Thread;
use super::transition::{Move, after};

/// Annotations that say in a sentence what an alert is about, best first.
const SUMMARY: [&str; 3] = ["summary", "description", "message"];

impl Dossier {
    /// Takes an event: assigns, never judges.
    ///
    /// # Errors
    /// When the event cannot follow the present phase; nothing is changed then.
    pub fn apply(&mut self, stamped: &Stamped) -> Result<(), IllegalEvent> {
        if let Event::Opened { .. } = &stamped.event {
            return self.open_case(stamped);
        }
        let step = match &self.open {
            Some(case) => after(&case.phase, stamped),
            None => after(&Phase::Closed(Outcome::LeftAlone), stamped),
        };
        match step {
            Move::Illegal => {
                let phase = self.open.as_ref().map_or("no case", |case| case.phase.word());
                Err(IllegalEvent { phase, event: stamped.event.word() })
            }
            Move::Beside => {
                self.apply_beside(stamped);
                Ok(())
            }
            Move::Stay => {
                self.apply_to_case(stamped, None);
                Ok(())
            }
            Move::To(phase) => {
                self.apply_to_case(stamped, Some(phase));
                Ok(())
            }
        }
    }

    fn open_case(&mut self, stamped: &Stamped) -> Result<(), IllegalEvent> {
        let Event::Opened { case: id, origin, mode, signals, received_at, until } = &stamped.event else {
            return Ok(());
        };
        if let Some(open) = &self.open {
            return Err(IllegalEvent { phase: open.phase.word(), event: stamped.event.word() });
        }
        self.cases_opened += 1;
        let mut case = Case {
            id: id.clone(),
            origin: origin.clone(),
            mode: *mode,
            opened_at: stamped.at,
            phase: Phase::Gathering { until: *until },
            signals: Default::default(),
            suspect: None,
            decision: None,
            plan: None,
            told_plan: false,
            collected: false,
            no_plan: None,
            votes: Vec::new(),
            heard: Vec::new(),
            automatic: false,
            attempts: 0,
            snoozed_until: None,
            all_clear: false,
            clock: CaseClock {
                received_at: *received_at,
                judged_at: None,
                asked_at: None,
                approved_at: None,
                started_at: None,
                done_at: None,
                verified_at: None,
            },
            said: NoteNo(0),
            thread: None,
            lost: None,
            shown: None,
            paged: Default::default(),
            events: vec![stamped.clone()],
        };
        self.join(&mut case, signals);
        self.open = Some(Box::new(case));
        Ok(())
    }

    fn join(&mut self, case: &mut Case, keys: &[EpisodeKey]) {
        for key in keys {
            if let Some(episode) = self.episodes.get_mut(key) {
                episode.case = Some(case.id.clone());
                case.signals.insert(key.clone(), remembered(episode));
            }
        }
    }

    /// Events that belong to the service, not to its open case.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "`after` lets nothing else through as beside the case"
    )]
    fn apply_beside(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::EpisodeOpened(signal) => {
                self.episodes.insert(signal.key(), Episode::open(signal.as_ref().clone()));
            }
            Event::EpisodeHeard { key, at } => self.hear(key, *at, None),
            Event::EpisodeResumed { key, at } => self.hear(key, *at, Some(EpisodeStanding::Firing)),
            Event::EpisodeClearing { key, cleared_at, until } => {
                let standing = EpisodeStanding::Settling { cleared_at: *cleared_at, until: *until };
                if let Some(episode) = self.episodes.get_mut(key) {
                    episode.standing = standing;
                }
                if let Some(signal) = self.case_signal(key) {
                    signal.cleared_at = Some(*cleared_at);
                }
            }
            Event::EpisodeReopened { key } => {
                if let Some(episode) = self.episodes.get_mut(key) {
                    episode.case = None;
                }
            }
            Event::EpisodeEnded { key, name, habit } => {
                self.end_episode(key, stamped.at);
                if self.habits.len() < HABITS_MAX || self.habits.contains_key(name) {
                    self.habits.insert(name.clone(), *habit);
                }
            }
            Event::Noticed(notice) => self.take_notice(notice),
            Event::EpisodeDated { key, onset } => self.date(key, *onset),
            Event::ProbeFailed { probe, since, said } => {
                let failing = Failing { since: *since, said: said.clone() };
                self.failing.insert(probe.clone(), failing);
            }
            Event::ProbePassed { probe } => {
                self.failing.remove(probe);
            }
            Event::LedgerRefreshed { current, deployments, releases, owner, .. } => {
                self.ledger.learn(&News { deployments: deployments.clone(), releases: releases.clone() });
                self.ledger.current.clone_from(current);
                self.ledger.first_sight_over = true;
                self.owner.clone_from(owner);
            }
            Event::Graded { release, grade, why } => {
                let page = self.page_mut(release);
                page.grade = *grade;
                page.why.clone_from(why);
            }
            Event::Tainted { release, at } => self.page_mut(release).tainted_at = Some(*at),
            Event::Locked { release, why } => self.page_mut(release).lock = Some(why.clone()),
            Event::Unlocked { release, .. } => self.page_mut(release).lock = None,
            Event::Frozen { by, reason, until } => {
                self.freeze = Some(Freeze { by: by.clone(), reason: reason.clone(), until: *until });
            }
            Event::Unfrozen { .. } => self.freeze = None,
            Event::Said { case, note, place } => self.say(case, *note, place),
            Event::Shown { case, face } => self.show(case, face),
            Event::PageDue { case, pager, cause } => {
                if let Some(case) = self.case_mut(case) {
                    case.paged.insert(pager.clone(), Paging::due(*cause));
                }
            }
            Event::Paged { case, pager, cause } | Event::NotPaged { case, pager, cause, .. } => {
                if let Some(case) = self.case_mut(case) {
                    case.paged.insert(pager.clone(), Paging::told(*cause));
                    // People read in the thread who was woken, and why.
                    if case.events.len() < EVENTS_MAX {
                        case.events.push(stamped.clone());
                    }
                }
            }
            Event::Told { case } => self.telling.retain(|told| told.id != *case),
            _ => {}
        }
    }

    fn hear(&mut self, key: &EpisodeKey, at: Timestamp, standing: Option<EpisodeStanding>) {
        if let Some(episode) = self.episodes.get_mut(key) {
            episode.heard_at = episode.heard_at.max(at);
            if let Some(standing) = standing {
                episode.standing = standing;
            }
        }
        if let Some(signal) = self.case_signal(key) {
            signal.heard_at = signal.heard_at.max(at);
            if standing.is_some() {
                signal.cleared_at = None;
            }
        }
    }

    fn case_signal(&mut self, key: &EpisodeKey) -> Option<&mut CaseSignal> {
        self.open.as_mut()?.signals.get_mut(key)
    }

    fn end_episode(&mut self, key: &EpisodeKey, at: Timestamp) {
        let Some(episode) = self.episodes.remove(key) else { return };
        let cleared_at = match episode.standing {
            EpisodeStanding::Settling { cleared_at, .. } => cleared_at,
            EpisodeStanding::Firing => at,
        };
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(EndedEpisode {
            key: key.clone(),
            name: episode.signal.name,
            started_at: episode.started_at,
            cleared_at,
        });
    }

    fn page_mut(&mut self, release: &ReleaseId) -> &mut Page {
        self.ledger.pages.entry(release.clone()).or_insert_with(|| Page::new(Release::bare(release.clone())))
    }

    fn say(&mut self, id: &super::id::CaseId, note: NoteNo, place: &super::id::Place) {
        let Some(case) = self.case_mut(id) else { return };
        case.said = NoteNo(note.0 + 1);
        // A case that began in the log may get a thread later, and keeps it; where its first message is gone, it has another once.
        let thread = case.thread.as_ref().filter(|thread| thread.is_thread());
        match thread {
            None => case.thread = Some(place.clone()),
            Some(thread) if case.lost.is_none() && leads_elsewhere(thread, place) => {
                case.lost = case.thread.replace(place.clone());
            }
            Some(_) => {}
        }
    }

    fn show(&mut self, id: &super::id::CaseId, face: &super::id::Digest) {
        if let Some(case) = self.case_mut(id) {
            case.shown = Some(face.clone());
        }
    }

    fn case_mut(&mut self, id: &super::id::CaseId) -> Option<&mut Case> {
        let open = self.open.as_deref_mut().into_iter();
        open.chain(&mut self.telling).find(|case| case.id == *id)
    }

    /// Events of the open case.
    fn apply_to_case(&mut self, stamped: &Stamped, phase: Option<Phase>) {
        let Some(mut case) = self.open.take() else { return };
        if let Event::Joined { signals } = &stamped.event {
            self.join(&mut case, signals);
            case.all_clear = false;
        }
        if let Event::Exonerated { deployment, .. } = &stamped.event {
            for key in case.signals.keys() {
                if let Some(episode) = self.episodes.get_mut(key) {
                    episode.exonerated.push(deployment.clone());
                }
            }
        }
        self.assign(&mut case, stamped);
        if let Some(phase) = phase {
            case.phase = phase;
        }
        if case.events.len() < EVENTS_MAX || case.is_closed() {
            case.events.push(stamped.clone());
        }
        match case.phase {
            Phase::Closed(outcome) => self.close_case(*case, outcome, stamped.at),
            Phase::Gathering { .. }
            | Phase::Weighing { .. }
            | Phase::Planning { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Countdown { .. }
            | Phase::Ready { .. }
            | Phase::Intended { .. }
            | Phase::Running { .. }
            | Phase::Verifying(_)
            | Phase::NeedsHuman { .. } => self.open = Some(case),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events change the phase alone")]
    fn assign(&self, case: &mut Case, stamped: &Stamped) {
        let at = stamped.at;
        match &stamped.event {
            Event::Weighed(decision) => {
                case.clock.judged_at.get_or_insert(at);
                case.snoozed_until = case.snoozed_until.filter(|until| at < *until);
                let target = |d: &super::decide::Decision| d.brief.target.as_ref().map(|t| t.release.clone());
                if case
                    .decision
                    .as_ref()
                    .is_none_or(|last| last.suspect != decision.suspect || target(last) != target(decision))
                {
                    case.no_plan = None;
                }
                case.suspect = decision.suspect.as_ref().and_then(|id| self.suspect(id));
                case.decision = Some(decision.clone());
            }
            Event::AllCleared => case.all_clear = true,
            Event::FiredAgain => case.all_clear = false,
            Event::Chosen { choice, .. } => {
                if let Some(suspect) = choice.suspect.as_ref().and_then(|id| self.suspect(id)) {
                    case.suspect = Some(suspect);
                }
            }
            Event::Planned(plan) => {
                if case.plan.as_ref().is_some_and(|old| old.digest != plan.digest) {
                    case.votes.clear();
                    case.told_plan = false;
                }
                case.no_plan = None;
                case.plan = Some(plan.clone());
            }
            Event::NotPlanned { why, recheck } => {
                case.no_plan = Some(NoPlan { why: why.clone(), until: *recheck });
            }
            Event::WouldAct { .. } => case.told_plan = true,
            Event::Collected(_) => case.collected = true,
            Event::Asked { .. } => {
                case.clock.asked_at.get_or_insert(at);
                case.automatic = false;
            }
            Event::VoteHeard(vote) => case.heard.push(vote.clone()),
            Event::Voted(vote) => {
                case.heard.retain(|heard| heard.by != vote.by);
                case.votes.retain(|known| known.by != vote.by);
                case.votes.push(vote.clone());
            }
            Event::VoteRefused { by, .. } => case.heard.retain(|heard| heard.by != *by),
            Event::Readied { automatic, .. } => {
                case.automatic = *automatic;
                if !automatic {
                    case.clock.approved_at.get_or_insert(at);
                }
            }
            Event::Snoozed { until, .. } => case.snoozed_until = Some(*until),
            Event::Intended { attempt, .. } => {
                case.clock.started_at.get_or_insert(at);
                case.attempts = *attempt;
            }
            // Nothing began after all.
            Event::NotSent { .. }
                if matches!(case.phase, Phase::Intended { step: StepNo(0), sent: 0, .. }) =>
            {
                case.clock.started_at = None;
            }
            Event::NextStep { .. } => case.attempts = 0,
            Event::VerifyBegan { .. } => {
                case.clock.done_at.get_or_insert(at);
            }
            Event::Closed { .. } if case.clock.done_at.is_some() => case.clock.verified_at = Some(at),
            _ => {}
        }
    }

    fn date(&mut self, key: &EpisodeKey, onset: Timestamp) {
        if let Some(episode) = self.episodes.get_mut(key) {
            episode.signal.lag = Lag::Exact(onset);
        }
    }

    fn take_notice(&mut self, notice: &Notice) {
        self.notices.retain(|known| !known.is_of(notice));
        self.notices.push(notice.clone());
        let beyond = self.notices.len().saturating_sub(NOTICES_MAX);
        self.notices.drain(..beyond);
        if notice.change != ChangeKind::Code {
            let deployment = notice.deployment(&self.service);
            self.ledger.change(Change { deployment, what: notice.release.clone() });
        }
    }

    fn suspect(&self, id: &super::id::DeploymentId) -> Option<Suspect> {
        let deployment = self.ledger.deployment(id)?.clone();
        let release = self.ledger.release_of(&deployment)?.clone();
        Some(Suspect { deployment, release })
    }

    fn close_case(&mut self, case: Case, outcome: Outcome, at: Timestamp) {
        if self.outcomes.len() >= OUTCOMES_MAX {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(PastOutcome {
            case: case.id.clone(),
            suspect: case.suspect.as_ref().map(|suspect| suspect.deployment.id.clone()),
            outcome,
            at,
            acted: case.acted(),
        });
        self.telling.push(case);
    }

    /// Whether a release may be graded by soaking alone.
    pub fn may_soak(&self, release: &ReleaseId) -> bool {
        self.ledger
            .page(release)
            .is_some_and(|page| page.grade == Grade::Unknown && page.tainted_at.is_none())
    }
}

fn remembered(episode: &Episode) -> CaseSignal {
    let signal = &episode.signal;
    let onset = episode.onset();
    CaseSignal {
        source: signal.source.clone(),
        name: signal.name.clone(),
        fingerprint: signal.fingerprint.clone(),
        started_at: episode.started_at,
        cleared_at: match episode.standing {
            EpisodeStanding::Firing => None,
            EpisodeStanding::Settling { cleared_at, .. } => Some(cleared_at),
        },
        heard_at: episode.heard_at,
        lag: episode.started_at.duration_since(onset),
        summary: SUMMARY.iter().find_map(|key| signal.annotations.get(*key)).cloned(),
    }
}

/// Two threads. A workspace that is renamed has other links to the same one.
fn leads_elsewhere(thread: &super::id::Place, place: &super::id::Place) -> bool {
    place.is_thread() && Thread::of(place) != Thread::of(thread)
}
