//! The rules: compares journals, roll and log.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::journal::{Fate, Journal, Vote};
use crate::log::{Entry, Log};
use crate::merkle;
use crate::note::Policy;
use crate::report::Report;
use crate::roll::Roll;
use crate::violation::Rule;

/// A vote and the journal that contains it.
#[derive(Debug, Clone, Copy)]
struct JournalVote<'a> {
    journal: &'a Journal,
    vote: &'a Vote,
}

/// Which vote belongs to which entry, as far as journals and log show.
struct Evidence<'a> {
    roll: &'a Roll,
    log: &'a Log,
    votes: Vec<JournalVote<'a>>,
    /// The vote of an entry, by index into `log.entries`, where a journal knows its request id.
    behind: HashMap<usize, JournalVote<'a>>,
    /// Indexes of the entries of a row, in log order.
    entries_of_row: BTreeMap<u64, Vec<usize>>,
    /// Votes that may be in the log under a request id no journal knows. Key `None` stands for all
    /// invented credentials.
    perhaps: HashMap<Option<u64>, Vec<&'a Vote>>,
}

/// Checks everything but the checkpoints.
pub(crate) fn check(journals: &[Journal], roll: &Roll, log: &Log, report: &mut Report) {
    count(journals, log, report);
    let evidence = Evidence::gather(journals, roll, log, report);
    evidence.check_answers(report);
    evidence.check_electors(report);
    evidence.check_unexplained(report);
    evidence.check_counts(report);
    check_accounts(log, report);
}

/// Checks that each checkpoint is signed, that a quorum cosigned it, and that the leaves it signed
/// are still there: so no two of one size have different roots. The first one is the bundle's own,
/// and must cover every leaf.
pub(crate) fn check_checkpoints(
    notes: &[(PathBuf, String)],
    policy: &Policy,
    log: &Log,
    report: &mut Report,
) {
    let leaves = log.leaf_hashes.len();
    let read: Vec<_> = notes.iter().map(|(_, text)| policy.checkpoint(text)).collect();
    let sizes = read.iter().flatten().map(|checkpoint| checkpoint.size).collect();
    let roots = merkle::prefix_roots(&log.leaf_hashes, &sizes);
    for (place, ((path, _), checkpoint)) in notes.iter().zip(read).enumerate() {
        report.checkpoints += 1;
        let checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(problem) => {
                report.violated(Rule::NotSigned, path, 1, problem);
                continue;
            }
        };
        // Outside witnesses have cosigned the bundle's own, unless its log waives them.
        let needs_witnesses = place == 0 && !log.waives_witnesses;
        let is_enough =
            if needs_witnesses { checkpoint.has_quorum } else { checkpoint.has_authorities };
        if !is_enough {
            let what = "fewer have cosigned it than the quorum of the policy";
            report.violated(Rule::NoQuorum, path, 1, what);
        }
        let size = checkpoint.size;
        if size > leaves || (place == 0 && size != leaves) {
            let what = format!("{size} leaves were signed, found {leaves}");
            report.violated(Rule::WrongRoot, path, 2, what);
        } else if roots.get(&size) != Some(&checkpoint.root) {
            let what = format!("the first {size} leaves have another root than was signed");
            report.violated(Rule::WrongRoot, path, 3, what);
        }
    }
}

fn count(journals: &[Journal], log: &Log, report: &mut Report) {
    for vote in journals.iter().flat_map(|journal| &journal.votes) {
        report.votes += 1;
        report.sendings += vote.sendings.len() as u64;
        report.decisions += vote.decisions.len() as u64;
        let fate = vote.fate();
        report.sent +=
            u64::from(vote.sendings.is_empty() || vote.sendings.iter().any(|sending| sending.left));
        match fate {
            Fate::Durable => report.answered += 1,
            Fate::Unknown => report.unanswered += 1,
            Fate::NotStored => report.refused += 1,
        }
    }
    let decided = |decision: &str| {
        log.entries.iter().filter(|entry| entry.decision == decision).count() as u64
    };
    (report.accepted, report.duplicate, report.invalid) =
        (decided("accepted"), decided("duplicate"), decided("invalid"));
    report.decided = log.entries.len() as u64;
    report.replayed = log.replayed;
}

