//! Approval: who may say yes, who did, and whether that is enough. Nobody is allowed unless named; an empty group
//! is nobody; a roster that is too old is nobody. Leaves to `report` how a roster is read.

use std::collections::{BTreeMap, BTreeSet};

use super::id::{Digest, Duration, GroupName, PersonId, PolicyName, Timestamp};

/// A roster older than this counts as nobody: authority is lost faster than it is granted.
pub const ROSTER_AGE_MAX: Duration = Duration::from_secs(60);

/// `[approvals.NAME]`: who may say yes, how many of them, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalPolicy {
    /// Its name.
    pub name: PolicyName,
    /// One person from each clause; within a clause any of its groups.
    pub from: Vec<Vec<GroupName>>,
    /// So many distinct people.
    pub quorum: u32,
    /// How long a question stands, and a plan with it.
    pub expires: Duration,
    /// The author of the suspect may not vote for it; an unknown author then costs one more vote.
    pub not_the_author: bool,
    /// What an expired question becomes.
    pub on_expiry: OnExpiry,
    /// One of these alone may, with a reason; where the plan itself asks for more people, that many still.
    pub break_glass: Vec<GroupName>,
}

/// What an unanswered question becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExpiry {
    /// Closed as expired, told once.
    Notify,
    /// Done without people, where the row itself said approve and no guard weakened.
    Rollback,
}

/// One person's word on one plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Vote {
    /// Who.
    pub by: PersonId,
    /// Yes or no.
    pub yes: bool,
    /// When.
    pub at: Timestamp,
    /// The plan that was voted on.
    pub digest: Digest,
    /// Given alone, with this reason, by a member of the break-glass groups.
    pub break_glass: Option<String>,
    /// What they typed with it, where the plan takes a typed confirmation.
    pub confirm: Option<String>,
}

/// What a person says about a plan, before it is known whether they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonVote {
    /// Yes or no.
    pub yes: bool,
    /// The plan that they saw.
    pub digest: Digest,
    /// They claim to decide alone, with this reason.
    pub break_glass: Option<String>,
    /// What they typed with it.
    pub confirm: Option<String>,
}

impl PersonVote {
    /// A plain yes to this plan: nothing was typed with it, and no glass is broken.
    pub fn yes(digest: Digest) -> PersonVote {
        PersonVote { yes: true, digest, break_glass: None, confirm: None }
    }
}

/// Who belongs to which group, read at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    /// When it was read.
    pub at: Timestamp,
    /// Members by group. A group that could not be read is absent, which is nobody.
    pub members: BTreeMap<GroupName, BTreeSet<PersonId>>,
}

impl Roster {
    /// Whether this person belongs to any of these groups.
    pub fn has(&self, person: &PersonId, groups: &[GroupName]) -> bool {
        groups.iter().any(|group| self.members.get(group).is_some_and(|members| members.contains(person)))
    }

    /// Whether it is fresh enough to grant anything. One from the future, before the clock went back, is of no age.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.at <= now && now.duration_since(self.at) <= ROSTER_AGE_MAX
    }
}

/// How the votes on a plan stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Enough yes, from everybody who is needed.
    Enough,
    /// Not yet; what is missing, in words.
    Short(String),
}

impl ApprovalPolicy {
    /// Every group whose members count for this policy.
    pub fn groups(&self) -> BTreeSet<GroupName> {
        self.from.iter().flatten().chain(&self.break_glass).cloned().collect()
    }

    /// Whether this person may vote, deny, cancel or snooze.
    pub fn admits(&self, person: &PersonId, roster: &Roster) -> bool {
        self.from.iter().any(|clause| roster.has(person, clause))
    }

    /// Whether somebody of these groups may decide, or, where they would do it alone and with a reason, may do that.
    pub fn names(&self, groups: &BTreeSet<GroupName>, alone: bool) -> bool {
        let alone = self.break_glass.iter().filter(|_| alone);
        self.from.iter().flatten().chain(alone).any(|group| groups.contains(group))
    }

    /// Whether this person alone may say yes.
    pub fn admits_alone(&self, person: &PersonId, roster: &Roster) -> bool {
        roster.has(person, &self.break_glass)
    }

