//! Long because the forgeries are one table, with a test that every rule is in it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::batch::{BatchSignature, NodePublicKey};
use crate::bundle::sample::{self, CLOSES, OPENS, Sample, authority_keys};
use crate::bundle::{Failure, MemorySource, Rule, Verdict, file, find_receipt};
use crate::commitment::Commitment;
use crate::credential::HashScheme;
use crate::decision::{Decision, Entry, InvalidReason, Replay};
use crate::election::ResultsPolicy;
use crate::envelope::EnvelopeDigest;
use crate::id::{Epoch, NodeId, RequestId, Sequence};
use crate::instant::UnixMinutes;
use crate::log::leaf::{BlockLeaf, ElectionEvent, Leaf, NodeEvent};
use crate::manifest::{Manifest, ManifestBody};

/// A digest of nothing in the sample.
fn another() -> Digest {
    Digest::compute(b"another")
}

fn pinned() -> Options<'static> {
    Options {
        pin: Some(Pin::Policy(authority_keys(11).policy().as_bytes().to_vec())),
        ..Options::default()
    }
}

fn check(bundle: &MemorySource) -> Verification {
    verify(bundle, &pinned()).expect("memory reads")
}

fn rules(verification: &Verification) -> BTreeSet<Rule> {
    verification.failures.counts().keys().copied().collect()
}

#[test]
fn the_sample_is_proven_by_policy_and_by_fingerprint() {
    let bundle = Sample::certified().bundle();
    let verification = check(&bundle);
    assert_eq!(verification.failures.list(), []);
    assert!(verification.is_proven());
    assert_eq!(verification.verdict(), Verdict::Proven);
    assert_eq!(verification.state, Some(State::Certified));
    let report = Report { received: 16, accepted: 8, duplicate: 2, invalid: 5, replayed: 1 };
    assert_eq!(verification.report, report);
    let results = verification.results.expect("opened");
    assert_eq!((results.counts.choices, results.counts.spoiled), (vec![4, 2, 1], 1));
    let pin = Some(Pin::Fingerprint(authority_keys(11).policy().fingerprint()));
    assert!(
        verify(&bundle, &Options { pin, ..Options::default() }).expect("memory reads").is_proven()
    );
}

#[test]
fn threads_change_nothing_that_is_found() {
    let sample = Sample::certified();
    let unsigned = edited(&sample, |leaves| {
        for leaf in leaves {
            if let Leaf::Batch(batch) = leaf {
                batch.signature = BatchSignature::from_bytes([1; 64]);
            }
        }
    });
    for leaves in [&sample.leaves, &unsigned] {
        let bundle = sample.bundle_of(leaves, &authority_keys(11));
        let with_threads =
            |threads| verify(&bundle, &Options { threads, ..pinned() }).expect("memory reads");
        for threads in [0, 1, 3] {
            assert_eq!(with_threads(threads), with_threads(2), "{threads} threads");
        }
    }
}

#[test]
fn without_a_pin_it_is_consistent_and_no_more() {
    let sample = Sample::certified();
    for authority in [authority_keys(11), authority_keys(21)] {
        let bundle = sample.bundle_of(&sample.leaves, &authority);
        let verification = verify(&bundle, &Options::default()).expect("memory reads");
        assert!(verification.failures.is_empty() && !verification.authenticated);
        assert_eq!(verification.verdict(), Verdict::Consistent);
    }
}

#[test]
fn bundle_resigned_under_another_policy_fails() {
    let sample = Sample::certified();
    let verification = check(&sample.bundle_of(&sample.leaves, &authority_keys(21)));
    assert_eq!(verification.verdict(), Verdict::Failed);
    assert_eq!(rules(&verification), BTreeSet::from([Rule::PolicyPinned, Rule::Checkpoint]));
    let pin = Some(Pin::Fingerprint(authority_keys(11).policy().fingerprint()));
    let other = sample.bundle_of(&sample.leaves, &authority_keys(21));
    let verification =
        verify(&other, &Options { pin, ..Options::default() }).expect("memory reads");
    assert_eq!(rules(&verification), BTreeSet::from([Rule::PolicyPinned]));
}

#[test]
fn a_pinned_policy_that_does_not_parse_is_not_replaced_by_the_bundles() {
    let bundle = Sample::certified().bundle();
    let pin = Some(Pin::Policy(b"no policy\n".to_vec()));
    let verification = verify(&bundle, &Options { pin, ..Options::default() }).expect("memory");
    assert_eq!(rules(&verification), BTreeSet::from([Rule::PolicyForm, Rule::PolicyPinned]));
    let form = verification.failures.list().iter().find(|found| found.rule == Rule::PolicyForm);
    let form = form.expect("a failure");
    assert!(form.found.starts_with("the pinned policy does not parse: "), "{form}");
    // Nothing was verified under the bundle's policy.
    assert!(!verification.authenticated && verification.cosigned_by.is_empty());
    assert_eq!(verification.origin, None);
}

/// Every byte of every file, each changed in two ways: the file is named. Two threads share the
/// work.
#[test]
fn no_byte_of_any_file_can_change() {
    let bundle = Sample::certified().bundle();
    std::thread::scope(|scope| {
        for flip in [0x01, 0x20] {
            let bundle = &bundle;
            scope.spawn(move || {
                for (name, bytes) in bundle {
                    let mut changed = bundle.clone();
                    for position in 0..bytes.len() {
                        changed.get_mut(name).expect("there")[position] ^= flip;
                        let verification = check(&changed);
                        let named = verification.failures.concern(name);
                        assert!(
                            named,
                            "{name} byte {position} ^ {flip}: {:?}",
                            verification.failures.list()
                        );
                        changed.get_mut(name).expect("there")[position] ^= flip;
                    }
                }
            });
        }
    });
}

#[test]
fn no_file_can_be_cut_lengthened_removed_or_added() {
    let bundle = Sample::certified().bundle();
    for (name, bytes) in &bundle {
        let mut without = bundle.clone();
        without.remove(name);
        assert!(check(&without).failures.concern(name), "{name} removed");
        for other in [&bytes[..bytes.len() - 1], &[bytes.as_slice(), b"\n"].concat(), &[]] {
            let changed: MemorySource =
                bundle.clone().into_iter().chain([(name.clone(), other.to_vec())]).collect();
            assert!(check(&changed).failures.concern(name), "{name} with {} bytes", other.len());
        }
    }
    for name in ["notes.txt", "manifests/x.json", "results/results.json", "../policy", "Policy"] {
        let mut more = bundle.clone();
        more.insert(name.to_owned(), b"more".to_vec());
        assert!(check(&more).failures.concern(name), "{name} added");
    }
}

