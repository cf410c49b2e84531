use std::sync::Arc;

use proptest::prelude::*;

use super::super::tests::{Stored, append, batch, close, keys, maker, opened, policy, seal, votes};
use super::super::{LogEvent, LogReplay, RollLoad, Scrub, ScrubError};
use super::*;
use crate::credential::{CredentialHash, RegistryKey};
use crate::election::ResultsPolicy;
use crate::electorate::{Changes, Elector};
use crate::fixed_rng::FixedRng;
use crate::id::RequestId;
use crate::request_index::{FirstDecision, Subject};

fn law() -> ElectionId {
    "L1".parse().expect("law id")
}

pub(in crate::election_log) fn encoded(log: &ElectionLog) -> Vec<u8> {
    let requests = log.decisions().requests();
    let list = requests.copy(0..requests.len());
    log.snapshot().encode(&[], &list, 17, &mut FixedRng::new(5)).expect("a good key")
}

fn restored(
    bytes: &[u8],
    stored: &Stored,
    key: Option<&BallotSecretKey>,
) -> Result<ElectionLog, SnapshotError> {
    let mut head = Head::decode(bytes, &law())?;
    let requests = RequestIndex::from_list(std::mem::take(&mut head.rest), head.room())?;
    ElectionLog::restore(head, requests, key, &mut |manifest| Some(stored.content(manifest)))
}

/// Revokes electors, gives some new credentials and adds others. Those who have voted keep theirs.
fn supplement(log: &mut ElectionLog, stored: &mut Stored) {
    let key = |value| RegistryKey::from_bytes([value; 32]);
    let changes = Changes {
        add: vec![key(33), key(31)],
        revoke: vec![key(3), key(4)],
        replace: vec![(key(5), key(32)), (key(6), key(36)), (key(7), key(34)), (key(8), key(35))],
        readmit: vec![],
    };
    let content = RollContent::Supplement(Arc::new(changes));
    let manifest = Digest::from_bytes([9; 32]);
    stored.supplements.insert(manifest, content.clone());
    let load = RollLoad {
        manifest,
        parent: log.last_manifest(),
        replaces: None,
        scheme: HashScheme::Sha256,
        content,
    };
    stored
        .blocks
        .push(append(log, &[LogEvent::Load(load)], &maker(150)).expect("a poll takes supplements"));
}

/// All state of a log that these tests compare.
fn fingerprint(log: &ElectionLog) -> (impl PartialEq + std::fmt::Debug, String) {
    let standings: Vec<_> = (0..60)
        .map(|value| log.electorate().look_up(&RegistryKey::from_bytes([value; 32])))
        .collect();
    let public = (
        log.results(),
        log.decisions().requests().decided().to_vec(),
        log.decisions().epochs().iter().collect::<Vec<_>>(),
        standings,
        (log.electorate().registered(), log.electorate().voted()),
        (
            log.named_manifests().copied().collect::<Vec<_>>(),
            log.height(),
            *log.window(),
            log.scheme(),
        ),
    );
    let private = format!("{:?} {:?} {:?}", log.state.tally, log.state.published, log.state.nodes);
    (public, private)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A snapshot taken after any block, with the blocks after it, results in the whole log. The
    /// whole log read again agrees with it, with evidence and after the purge.
    #[test]
    fn a_snapshot_and_the_tail_give_the_whole(
        votes in votes(),
        every in 1_u64..6,
        policy in policy(),
        closing: bool,
        late in 0_usize..8,
    ) {
        let (mut log, mut stored) = opened(policy, every);
        let mut snapshots = vec![encoded(&log)];
        for (sequence, votes) in (1..).zip(&votes) {
            if sequence == late as u64 {
                supplement(&mut log, &mut stored);
                snapshots.push(encoded(&log));
            }
            seal(&mut log, &mut stored, &[batch(sequence, false, votes)]);
            snapshots.push(encoded(&log));
        }
        if closing {
            seal(&mut log, &mut stored, &[batch(votes.len() as u64 + 1, true, &[])]);
            close(&mut log, &mut stored);
            snapshots.push(encoded(&log));
        }
        let key = keys().ballot;
        for bytes in &snapshots {
            let back = restored(bytes, &stored, Some(&key)).expect("own snapshot");
            prop_assert_eq!(Head::decode(bytes, &law()).expect("reads").sealed_through, 17);
            let blocks = stored.blocks.iter().skip(back.height() as usize);
            let tail: Vec<_> = blocks.map(|block| block.leaves.clone()).collect();
            let mut replay = LogReplay::resume(back);
            for leaves in tail {
                replay.read(&leaves, &key, &mut stored).expect("own log");
            }
            let back = replay.finish().expect("resumed");
            prop_assert!(fingerprint(&back) == fingerprint(&log), "{:?}", fingerprint(&back));
            prop_assert_eq!(back.tree().root(), log.tree().root());
        }
        prop_assert_eq!(scrubbed(&log, &mut stored, false, |first| first), Ok(()));
        if closing {
            let events = [LogEvent::Certify { witness_waiver: None }, LogEvent::Purge];
            stored.blocks.push(append(&mut log, &events, &maker(202)).expect("closed"));
            stored.purged = true;
            prop_assert_eq!(scrubbed(&log, &mut stored, true, |first| first), Ok(()));
        }
    }
}