    /// Counts the votes on one plan: distinct, authorised people on exactly this digest.
    ///
    /// `at_least` is what the plan asks whatever the policy says: two votes over an irreversible release.
    pub fn tally(&self, asked: &Question<'_>, votes: &[Vote], roster: &Roster) -> Tally {
        if !roster.is_fresh(asked.now) {
            return Tally::Short("the list of who may approve could not be read within the last 60 s".into());
        }
        let typed = |vote: &&Vote| asked.confirm.is_none_or(|word| vote.confirm.as_deref() == Some(word));
        let on_this = |vote: &&Vote| vote.yes && vote.digest == *asked.digest && typed(vote);
        let alone = |vote: &&Vote| vote.break_glass.is_some() && self.admits_alone(&vote.by, roster);
        let barred = |person: &PersonId| self.not_the_author && asked.author == Some(person);
        let admitted = |vote: &&Vote| self.admits(&vote.by, roster) && !barred(&vote.by);
        let on_this: Vec<&Vote> = votes.iter().filter(on_this).collect();
        if on_this.iter().any(&alone) {
            // Who breaks the glass stands for every clause and for the quorum, and lowers nothing that the plan asks for.
            let counted = on_this.iter().filter(|vote| alone(vote) || admitted(vote)).map(|vote| &vote.by);
            return many_enough(&counted.collect(), asked.at_least);
        }
        let yes: BTreeSet<&PersonId> =
            on_this.iter().filter(|vote| admitted(vote)).map(|vote| &vote.by).collect();
        for clause in &self.from {
            if !yes.iter().any(|person| roster.has(person, clause)) {
                let names: Vec<&str> = clause.iter().map(GroupName::as_str).collect();
                return Tally::Short(format!("one of {} is still needed", names.join(" or ")));
            }
        }
        // An empty `from` admits nobody, and a question needs at least one.
        many_enough(&yes, self.needed(asked))
    }

    /// How many distinct people this question needs.
    pub fn needed(&self, asked: &Question<'_>) -> u32 {
        let unknown_author = u32::from(self.not_the_author && asked.author.is_none());
        self.quorum.max(1).max(asked.at_least) + unknown_author
    }
}

fn many_enough(people: &BTreeSet<&PersonId>, needed: u32) -> Tally {
    let have = u32::try_from(people.len()).unwrap_or(u32::MAX);
    if have < needed { Tally::Short(format!("{have} of {needed} votes")) } else { Tally::Enough }
}