#[test]
fn a_log_is_a_bundle_at_the_end_of_each_block() {
    let sample = Sample::certified();
    let mut states = BTreeSet::new();
    let mut while_open = 0;
    for (place, leaf) in sample.parsed().iter().enumerate() {
        if matches!(leaf, Leaf::Block(_)) {
            let bundle = sample.bundle_of(&sample.leaves[..=place], &authority_keys(11));
            let verification = check(&bundle);
            assert_eq!(verification.failures.list(), [], "after leaf {place}");
            assert_eq!(verification.results.is_some(), bundle.contains_key(file::RESULTS_JSON));
            if let Some(results) = bundle.get(file::RESULTS_JSON) {
                // A planned closing does not count: `closed` is null until the `closing` leaf.
                let results: serde_json::Value = serde_json::from_slice(results).expect("JSON");
                let is_closing = verification.state >= Some(State::Closing);
                assert_eq!(!results["closed"].is_null(), is_closing, "after leaf {place}");
                while_open += usize::from(!is_closing);
            }
            states.insert(verification.state);
        }
    }
    assert_eq!(states.len(), 5);
    assert!(while_open > 0, "some bundle of an open poll has results");
}

#[test]
fn results_before_any_totals_do_not_belong() {
    let sample = Sample::certified();
    let first_block =
        sample.parsed().iter().position(|leaf| matches!(leaf, Leaf::Block(_))).expect("a block");
    let mut bundle = sample.bundle_of(&sample.leaves[..=first_block], &authority_keys(11));
    bundle.insert(file::RESULTS_JSON.to_owned(), sample.bundle()[file::RESULTS_JSON].clone());
    assert!(check(&bundle).failures.concern(file::RESULTS_JSON));
}

#[test]
fn shards_prove_which_keys_were_registered() {
    let sample = Sample::certified();
    let with_shards = |leaves: &[Vec<u8>], shards: Vec<&dyn Source>| {
        let options = Options { shards, ..pinned() };
        verify(&sample.bundle_of(leaves, &authority_keys(11)), &options).expect("memory reads")
    };
    let verification = with_shards(&sample.leaves, vec![&sample.roll, &sample.supplement]);
    assert_eq!(verification.failures.list(), []);
    assert!(verification.shards_checked);
    let only_roll = with_shards(&sample.leaves, vec![&sample.roll]);
    assert_eq!(rules(&only_roll), BTreeSet::from([Rule::Electorate]));
    assert!(only_roll.has_other_shards() && !only_roll.shards_checked);
    assert!(!verification.has_other_shards() && !check(&sample.bundle()).has_other_shards());
    assert_eq!(verification.manifests.len(), 2);
    assert_eq!(verification.shard_manifests.len(), 2);
    for elector in [5, 50] {
        let leaves = edited(&sample, |leaves| {
            let place = find(leaves, |leaf| is_invalid(leaf, InvalidReason::Revoked));
            entry(&mut leaves[place]).decision = Decision::Accepted { hash: sample::hash(elector) };
        });
        let forged = with_shards(&leaves, vec![&sample.roll, &sample.supplement]);
        assert!(rules(&forged).contains(&Rule::Electorate), "elector {elector}");
    }
}

fn edited(sample: &Sample, edit: impl FnOnce(&mut Vec<Leaf>)) -> Vec<Vec<u8>> {
    let mut leaves = sample.parsed();
    edit(&mut leaves);
    leaves.iter().map(Leaf::to_bytes).collect()
}

fn find(leaves: &[Leaf], wanted: impl Fn(&Leaf) -> bool) -> usize {
    leaves.iter().position(wanted).expect("the sample has one")
}

fn entry(leaf: &mut Leaf) -> &mut Entry {
    let Leaf::Entry(entry) = leaf else { panic!("not an entry") };
    entry
}

fn is_invalid(leaf: &Leaf, wanted: InvalidReason) -> bool {
    matches!(
        leaf,
        Leaf::Entry(Entry { decision: Decision::Invalid { reason, .. }, .. }) if *reason == wanted
    )
}

fn is_accepted(leaf: &Leaf) -> bool {
    matches!(leaf, Leaf::Entry(Entry { decision: Decision::Accepted { .. }, .. }))
}

fn is_duplicate(leaf: &Leaf) -> bool {
    matches!(leaf, Leaf::Entry(Entry { decision: Decision::Duplicate { .. }, .. }))
}

fn is_last(leaf: &Leaf) -> bool {
    matches!(leaf, Leaf::Batch(batch) if batch.last)
}

fn is_supplement(leaf: &Leaf) -> bool {
    matches!(leaf, Leaf::Roll(roll) if roll.parent.is_some())
}

macro_rules! is {
    ($pattern:pat) => {
        |leaf: &Leaf| matches!(leaf, $pattern)
    };
}

macro_rules! change {
    ($leaves:ident, $wanted:expr, $pattern:pat => $change:expr) => {{
        let place = find(&$leaves[..], $wanted);
        let $pattern = &mut $leaves[place] else { panic!("another kind of leaf") };
        $change
    }};
}

fn unplan_the_closing(leaves: &mut [Leaf]) {
    change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => definition.closes = None);
    change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
        Leaf::Election(ElectionEvent::Open { closes, .. }) => *closes = None);
}

