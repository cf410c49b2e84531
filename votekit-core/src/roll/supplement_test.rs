//! Checks supplements against the roll they build on: no elector gets a second live code.

use proptest::prelude::*;

use super::*;
use crate::credential::{Credential, CredentialHasher, Pepper};
use crate::electorate::{self, CredentialStatus, Electorate, KeyList};

fn gathered(rows: &str) -> GatheredRoll {
    let text = format!("nas,code,law_id\n{rows}");
    let mut chunks = RollChunks::open(text.as_bytes()).expect("a readable roll");
    let hasher = CredentialHasher::peppered(&Pepper::from_bytes([3; 32]));
    let hasher = RollHasher::new(*chunks.header(), RollRules::default(), hasher);
    let mut hashes = RollHashes::new(&hasher);
    while let Some(chunk) = chunks.next_cut().expect("readable") {
        hashes.add(hasher.hash(chunk, &mut HashScratch::default())).expect("short rows");
    }
    hashes.end().expect("short rows")
}

/// A supplement to a roll, after earlier supplements.
fn supplement(roll: &str, earlier: &[(&str, &str)], add: &str, revoke: &str) -> HashedSupplement {
    let (add, revoke) = (gathered(add), gathered(revoke));
    let earlier: Vec<_> =
        earlier.iter().map(|(add, revoke)| (gathered(add), gathered(revoke))).collect();
    let named: Vec<&GatheredRoll> =
        earlier.iter().flat_map(|(add, revoke)| [add, revoke]).chain([&add, &revoke]).collect();
    let mut live = LiveCredentials::from_roll(&gathered(roll), &named);
    for (add, revoke) in &earlier {
        live.apply(add, revoke);
    }
    hash_supplement(&live, add, revoke).expect("consistent")
}

const ROLL: &str =
    "111111111,CODE1A,L1\n222222222,CODE2A,L1\n333333333,CODE3A,L1\n111111111,CODE1L,L2\n";

/// File, line and rule of each refused row.
fn refused(
    earlier: &[(&str, &str)],
    add: &str,
    revoke: &str,
) -> Vec<(ChangeFile, u64, ContradictionRule)> {
    let found = supplement(ROLL, earlier, add, revoke).contradictions;
    found.into_iter().map(|found| (found.file, found.line, found.rule)).collect()
}

#[test]
fn a_lost_letter_is_paired_with_its_replacement() {
    let made = supplement(
        ROLL,
        &[],
        "111111111,CODE1B,L1\n444444444,CODE4A,L1\n",
        "333333333,CODE3A,L1\n111111111,CODE1A,L1\n",
    );
    assert_eq!(made.contradictions, []);
    let changes = &made.changes[0];
    assert_eq!((changes.add().len(), changes.revoke().len(), changes.replace().len()), (1, 1, 1));
}

#[test]
fn a_second_code_for_an_elector_is_refused() {
    let registered = RowLocation { file: 0, line: 2 };
    assert_eq!(
        refused(&[], "444444444,CODE4A,L1\n111111111,CODE1B,L1\n", ""),
        [(ChangeFile::Add, 3, ContradictionRule::SecondCode { registered })]
    );
    // A credential for another law is independent.
    assert_eq!(refused(&[], "222222222,CODE2L,L2\n", ""), []);
    // A code added by an earlier supplement is valid too; the code that it replaced is not.
    let replaced = ("111111111,CODE1B,L1\n", "111111111,CODE1A,L1\n");
    let registered = RowLocation { file: 1, line: 2 };
    assert_eq!(
        refused(&[replaced], "111111111,CODE1C,L1\n", ""),
        [(ChangeFile::Add, 2, ContradictionRule::SecondCode { registered })]
    );
    assert_eq!(refused(&[replaced], "111111111,CODE1C,L1\n", "111111111,CODE1B,L1\n"), []);
    // The first code may replace the second.
    assert_eq!(refused(&[replaced], "111111111,CODE1A,L1\n", "111111111,CODE1B,L1\n"), []);
}

#[test]
fn registered_credentials_are_not_added_again() {
    let registered = RowLocation { file: 0, line: 3 };
    assert_eq!(
        refused(&[], "222222222,CODE2A,L1\n", ""),
        [(ChangeFile::Add, 2, ContradictionRule::Registered { registered })]
    );
    let registered = RowLocation { file: 1, line: 2 };
    assert_eq!(
        refused(&[("444444444,CODE4A,L1\n", "")], "444444444,CODE4A,L1\n", ""),
        [(ChangeFile::Add, 2, ContradictionRule::Registered { registered })]
    );
}

#[test]
fn only_a_live_credential_is_revoked() {
    let registered = RowLocation { file: 0, line: 2 };
    assert_eq!(
        refused(&[], "", "111111111,WRONG1,L1\n999999999,CODE9A,L1\n333333333,CODE3A,L2\n"),
        [
            (ChangeFile::Revoke, 2, ContradictionRule::OtherCode { registered }),
            (ChangeFile::Revoke, 3, ContradictionRule::Unregistered),
            (ChangeFile::Revoke, 4, ContradictionRule::Unregistered),
        ]
    );
    let revoked = RowLocation { file: 2, line: 2 };
    assert_eq!(
        refused(&[("", "111111111,CODE1A,L1\n")], "", "111111111,CODE1A,L1\n"),
        [(ChangeFile::Revoke, 2, ContradictionRule::RevokedBefore { revoked })]
    );
    assert_eq!(
        refused(&[], "222222222,SAME12,L1\n", "222222222,SAME12,L1\n"),
        [(ChangeFile::Add, 2, ContradictionRule::Unchanged { revoked_line: 2 })]
    );
}