impl<'a> Evidence<'a> {
    /// Finds the vote of each entry. Reports request ids returned for two votes, and votes with two
    /// ids.
    fn gather(journals: &'a [Journal], roll: &'a Roll, log: &'a Log, report: &mut Report) -> Self {
        let votes: Vec<JournalVote<'a>> = journals
            .iter()
            .flat_map(|journal| journal.votes.iter().map(move |vote| JournalVote { journal, vote }))
            .collect();
        let mut evidence = Self {
            roll,
            log,
            votes,
            behind: HashMap::new(),
            entries_of_row: BTreeMap::new(),
            perhaps: HashMap::new(),
        };
        let mut owners: HashMap<&str, JournalVote<'a>> = HashMap::new();
        for &recorded in &evidence.votes {
            let mut ids: Vec<(&str, usize)> = recorded.vote.requests().collect();
            ids.dedup_by_key(|(id, _)| *id);
            if let [(first, _), (other, line), ..] = ids[..] {
                let what = format!("one key, two requests: {first} and {other}");
                report.violated(Rule::Doubled, &recorded.journal.path, line, what);
            }
            if ids.is_empty() && recorded.vote.fate() == Fate::Unknown {
                evidence.perhaps.entry(recorded.vote.row).or_default().push(recorded.vote);
            }
            for (id, line) in ids {
                let earlier = owners.insert(id, recorded);
                if earlier.is_some_and(|earlier| !std::ptr::eq(earlier.vote, recorded.vote)) {
                    report.violated(
                        Rule::Doubled,
                        &recorded.journal.path,
                        line,
                        format!("request {id} was also returned for another vote"),
                    );
                }
                for &place in log.by_request.get(id).into_iter().flatten() {
                    evidence.behind.insert(place, recorded);
                }
            }
        }
        for (place, entry) in log.entries.iter().enumerate() {
            if let Some(row) = entry.hash.as_ref().and_then(|hash| roll.row_by_hash.get(hash)) {
                evidence.entries_of_row.entry(*row).or_default().push(place);
            }
        }
        evidence
    }

    /// Every vote reported as stored is in the log, once, with the decision reported to the voter.
    fn check_answers(&self, report: &mut Report) {
        for recorded in &self.votes {
            let path = &recorded.journal.path;
            for sending in
                recorded.vote.sendings.iter().filter(|sending| sending.fate == Fate::Durable)
            {
                let request = sending.request.as_deref().unwrap_or_default();
                if !self.log.by_request.contains_key(request) {
                    let line = recorded.vote.line;
                    let what = format!(
                        "request {request}, sent by line {line}, was answered as stored and is not in the log"
                    );
                    report.violated(Rule::Lost, path, sending.line, what);
                    break;
                }
            }
            for (line, request, state) in &recorded.vote.decisions {
                let decided =
                    self.log.by_request.get(request).map(|places| &self.log.entries[places[0]]);
                if decided.is_none_or(|entry| entry.decision != *state) {
                    let decided = decided.map_or("nothing", |entry| &entry.decision);
                    let what = format!(
                        "request {request} was reported as {state}; the log says {decided}"
                    );
                    report.violated(Rule::ReportedOtherwise, path, *line, what);
                }
            }
        }
        let mut again: Vec<_> =
            self.log.by_request.iter().filter(|(_, places)| places.len() > 1).collect();
        again.sort();
        for (request, places) in again {
            let entry = &self.log.entries[places[1]];
            report.violated(
                Rule::Doubled,
                &self.log.leaves_path,
                entry.line,
                format!("request {request} was decided before"),
            );
        }
    }

    /// An elector has one accepted vote, the first in the log; other credentials have none.
    fn check_electors(&self, report: &mut Report) {
        let leaves = &self.log.leaves_path;
        for (place, entry) in self.log.entries.iter().enumerate() {
            let row = entry.hash.as_ref().map(|hash| self.roll.row_by_hash.get(hash).copied());
            let behind = self.behind.get(&place).map(|recorded| recorded.vote.row);
            let what = match (entry.decision.as_str(), row, behind) {
                ("accepted" | "duplicate", Some(None) | None, _) => {
                    "a vote counts whose credential is in no roll".to_owned()
                }
                ("accepted" | "duplicate", Some(Some(row)), Some(sent)) if sent != Some(row) => {
                    format!(
                        "a vote sent for {} counts for row {row}",
                        sent.map_or("an invented credential".to_owned(), |sent| format!(
                            "row {sent}"
                        ))
                    )
                }
                ("invalid", _, Some(Some(row))) => {
                    format!("a vote of row {row}, which is registered, is invalid")
                }
                ("accepted" | "duplicate" | "invalid", ..) => continue,
                (other, ..) => format!("'{other}' is not a decision"),
            };
            report.violated(Rule::WrongDecision, leaves, entry.line, what);
        }
        for (row, places) in &self.entries_of_row {
            let entries: Vec<&Entry> =
                places.iter().map(|place| &self.log.entries[*place]).collect();
            let mut accepted = entries.iter().filter(|entry| entry.decision == "accepted");
            if let (Some(first), Some(second)) = (accepted.next(), accepted.next()) {
                let what = format!(
                    "row {row} has a second accepted vote; the first is on line {}",
                    first.line
                );
                report.violated(Rule::AcceptedTwice, leaves, second.line, what);
            }
            if entries[0].decision != "accepted" {
                let what =
                    format!("the first vote of row {row} in the log is {}", entries[0].decision);
                report.violated(Rule::WrongDecision, leaves, entries[0].line, what);
            }
        }
        for recorded in &self.votes {
            let Some(row) = recorded.vote.row else { continue };
            let counted = self.entries_of_row.get(&row).into_iter().flatten();
            let counted =
                counted.filter(|place| self.log.entries[**place].decision == "accepted").count();
            if recorded.vote.fate() == Fate::Durable && counted == 0 {
                let what = format!("a vote of row {row} was answered as stored, and none counts");
                report.violated(Rule::NotCounted, &recorded.journal.path, recorded.vote.line, what);
            }
        }
    }