type Forgery = (&'static str, Rule, fn(&mut Vec<Leaf>));

/// Forgeries that a majority of dishonest authorities could sign, and the rules that detect them.
const FORGERIES: &[Forgery] = &[
    ("a credential accepted twice", Rule::AcceptedOnce, |leaves| {
        change!(leaves, is_duplicate, Leaf::Entry(entry) => {
            let Decision::Duplicate { hash, .. } = entry.decision else { panic!("a duplicate") };
            entry.decision = Decision::Accepted { hash };
        });
    }),
    ("a wrong attempt", Rule::DuplicateAttempt, |leaves| {
        change!(leaves, is_duplicate,
        Leaf::Entry(Entry { decision: Decision::Duplicate { attempt, .. }, .. }) => {
            *attempt += 1;
        });
    }),
    ("a duplicate of nothing", Rule::DuplicateAttempt, |leaves| {
        change!(leaves, is_accepted, Leaf::Entry(entry) => {
            entry.decision = Decision::Duplicate { hash: sample::hash(9), attempt: 2 };
        });
    }),
    ("a request decided twice", Rule::RequestOnce, |leaves| {
        let place = find(leaves, is_accepted);
        let request = entry(&mut leaves[place]).request;
        let place = find(leaves, is_duplicate);
        entry(&mut leaves[place]).request = request;
    }),
    ("a vote left out", Rule::TotalsSum, |leaves| drop(leaves.remove(find(leaves, is_accepted)))),
    ("a vote left out, in the report", Rule::CloseReport, |leaves| {
        drop(leaves.remove(find(leaves, is_accepted)))
    }),
    ("a vote more than envelopes", Rule::BatchCount, |leaves| {
        let place = find(leaves, is_last) + 2;
        let request = RequestId::from_bytes([0xee; 16]);
        let decision = Decision::Accepted { hash: sample::hash(10) };
        let minute = UnixMinutes(OPENS.0 + 1);
        leaves.insert(place, Leaf::Entry(Entry { request, decision, minute }));
    }),
    ("a batch left out in the middle", Rule::BatchNumber, |leaves| {
        let place = find(
            leaves,
            is!(Leaf::Batch(crate::log::leaf::BatchLeaf { sequence: Sequence(2), .. })),
        );
        leaves.remove(place);
    }),
    ("a batch after the last", Rule::BatchNumber, |leaves| {
        let place = find(leaves, is_last);
        let Leaf::Batch(batch) = leaves[place] else { panic!("a batch") };
        let after =
            crate::log::leaf::BatchLeaf { sequence: batch.sequence.next(), count: 0, ..batch };
        leaves.insert(place + 2, Leaf::Batch(after));
    }),
    ("an epoch that never ends", Rule::EpochEnd, |leaves| {
        change!(leaves, is_last, Leaf::Batch(batch) => batch.last = false);
    }),
    ("a batch after the close", Rule::BatchState, |leaves| {
        let batch = leaves[find(leaves, is_last)].clone();
        let place = leaves.len() - 1;
        leaves.insert(place, batch);
    }),
    ("an epoch cut short", Rule::NodeRetirement, |leaves| {
        let node = sample::node_key(0).node_id();
        let place = find(leaves, is_supplement);
        leaves.insert(
            place,
            Leaf::Node(NodeEvent::Retired {
                node,
                epoch: Epoch(1),
                through: Sequence(1),
                confirmed: Sequence(0),
            }),
        );
    }),
    ("an unadmitted node", Rule::NodeAdmission, |leaves| {
        drop(leaves.remove(find(leaves, is!(Leaf::Node(_)))))
    }),
    ("a node under another's name", Rule::NodeAdmission, |leaves| {
        change!(leaves, is!(Leaf::Node(_)), Leaf::Node(NodeEvent::Admitted { node, .. }) => {
            *node = NodeId::from_bytes([1; 8]);
        });
    }),
    ("totals moved from one choice to another", Rule::TotalsOpen, |leaves| {
        let place = leaves.iter().rposition(is!(Leaf::Totals(_))).expect("totals");
        let Leaf::Totals(totals) = &mut leaves[place] else { panic!("totals") };
        totals.values[0] -= 1;
        totals.values[1] += 1;
    }),
    ("totals that fall", Rule::TotalsFall, |leaves| {
        change!(leaves, is!(Leaf::Totals(_)), Leaf::Totals(totals) => totals.values[0] = 1000);
    }),
    ("totals of a later block", Rule::TotalsPlace, |leaves| {
        change!(leaves, is!(Leaf::Totals(_)), Leaf::Totals(totals) => totals.through = 99);
    }),
    ("a close without totals", Rule::TotalsPlace, |leaves| {
        let place = leaves.iter().rposition(is!(Leaf::Totals(_))).expect("totals");
        leaves.remove(place);
    }),
    ("totals while the poll is open, against the policy", Rule::TotalsPolicy, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => {
            definition.results = ResultsPolicy::AfterClose;
        });
    }),
    ("totals of too few votes", Rule::TotalsPolicy, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => {
            definition.publish_every = 100;
        });
    }),
    ("totals opened a second time", Rule::TotalsPolicy, |leaves| {
        let place = find(leaves, is!(Leaf::Totals(_)));
        let again = leaves[place].clone();
        let later = place + 1 + find(&leaves[place + 1..], is!(Leaf::Totals(_)));
        leaves[later] = again;
    }),
    ("a commitment to nothing", Rule::CountsForm, |leaves| {
        change!(leaves, is!(Leaf::Counts(_)), Leaf::Counts(counts) => {
            counts.commitments[0] = Commitment::from_bytes([0xff; 32]);
        });
    }),
    ("a block without counts", Rule::BlockOrder, |leaves| {
        drop(leaves.remove(find(leaves, is!(Leaf::Counts(_)))))
    }),
    ("an entry before its batch", Rule::BlockOrder, |leaves| {
        let place = find(leaves, is!(Leaf::Batch(_)));
        leaves.swap(place, place + 1);
    }),
    ("a log cut inside a block", Rule::BlockOrder, |leaves| drop(leaves.pop())),
    ("a height left out", Rule::BlockHeight, |leaves| {
        change!(leaves, is!(Leaf::Block(_)), Leaf::Block(block) => block.height = 2);
    }),
    ("a term that falls", Rule::BlockTerm, |leaves| {
        change!(leaves, is!(Leaf::Block(_)), Leaf::Block(block) => block.term = 7);
    }),
    ("a time that falls", Rule::BlockTime, |leaves| {
        change!(leaves, is!(Leaf::Block(_)), Leaf::Block(block) => {
            block.sealed_at = UnixMinutes(OPENS.0 + 120);
        });
    }),
    ("an unknown leader", Rule::BlockLeader, |leaves| {
        change!(leaves, is!(Leaf::Block(_)), Leaf::Block(block) => {
            block.leader = "someone".to_owned();
        });
    }),
    ("more electors at the opening", Rule::Registered, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { registered, .. }) => *registered += 1);
    }),
    ("a box that was not empty", Rule::ZeroReport, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { zero_report, .. }) => zero_report.accepted = 1);
    }),
    ("a poll that closes before it opens", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
        Leaf::Election(ElectionEvent::Closing { closes, .. }) => {
            *closes = UnixMinutes(OPENS.0 - 1);
        });
    }),
    ("a close later than was planned", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
            Leaf::Election(ElectionEvent::Closing { closes, .. }) => closes.0 += 1);
    }),
    ("a close recorded 6 minutes before it", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
            Leaf::Election(ElectionEvent::Closing { at, closes, .. }) => at.0 = closes.0 - 6);
    }),
    ("a close in a month, where none was planned", Rule::Window, |leaves| {
        unplan_the_closing(leaves);
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
            Leaf::Election(ElectionEvent::Closing { closes, .. }) => closes.0 += 43_200);
    }),
    ("an opening that was decided after it", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { at, opens, .. }) => at.0 = opens.0 + 1);
    }),
    ("a close before votes that were taken", Rule::EntryTime, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
        Leaf::Election(ElectionEvent::Closing { closes, .. }) => {
            *closes = UnixMinutes(OPENS.0 + 30);
        });
    }),
    ("a late vote taken", Rule::EntryTime, |leaves| {
        change!(leaves, is_accepted, Leaf::Entry(entry) => entry.minute = CLOSES);
    }),
    ("a vote called early that was not", Rule::EntryTime, |leaves| {
        change!(leaves, |leaf| is_invalid(leaf, InvalidReason::Early),
            Leaf::Entry(entry) => entry.minute = UnixMinutes(OPENS.0 + 5));
    }),
    ("a vote called late that was not", Rule::EntryTime, |leaves| {
        change!(leaves, |leaf| is_invalid(leaf, InvalidReason::Late),
            Leaf::Entry(entry) => entry.minute = UnixMinutes(CLOSES.0 - 5));
    }),
    ("a close without a closing", Rule::State, |leaves| {
        let place = find(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })));
        leaves.remove(place);
    }),
    ("a log without a draft first", Rule::State, |leaves| leaves.swap(0, 1)),
    ("an opening before the draft", Rule::State, |leaves| {
        let opening = find(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })));
        leaves.swap(0, opening);
    }),
    ("a ballot of one choice", Rule::Definition, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => {
            definition.choices.truncate(1);
        });
    }),
    ("a test that calls itself binding", Rule::Origin, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
            Leaf::Election(ElectionEvent::Draft { definition, .. }) => definition.binding = true);
    }),
    ("a binding election that shows results, unwaived", Rule::Binding, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
            Leaf::Election(ElectionEvent::Draft { definition, .. }) => definition.binding = true);
    }),
    ("an unknown waiver", Rule::Binding, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { waivers, .. }) => waivers.push("everything".to_owned()));
    }),
    ("an opening with another closing time than the definition's", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { closes, .. }) => *closes = Some(UnixMinutes::MAX));
    }),
    ("unregistered electors", Rule::RollCounts, |leaves| {
        change!(leaves, is!(Leaf::Roll(_)), Leaf::Roll(roll) => roll.loaded += 1);
    }),
    ("a revocation left out", Rule::RollCounts, |leaves| {
        change!(leaves, is_supplement, Leaf::Roll(roll) => roll.revoked -= 1);
    }),
    ("a supplement to another roll", Rule::RollChain, |leaves| {
        change!(leaves, is_supplement, Leaf::Roll(roll) => roll.parent = Some(another()));
    }),
    ("a second roll once the poll is open", Rule::RollChain, |leaves| {
        let place = find(leaves, is_supplement);
        let root = find(leaves, is!(Leaf::Roll(_)));
        let Leaf::Roll(mut roll) = leaves[root].clone() else { panic!("a roll") };
        roll.replaces = Some(roll.manifest);
        leaves.insert(place, Leaf::Roll(roll));
    }),
    ("a supplement once the poll is closing", Rule::RollChain, |leaves| {
        let supplement = leaves.remove(find(leaves, is_supplement));
        let closing = find(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })));
        leaves.insert(closing + 1, supplement);
    }),
    ("an accepted vote recorded as a replay", Rule::Replay, |leaves| {
        let place = find(leaves, is_accepted);
        let Entry { request, decision, minute } = *entry(&mut leaves[place]);
        let Decision::Accepted { hash } = decision else { panic!("accepted") };
        let envelope = EnvelopeDigest::new(&request, minute, &hash);
        leaves[place] = Leaf::Replay(Replay { request, envelope });
    }),
    ("an accepted vote recorded as a replay of another", Rule::BatchEnvelopes, |leaves| {
        let first = find(leaves, is_accepted);
        let Entry { request, .. } = *entry(&mut leaves[first]);
        let place = first + 1 + find(&leaves[first + 1..], is_accepted);
        let envelope = EnvelopeDigest::from_bytes([7; 32]);
        leaves[place] = Leaf::Replay(Replay { request, envelope });
    }),
    ("a vote exchanged for another elector's", Rule::BatchEnvelopes, |leaves| {
        change!(leaves, is_accepted, Leaf::Entry(entry) => {
            entry.decision = Decision::Accepted { hash: sample::hash(10) };
        });
    }),
    ("the envelopes of a batch in another order", Rule::BatchEnvelopes, |leaves| {
        let place = find(leaves, is_accepted);
        leaves.swap(place, place + 1);
    }),
    ("an envelope without a leaf", Rule::BatchCount, |leaves| {
        drop(leaves.remove(find(leaves, is!(Leaf::Replay(_)))))
    }),
    ("a batch of other envelopes than its node signed", Rule::BatchSignature, |leaves| {
        change!(leaves, is!(Leaf::Batch(_)), Leaf::Batch(batch) => batch.count -= 1);
    }),
    ("a batch signed by another node", Rule::BatchSignature, |leaves| {
        change!(leaves, is!(Leaf::Batch(_)), Leaf::Batch(batch) => {
            batch.signature = BatchSignature::from_bytes([1; 64]);
        });
    }),
    ("one batch twice", Rule::BatchOnce, |leaves| {
        let place = find(leaves, is_last);
        let batch = leaves[place].clone();
        leaves.insert(place + 2, batch);
    }),
    ("a minute that falls", Rule::BatchMinute, |leaves| {
        let place = leaves.iter().rposition(is_accepted).expect("accepted");
        entry(&mut leaves[place]).minute = OPENS;
        let place = find(leaves, is_duplicate);
        entry(&mut leaves[place]).minute = UnixMinutes(OPENS.0 + 60);
    }),
    ("an epoch that is left out", Rule::EpochEnd, |leaves| {
        for leaf in leaves.iter_mut() {
            if let Leaf::Batch(batch) = leaf {
                batch.epoch = Epoch(2);
            }
        }
    }),
    ("a vote from after its block", Rule::LeafTime, |leaves| {
        change!(leaves, is_accepted, Leaf::Entry(entry) => {
            entry.minute = UnixMinutes(OPENS.0 + 40);
        });
    }),
    ("an opening dated back", Rule::LeafTime, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { at, .. }) => *at = UnixMinutes(OPENS.0 - 14_400));
    }),
    ("an opening before the planned one", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { opens, .. }) => opens.0 -= 1);
    }),
    ("an early close without a reason", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
            Leaf::Election(ElectionEvent::Closing { closes, .. }) => closes.0 -= 1);
    }),
    ("a reason for a close that is not early", Rule::Window, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
            Leaf::Election(ElectionEvent::Closing { reason, .. }) => *reason = Some("none".to_owned()));
    }),
    ("an amendment that exchanges the ballot key", Rule::Amendment, |leaves| {
        let Leaf::Election(ElectionEvent::Draft { at, mut definition }) = leaves[0].clone() else {
            panic!("a draft")
        };
        definition.ballot_key = crate::ballot::BallotSecretKey::from_seed(&[5; 32]).public_key();
        leaves.insert(1, Leaf::Election(ElectionEvent::Amended { at, definition }));
    }),
    ("an amendment of an open poll", Rule::State, |leaves| {
        let Leaf::Election(ElectionEvent::Draft { at, definition }) = leaves[0].clone() else {
            panic!("a draft")
        };
        let place = find(leaves, is_supplement);
        leaves.insert(place, Leaf::Election(ElectionEvent::Amended { at, definition }));
    }),
    ("a node after the certification", Rule::NodeAdmission, |leaves| {
        let place = leaves.len() - 1;
        let key = sample::node_key(9).public_key();
        let node = key.node_id();
        leaves.insert(place, Leaf::Node(NodeEvent::Admitted { node, key }));
    }),
    ("a node key under which every signature fits", Rule::NodeAdmission, |leaves| {
        change!(leaves, is!(Leaf::Node(_)), Leaf::Node(NodeEvent::Admitted { node, key }) => {
            *key = NodePublicKey::from_bytes([0; 32]);
            *node = key.node_id();
        });
    }),
    ("a ballot key that everyone can open", Rule::Definition, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => {
            definition.ballot_key = crate::ballot::BallotPublicKey::from_bytes([0; 32]);
        });
    }),
    ("a title that turns the text around", Rule::Definition, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => {
            definition.title.fr.push('\u{202e}');
        });
    }),
    ("a commitment that hides nothing", Rule::CountsForm, |leaves| {
        change!(leaves, is!(Leaf::Counts(_)), Leaf::Counts(counts) => {
            counts.commitments[0] = Commitment::from_bytes([0; 32]);
        });
    }),
    ("a purge before the certification", Rule::State, |leaves| {
        let place = find(leaves, is_supplement);
        let at = UnixMinutes(OPENS.0 + 60);
        leaves.insert(place, Leaf::Election(ElectionEvent::Purged { at }));
    }),
    ("a clash of nothing", Rule::RequestOnce, |leaves| {
        change!(leaves, |leaf| is_invalid(leaf, InvalidReason::Clash), Leaf::Entry(entry) => {
            entry.request = RequestId::from_bytes([0xdd; 16]);
        });
    }),
    ("blindings left out", Rule::TotalsOpen, |leaves| {
        change!(leaves, is!(Leaf::Totals(_)), Leaf::Totals(totals) => {
            totals.blindings.truncate(1);
        });
    }),
    ("totals after the close", Rule::TotalsPolicy, |leaves| {
        let totals = leaves.iter().rfind(|leaf| matches!(leaf, Leaf::Totals(_))).cloned();
        leaves.insert(leaves.len() - 1, totals.expect("totals"));
    }),
    ("results published every 0 votes", Rule::Definition, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => {
            definition.publish_every = 0;
        });
    }),
    ("a confirmed-through number that falls", Rule::BatchNumber, |leaves| {
        change!(leaves, is_last, Leaf::Batch(batch) => batch.confirmed = Sequence(0));
    }),
    ("a supplement of another scheme than its manifest's", Rule::RollCounts, |leaves| {
        change!(leaves, is_supplement, Leaf::Roll(roll) => roll.scheme = HashScheme::Sha256);
    }),
    ("a supplement of another parent than its manifest's", Rule::RollCounts, |leaves| {
        change!(leaves, is_supplement, Leaf::Roll(roll) => roll.parent = Some(another()));
    }),
    ("a roll in place of another that it does not name", Rule::RollChain, |leaves| {
        let place = find(leaves, is!(Leaf::Roll(_)));
        leaves.insert(place, leaves[place].clone());
    }),
    ("a binding election opened without a roll", Rule::Binding, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
            Leaf::Election(ElectionEvent::Draft { definition, .. }) => definition.binding = true);
        change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
            Leaf::Election(ElectionEvent::Open { waivers, .. }) => waivers.push("results".to_owned()));
        leaves.retain(|leaf| !matches!(leaf, Leaf::Roll(_)));
    }),
    ("a reason where no closing was planned", Rule::Window, |leaves| {
        unplan_the_closing(leaves);
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
            Leaf::Election(ElectionEvent::Closing { reason, .. }) => *reason = Some("none".to_owned()));
    }),
    ("an early close for a blank reason", Rule::State, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })),
        Leaf::Election(ElectionEvent::Closing { closes, reason, .. }) => {
            closes.0 -= 1;
            *reason = Some("\u{2003}".to_owned());
        });
    }),
    ("an annulment without a reason", Rule::State, |leaves| {
        let reason = String::new();
        let annulled = ElectionEvent::Annulled { at: UnixMinutes(CLOSES.0 + 60), reason };
        leaves.insert(leaves.len() - 1, Leaf::Election(annulled));
    }),
    ("an annulment of an open poll", Rule::State, |leaves| {
        let reason = "a judgment".to_owned();
        let annulled = ElectionEvent::Annulled { at: UnixMinutes(OPENS.0 + 60), reason };
        leaves.insert(find(leaves, is_supplement), Leaf::Election(annulled));
    }),
    ("a second purge", Rule::State, |leaves| {
        let purged = Leaf::Election(ElectionEvent::Purged { at: UnixMinutes(CLOSES.0 + 60) });
        leaves.extend([purged.clone(), purged]);
        let place = leaves.len() - 3;
        leaves[place..].rotate_left(1);
    }),
    ("another result certified", Rule::Certified, |leaves| {
        change!(leaves, is!(Leaf::Election(ElectionEvent::Certified { .. })),
            Leaf::Election(ElectionEvent::Certified { results, .. }) => *results = another());
    }),
];