fn small() -> (ElectionLog, Stored, Vec<u8>) {
    let (mut log, mut stored) = opened(ResultsPolicy::AfterClose, 1);
    seal(&mut log, &mut stored, &[batch(1, false, &[(1, 1, 0), (2, 2, 1), (3, 1, 1), (4, 77, 0)])]);
    let bytes = encoded(&log);
    (log, stored, bytes)
}

#[test]
fn no_byte_of_a_head_can_change() {
    let (_, stored, bytes) = small();
    let key = keys().ballot;
    restored(&bytes, &stored, Some(&key)).expect("whole");
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        let error = restored(&damaged, &stored, Some(&key)).expect_err("damaged");
        assert!(
            matches!(error, SnapshotError::Malformed { .. } | SnapshotError::Digest { .. }),
            "byte {place}: {error}"
        );
        assert!(restored(&bytes[..place], &stored, Some(&key)).is_err(), "cut at {place}");
    }
    assert!(restored(&[&bytes[..], b"x"].concat(), &stored, Some(&key)).is_err());
    let foreign =
        Head::decode(&bytes, &"L2".parse().expect("law id")).expect_err("of another election");
    assert_eq!(
        foreign,
        SnapshotError::Malformed { offset: 8, rule: "the file belongs to this election" }
    );
}

#[test]
fn no_byte_of_a_segment_can_change() {
    let mut index = RequestIndex::default();
    for number in 0..SEGMENT_REQUESTS as u32 {
        let mut request = [0; 16];
        request[..4].copy_from_slice(&number.to_be_bytes());
        let subject = match number % 7 {
            0 => Subject::Invalid(CredentialHash::from_bytes([number as u8 | 1; 32])),
            1 => Subject::Unknown,
            _ => Subject::Elector(Elector(number / 2)),
        };
        index.insert(RequestId::from_bytes(request), u64::from(number), subject);
    }
    let list = index.copy(0..SEGMENT_REQUESTS);
    let bytes = encode_segment(&law(), 3, &list);
    let digest = Digest::compute(&bytes);
    let mut out = vec![Decided::EMPTY; SEGMENT_REQUESTS];
    let invalid = decode_segment(&bytes, &law(), 3, &digest, &mut out).expect("whole");
    assert_eq!((out.clone(), invalid), (list.decided, list.invalid));
    for place in (0..bytes.len()).step_by(9973).chain(0..19) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        assert!(matches!(
            decode_segment(&damaged, &law(), 3, &digest, &mut out),
            Err(SnapshotError::Digest { .. })
        ));
        // Damage to the header is refused even if the digest matches.
        if place < 19 {
            let own = Digest::compute(&damaged);
            assert!(
                matches!(
                    decode_segment(&damaged, &law(), 3, &own, &mut out),
                    Err(SnapshotError::Malformed { .. })
                ),
                "{place}"
            );
        }
        assert!(
            decode_segment(&bytes[..place], &law(), 3, &Digest::compute(&bytes[..place]), &mut out)
                .is_err()
        );
    }
    assert!(decode_segment(&bytes, &law(), 4, &digest, &mut out).is_err());
}