    /// An entry whose request id no journal knows must come from an unanswered vote; each
    /// unanswered vote explains at most one entry.
    fn check_unexplained(&self, report: &mut Report) {
        let mut left: HashMap<Option<u64>, usize> =
            self.perhaps.iter().map(|(row, votes)| (*row, votes.len())).collect();
        for (place, entry) in self.log.entries.iter().enumerate() {
            if self.behind.contains_key(&place) {
                continue;
            }
            let row = entry.hash.as_ref().and_then(|hash| self.roll.row_by_hash.get(hash)).copied();
            match left.get_mut(&row) {
                Some(left) if *left > 0 => *left -= 1,
                _ => {
                    let who =
                        row.map_or("an unknown credential".to_owned(), |row| format!("row {row}"));
                    let what = format!(
                        "request {} of {who}: no journal has a vote that it could be",
                        entry.request
                    );
                    report.violated(Rule::Unexplained, &self.log.leaves_path, entry.line, what);
                }
            }
        }
    }

    /// Each choice has at least the votes known to count for it, and at most those plus the votes
    /// that may count for it.
    fn check_counts(&self, report: &mut Report) {
        let mut bounds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (place, entry) in
            self.log.entries.iter().enumerate().filter(|(_, entry)| entry.decision == "accepted")
        {
            let row = entry.hash.as_ref().and_then(|hash| self.roll.row_by_hash.get(hash)).copied();
            let mut choices: Vec<&str> = match self.behind.get(&place) {
                Some(recorded) => vec![&recorded.vote.choice],
                None => self
                    .perhaps
                    .get(&row)
                    .into_iter()
                    .flatten()
                    .map(|vote| vote.choice.as_str())
                    .collect(),
            };
            choices.sort_unstable();
            choices.dedup();
            for choice in &choices {
                let (at_least, at_most) = bounds.entry(choice).or_default();
                // Only one choice is possible: the entry certainly counts for it.
                *at_least += u64::from(choices.len() == 1);
                *at_most += 1;
            }
        }
        let results = &self.log.results;
        let mut published: BTreeMap<&str, u64> = BTreeMap::new();
        for choice in results["choices"].as_array().into_iter().flatten() {
            let count = choice["count"].as_u64().unwrap_or(u64::MAX);
            published.insert(choice["id"].as_str().unwrap_or_default(), count);
            bounds.entry(choice["id"].as_str().unwrap_or_default()).or_default();
        }
        for (choice, (at_least, at_most)) in bounds {
            let count = published.get(choice).copied().unwrap_or(0);
            if !(at_least..=at_most).contains(&count) {
                let what = format!(
                    "'{choice}' is said to have {count} votes; the journals have {at_least} to \
                     {at_most}"
                );
                report.violated(Rule::WrongCount, &self.log.results_path, 1, what);
            }
        }
        if results["spoiled"] != 0 {
            let what =
                format!("{} votes are said to be spoiled; none was sent", results["spoiled"]);
            report.violated(Rule::WrongCount, &self.log.results_path, 1, what);
        }
    }
}

/// The results and the close report agree with the sums over the leaves.
fn check_accounts(log: &Log, report: &mut Report) {
    let counted = [
        ("received", log.received),
        ("accepted", report.accepted),
        ("duplicate", report.duplicate),
        ("invalid", report.invalid),
        ("replayed", report.replayed),
    ];
    let said =
        [(&log.results_path, Some(&log.results)), (&log.leaves_path, log.close_report.as_ref())];
    for (path, said) in said {
        let Some(said) = said else {
            report.violated(
                Rule::Accounts,
                path,
                log.leaf_hashes.len(),
                "the election was not closed",
            );
            continue;
        };
        for (name, count) in counted {
            if said[name].as_u64() != Some(count) {
                let what =
                    format!("{name} is said to be {}; the leaves add up to {count}", said[name]);
                report.violated(Rule::Accounts, path, 1, what);
            }
        }
    }
    if report.decided > log.received {
        let what = format!("{} entries of {} envelopes", report.decided, log.received);
        report.violated(Rule::Accounts, &log.leaves_path, log.leaf_hashes.len(), what);
    }
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