/// Text in the failure of a forgery, where several faults break one rule, or the text was wrong
/// before.
const WORDINGS: &[(&str, &str)] = &[
    ("a log without a draft first", "does not begin with the draft"),
    ("an opening before the draft", "'open' after 'no state'"),
    ("a close later than was planned", "later than was planned"),
    ("a close recorded 6 minutes before it", "more than 5 minutes after"),
    ("a close in a month, where none was planned", "more than 5 minutes after"),
    ("an opening that was decided after it", "before that was decided"),
    ("a supplement once the poll is closing", "a supplement after the closing"),
];

/// The result as of the close is what the log states at that block, whatever follows.
#[test]
fn leaves_after_the_close_leave_the_results_unchanged() {
    let sample = Sample::certified();
    let leaves = edited(&sample, |leaves| {
        let batch = leaves[find(leaves, is!(Leaf::Batch(_)))].clone();
        let mut totals = leaves[find(leaves, is!(Leaf::Totals(_)))].clone();
        let Leaf::Totals(opened) = &mut totals else { panic!("totals") };
        opened.values.fill(0);
        let roll = leaves[find(leaves, is!(Leaf::Roll(_)))].clone();
        let end = leaves.len() - 1;
        leaves.splice(end..end, [roll, batch, totals]);
    });
    let forged = sample.bundle_of(&leaves, &authority_keys(11));
    for name in [file::RESULTS_JSON, file::RESULTS_CSV, file::RESULTS_NIST] {
        assert_eq!(forged[name], sample.bundle()[name], "{name}");
    }
}