#[test]
fn a_new_code_after_a_revocation_replaces_the_old_one() {
    let revoked = ("", "111111111,CODE1A,L1\n");
    let made = supplement(ROLL, &[revoked], "111111111,CODE1B,L1\n", "");
    assert_eq!(made.contradictions, []);
    assert_eq!(made.readmissions[0].revoked, RowLocation { file: 2, line: 2 });
    assert_eq!((made.changes[0].add().len(), made.changes[0].readmit().len()), (0, 1));
    // The same code can come back: the node knows whether it was used.
    let made = supplement(ROLL, &[revoked], "111111111,CODE1A,L1\n", "");
    assert_eq!((made.contradictions, made.readmissions), (vec![], vec![]));
}

#[test]
fn an_earlier_second_code_can_be_revoked() {
    let second = ("111111111,CODE1B,L1\n", "");
    assert_eq!(refused(&[second], "", "111111111,CODE1B,L1\n"), []);
    assert_eq!(refused(&[second], "", "111111111,CODE1A,L1\n"), []);
    // A third code is refused even when one of the first two codes is revoked.
    assert_eq!(refused(&[second], "111111111,CODE1C,L1\n", "111111111,CODE1A,L1\n").len(), 1);
}

#[test]
fn a_roll_knows_how_many_it_registers() {
    let roll = gathered(
        "111111111,CODE1A,L1\n111111111,code1a,L1\n222222222,CODE2A,L1\n111111111,CODE1A,L1\n",
    );
    assert_eq!(roll.registered(&Sequential).into_values().collect::<Vec<_>>(), [2]);
}

/// Rows of votes or of a supplement: each has one of six electors and one of four codes.
type Rows = Vec<(u32, u8)>;

fn changes() -> impl Strategy<Value = Rows> {
    prop::collection::vec((0_u32..6, 0_u8..4), 0..4).prop_map(|mut rows| {
        // Two codes for one elector in one file are refused earlier.
        rows.sort_unstable();
        rows.dedup_by_key(|row| row.0);
        rows
    })
}

fn text(rows: &[(u32, u8)]) -> String {
    rows.iter().map(|(elector, code)| format!("{:09},CODE{code}X,L1\n", 111 + elector)).collect()
}

/// The registry key of one elector's code.
fn key_of(elector: u32, code: u8) -> crate::credential::RegistryKey {
    let (nas, code) = (format!("{:09}", 111 + elector), format!("CODE{code}X"));
    let Credential { nas, code, law_id } =
        Credential::parse(nas.as_bytes(), code.as_bytes(), b"L1").expect("well formed");
    CredentialHasher::peppered(&Pepper::from_bytes([3; 32])).registry_key(&nas, &code, &law_id)
}

/// Starts with a roll of three electors. For each step casts the votes, then applies the supplement
/// if it is accepted. Calls `check` with each change file that was applied.
fn apply_chain(
    steps: Vec<(Rows, Rows, Rows)>,
    mut check: impl FnMut(&HashedSupplement, &crate::shard::Changes, electorate::ChangesApplied),
) -> (Electorate, Vec<u32>) {
    let roll = "000000111,CODE0X,L1\n000000112,CODE0X,L1\n000000113,CODE1X,L1\n";
    let keys = gathered(roll).finish(&Sequential).laws[0].to_vec();
    let mut electorate = Electorate::default();
    electorate.add_roll(std::sync::Arc::new(KeyList::new(keys).expect("sorted"))).expect("few");
    let mut accepted: Vec<(String, String)> = Vec::new();
    let mut voted = Vec::new();
    for (votes, add, revoke) in steps {
        for (elector, code) in votes {
            if electorate.attempt(&key_of(elector, code)) == CredentialStatus::First {
                voted.push(elector);
            }
        }
        let (add, revoke) = (text(&add), text(&revoke));
        let earlier: Vec<_> =
            accepted.iter().map(|(add, revoke)| (add.as_str(), revoke.as_str())).collect();
        let made = supplement(roll, &earlier, &add, &revoke);
        if made.contradictions.is_empty() {
            for file in &made.changes {
                let applied = electorate.apply(&electorate::Changes::from(file));
                check(&made, file, applied);
            }
            accepted.push((add, revoke));
        }
    }
    (electorate, voted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// For any sequence of supplements and votes: no elector has two live codes or two accepted
    /// votes.
    #[test]
    fn no_chain_of_supplements_gives_an_elector_two_codes(
        steps in prop::collection::vec((changes(), changes(), changes()), 1..8),
    ) {
        let (mut electorate, mut voted) = apply_chain(steps, |_, _, _| {});
        for elector in 0..6_u32 {
            let standings = (0..4_u8).map(|code| electorate.look_up(&key_of(elector, code)));
            let is_live = |status: &CredentialStatus| {
                matches!(status, CredentialStatus::First | CredentialStatus::Again { .. })
            };
            prop_assert!(standings.filter(is_live).count() <= 1, "elector {elector}");
            for code in 0..4_u8 {
                if electorate.attempt(&key_of(elector, code)) == CredentialStatus::First {
                    voted.push(elector);
                }
            }
            let votes = voted.iter().filter(|voter| **voter == elector).count();
            prop_assert!(votes <= 1, "elector {elector} has {votes} votes");
        }
    }

    /// With no votes in between, every change of a supplement takes effect.
    #[test]
    fn a_supplement_without_concurrent_votes_takes_effect_whole(
        supplements in prop::collection::vec((changes(), changes()), 1..6),
    ) {
        let steps = supplements.into_iter().map(|(add, revoke)| (vec![], add, revoke)).collect();
        apply_chain(steps, |made, file, applied| {
            assert_eq!(applied.added, file.added_count());
            assert_eq!((applied.revoked, applied.refused), (file.revoked_count(), 0));
            assert_eq!(made.readmissions.len(), file.readmit().len());
        });
    }
}
