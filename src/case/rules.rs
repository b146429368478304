//! The rule table: rows in order, as people wrote them, and an index that reaches the few which could hold for a
//! brief. Leaves to `row` how one answers and to `decide` what follows.

use std::collections::{BTreeMap, BTreeSet};

use super::brief::Brief;
use super::calendar::Calendar;
use super::decide::{OnResolve, Terms, Verdict};
use super::digest::Canon;
use super::expression::Expression;
use super::id::{Digest, Duration, PolicyName, RuleName, ServiceId, Timestamp};
use super::index::MatcherIndex;
use super::matcher::Matcher;
use super::settings::Mode;

/// One row (product §6). A list that is empty, or an option that is none, sets no condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name: threads and records speak of it by that.
    pub name: RuleName,
    /// `match`: all of them must hold for one signal.
    pub matchers: Vec<Matcher>,
    /// Patterns for the service that would be changed; one of them must cover it.
    pub service: Vec<String>,
    /// The service's tier must be one of these.
    pub tier: Vec<String>,
    /// A signal must begin at the latest so long after the suspect finished going out.
    pub window: Duration,
    /// The least suspicion, from 0 to 1.
    pub suspicion: f64,
    /// So many episodes within so long.
    pub alerts: Option<Alerts>,
    /// A signal must be firing for so long, counted from its start.
    pub firing_for: Option<Duration>,
    /// A signal that was older when it arrived allows at most a notice.
    pub stale_after: Duration,
    /// `when`, in CEL.
    pub when: Option<Expression>,
    /// One of these times must be now.
    pub during: Vec<PolicyName>,
    /// None of these times may be now.
    pub not_during: Vec<PolicyName>,
    /// How the row takes part.
    pub mode: RowMode,
    /// What it says when it holds.
    pub action: Verdict,
    /// How long an automatic act waits, in sight of people.
    pub countdown: Duration,
    /// It may act by itself on a service that the signalling service depends on.
    pub dependency: bool,
    /// Who may say yes. `None`: the service's own policy.
    pub approval: Option<PolicyName>,
    /// How recovery is judged. `None`: the service's own policy.
    pub verify: Option<PolicyName>,
    /// What a resolve of all signals means before the act.
    pub on_resolve: OnResolve,
}

/// At least so many distinct episodes of the case, begun within so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// How many.
    pub at_least: u32,
    /// Between the first and the last of them at most so long.
    pub within: Duration,
}

/// How a row takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowMode {
    /// It decides.
    Live,
    /// It is judged and recorded beside, and decides nothing.
    Shadow,
    /// It is skipped.
    Off,
}

impl RowMode {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            RowMode::Live => "live",
            RowMode::Shadow => "shadow",
            RowMode::Off => "off",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<RowMode> {
        [RowMode::Live, RowMode::Shadow, RowMode::Off].into_iter().find(|mode| mode.word() == word)
    }
}

/// The default of `window`.
pub const WINDOW: Duration = Duration::from_mins(30);
/// The default of `stale_after`; also where no row governs.
pub const STALE_AFTER: Duration = Duration::from_mins(15);

impl Rule {
    /// A row with this name and action, every other key at its default.
    pub fn new(name: RuleName, action: Verdict) -> Rule {
        let terms = Terms::default();
        Rule {
            name,
            matchers: Vec::new(),
            service: Vec::new(),
            tier: Vec::new(),
            window: WINDOW,
            suspicion: Rule::least_suspicion(action),
            alerts: None,
            firing_for: None,
            stale_after: STALE_AFTER,
            when: None,
            during: Vec::new(),
            not_during: Vec::new(),
            mode: RowMode::Live,
            action,
            countdown: terms.countdown,
            dependency: false,
            approval: None,
            verify: None,
            on_resolve: terms.on_resolve,
        }
    }

    /// The default of `suspicion` for this action.
    pub fn least_suspicion(action: Verdict) -> f64 {
        match action {
            Verdict::Rollback => 0.7,
            Verdict::Approve => 0.5,
            Verdict::Notify => 0.3,
            Verdict::Ignore => 0.0,
        }
    }

    /// What it says beside its verdict.
    pub fn terms(&self) -> Terms {
        Terms {
            approval: self.approval.clone(),
            verify: self.verify.clone(),
            countdown: self.countdown,
            on_resolve: self.on_resolve,
            mode: match self.mode {
                RowMode::Live => Mode::Live,
                RowMode::Shadow | RowMode::Off => Mode::Shadow,
            },
            row_said_approve: false,
        }
    }

    /// The services that it is for, where each is named exactly.
    fn exact_services(&self) -> Option<BTreeSet<ServiceId>> {
        let exact = !self.service.is_empty() && self.service.iter().all(|pattern| !pattern.contains('*'));
        exact.then(|| self.service.iter().map(ServiceId::new).collect())
    }
}

/// The rows of all rule files, in order, ready to be asked.
#[derive(Clone, Debug)]
pub struct RuleTable {
    rows: Vec<Rule>,
    calendars: BTreeMap<PolicyName, Calendar>,
    by_service: BTreeMap<ServiceId, Vec<u32>>,
    by_matcher: MatcherIndex,
    counts: Counts,
    longest_window: Duration,
    digest: Digest,
}

/// How many rows there are of each kind, so that those which the index passes over are counted without a look at them.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    of_services: u32,
    off: u32,
    shadow: u32,
}