#[test]
fn forgeries_signed_with_the_right_keys_are_caught_by_their_rule() {
    let sample = Sample::certified();
    for (name, rule, edit) in FORGERIES {
        let leaves = edited(&sample, edit);
        let verification = check(&sample.bundle_of(&leaves, &authority_keys(11)));
        assert!(verification.authenticated, "{name}");
        let failures = verification.failures.list();
        assert!(rules(&verification).contains(rule), "{name}: {failures:?}");
        for (_, wording) in WORDINGS.iter().filter(|(of, _)| of == name) {
            let says = |failure: &Failure| failure.rule == *rule && failure.found.contains(wording);
            assert!(failures.iter().any(says), "{name}, '{wording}': {failures:?}");
        }
        // Citizens read these: no value in Rust's debug form, and no state called nothing.
        for Failure { found, .. } in failures {
            let is_debug = ["{ ", "Report", "ChangesApplied", "nothing'"];
            assert!(!is_debug.iter().any(|text| found.contains(text)), "{name}: {found}");
        }
        assert!(
            !rules(&verification).contains(&Rule::Root)
                && !rules(&verification).contains(&Rule::Checkpoint),
            "{name}"
        );
    }
}

#[test]
fn every_wording_is_of_a_forgery() {
    for (name, _) in WORDINGS {
        assert!(FORGERIES.iter().any(|(forgery, ..)| forgery == name), "{name}");
    }
}

