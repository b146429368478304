//! Correlation: how strongly the signals of a brief point at each deployment, and at none of them. Leaves to `decide`
//! what follows from it, and to `guard` what is too unsure to act on alone.
//!
//! For each signal every candidate gets a weight, the product of its named parts, and "none of them" gets [`BASE`].
//! The weights of one signal are scaled to 1, and the shares of all signals are averaged: they sum to 1 again.

use std::collections::BTreeMap;

use super::brief::{Brief, BriefSignal, CandidateFacts};
use super::decide::{Candidate, Part, PartName};
use super::deployment::DeploymentOrigin;
use super::id::{Duration, Fingerprint, SignalName, SourceName, Timestamp};
use super::signal::Lag;

/// The weight of "none of them". One sure candidate early in its window has a weight of at least 0.9, and so a share
/// of at least 0.85; two such rivals share 0.92.
const BASE: f64 = 0.15;
/// What is left of the time's weight in the middle of the window: soon after a deployment is more suspect.
const TIME_MIDDLE: f64 = 0.9;
/// What is left of it at the window's end.
const TIME_END: f64 = 0.3;
/// Where the order of moments is unsure: a lone candidate stays above 0.7, and people are asked.
const UNSURE: f64 = 0.5;
/// A service that the signalling service depends on, and not the service itself.
const DEPENDENCY: f64 = 0.4;
/// The same alert was firing before, for another instance or label set.
const ALREADY_FIRING: f64 = 0.2;
/// How much one episode a day, with nothing deployed, takes: the weight is divided by 1 + this.
const HABIT: f64 = 3.0;
/// So many reasons why a deployment is not suspected are kept beside "none of them": the newest ones.
const CLEARED_MAX: usize = 8;

/// Shares out the suspicion, most suspect first; what has no deployment is "none of them", and is always there. A
/// deployment that no signal may point at is not in it: why is told among the parts of "none of them". All sum to 1.
///
/// `longest_window` is the longest of any row. A signal that began after it is over points at nothing.
pub fn correlate(brief: &Brief, longest_window: Duration) -> Vec<Candidate> {
    let mut shares: Vec<Share<'_>> =
        brief.candidates.iter().map(|candidate| Share::of(candidate, brief)).collect();
    let mut none = 0.0;
    let mut weights: Vec<Option<Weight>> = Vec::with_capacity(shares.len());
    // A brief has signals; without any nothing is suspected.
    let each = 1.0 / brief.signals.len().max(1) as f64;
    for signal in &brief.signals {
        weights.clear();
        for share in &mut shares {
            let bearing = bearing(signal, share.of, brief, longest_window);
            weights.push(match bearing {
                Ok(order) => {
                    let fired_before = share.fired_before.by_another(signal);
                    Some(Weight::of(signal, share.of, order, fired_before, brief, longest_window))
                }
                Err(why) => {
                    share.cleared.get_or_insert((why, signal));
                    None
                }
            });
        }
        let total = BASE + weights.iter().flatten().map(Weight::product).sum::<f64>();
        none += BASE / total * each;
        for (share, weight) in shares.iter_mut().zip(&weights) {
            if let Some(weight) = weight {
                share.add(signal, *weight, weight.product() / total * each);
            }
        }
    }
    if brief.signals.is_empty() {
        none = 1.0;
    }
    let mut all: Vec<Candidate> =
        shares.iter().filter_map(|share| share.told(brief, longest_window)).collect();
    all.push(none_of_them(none, &shares));
    // Stable: of two equal ones the newer stays first, as the brief has them.
    all.sort_by(|a, b| b.suspicion.total_cmp(&a.suspicion));
    all
}

/// The share of one candidate over all signals.
struct Share<'a> {
    of: &'a CandidateFacts,
    suspicion: f64,
    /// The signal that points at it most, by how much, and what that was made of.
    best: Option<(&'a BriefSignal, f64, Weight)>,
    /// The first signal that cannot point at it, and why.
    cleared: Option<(Cleared, &'a BriefSignal)>,
    fired_before: FiredBefore<'a>,
}

impl<'a> Share<'a> {
    fn of(candidate: &'a CandidateFacts, brief: &'a Brief) -> Share<'a> {
        let fired_before = FiredBefore::of(candidate, brief);
        Share { of: candidate, suspicion: 0.0, best: None, cleared: None, fired_before }
    }

    fn add(&mut self, signal: &'a BriefSignal, weight: Weight, share: f64) {
        self.suspicion += share;
        if self.best.is_none_or(|(_, best, _)| share > best) {
            self.best = Some((signal, share, weight));
        }
    }

    fn told(&self, brief: &Brief, window: Duration) -> Option<Candidate> {
        let (signal, _, weight) = self.best?;
        Some(Candidate {
            deployment: Some(self.of.deployment.clone()),
            suspicion: self.suspicion,
            parts: weight.parts(signal, self.of, brief, window),
        })
    }
}

