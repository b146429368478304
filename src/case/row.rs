//! How rows answer one brief: yes, no or not yet, each with the first condition that failed; and which of them
//! governs. Leaves to `guard` what weakens the verdict.

use std::cell::OnceCell;

use super::brief::{Brief, BriefSignal, CandidateFacts};
use super::correlate::bearing;
use super::decide::{Answer, RowTrace, Verdict};
use super::expression::Scene;
use super::id::{Duration, PolicyName, RuleName, ServiceId, Timestamp, covers};
use super::rules::{Alerts, RowMode, Rule, RuleTable};

/// Sums of shares are not exact to the last bit; a suspicion this close to what is asked is enough.
const SUSPICION_SLACK: f64 = 1e-9;
/// From this suspicion on people are told even where no row holds.
const TELL_FROM: f64 = 0.5;

/// The rows of a table before one brief.
pub(super) struct Trial<'a> {
    brief: &'a Brief,
    rules: &'a RuleTable,
    suspect: Option<&'a CandidateFacts>,
    suspicion: f64,
    /// The signals that rows are about, each with its scene, made when the first expression asks for it.
    signals: Vec<(&'a BriefSignal, OnceCell<Scene<'a>>)>,
    /// When the episodes began, ascending.
    begun: Vec<Timestamp>,
}

/// What the rows say together.
pub(super) struct Ruling<'a> {
    /// What they propose.
    pub(super) proposed: Verdict,
    /// The row that governs: the one that proposes it, else the one that is waited for.
    pub(super) row: Option<&'a Rule>,
    /// How rows answered, in order.
    pub(super) rows: Vec<RowTrace>,
    /// The first shadow row that holds.
    pub(super) shadow: Option<(RuleName, Verdict)>,
    /// The least moment at which an answer may change.
    pub(super) recheck: Option<Timestamp>,
}