/// Bytes that no node of this toolkit writes, but that section 6 allows.
#[test]
fn everything_that_section_6_allows_is_proven() {
    let sample = Sample::certified();
    let of_its_block_leaf_alone = edited(&sample, |leaves| {
        let Some(Leaf::Block(block)) = leaves.last().cloned() else { panic!("a block") };
        leaves.push(Leaf::Block(BlockLeaf { height: block.height + 1, ..block }));
    });
    let retired_before_its_first_batch = edited(&sample, |leaves| {
        uncertify(leaves);
        retire_before_the_closing(leaves, retired(0, 2));
    });
    for leaves in [of_its_block_leaf_alone, retired_before_its_first_batch] {
        let verification = check(&sample.bundle_of(&leaves, &authority_keys(11)));
        assert_eq!(verification.failures.list(), []);
        assert!(verification.is_proven());
    }
}

#[test]
fn a_retirement_of_a_stranger_or_of_an_ended_epoch_fails() {
    let sample = Sample::certified();
    let check_retired = |edit: &dyn Fn(&mut Vec<Leaf>), says: &str| {
        let leaves = edited(&sample, |leaves| {
            uncertify(leaves);
            edit(leaves);
        });
        let verification = check(&sample.bundle_of(&leaves, &authority_keys(11)));
        let failures = verification.failures.list();
        let is_it =
            |found: &Failure| found.rule == Rule::NodeRetirement && found.found.contains(says);
        assert!(failures.iter().any(is_it), "{says}: {failures:?}");
    };
    check_retired(&|leaves| retire_before_the_closing(leaves, retired(9, 1)), "never admitted");
    let twice = |leaves: &mut Vec<Leaf>| {
        retire_before_the_closing(leaves, retired(0, 2));
        retire_before_the_closing(leaves, retired(0, 2));
    };
    check_retired(&twice, "has ended already");
}

/// The retirement of an epoch in which a node of the sample published nothing.
fn retired(node: u8, epoch: u32) -> Leaf {
    let (through, confirmed) = (Sequence(0), Sequence(0));
    let node = sample::node_key(node).node_id();
    Leaf::Node(NodeEvent::Retired { node, epoch: Epoch(epoch), through, confirmed })
}

fn retire_before_the_closing(leaves: &mut Vec<Leaf>, retired: Leaf) {
    let closing = find(leaves, is!(Leaf::Election(ElectionEvent::Closing { .. })));
    leaves.insert(closing, retired);
}

/// Removes the last block: the digest that it certifies is that of the unchanged log.
fn uncertify(leaves: &mut Vec<Leaf>) {
    let certified = |leaf: &Leaf| matches!(leaf, Leaf::Election(ElectionEvent::Certified { .. }));
    leaves.truncate(find(leaves, certified));
}

type BodyEdit = fn(&mut ManifestBody);

