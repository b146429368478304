//! An index over lists of matchers: which of many lists could hold for some labels, found by one equality of each.
//! What it returns is a superset: the matchers themselves are asked by whoever looked.

use std::collections::BTreeMap;

use super::matcher::Matcher;
use super::signal::Labels;

/// The label that tells alerts apart best, so that lists that name it are kept under it.
const BEST_LABEL: &str = "alertname";

/// Positions of matcher lists, by one equality of each list.
#[derive(Clone, Debug, Default)]
pub(super) struct MatcherIndex {
    by_label: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
    always: Vec<u32>,
    looked_up: u32,
}

impl MatcherIndex {
    /// Takes the list of this position. Positions must come in ascending order.
    pub(super) fn add(&mut self, position: u32, matchers: &[Matcher]) {
        let mut equalities = matchers.iter().filter_map(Matcher::equality);
        let best = equalities.clone().find(|(name, _)| *name == BEST_LABEL).or_else(|| equalities.next());
        match best {
            Some((name, value)) => {
                self.looked_up += 1;
                let values = self.by_label.entry(name.to_owned()).or_default();
                values.entry(value.to_owned()).or_default().push(position);
            }
            None => self.always.push(position),
        }
    }

    /// Appends the positions of the lists that could hold for these labels by an equality; a position may come twice
    /// over several calls.
    pub(super) fn look_up(&self, labels: &Labels, into: &mut Vec<u32>) {
        if self.by_label.is_empty() {
            return;
        }
        for (name, value) in labels {
            if let Some(positions) = self.by_label.get(name).and_then(|values| values.get(value)) {
                into.extend_from_slice(positions);
            }
        }
    }

    /// Positions of the lists without any equality.
    pub(super) fn always(&self) -> &[u32] {
        &self.always
    }

    /// How many lists are found by an equality.
    pub(super) fn looked_up(&self) -> u32 {
        self.looked_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_found_by_the_best_equality() {
        let mut index = MatcherIndex::default();
        let list = |text: &str| Matcher::parse_all(text).expect(text);
        index.add(0, &list(r#"severity="critical",alertname="A""#));
        index.add(1, &list(r#"severity="critical""#));
        index.add(2, &list(r#"alertname=~"A|B""#));
        index.add(3, &[]);
        let labels: Labels =
            [("severity", "critical"), ("alertname", "B")].map(|(n, v)| (n.into(), v.into())).into();
        let mut found = Vec::new();
        index.look_up(&labels, &mut found);
        assert_eq!(found, [1]);
        assert_eq!(index.always(), [2, 3]);
        assert_eq!(index.looked_up(), 2);
    }
}
