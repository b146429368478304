//! The catalogue: every metric that there is, with its name, its kind, its unit and what it says. Nothing is measured under
//! a name that does not stand here; `docs/watching.md` is the same list for whoever reads it at night.

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as it is scraped; a histogram's without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it counts, or is measured in.
    pub unit: &'static str,
    /// What it says, in a sentence without its full stop.
    pub help: &'static str,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// How it stands now.
    Gauge,
    /// How long something took, counted in buckets from the start of the process.
    Histogram,
}

impl Metric {
    /// The name as the encoder takes it: it adds a counter's `_total` itself.
    pub(super) fn stem(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }
}

/// Makes each metric a constant, and the list of all of them: none can be left out.
macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal in $unit:literal: $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, unit: $unit, help: $help };
        )*

        /// Every metric.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

catalogue! {
    DELIVERIES = Counter "snapback_deliveries_total" in "deliveries":
        "Authentic deliveries by source and by what became of them: stored, stored as a dead letter, or seen before";
    REFUSED = Counter "snapback_deliveries_refused_total" in "deliveries":
        "Deliveries that a source was refused, by reason; its sender was told to come again, or what is wrong";
    DISPOSITIONS = Counter "snapback_dispositions_total" in "signals and requests":
        "Signals and requests of people that were judged, by what became of them";
    DECISIONS = Counter "snapback_decisions_total" in "decisions":
        "Decisions by verdict; a case is judged again at each new fact";
    CASES_OPENED = Counter "snapback_cases_opened_total" in "cases":
        "Cases that were opened, by who began them";
    CASES_CLOSED = Counter "snapback_cases_closed_total" in "cases":
        "Cases that were closed, by how they ended";
    ACTS_BEGUN = Counter "snapback_acts_begun_total" in "acts":
        "Acts that the gate let begin, by kind of provider; each is one request to it";
    ACTS_ENDED = Counter "snapback_acts_ended_total" in "acts":
        "How these requests ended, by kind of provider; unclear is looked for and never sent again unseen";
    STAGES = Histogram "snapback_stage_duration_seconds" in "seconds":
        "How long a case took from one stage of its clock to the next";
    OPEN_CASES = Gauge "snapback_open_cases" in "cases":
        "Cases that are open now, by phase";
    SERVICE_READY = Gauge "snapback_service_ready" in "0 or 1":
        "Whether this service could be rolled back right now";
    PROVIDER_UNREADABLE = Gauge "snapback_provider_unreadable" in "0 or 1":
        "Whether the provider of this service could not be read when it was asked last";
    UNDECIDED = Gauge "snapback_undecided_deliveries" in "deliveries":
        "Deliveries that are stored and not judged";
    OLDEST_UNDECIDED = Gauge "snapback_oldest_undecided_seconds" in "seconds":
        "How long the oldest of them waits; 0 when none does";
    UNSAID_NOTES = Gauge "snapback_unsaid_notes" in "notes":
        "Notes that cases have to tell people, and have not told yet";
    NOTES_LET_GO = Counter "snapback_notes_let_go_total" in "notes":
        "Notes that the chat refused for good and that were given up a day after their case was over";
    PAGES = Counter "snapback_pages_total" in "pages":
        "Pages to whoever is on call, by how each ended; one that is taken back counts too";
    UNSENT_PAGES = Gauge "snapback_unsent_pages" in "pages":
        "Pages that a pager has not taken yet";
    ERRANDS = Gauge "snapback_errands" in "errands":
        "Errands that are under way, by command";
    STORE_WRITABLE = Gauge "snapback_store_writable" in "0 or 1":
        "Whether deliveries can be stored; if not, senders are told to come again";
    HOLD = Gauge "snapback_hold" in "0 or 1":
        "Whether Snapback forbids itself to act, because its store may be stale";
    DEAD_LETTERS = Gauge "snapback_dead_letters" in "deliveries":
        "Authentic deliveries that nobody could read, and that were not replayed since";
    SOURCE_SILENT = Gauge "snapback_source_silent" in "0 or 1":
        "Whether a source is silent: two of its heartbeats are missed; a source without a heartbeat is not among them";
    PAUSED = Gauge "snapback_paused" in "0 or 1":
        "Whether somebody paused, by what stops: automatic acts, or people's acts too";
    CONFIG_ERROR = Gauge "snapback_config_error" in "0 or 1":
        "Whether the configuration on disk is faulty, so that the old one stays in force";
    CONFIG_TAKEN = Gauge "snapback_config_taken_timestamp_seconds" in "seconds since 1970":
        "When the configuration in force was taken";
    STARTED = Gauge "snapback_started_timestamp_seconds" in "seconds since 1970":
        "When this process began; its counters began with it";
    AUDIT_HEIGHT = Gauge "snapback_audit_height" in "entries":
        "Entries of the audit; it never shrinks while the store is the same";
    BUILD = Gauge "snapback_build_info" in "always 1":
        "Which version this is";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind_and_unit() {
        let mut names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert!(metric.name.starts_with("snapback_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(
                !metric.unit.starts_with("seconds") || metric.name.ends_with("_seconds"),
                "{}",
                metric.name
            );
            assert!(!metric.help.ends_with('.'), "{}: the encoder ends the sentence", metric.name);
        }
    }
}