#[test]
fn a_binding_poll_wants_a_pepper_and_long_codes_in_every_roll() {
    let same: BodyEdit = |_| {};
    let short: BodyEdit = |body| body.roll.code_length_min = 4;
    let unkeyed: BodyEdit = |body| (body.scheme, body.pepper) = (HashScheme::Sha256, None);
    let (in_draft, while_open) = (true, false);
    for (name, roll, supplement, place, says) in [
        ("long codes", same, same, while_open, None),
        ("long codes, a supplement in the draft", same, same, in_draft, None),
        ("a short code in the roll", short, same, while_open, Some("has 4 characters")),
        ("a short code in the draft", same, short, in_draft, Some("has 4 characters")),
        ("a short code while open", same, short, while_open, Some("has 4 characters")),
        ("no pepper", unkeyed, unkeyed, while_open, Some("without a pepper")),
    ] {
        let (sample, leaves) = binding(roll, supplement, place);
        // The opening checks the rolls loaded by then; a later supplement is checked at its own
        // leaf.
        let late = (name == "a short code while open").then(|| find(&leaves, is_supplement));
        let line = late
            .unwrap_or_else(|| find(&leaves, is!(Leaf::Election(ElectionEvent::Open { .. }))))
            as u64
            + 1;
        let leaves: Vec<Vec<u8>> = leaves.iter().map(Leaf::to_bytes).collect();
        let verification = check(&sample.bundle_of(&leaves, &authority_keys(11)));
        let mut failures = verification.failures.list().iter();
        let found = failures.find(|failure| failure.rule == Rule::Binding);
        match (found, says) {
            (None, None) => {}
            (Some(failure), Some(says)) => {
                assert!(failure.found.contains(says), "{name}: {failure}");
                assert_eq!(failure.line, Some(line), "{name}: {failure}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

/// The sample as a binding election, its results waived, with other manifests.
fn binding(roll: BodyEdit, supplement: BodyEdit, in_draft: bool) -> (Sample, Vec<Leaf>) {
    let mut sample = Sample::certified();
    let mut leaves = sample.parsed();
    change!(leaves, is!(Leaf::Election(ElectionEvent::Draft { .. })),
        Leaf::Election(ElectionEvent::Draft { definition, .. }) => definition.binding = true);
    change!(leaves, is!(Leaf::Election(ElectionEvent::Open { .. })),
        Leaf::Election(ElectionEvent::Open { waivers, .. }) => waivers.push("results".to_owned()));
    let remade = |folder: &mut MemorySource, edit: BodyEdit, parent: Option<Digest>| {
        let manifest = Manifest::parse(&folder[Manifest::FILE_NAME]).expect("own manifest");
        let mut body = ManifestBody { parent, ..manifest.body().clone() };
        edit(&mut body);
        let scheme = body.scheme;
        let bytes = Manifest::new(body).expect("its counts agree").encode();
        let digest = Digest::compute(&bytes);
        folder.insert(Manifest::FILE_NAME.to_owned(), bytes);
        (digest, scheme)
    };
    let (root, root_scheme) = remade(&mut sample.roll, roll, None);
    let (last, last_scheme) = remade(&mut sample.supplement, supplement, Some(root));
    let place = find(&leaves, is!(Leaf::Roll(_)));
    let Leaf::Roll(roll) = &mut leaves[place] else { panic!("a roll") };
    (roll.manifest, roll.scheme) = (root, root_scheme);
    let place_of_supplement = find(&leaves, is_supplement);
    let Leaf::Roll(roll) = &mut leaves[place_of_supplement] else { panic!("a roll") };
    (roll.manifest, roll.scheme, roll.parent) = (last, last_scheme, Some(root));
    if in_draft {
        let supplement = leaves.remove(place_of_supplement);
        leaves.insert(place + 1, supplement);
    }
    (sample, leaves)
}

#[test]
fn a_cosignature_older_than_its_block_is_refused() {
    let sample = Sample::certified();
    let keys = authority_keys(11);
    for (before, rules_broken) in [(60, None), (61, Some(Rule::CosignatureTime))] {
        let certified = UnixMinutes(CLOSES.0 + 60);
        let at = crate::instant::UnixSeconds(certified.start().0 - before);
        let mut bundle = sample.bundle_of(&sample.leaves, &keys);
        let checkpoint = keys.checkpoint_at(&sample.leaves, at).to_string().into_bytes();
        rewrite(&mut bundle, file::CHECKPOINT, checkpoint);
        assert_eq!(rules(&check(&bundle)), rules_broken.into_iter().collect(), "{before} s before");
    }
}

/// Replaces a file and its row in the index.
fn rewrite(bundle: &mut MemorySource, name: &str, bytes: Vec<u8>) {
    let mut index = crate::bundle::Index::parse(&bundle[file::INDEX]).expect("own index");
    let row = index.files.iter_mut().find(|row| row.file == name).expect("listed");
    (row.size, row.sha256) = (bytes.len() as u64, Digest::compute(&bytes));
    bundle.insert(file::INDEX.to_owned(), index.to_bytes());
    bundle.insert(name.to_owned(), bytes);
}

#[test]
fn signatures_of_strangers_are_ignored() {
    let sample = Sample::certified();
    let mut bundle = sample.bundle();
    let mut checkpoint = bundle[file::CHECKPOINT].clone();
    checkpoint.extend_from_slice("— witness.example AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n".as_bytes());
    rewrite(&mut bundle, file::CHECKPOINT, checkpoint);
    assert_eq!(check(&bundle).failures.list(), []);
}

/// A source that reports something irregular beside its files.
struct WithIrregular(MemorySource);

impl Source for WithIrregular {
    fn names(&self) -> std::io::Result<Vec<String>> {
        self.0.names()
    }

    fn irregular(&self) -> std::io::Result<Vec<(String, &'static str)>> {
        Ok(vec![("manifests/link".to_owned(), "a symbolic link")])
    }

    fn open(&self, name: &str) -> std::io::Result<Box<dyn Read + '_>> {
        self.0.open(name)
    }
}

#[test]
fn links_and_empty_folders_are_refused() {
    let source = WithIrregular(Sample::certified().bundle());
    let pin = Some(Pin::Policy(authority_keys(11).policy().as_bytes().to_vec()));
    let options = Options { pin, ..Options::default() };
    let verification = verify(&source, &options).expect("memory reads");
    assert_eq!(rules(&verification), BTreeSet::from([Rule::FileKind]));
}

/// A source with an endless file, such as `/dev/zero`.
struct WithEndless {
    files: MemorySource,
    endless: &'static str,
    /// Bytes read of that file.
    read: Cell<u64>,
}

impl WithEndless {
    fn new(endless: &'static str) -> Self {
        Self { files: Sample::certified().bundle(), endless, read: Cell::new(0) }
    }

    /// The failures of rule `file-size`.
    fn check(&self) -> Vec<Failure> {
        let verification = verify(self, &pinned()).expect("memory reads");
        assert!(!verification.is_proven());
        let failures = verification.failures.list().iter();
        failures.filter(|failure| failure.rule == Rule::FileSize).cloned().collect()
    }
}

impl Source for WithEndless {
    fn names(&self) -> std::io::Result<Vec<String>> {
        self.files.names()
    }

    fn open(&self, name: &str) -> std::io::Result<Box<dyn Read + '_>> {
        if name == self.endless {
            let endless = self.files[name].as_slice().chain(std::io::repeat(b'0'));
            return Ok(Box::new(Counted { reader: endless, read: &self.read }));
        }
        self.files.open(name)
    }
}

/// Counts the bytes read.
struct Counted<'a, R> {
    reader: R,
    read: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.read.set(self.read.get() + length as u64);
        Ok(length)
    }
}

#[test]
fn leaves_are_not_read_beyond_what_the_checkpoint_can_hold() {
    let source = WithEndless::new(file::LEAVES);
    let failures = source.check();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(source.read.get() <= 65_536 * Sample::certified().leaves.len() as u64 + 1);
}

#[test]
fn a_small_file_is_not_read_beyond_its_limit() {
    let source = WithEndless::new(file::README);
    let failures = source.check();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].file, file::README);
    assert!(source.read.get() <= 67_108_864 + 1, "{}", source.read.get());
}