/// What the index reached.
pub(super) struct Reached {
    /// Positions of rows, ascending.
    pub(super) rows: Vec<u32>,
    /// How many it passed over, by reason.
    pub(super) passed_over: Vec<(String, u32)>,
}

impl RuleTable {
    /// A table of these rows. A calendar that a row names and that is not here makes the row say *no*.
    pub fn new(rows: Vec<Rule>, calendars: BTreeMap<PolicyName, Calendar>) -> RuleTable {
        let mut by_service: BTreeMap<ServiceId, Vec<u32>> = BTreeMap::new();
        let mut by_matcher = MatcherIndex::default();
        let mut counts = Counts::default();
        for (position, row) in (0..).zip(&rows) {
            match row.mode {
                RowMode::Off => {
                    counts.off += 1;
                    continue;
                }
                RowMode::Shadow => counts.shadow += 1,
                RowMode::Live => {}
            }
            match row.exact_services() {
                Some(services) => {
                    counts.of_services += 1;
                    for service in services {
                        by_service.entry(service).or_default().push(position);
                    }
                }
                None => by_matcher.add(position, &row.matchers),
            }
        }
        RuleTable {
            longest_window: rows.iter().map(|row| row.window).max().unwrap_or(WINDOW),
            digest: digest(&rows, &calendars),
            rows,
            calendars,
            by_service,
            by_matcher,
            counts,
        }
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Rule] {
        &self.rows
    }

    /// Over every key of every row and the calendars, in one spelling.
    pub fn digest(&self) -> Digest {
        self.digest.clone()
    }

    /// The longest window of any row; without rows the default one.
    pub fn longest_window(&self) -> Duration {
        self.longest_window
    }

    /// The calendar of this name.
    pub fn calendar(&self, name: &PolicyName) -> Option<&Calendar> {
        self.calendars.get(name)
    }

    /// Whether it is now a time of this name; no for a name that is not there.
    pub fn holds(&self, name: &PolicyName, now: Timestamp) -> bool {
        self.calendar(name).is_some_and(|calendar| calendar.holds(now))
    }

    /// Whether any row is judged beside the others.
    pub(super) fn has_shadow(&self) -> bool {
        self.counts.shadow > 0
    }

    /// The rows that could hold for a change of this service.
    pub(super) fn reach(&self, brief: &Brief, service: &ServiceId) -> Reached {
        let of_service = self.by_service.get(service).map_or(&[][..], Vec::as_slice);
        let always = self.by_matcher.always();
        let mut rows = Vec::with_capacity(of_service.len() + always.len());
        for signal in &brief.signals {
            self.by_matcher.look_up(&signal.labels, &mut rows);
        }
        if brief.signals.len() > 1 {
            rows.sort_unstable();
            rows.dedup();
        }
        let by_matcher = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        rows.extend_from_slice(of_service);
        rows.extend_from_slice(always);
        // Runs that are sorted already: a stable sort merges them.
        rows.sort();
        let of_service = u32::try_from(of_service.len()).unwrap_or(u32::MAX);
        let passed_over = [
            ("for other services", self.counts.of_services - of_service),
            ("for other label values", self.by_matcher.looked_up() - by_matcher),
            ("switched off", self.counts.off),
        ];
        let passed_over = passed_over.into_iter().filter(|(_, count)| *count > 0);
        Reached { rows, passed_over: passed_over.map(|(why, count)| (why.to_owned(), count)).collect() }
    }
}

fn digest(rows: &[Rule], calendars: &BTreeMap<PolicyName, Calendar>) -> Digest {
    let mut canon = Canon::new("rules");
    for row in rows {
        canon_row(&mut canon, row);
    }
    for (name, calendar) in calendars {
        canon.text("times", name.as_str());
        calendar.canon(&mut canon);
    }
    canon.digest()
}

fn canon_row(canon: &mut Canon, row: &Rule) {
    canon.text("rule", row.name.as_str());
    for matcher in &row.matchers {
        canon.text("match", &matcher.to_string());
    }
    for (name, list) in [("service", &row.service), ("tier", &row.tier)] {
        for text in list {
            canon.text(name, text);
        }
    }
    for (name, list) in [("during", &row.during), ("not_during", &row.not_during)] {
        for times in list {
            canon.text(name, times.as_str());
        }
    }
    canon.bytes("suspicion", &row.suspicion.to_bits().to_le_bytes());
    if let Some(Alerts { at_least, within }) = row.alerts {
        canon.number("at_least", i64::from(at_least));
        canon_length(canon, "within", within);
    }
    if let Some(length) = row.firing_for {
        canon_length(canon, "firing_for", length);
    }
    canon_length(canon, "window", row.window);
    canon_length(canon, "stale_after", row.stale_after);
    canon_length(canon, "countdown", row.countdown);
    canon
        .option("when", row.when.as_ref().map(Expression::text))
        .text("mode", row.mode.word())
        .text("action", row.action.word())
        .flag("dependency", row.dependency)
        .option("approval", row.approval.as_ref().map(PolicyName::as_str))
        .option("verify", row.verify.as_ref().map(PolicyName::as_str))
        .text("on_resolve", row.on_resolve.word());
}

fn canon_length(canon: &mut Canon, name: &str, length: Duration) {
    canon.number(name, length.as_secs()).number("nanos", i64::from(length.subsec_nanos()));
}