/// Which alerts were firing before a candidate began, by name: of each, one fingerprint, and whether there is another.
/// Collected once, so that a storm of one alert costs each of its signals one look and not a look at all others.
struct FiredBefore<'a>(BTreeMap<&'a SignalName, (&'a Fingerprint, bool)>);

impl<'a> FiredBefore<'a> {
    fn of(candidate: &CandidateFacts, brief: &'a Brief) -> FiredBefore<'a> {
        let mut before: BTreeMap<_, (&Fingerprint, bool)> = BTreeMap::new();
        let skew = brief.limits.guards.clock_skew;
        for signal in brief.signals.iter().filter(|signal| order(signal, candidate, skew) == Order::Before) {
            let (first, several) = before.entry(&signal.name).or_insert((&signal.fingerprint, false));
            *several |= **first != signal.fingerprint;
        }
        FiredBefore(before)
    }

    /// The same alert was firing before, for another instance or label set than this signal's.
    fn by_another(&self, signal: &BriefSignal) -> bool {
        self.0.get(&signal.name).is_some_and(|(first, several)| *several || **first != signal.fingerprint)
    }
}

fn none_of_them(suspicion: f64, shares: &[Share<'_>]) -> Candidate {
    let says = "trouble that no known deployment explains".to_owned();
    let mut parts = vec![Part { name: PartName::Base, factor: BASE, says }];
    let cleared = shares.iter().filter(|share| share.best.is_none());
    for (share, (why, signal)) in cleared.filter_map(|share| Some((share, share.cleared?))).take(CLEARED_MAX)
    {
        parts.push(Part { name: why.part(), factor: 1.0, says: why.says(signal, share.of) });
    }
    Candidate { deployment: None, suspicion, parts }
}

/// How a signal's beginning and a deployment's beginning lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The trouble surely began after it.
    After,
    /// It may have begun before.
    Unsure(Unsure),
    /// The trouble began before: not its signal.
    Before,
}

/// Why an order of moments is unsure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsure {
    /// Both moments lie so close that the clocks decide.
    Clocks,
    /// The alarm tells late, and how late is only assumed or bounded.
    Lag,
    /// The deployment had begun and took no traffic yet.
    Traffic,
}

impl Unsure {
    pub(super) fn says(self) -> &'static str {
        match self {
            Unsure::Clocks => "the moments lie closer than the clocks agree",
            Unsure::Lag => "how late its alarm tells is only assumed",
            Unsure::Traffic => "the deployment had begun but took no traffic yet",
        }
    }
}

/// Which of both began first, as far as lag and clocks tell.
pub(super) fn order(signal: &BriefSignal, candidate: &CandidateFacts, clock_skew: Duration) -> Order {
    let began = candidate.started_at;
    let skew = if candidate.our_clock || is_our_own(&signal.source) { Duration::ZERO } else { clock_skew };
    let start_after = signal.started_at.duration_since(began);
    let onset_after = signal.onset.duration_since(began);
    let known_onset = matches!(signal.lag, Lag::Exact(_));
    if start_after < -skew || (known_onset && onset_after < -skew) {
        return Order::Before;
    }
    if start_after.abs() < skew || onset_after.abs() < skew {
        return Order::Unsure(Unsure::Clocks);
    }
    if onset_after.is_negative() {
        return Order::Unsure(Unsure::Lag);
    }
    if signal.onset < candidate.serving_from {
        return Order::Unsure(Unsure::Traffic);
    }
    Order::After
}

/// Signals of our own probes and of providers' reports come without a foreign clock.
fn is_our_own(source: &SourceName) -> bool {
    matches!(source.as_str(), "probe" | "provider")
}

/// Why a signal cannot point at a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cleared {
    /// The deployment is our own rollback.
    OurOwn,
    /// A person said so.
    Exonerated,
    /// Its provider reports another deployment.
    OfAnother,
    /// The trouble was there before.
    Older,
    /// The window was over.
    WindowOver,
}

impl Cleared {
    fn part(self) -> PartName {
        match self {
            Cleared::OurOwn | Cleared::Exonerated | Cleared::OfAnother => PartName::Base,
            Cleared::Older => PartName::AlreadyFiring,
            Cleared::WindowOver => PartName::Time,
        }
    }

    pub(super) fn says(self, signal: &BriefSignal, candidate: &CandidateFacts) -> String {
        let (name, deployment) = (&signal.name, &candidate.deployment);
        match self {
            Cleared::OurOwn => format!("deployment {deployment} is our own rollback and never a suspect"),
            Cleared::Exonerated => {
                format!("a person said that deployment {deployment} is not to blame for {name}")
            }
            Cleared::OfAnother => format!("its provider reports another deployment than {deployment}"),
            Cleared::Older => format!("{name} was there before deployment {deployment} began"),
            Cleared::WindowOver => {
                format!("{name} began when the window of deployment {deployment} was over")
            }
        }
    }
}