#[test]
fn every_rule_is_broken_by_some_test() {
    let elsewhere = [
        // By `no_byte_of_any_file_can_change` and its neighbours.
        Rule::FileMissing,
        Rule::FileExtra,
        Rule::Index,
        Rule::FileChanged,
        Rule::Derived,
        Rule::PolicyForm,
        Rule::PolicyPinned,
        Rule::Checkpoint,
        Rule::Root,
        Rule::Leaf,
        Rule::Manifest,
        // By `shards_prove_which_keys_were_registered`.
        Rule::Electorate,
        // By `a_cosignature_older_than_its_block_is_refused`.
        Rule::CosignatureTime,
        // By `links_and_empty_folders_are_refused`, over a source that reports them.
        Rule::FileKind,
        // By `a_receipt_is_found_in_its_bundle_only`.
        Rule::Receipt,
        // By `leaves_are_not_read_beyond_what_the_checkpoint_can_hold` and the test after it.
        Rule::FileSize,
    ];
    let forged: BTreeSet<Rule> =
        FORGERIES.iter().map(|(_, rule, _)| *rule).chain(elsewhere).collect();
    assert_eq!(forged, Rule::ALL.iter().copied().collect());
}

#[test]
fn the_formats_page_lists_every_rule() {
    let page = include_str!("../../../docs/formats.md");
    for rule in Rule::ALL {
        assert!(page.contains(&format!("| `{}` | {rule} |\n", rule.name())), "{rule:?}");
    }
}

#[test]
fn failures_are_all_counted_and_the_first_hundred_kept() {
    let sample = Sample::certified();
    let leaves = edited(&sample, |leaves| {
        let place = find(leaves, is_accepted);
        let entry = leaves[place].clone();
        leaves.splice(place..place, std::iter::repeat_n(entry, 300));
    });
    let verification = check(&sample.bundle_of(&leaves, &authority_keys(11)));
    assert_eq!(verification.failures.counts()[&Rule::AcceptedOnce], 300);
    let listed = verification
        .failures
        .list()
        .iter()
        .filter(|failure| failure.rule == Rule::AcceptedOnce)
        .count();
    assert_eq!(listed, 100);
}

#[test]
fn a_receipt_is_found_in_its_bundle_only() {
    let sample = Sample::certified();
    let bundle = sample.bundle();
    let place = find(&sample.parsed(), is_accepted);
    let receipt = sample.receipt(place);
    let policy = authority_keys(11).policy();
    assert_eq!(
        receipt.verify_strict(&sample.leaves[place], &policy).expect("a good proof").index,
        place as u64
    );
    assert!(find_receipt(&bundle, &receipt).expect("memory reads").failures.is_empty());
    // A node signs a checkpoint of a whole block; the format allows any size.
    let inside = sample.receipt_at(place, place + 1);
    inside.verify_strict(&sample.leaves[place], &policy).expect("a good proof");
    assert!(find_receipt(&bundle, &inside).expect("memory reads").failures.is_empty());
    let leaves = edited(&sample, |leaves| entry(&mut leaves[place]).minute.0 += 1);
    let other = sample.bundle_of(&leaves, &authority_keys(11));
    let found = find_receipt(&other, &receipt).expect("memory reads").failures;
    assert_eq!(found.list()[0].line, Some(place as u64 + 1));
    assert_eq!(found.list()[0].rule, Rule::Receipt);
    let cut = sample.bundle_of(&sample.leaves[..place], &authority_keys(11));
    assert!(!find_receipt(&cut, &receipt).expect("memory reads").failures.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        max_global_rejects: 100_000,
        ..Default::default()
    })]

    /// A log is untrusted input: no number in it, however large, may stop the verifier or the
    /// writer.
    #[test]
    fn numbers_at_their_limits_are_reported_without_panic(
        line in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        value in prop::sample::select(
            vec![0, 1, (1 << 32) - 1, (1 << 53) - 1, UnixMinutes::MAX.0],
        ),
    ) {
        let sample = Sample::certified();
        let mut leaves = sample.leaves.clone();
        let line = line.index(leaves.len());
        let text = String::from_utf8(leaves[line].clone()).expect("JSON");
        let numbers: Vec<_> = text.match_indices([':', '['])
            .map(|(start, _)| start + 1)
            .filter(|start| text.as_bytes()[*start].is_ascii_digit())
            .collect();
        prop_assume!(!numbers.is_empty());
        let start = *place.get(&numbers);
        let rest = text[start..].trim_start_matches(|character: char| character.is_ascii_digit());
        let changed = format!("{}{value}{rest}", &text[..start]);
        prop_assume!(changed != text && Leaf::parse(changed.as_bytes()).is_ok());
        leaves[line] = changed.into_bytes();
        let mut writer = crate::bundle::Writer::new();
        let mut lines = Vec::new();
        leaves.iter().for_each(|leaf| writer.leaf(leaf, &mut lines).expect("a leaf"));
        let harmless = text.contains(r#""at":"#) || text.contains("sealed_at") || text.contains("minute");
        prop_assert!(!check(&sample.bundle_of(&leaves, &authority_keys(11))).failures.is_empty() || harmless, "{text}");
    }
}

/// The golden bundle and its companions, as other tests and other implementations read it.
fn golden() -> MemorySource {
    let sample = Sample::certified();
    let mut files = MemorySource::new();
    let mut put = |folder: &str, source: MemorySource| {
        files.extend(source.into_iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes)));
    };
    put("bundle", sample.bundle());
    put("shards", sample.roll.clone());
    put("shards-supplement", sample.supplement.clone());
    let batches = sample.batches.iter().map(|batch| {
        let number = batch.number();
        let name = format!("{}.{}.{}.batch", number.node, number.epoch.0, number.sequence.0);
        (name, batch.as_bytes().to_vec())
    });
    put("evidence", batches.collect());
    files.insert("bundle.policy".to_owned(), authority_keys(11).policy().as_bytes().to_vec());
    let key = format!("{}\n", const_hex::encode(sample::ballot_key().expose_bytes()));
    files.insert("ballot.key".to_owned(), key.into_bytes());
    let place = find(&sample.parsed(), is_accepted);
    files.insert("receipt.txt".to_owned(), sample.receipt(place).to_string().into_bytes());
    files
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/election")
}

#[test]
fn the_golden_bundle_is_reproduced() {
    for (name, bytes) in golden() {
        let found = fs::read(golden_folder().join(&name)).unwrap_or_default();
        assert!(found == bytes, "fixtures/election/{name} is not what the sample gives");
    }
}

#[test]
#[ignore = "writes the golden bundle after a deliberate change of format: cargo test -p votekit-core -- --ignored write_the_golden"]
fn write_the_golden_bundle() {
    let _ = fs::remove_dir_all(golden_folder());
    for (name, bytes) in golden() {
        let path = golden_folder().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

#[path = "quorum_test.rs"]
mod quorum;

#[path = "second_verifier_test.rs"]
mod second_verifier;