/// What is voted on.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The plan.
    pub digest: &'a Digest,
    /// The suspect's author, where known.
    pub author: Option<&'a PersonId>,
    /// The least number of votes that the plan itself asks for: 2 over an irreversible release.
    pub at_least: u32,
    /// What must be typed with a yes, where the plan takes that.
    pub confirm: Option<&'a str>,
    /// The present.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().expect("a moment")
    }

    fn roster(pairs: &[(&str, &[&str])]) -> Roster {
        let members = pairs
            .iter()
            .map(|(group, people)| (GroupName::new(group), people.iter().map(PersonId::new).collect()))
            .collect();
        Roster { at: now(), members }
    }

    fn policy(from: &[&[&str]], quorum: u32) -> ApprovalPolicy {
        ApprovalPolicy {
            name: "default".into(),
            from: from.iter().map(|clause| clause.iter().map(GroupName::new).collect()).collect(),
            quorum,
            expires: Duration::from_mins(15),
            not_the_author: false,
            on_expiry: OnExpiry::Notify,
            break_glass: vec![GroupName::new("leads")],
        }
    }

    fn yes(by: &str) -> Vote {
        Vote { by: by.into(), yes: true, at: now(), digest: "d".into(), break_glass: None, confirm: None }
    }

    fn enough(policy: &ApprovalPolicy, votes: &[Vote], roster: &Roster, author: Option<&str>) -> bool {
        enough_of(policy, votes, roster, author, 0)
    }

    fn enough_of(
        policy: &ApprovalPolicy,
        votes: &[Vote],
        roster: &Roster,
        author: Option<&str>,
        at_least: u32,
    ) -> bool {
        let author = author.map(PersonId::new);
        let digest = Digest::new("d");
        let asked =
            Question { digest: &digest, author: author.as_ref(), at_least, confirm: None, now: now() };
        policy.tally(&asked, votes, roster) == Tally::Enough
    }

    #[test]
    fn a_quorum_counts_distinct_members_only() {
        let people = roster(&[("sre", &["ann", "bob"])]);
        let two = policy(&[&["sre"]], 2);
        assert!(!enough(&two, &[yes("ann"), yes("ann")], &people, None));
        assert!(!enough(&two, &[yes("ann"), yes("eve")], &people, None));
        assert!(enough(&two, &[yes("ann"), yes("bob")], &people, None));
    }

    #[test]
    fn one_from_each_clause_is_needed() {
        let people = roster(&[("sre", &["ann", "bob"]), ("payments", &["cem"])]);
        let each = policy(&[&["sre"], &["payments"]], 2);
        assert!(!enough(&each, &[yes("ann"), yes("bob")], &people, None));
        assert!(enough(&each, &[yes("ann"), yes("cem")], &people, None));
    }

    #[test]
    fn nobody_is_allowed_unless_named() {
        assert!(!enough(&policy(&[&["sre"]], 1), &[yes("ann")], &roster(&[("sre", &[])]), None));
        assert!(!enough(&policy(&[], 0), &[yes("ann")], &roster(&[("sre", &["ann"])]), None));
    }

    #[test]
    fn a_stale_roster_is_nobody() {
        let mut people = roster(&[("sre", &["ann"])]);
        people.at = now() - Duration::from_secs(61);
        assert!(!enough(&policy(&[&["sre"]], 1), &[yes("ann")], &people, None));
    }

    #[test]
    fn the_author_does_not_count_where_the_policy_says_so() {
        let people = roster(&[("sre", &["ann", "bob"])]);
        let strict = ApprovalPolicy { not_the_author: true, ..policy(&[&["sre"]], 1) };
        assert!(!enough(&strict, &[yes("ann")], &people, Some("ann")));
        assert!(enough(&strict, &[yes("bob")], &people, Some("ann")));
        assert!(!enough(&strict, &[yes("bob")], &people, None), "an unknown author costs one more vote");
        assert!(enough(&strict, &[yes("bob"), yes("ann")], &people, None));
    }

    #[test]
    fn another_plans_votes_do_not_count() {
        let people = roster(&[("sre", &["ann"])]);
        let other = Vote { digest: "another".into(), ..yes("ann") };
        assert!(!enough(&policy(&[&["sre"]], 1), &[other], &people, None));
    }

    #[test]
    fn glass_is_broken_by_its_own_group_alone() {
        let people = roster(&[("sre", &["ann"]), ("leads", &["lea"])]);
        let two = policy(&[&["sre"]], 2);
        let alone = |by| Vote { break_glass: Some("checkout is down".into()), ..yes(by) };
        assert!(enough(&two, &[alone("lea")], &people, None));
        assert!(!enough(&two, &[alone("ann")], &people, None));
    }

    /// Over an irreversible release two people say yes, whatever glass is broken (product §8).
    #[test]
    fn broken_glass_is_one_vote_where_the_plan_asks_for_two() {
        let people = roster(&[("sre", &["ann", "sam"]), ("qa", &["quinn"]), ("leads", &["lea", "leo"])]);
        let strict = ApprovalPolicy { not_the_author: true, ..policy(&[&["sre"], &["qa"]], 3) };
        let alone = |by| Vote { break_glass: Some("checkout is down".into()), ..yes(by) };
        let enough = |votes: &[Vote]| enough_of(&strict, votes, &people, Some("sam"), 2);
        assert!(!enough(&[alone("lea")]));
        assert!(!enough(&[alone("lea"), alone("lea")]), "one person is one vote");
        assert!(!enough(&[alone("lea"), yes("eve")]), "nobody may be added");
        assert!(!enough(&[alone("lea"), yes("sam")]), "the author may not");
        assert!(!enough(&[alone("lea"), yes("leo")]), "whoever only may break the glass has to say why");
        assert!(!enough(&[yes("ann"), yes("quinn")]), "without broken glass the quorum holds");
        assert!(enough(&[alone("lea"), yes("ann")]));
        assert!(enough(&[alone("lea"), alone("leo")]));
    }

    /// Where the plan takes a typed confirmation, a yes without it is none, whoever gives it and however.
    #[test]
    fn a_yes_counts_only_with_what_the_plan_has_typed() {
        let people = roster(&[("sre", &["ann", "bob"]), ("leads", &["lea"])]);
        let one = policy(&[&["sre"]], 1);
        let digest = Digest::new("d");
        let asked = Question {
            digest: &digest,
            author: None,
            at_least: 2,
            confirm: Some("irreversible"),
            now: now(),
        };
        let enough = |votes: &[Vote]| one.tally(&asked, votes, &people) == Tally::Enough;
        let typed = |by, word: &str| Vote { confirm: Some(word.to_owned()), ..yes(by) };
        let alone = |vote: Vote| Vote { break_glass: Some("checkout is down".into()), ..vote };
        assert!(!enough(&[yes("ann"), yes("bob")]));
        assert!(!enough(&[typed("ann", "irreversible"), yes("bob")]));
        assert!(!enough(&[typed("ann", "irreversible"), typed("bob", "yes")]));
        assert!(!enough(&[typed("ann", "irreversible"), alone(yes("lea"))]));
        assert!(enough(&[typed("ann", "irreversible"), typed("bob", "irreversible")]));
        assert!(enough(&[typed("ann", "irreversible"), alone(typed("lea", "irreversible"))]));
    }
}