/// The signals that may carry a verdict: the firing ones. When none fires any more, the cleared ones keep the verdict
/// as it was, until their clear is settled or they fire again.
pub(super) fn carrying(brief: &Brief) -> impl Iterator<Item = &BriefSignal> {
    let any_fires = brief.signals.iter().any(|signal| signal.firing);
    brief.signals.iter().filter(move |signal| signal.firing || !any_fires)
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        brief: &'a Brief,
        rules: &'a RuleTable,
        suspect: Option<&'a CandidateFacts>,
        suspicion: f64,
    ) -> Trial<'a> {
        let mut begun: Vec<Timestamp> = brief.signals.iter().map(|signal| signal.started_at).collect();
        begun.sort_unstable();
        let signals = carrying(brief).map(|signal| (signal, OnceCell::new())).collect();
        Trial { brief, rules, suspect, suspicion, signals, begun }
    }

    /// The service that would be changed.
    pub(super) fn service(&self) -> &'a ServiceId {
        self.suspect.map_or(&self.brief.service, |suspect| &suspect.service)
    }

    /// Asks the rows at these positions, in order, until one governs; shadow rows are asked to the end.
    pub(super) fn ask(&self, positions: impl Iterator<Item = usize>) -> Ruling<'a> {
        let mut court = Court::default();
        for row in positions.filter_map(|position| self.rules.rows().get(position)) {
            if court.decided && (court.shadow.is_some() || !self.rules.has_shadow()) {
                break;
            }
            let open = if row.mode == RowMode::Shadow { court.shadow.is_none() } else { !court.decided };
            if open {
                let answer = self.answer(row);
                court.hear(row, answer);
            }
        }
        court.rule(self.suspicion)
    }

    /// Asks every row of the table, without the index, and lists those that were not reached as well.
    pub(super) fn ask_all(&self) -> Ruling<'a> {
        let mut court = Court::default();
        for row in self.rules.rows() {
            let open = if row.mode == RowMode::Shadow { court.shadow.is_none() } else { !court.decided };
            let answer = match (row.mode, open) {
                (RowMode::Off, _) => Answer::No("the row is switched off".into()),
                (RowMode::Live | RowMode::Shadow, false) => Answer::NotReached,
                (RowMode::Live | RowMode::Shadow, true) => self.answer(row),
            };
            court.hear(row, answer);
        }
        court.rule(self.suspicion)
    }

    /// How one row answers: what costs nothing is asked first, expressions last.
    fn answer(&self, row: &Rule) -> Answer {
        if let Some(failed) = self.fails_for_the_case(row) {
            return Answer::No(failed);
        }
        let alerts = row.alerts.map_or(Alarms::Enough, |alerts| self.alarms(alerts));
        if let (Alarms::TooFew, Some(Alerts { at_least, within })) = (alerts, row.alerts) {
            return Answer::No(format!("fewer than {at_least} alerts within {within:#}"));
        }
        match (self.signals(row), alerts) {
            (Signals::None(failed), _) => Answer::No(failed),
            (Signals::Hold, Alarms::MoreMayCome(until)) => {
                Answer::NotYet { failed: "more alerts are waited for".into(), until }
            }
            (Signals::Hold, Alarms::Enough | Alarms::TooFew) => Answer::Yes,
            (Signals::WillHold(at), alerts) => {
                let until = if let Alarms::MoreMayCome(until) = alerts { at.min(until) } else { at };
                let length = row.firing_for.unwrap_or(Duration::ZERO);
                Answer::NotYet { failed: format!("no signal has been firing for {length:#}"), until }
            }
        }
    }

    /// The first condition on the case as a whole that fails.
    fn fails_for_the_case(&self, row: &Rule) -> Option<String> {
        let service = self.service();
        if !row.service.is_empty() && !row.service.iter().any(|pattern| covers(pattern, service.as_str())) {
            return Some(format!("it is not for service {service}"));
        }
        if !row.tier.is_empty() {
            // The tier of another service than the brief's own is not known here.
            let tier = self.brief.tier.as_ref().filter(|_| *service == self.brief.service);
            if !tier.is_some_and(|tier| row.tier.contains(tier)) {
                return Some(format!("it is not for tier {}", tier.map_or("(none)", String::as_str)));
            }
        }
        if let Some(failed) = self.fails_by_time(row) {
            return Some(failed);
        }
        if self.suspicion + SUSPICION_SLACK < row.suspicion {
            return Some(format!("suspicion {:.2} is under {}", self.suspicion, row.suspicion));
        }
        None
    }

    fn fails_by_time(&self, row: &Rule) -> Option<String> {
        let named = |name: &PolicyName| self.rules.calendar(name).map(|times| times.holds(self.brief.now));
        let mut all = row.during.iter().chain(&row.not_during);
        if let Some(unknown) = all.find(|name| named(name).is_none()) {
            return Some(format!("it cannot be judged: no times are named {unknown}"));
        }
        let now = |name: &&PolicyName| named(name) == Some(true);
        if !row.during.is_empty() && !row.during.iter().any(|name| now(&name)) {
            return Some(format!("now is not during {}", listed(&row.during)));
        }
        row.not_during.iter().find(now).map(|name| format!("now is during {name}"))
    }

    fn alarms(&self, Alerts { at_least, within }: Alerts) -> Alarms {
        let needed = usize::try_from(at_least).unwrap_or(usize::MAX).max(1);
        let enough = |run: &[Timestamp]| match run {
            [first, .., last] => last.duration_since(*first) <= within,
            _ => true,
        };
        if self.begun.windows(needed).any(enough) {
            return Alarms::Enough;
        }
        let Some(newest) = self.begun.last() else { return Alarms::TooFew };
        let until = later(*newest, within);
        if self.brief.now < until { Alarms::MoreMayCome(until) } else { Alarms::TooFew }
    }

    /// Whether `match`, the window, `firing_for` and `when` hold for one and the same signal.
    fn signals(&self, row: &Rule) -> Signals {
        let mut first: Option<Failure<'_>> = None;
        let mut soonest: Option<Timestamp> = None;
        for (signal, scene) in &self.signals {
            match self.signal(row, signal, scene) {
                Ok(None) => return Signals::Hold,
                Ok(Some(at)) => soonest = Some(soonest.map_or(at, |known| known.min(at))),
                Err(failure) => {
                    // Told is the signal that came furthest.
                    if first.as_ref().is_none_or(|known| failure.stage() > known.stage()) {
                        first = Some(failure);
                    }
                }
            }
        }
        match (soonest, first) {
            (Some(at), _) => Signals::WillHold(at),
            (None, Some(failure)) => Signals::None(failure.says()),
            (None, None) => Signals::None("there is no signal".into()),
        }
    }

    /// Whether they hold for this signal: now, or at a moment to come.
    fn signal<'s>(
        &self,
        row: &'s Rule,
        signal: &'a BriefSignal,
        scene: &OnceCell<Scene<'a>>,
    ) -> Result<Option<Timestamp>, Failure<'s>>
    where
        'a: 's,
    {
        if let Some(at) = row.matchers.iter().position(|matcher| !matcher.matches(&signal.labels)) {
            return Err(Failure::Match(row, at, signal));
        }
        if let Some(suspect) = self.suspect
            && let Err(why) = bearing(signal, suspect, self.brief, row.window)
        {
            return Err(Failure::Bearing(why.says(signal, suspect)));
        }
        let holds_at = row.firing_for.map(|length| later(signal.started_at, length));
        let waits = holds_at.filter(|at| self.brief.now < *at);
        if waits.is_some() && !signal.firing {
            return Err(Failure::NoLongerFiring(signal));
        }
        if let Some(when) = &row.when {
            let scene = scene.get_or_init(|| Scene::new(signal, self.suspect, self.brief));
            match when.holds_in(scene) {
                Ok(true) => {}
                Ok(false) => return Err(Failure::When(signal)),
                Err(why) => return Err(Failure::Unknowable(why)),
            }
        }
        Ok(waits)
    }
}

