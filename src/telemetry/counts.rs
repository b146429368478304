//! Counts: numbers that only grow, one for each of a closed set of labels. Made once and handed to whoever counts; counting
//! is one addition to an atomic, without a lock. Leaves their names to `catalogue`, and the scrape to `metrics`.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use super::label::{Labels, Received, Refusal};

/// A number for each of a closed set.
#[derive(Debug)]
pub struct Counts<L> {
    numbers: Box<[AtomicU64]>,
    of: PhantomData<L>,
}

impl<L: Labels> Default for Counts<L> {
    fn default() -> Counts<L> {
        Counts { numbers: L::ALL.iter().map(|_| AtomicU64::new(0)).collect(), of: PhantomData }
    }
}

impl<L: Labels> Counts<L> {
    /// One more of this.
    pub fn count(&self, of: L) {
        if let Some(number) = self.number(of) {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As many of this, and no longer what there were before: for what comes and goes.
    pub(super) fn set(&self, of: L, to: u64) {
        if let Some(number) = self.number(of) {
            number.store(to, Ordering::Relaxed);
        }
    }

    /// How many of this.
    pub fn get(&self, of: L) -> u64 {
        self.number(of).map_or(0, |number| number.load(Ordering::Relaxed))
    }

    fn number(&self, of: L) -> Option<&AtomicU64> {
        L::ALL.iter().position(|one| *one == of).and_then(|place| self.numbers.get(place))
    }
}

/// What became of the deliveries of one source, since the start of the process. Lives through reloads, as long as the
/// source is configured.
#[derive(Debug, Default)]
pub struct Tally {
    /// Those that are safe.
    pub received: Counts<Received>,
    /// Those that were refused.
    pub refused: Counts<Refusal>,
}