/// Whether a signal may point at a deployment, and how sure the order is.
pub(super) fn bearing(
    signal: &BriefSignal,
    candidate: &CandidateFacts,
    brief: &Brief,
    window: Duration,
) -> Result<Order, Cleared> {
    if matches!(candidate.origin, DeploymentOrigin::Ours(_)) {
        return Err(Cleared::OurOwn);
    }
    if signal.exonerated.contains(&candidate.deployment) {
        return Err(Cleared::Exonerated);
    }
    // A provider's report is about one deployment, which it names.
    let reports = signal.source == SourceName::provider();
    if reports && signal.fingerprint.as_str() != candidate.deployment.as_str() {
        return Err(Cleared::OfAnother);
    }
    let order = order(signal, candidate, brief.limits.guards.clock_skew);
    if order == Order::Before {
        return Err(Cleared::Older);
    }
    match window_end(candidate, brief, window) {
        Some(end) if signal.onset > end => Err(Cleared::WindowOver),
        Some(_) | None => Ok(order),
    }
}

/// When the window of a deployment ends: so long after it finished, and not before its service says.
/// `None`: it is still going out.
fn window_end(candidate: &CandidateFacts, brief: &Brief, window: Duration) -> Option<Timestamp> {
    let finished = candidate.finished_at.filter(|_| !candidate.going_out)?;
    let window = window.max(brief.limits.window_min.unwrap_or(Duration::ZERO));
    Some(finished.checked_add(window).unwrap_or(Timestamp::MAX))
}

/// The weight of one candidate for one signal, by its parts.
#[derive(Clone, Copy)]
struct Weight {
    order: Order,
    time: f64,
    place: f64,
    already_firing: f64,
    habit: f64,
}

impl Weight {
    fn of(
        signal: &BriefSignal,
        candidate: &CandidateFacts,
        order: Order,
        fired_before: bool,
        brief: &Brief,
        window: Duration,
    ) -> Weight {
        let sure = if order == Order::After { 1.0 } else { UNSURE };
        let alone = brief.habits.get(&signal.name).map_or(0.0, |habit| habit.alone_per_day());
        Weight {
            order,
            time: sure * soon(signal, candidate, window_end(candidate, brief, window)),
            place: if candidate.service == signal.about { 1.0 } else { DEPENDENCY },
            already_firing: if fired_before { ALREADY_FIRING } else { 1.0 },
            habit: 1.0 / (1.0 + HABIT * alone.max(0.0)),
        }
    }

    fn product(&self) -> f64 {
        self.time * self.place * self.already_firing * self.habit
    }

    fn parts(
        self,
        signal: &BriefSignal,
        candidate: &CandidateFacts,
        brief: &Brief,
        window: Duration,
    ) -> Vec<Part> {
        let name = &signal.name;
        let place = if candidate.service == signal.about {
            format!("{name} speaks about the service itself")
        } else {
            format!("{} depends on {}", signal.about, candidate.service)
        };
        let mut parts = vec![
            Part {
                name: PartName::Time,
                factor: self.time,
                says: self.time_says(signal, candidate, brief, window),
            },
            Part { name: PartName::Place, factor: self.place, says: place },
        ];
        if self.already_firing < 1.0 {
            let says = format!("{name} was firing elsewhere on the service before the deployment began");
            parts.push(Part { name: PartName::AlreadyFiring, factor: self.already_firing, says });
        }
        let alone = brief.habits.get(name).map_or(0.0, |habit| habit.alone_per_day());
        let says = if alone > 0.0 {
            format!("{name} fires {alone:.2} times a day when nothing was deployed")
        } else {
            format!("{name} is not known to fire when nothing was deployed")
        };
        parts.push(Part { name: PartName::Habit, factor: self.habit, says });
        parts
    }

    fn time_says(
        self,
        signal: &BriefSignal,
        candidate: &CandidateFacts,
        brief: &Brief,
        window: Duration,
    ) -> String {
        let name = &signal.name;
        let after = whole_seconds(signal.onset.duration_since(candidate.serving_from));
        match (self.order, window_end(candidate, brief, window)) {
            (Order::Unsure(why), _) => {
                format!("it is unsure whether {name} began after the deployment: {}", why.says())
            }
            (Order::After | Order::Before, None) => {
                format!("{name} began {after:#} after the deployment took traffic, and it is still going out")
            }
            (Order::After | Order::Before, Some(end)) => {
                let length = whole_seconds(end.duration_since(candidate.serving_from));
                format!("{name} began {after:#} after the deployment took traffic, in a window of {length:#}")
            }
        }
    }
}

/// How suspect the time alone is: from 1 at the window's beginning to [`TIME_MIDDLE`] in its middle, and from there
/// down to [`TIME_END`]. Always 1 while the deployment is still going out.
fn soon(signal: &BriefSignal, candidate: &CandidateFacts, end: Option<Timestamp>) -> f64 {
    let Some(end) = end else { return 1.0 };
    let length = end.duration_since(candidate.serving_from).as_secs_f64();
    let passed = signal.onset.duration_since(candidate.serving_from).as_secs_f64();
    let at = if length > 0.0 { (passed / length).clamp(0.0, 1.0) } else { 0.0 };
    if at <= 0.5 {
        1.0 - (1.0 - TIME_MIDDLE) * at * 2.0
    } else {
        TIME_MIDDLE - (TIME_MIDDLE - TIME_END) * (at - 0.5) * 2.0
    }
}

/// Lengths are told in whole seconds.
pub(super) fn whole_seconds(length: Duration) -> Duration {
    Duration::from_secs(length.as_secs())
}