/// What is decided so far, row after row.
#[derive(Default)]
struct Court<'a> {
    /// No live row below can change anything.
    decided: bool,
    serving: Option<&'a Rule>,
    waited_for: Option<&'a Rule>,
    rows: Vec<RowTrace>,
    shadow: Option<(RuleName, Verdict)>,
    recheck: Option<Timestamp>,
}

impl<'a> Court<'a> {
    fn hear(&mut self, row: &'a Rule, answer: Answer) {
        if let Answer::NotYet { until, .. } = &answer {
            self.recheck = Some(self.recheck.map_or(*until, |known| known.min(*until)));
        }
        match (row.mode, &answer) {
            (RowMode::Shadow, Answer::Yes) => self.shadow = Some((row.name.clone(), row.action)),
            (RowMode::Live, Answer::Yes) => {
                self.decided = true;
                // Below a row that is waited for, only what changes nothing serves meanwhile.
                if self.waited_for.is_none() || row.action <= Verdict::Notify {
                    self.serving = Some(row);
                }
            }
            (RowMode::Live, Answer::NotYet { .. }) => {
                self.waited_for.get_or_insert(row);
            }
            (RowMode::Live | RowMode::Shadow | RowMode::Off, _) => {}
        }
        self.rows.push(RowTrace { name: row.name.clone(), answer });
    }

    fn rule(self, suspicion: f64) -> Ruling<'a> {
        let proposed = match (self.serving, self.waited_for) {
            (Some(row), _) => row.action,
            (None, Some(_)) => Verdict::Ignore,
            (None, None) if suspicion + SUSPICION_SLACK >= TELL_FROM => Verdict::Notify,
            (None, None) => Verdict::Ignore,
        };
        Ruling {
            proposed,
            row: self.serving.or(self.waited_for),
            rows: self.rows,
            shadow: self.shadow,
            recheck: self.recheck,
        }
    }
}

/// Whether enough alerts came.
#[derive(Clone, Copy)]
enum Alarms {
    Enough,
    /// Until then the newest one may be the first of enough.
    MoreMayCome(Timestamp),
    TooFew,
}

/// Whether a signal carries the row.
enum Signals {
    Hold,
    WillHold(Timestamp),
    None(String),
}

/// Why a signal does not carry a row, put into words only when it is told.
enum Failure<'s> {
    Match(&'s Rule, usize, &'s BriefSignal),
    Bearing(String),
    NoLongerFiring(&'s BriefSignal),
    When(&'s BriefSignal),
    Unknowable(String),
}

impl Failure<'_> {
    /// How far the signal came.
    fn stage(&self) -> u8 {
        match self {
            Failure::Match(..) => 0,
            Failure::Bearing(_) => 1,
            Failure::NoLongerFiring(_) => 2,
            Failure::When(_) | Failure::Unknowable(_) => 3,
        }
    }

    fn says(self) -> String {
        match self {
            Failure::Match(row, at, signal) => match row.matchers.get(at) {
                Some(matcher) => format!("{matcher} does not hold for {}", signal.name),
                None => "a matcher does not hold".into(),
            },
            Failure::Bearing(why) => why,
            Failure::NoLongerFiring(signal) => {
                format!("{} cleared before it had fired long enough", signal.name)
            }
            Failure::When(signal) => format!("`when` does not hold for {}", signal.name),
            Failure::Unknowable(why) => format!("`when` cannot be judged: {why}"),
        }
    }
}

fn later(moment: Timestamp, length: Duration) -> Timestamp {
    moment.checked_add(length).unwrap_or(Timestamp::MAX)
}

fn listed(names: &[PolicyName]) -> String {
    names.iter().map(PolicyName::as_str).collect::<Vec<_>>().join(" or ")
}