#[test]
fn before_the_close_no_count_stands_in_clear() {
    let (mut log, mut stored, bytes) = small();
    let plain = json(&log.snapshot().sums);
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(!holds(&bytes, &plain[..30]));
    assert_eq!(restored(&bytes, &stored, None).expect_err("sealed"), SnapshotError::Sums);
    let other = BallotSecretKey::from_seed(&[4; 32]);
    assert_eq!(restored(&bytes, &stored, Some(&other)).expect_err("sealed"), SnapshotError::Sums);
    seal(&mut log, &mut stored, &[batch(2, true, &[])]);
    close(&mut log, &mut stored);
    let closed = restored(&encoded(&log), &stored, None).expect("everything is public now");
    assert_eq!(closed.results(), log.results());
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let (log, stored, bytes) = small();
    let key = keys().ballot;
    let refused = |change: &dyn Fn(&mut Head, &mut DecidedList)| {
        let mut head = Head::decode(&bytes, &law()).expect("reads");
        let requests = log.decisions().requests();
        let mut list = requests.copy(0..requests.len());
        change(&mut head, &mut list);
        let requests = RequestIndex::from_list(list, 0)?;
        ElectionLog::restore(head, requests, Some(&key), &mut |manifest| {
            Some(stored.content(manifest))
        })
        .map(|_| ())
    };
    assert_eq!(refused(&|_, _| {}), Ok(()));
    let contradicts = |change: &dyn Fn(&mut Head, &mut DecidedList)| {
        assert!(
            matches!(refused(change), Err(SnapshotError::Contradiction { .. })),
            "{:?}",
            refused(change)
        );
    };
    contradicts(&|_, list| {
        if list.decided.pop().is_some_and(|last| last.elector().is_none()) {
            list.invalid.pop();
        }
    });
    contradicts(&|_, list| list.decided.swap(0, 1));
    contradicts(&|_, list| list.decided[0] = changed(list.decided[0], 20, 999));
    contradicts(&|_, list| list.decided[0] = changed(list.decided[0], 16, 1 << 20));
    contradicts(&|head, _| head.state.report.replayed += 1);
    contradicts(&|head, _| head.state.registered += 1);
    contradicts(&|head, _| head.state.size += 1);
    contradicts(&|head, _| head.state.edge[0][0] = TreeHash::from_bytes([1; 32]));
    contradicts(&|head, _| head.state.loads[0].after = 9);
    let repeated = refused(&|_, list| {
        let mut bytes = list.decided[1].to_bytes();
        bytes[..16].copy_from_slice(list.decided[0].request().as_bytes());
        list.decided[1] = Decided::from_bytes(&bytes);
    });
    let rank = 1;
    assert_eq!(repeated, Err(SnapshotError::Decided(DecidedListError::Repeated { rank })));
    assert!(matches!(
        refused(&|_, list| list.invalid.push(None)),
        Err(SnapshotError::Decided(DecidedListError::Invalid { .. }))
    ));
    let head = Head::decode(&bytes, &law()).expect("reads");
    let requests = RequestIndex::from_list(head.rest.clone(), 0).expect("each once");
    let error = ElectionLog::restore(head, requests, Some(&key), &mut |_| None)
        .expect_err("without its roll");
    assert!(matches!(error, SnapshotError::Roll { .. }));
}

/// A decided request with `number` written at an offset of its bytes.
fn changed(decided: Decided, offset: usize, number: u32) -> Decided {
    let mut bytes = decided.to_bytes();
    bytes[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
    Decided::from_bytes(&bytes)
}

/// Reads the whole log again beside a log; `find` changes what the node knows of a request.
fn scrubbed(
    log: &ElectionLog,
    stored: &mut Stored,
    purged: bool,
    find: impl Fn(Option<FirstDecision>) -> Option<FirstDecision>,
) -> Result<(), ScrubError> {
    let mut scrub = Scrub::new(log);
    let blocks: Vec<_> = stored.blocks.iter().map(|block| block.leaves.clone()).collect();
    let index = log.decisions().requests();
    let find_first = |requests: &[RequestId]| {
        requests.iter().map(|request| find(index.find_first(request))).collect()
    };
    while let Some(height) = scrub.next_height() {
        scrub.read(&blocks[height as usize - 1], &find_first, purged, stored)?;
    }
    scrub.finish()
}

#[test]
fn a_log_read_again_is_compared_with_the_snapshot() {
    let (log, mut stored, bytes) = small();
    let key = keys().ballot;
    let same = |first| first;
    let mut back = restored(&bytes, &stored, Some(&key)).expect("whole");
    assert_eq!(scrubbed(&back, &mut stored, false, same), Ok(()));

    // The log has grown since the snapshot: later blocks are not read.
    seal(&mut back, &mut stored, &[batch(2, false, &[(9, 9, 0)])]);
    assert_eq!(scrubbed(&log, &mut stored, false, same), Ok(()));

    let contradicts = |scrubbed: Result<(), ScrubError>| {
        assert!(matches!(scrubbed, Err(ScrubError::Contradiction { .. })), "{scrubbed:?}");
    };
    contradicts(scrubbed(&log, &mut stored, false, |first| {
        first.map(|first| FirstDecision { subject: Subject::Elector(Elector(7)), ..first })
    }));
    contradicts(scrubbed(&log, &mut stored, false, |first| first.filter(|first| first.rank < 3)));

    let mut sums = restored(&bytes, &stored, Some(&key)).expect("whole");
    sums.state.tally = Tally::opened(&Totals { values: vec![2, 0, 0], ..sums.state.tally.open(3) })
        .expect("three values");
    let rule = "the evidence gives the sums that the node counts with";
    assert!(matches!(
        scrubbed(&sums, &mut stored, false, same),
        Err(ScrubError::Whole { rule: found, .. }) if found == rule
    ));

    let leaves = stored.blocks[2].leaves.clone();
    let sealed_at =
        leaves.windows(12).position(|window| window == br#""sealed_at":"#).expect("a block") + 13;
    stored.blocks[2].leaves[sealed_at] ^= 1;
    let rule = "they have the root that is signed";
    assert!(matches!(
        scrubbed(&log, &mut stored, false, same),
        Err(ScrubError::Whole { rule: found, .. }) if found == rule
    ));
    stored.blocks[2].leaves = leaves;

    stored.purged = true;
    assert!(matches!(scrubbed(&log, &mut stored, false, same), Err(ScrubError::Evidence { .. })));
    assert_eq!(scrubbed(&log, &mut stored, true, same), Ok(()));
}
