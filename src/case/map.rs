//! The map from labels to services: which service a signal speaks about. Exact texts only; whatever is not named
//! exactly maps to nothing, and is shown as such, never guessed.

use std::collections::{BTreeMap, BTreeSet};

use super::id::{ServiceId, covers};
use super::index::MatcherIndex;
use super::matcher::Matcher;
use super::signal::Labels;

/// The services that signals may speak about.
#[derive(Clone, Debug)]
pub struct Atlas {
    services: BTreeSet<ServiceId>,
    entries: Vec<AtlasEntry>,
    index: MatcherIndex,
    equivalents: Equivalents,
}

/// One service on the map.
#[derive(Clone, Debug, PartialEq)]
pub struct AtlasEntry {
    /// The service.
    pub id: ServiceId,
    /// The service's `match`: all must hold. Empty: only labels and tables name it.
    pub matchers: Vec<Matcher>,
}

/// The labels that mean service, environment and region, the first that is there counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivalents {
    /// Labels that hold the service's name.
    pub service: Vec<String>,
    /// Labels that hold the environment.
    pub environment: Vec<String>,
    /// Labels that hold the region.
    pub region: Vec<String>,
}

impl Default for Equivalents {
    fn default() -> Equivalents {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Equivalents {
            service: list(&["service", "app", "app_kubernetes_io_name", "deployment"]),
            environment: list(&["environment", "env", "deployment_environment"]),
            region: list(&["region"]),
        }
    }
}

/// Where a signal belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// It speaks about this service.
    To(ServiceId),
    /// It names a service that its source may not speak about.
    OutOfScope(ServiceId),
    /// It names none; why, in a sentence.
    Unmapped(String),
}

impl Atlas {
    /// A map of these services.
    pub fn new(services: Vec<AtlasEntry>, equivalents: Equivalents) -> Atlas {
        let entries: Vec<AtlasEntry> =
            services.iter().filter(|entry| !entry.matchers.is_empty()).cloned().collect();
        let mut index = MatcherIndex::default();
        for (position, entry) in (0..).zip(&entries) {
            index.add(position, &entry.matchers);
        }
        Atlas { services: services.into_iter().map(|entry| entry.id).collect(), entries, index, equivalents }
    }

    /// Maps labels: by the labels that name service and environment, else by a service's `match`, else by the source's
    /// own table, which is looked up with the value of every label. `scope` is what the source may speak about.
    pub fn map(&self, labels: &Labels, scope: &[String], table: &BTreeMap<String, ServiceId>) -> Mapped {
        match self.service(labels, table) {
            Ok(service) if scope.iter().any(|pattern| covers(pattern, service.as_str())) => {
                Mapped::To(service)
            }
            Ok(service) => Mapped::OutOfScope(service),
            Err(why) => Mapped::Unmapped(why),
        }
    }

    fn service(&self, labels: &Labels, table: &BTreeMap<String, ServiceId>) -> Result<ServiceId, String> {
        let named = self.by_name(labels);
        if let Some(Ok(service)) = named {
            return Ok(service);
        }
        if let Some(Err(Unnamed::RegionMissing(why))) = named {
            return Err(why);
        }
        if let Some(found) = self.by_match(labels)? {
            return Ok(found);
        }
        if let Some(found) = self.by_table(labels, table)? {
            return Ok(found);
        }
        Err(match named {
            Some(Err(Unnamed::Unknown(id))) => {
                format!("its labels name {id:?}, which is no known service, and nothing else names one")
            }
            Some(_) | None => {
                "neither its labels, nor a service's match, nor the source's table name a service".into()
            }
        })
    }

    /// By the labels that name service and environment. `None`: they are not there.
    fn by_name(&self, labels: &Labels) -> Option<Result<ServiceId, Unnamed>> {
        let name = first(labels, &self.equivalents.service)?;
        let environment = first(labels, &self.equivalents.environment)?;
        let region = first(labels, &self.equivalents.region);
        if let Some(region) = region {
            // The region is more exact: where a service of that region exists, the one without is another.
            let regional = ServiceId::of(name, &format!("{environment}-{region}"));
            if self.services.contains(&regional) {
                return Some(Ok(regional));
            }
        }
        let exact = ServiceId::of(name, environment);
        if self.services.contains(&exact) {
            return Some(Ok(exact));
        }
        if region.is_none() && self.has_regions(&exact) {
            let why = format!("it names {exact} without a region, and {exact} has regions");
            return Some(Err(Unnamed::RegionMissing(why)));
        }
        Some(Err(Unnamed::Unknown(exact)))
    }

    /// Whether services of this name and environment exist, each in a region.
    fn has_regions(&self, service: &ServiceId) -> bool {
        let begin = format!("{service}-");
        let mut from = self.services.range(ServiceId::new(&begin)..);
        from.next().is_some_and(|next| next.as_str().starts_with(&begin))
    }

    fn by_match(&self, labels: &Labels) -> Result<Option<ServiceId>, String> {
        let mut positions = self.index.always().to_vec();
        self.index.look_up(labels, &mut positions);
        positions.sort_unstable();
        positions.dedup();
        let found = positions
            .into_iter()
            .filter_map(|position| self.entries.get(position as usize))
            .filter(|entry| entry.matchers.iter().all(|matcher| matcher.matches(labels)))
            .map(|entry| &entry.id);
        only(found, "the match of")
    }

