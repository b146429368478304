//! The guard about companions: what goes back together goes whole, or people decide.

use super::target::barrier;
use super::{Finding, GuardOutcome, at_most, pass};
use crate::case::brief::{Brief, TargetFacts};
use crate::case::companion::CompanionFacts;
use crate::case::settings::Migrations;

pub(super) fn together(brief: &Brief) -> Finding {
    if brief.with.is_empty() {
        return pass("nothing else goes back together with it");
    }
    let told: Vec<String> = brief.with.iter().filter_map(hindrance).collect();
    if !told.is_empty() {
        return at_most(GuardOutcome::Notify, told.join("; "));
    }
    let asked: Vec<String> = brief.with.iter().flat_map(|one| doubts(brief, one)).collect();
    if !asked.is_empty() {
        return at_most(GuardOutcome::Approve, asked.join("; "));
    }
    pass("what goes back together with it can")
}

/// Why a companion cannot go back at all, or nobody may take it back.
fn hindrance(one: &CompanionFacts) -> Option<String> {
    let service = &one.service;
    if let Some(why) = &one.stuck {
        return Some(format!("{service} cannot go back together with it: {why}"));
    }
    one.from.as_ref()?;
    let owner = one.owned_by.as_ref();
    owner.map(|owner| format!("{owner} decides what should run on {service}, and would undo it"))
}

/// What people should know before a companion goes.
fn doubts(brief: &Brief, one: &CompanionFacts) -> Vec<String> {
    let service = &one.service;
    let (Some(from), Some(target)) = (&one.from, &one.target) else { return Vec::new() };
    let limit = brief.limits.max_back.releases;
    let barriers = || {
        let has_schema = one.migrations != Migrations::None;
        let undone = target.undone.iter().filter(move |_| has_schema);
        undone.filter_map(|undone| barrier(undone, target, one.migrations))
    };
    let doubts = [
        one.frozen_until.map(|until| format!("{service} is frozen until {until}")),
        (!target.proven).then(|| unproven(one, target)),
        (target.releases_back > limit)
            .then(|| format!("{service} would go {} releases back, more than {limit}", target.releases_back)),
        one.apart.then(|| format!("{from} was put out on {service} apart from the suspect")),
        (target.undone.len() > 1).then(|| {
            let called: Vec<&str> = target.undone.iter().map(|undone| undone.called.as_str()).collect();
            format!("{service} would lose {}", called.join(", "))
        }),
    ];
    doubts.into_iter().flatten().chain(barriers().map(|why| format!("{service}: {why}"))).collect()
}

fn unproven(one: &CompanionFacts, target: &TargetFacts) -> String {
    let (service, word) = (&one.service, target.grade.word());
    format!("nothing proves {} good on {service}; its ledger holds it as {word}", target.release)
}