    fn by_table(
        &self,
        labels: &Labels,
        table: &BTreeMap<String, ServiceId>,
    ) -> Result<Option<ServiceId>, String> {
        if table.is_empty() {
            return Ok(None);
        }
        let named = labels.values().filter_map(|value| table.get(value));
        only(named.filter(|service| self.services.contains(*service)), "the source's table entries for")
    }
}

/// Why labels that name a service and an environment lead to none.
enum Unnamed {
    /// The service exists in regions alone, and the signal has none.
    RegionMissing(String),
    /// No such service.
    Unknown(ServiceId),
}

/// The first of these labels that is there and not empty.
fn first<'l>(labels: &'l Labels, names: &[String]) -> Option<&'l str> {
    names.iter().filter_map(|name| labels.get(name)).map(String::as_str).find(|value| !value.is_empty())
}

/// The one service that was found, if any; two different ones are an answer that nobody can use.
fn only<'s>(
    mut found: impl Iterator<Item = &'s ServiceId>,
    whose: &str,
) -> Result<Option<ServiceId>, String> {
    let Some(service) = found.next() else { return Ok(None) };
    match found.find(|other| *other != service) {
        Some(other) => Err(format!("it is ambiguous: {whose} {service} and {other} both hold")),
        None => Ok(Some(service.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atlas() -> Atlas {
        let entry = |id: &str, matchers: &[&str]| AtlasEntry {
            id: ServiceId::parse(id).expect(id),
            matchers: matchers.iter().map(|text| Matcher::parse(text).expect(text)).collect(),
        };
        Atlas::new(
            vec![
                entry("checkout@production", &["job=\"checkout\"", "namespace=\"shop\""]),
                entry("payments@production-eu", &[]),
                entry("payments@production-us", &[]),
                entry("search@production", &["job=~\"search-.*\""]),
                entry("search@staging", &["cluster=\"stage\""]),
            ],
            Equivalents::default(),
        )
    }

    fn check(pairs: &[(&str, &str)], expected: &str) {
        let labels: Labels = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let scope = ["*@production".to_owned(), "*@production-eu".to_owned()];
        let table = [
            ("PABC".to_owned(), ServiceId::new("checkout@production")),
            ("PDEF".to_owned(), ServiceId::new("search@production")),
            ("PGONE".to_owned(), ServiceId::new("gone@production")),
        ]
        .into();
        let got = match atlas().map(&labels, &scope, &table) {
            Mapped::To(service) => format!("to {service}"),
            Mapped::OutOfScope(service) => format!("out of scope {service}"),
            Mapped::Unmapped(why) => format!("unmapped: {why}"),
        };
        assert!(got.starts_with(expected), "{pairs:?}: {got}");
    }

    #[test]
    fn labels_name_a_service_exactly() {
        check(&[("service", "checkout"), ("environment", "production")], "to checkout@production");
        check(&[("app", "checkout"), ("env", "production")], "to checkout@production");
        check(&[("service", ""), ("app", "checkout"), ("env", "production")], "to checkout@production");
        check(&[("service", "check"), ("env", "production")], "unmapped: its labels name");
        check(&[("service", "CHECKOUT"), ("env", "production")], "unmapped");
        check(&[("service", "checkout")], "unmapped: neither");
        check(&[], "unmapped: neither");
    }

    #[test]
    fn a_region_is_needed_where_there_are_regions() {
        let pair = [("service", "payments"), ("environment", "production")];
        check(&pair, "unmapped: it names payments@production without a region");
        check(&[pair[0], pair[1], ("region", "eu")], "to payments@production-eu");
        check(&[pair[0], pair[1], ("region", "us")], "out of scope payments@production-us");
        check(&[pair[0], pair[1], ("region", "ap")], "unmapped");
        check(&[("service", "payments"), ("env", "production-eu")], "to payments@production-eu");
    }

    #[test]
    fn a_match_serves_where_labels_do_not_name_the_service() {
        check(&[("job", "checkout"), ("namespace", "shop")], "to checkout@production");
        check(&[("job", "checkout"), ("namespace", "other")], "unmapped");
        check(&[("job", "search-api")], "to search@production");
        let unknown = [("service", "nobody"), ("environment", "production"), ("job", "search-api")];
        check(&unknown, "to search@production");
        check(&[("job", "search-api"), ("cluster", "stage")], "unmapped: it is ambiguous");
        check(&[("cluster", "stage")], "out of scope search@staging");
    }

    #[test]
    fn the_sources_table_serves_last() {
        check(&[("service_id", "PABC")], "to checkout@production");
        check(&[("service_id", "PABC"), ("job", "search-api")], "to search@production");
        check(&[("service_id", "PABC"), ("other", "PDEF")], "unmapped: it is ambiguous");
        check(&[("service_id", "PGONE")], "unmapped");
    }

    #[test]
    fn hostile_label_text_leads_nowhere() {
        for hostile in
            ["*", "checkout@production", "checkout\n", " checkout", "../checkout", "checkout\u{202e}"]
        {
            check(&[("service", hostile), ("environment", "production")], "unmapped");
            check(&[("service", "checkout"), ("environment", hostile)], "unmapped");
        }
    }
}
