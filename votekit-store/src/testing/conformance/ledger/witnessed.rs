//! The cases on cosignatures of outside witnesses.

use votekit_core::log::merkle::TreeHash;

use super::super::samples::law;
use super::super::{Case, CaseError, Outcome, TestStorage, case, ensure_eq, expect_conflict};
use crate::{Conflict, EngineError, Ledger, WitnessLine};

pub(super) const CASES: &[Case] = &[
    case!(a_witness_has_the_line_over_a_head_that_was_stored_last),
    case!(lines_are_read_by_head_and_by_witness),
    case!(only_the_last_lines_of_each_witness_are_kept),
    case!(lines_over_larger_trees_keep_no_line_out),
    case!(line_that_breaks_a_rule_is_refused),
];

fn line(witness: &str, size: u64, root: u8, text: &str) -> WitnessLine {
    WitnessLine {
        witness: witness.to_owned(),
        height: size / 2,
        size,
        root: TreeHash::from_bytes([root; 32]),
        line: text.as_bytes().to_vec(),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The lines of witnesses over a tree of this size, whose root has these bytes.
async fn lines_at(
    ledger: &dyn Ledger,
    law_id: &str,
    (size, root): (u64, u8),
    witnesses: &[&str],
) -> Result<Vec<WitnessLine>, EngineError> {
    let root = TreeHash::from_bytes([root; 32]);
    ledger.witness_lines(&law(law_id), size, &root, &names(witnesses)).await
}

async fn a_witness_has_the_line_over_a_head_that_was_stored_last(
    storage: &dyn TestStorage,
) -> Outcome {
    let ledger = storage.open().await?.ledger;
    // Any program may have written the first one.
    let first = line("w1", 10, 1, "first");
    ledger.put_witness_line(&law("L1"), &first).await?;
    ledger.put_witness_line(&law("L1"), &first).await?;
    let second = WitnessLine { height: 4, ..line("w1", 10, 1, "second") };
    ledger.put_witness_line(&law("L1"), &second).await?;
    let (by_other, of_other) = (line("w2", 10, 1, "other"), line("w1", 10, 1, "elsewhere"));
    ledger.put_witness_line(&law("L1"), &by_other).await?;
    ledger.put_witness_line(&law("L2"), &of_other).await?;
    ensure_eq!(ledger.elections().await?, [], "a line of a witness creates no log");
    drop(ledger);
    let ledger = storage.open().await?.ledger;
    let both = ["w2", "w1", "w1"];
    let found = lines_at(&*ledger, "L1", (10, 1), &both).await?;
    ensure_eq!(found, [second.clone(), by_other.clone()], "lines of L1");
    let latest = ledger.latest_witness_lines(&law("L1"), 10, &names(&both)).await?;
    ensure_eq!(latest, [second, by_other], "the last lines of L1");
    ensure_eq!(lines_at(&*ledger, "L2", (10, 1), &both).await?, [of_other], "lines of L2");
    Ok(())
}

async fn lines_are_read_by_head_and_by_witness(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let lines = [
        line("b", 10, 1, "b at 10"),
        line("Z", 10, 1, "Z at 10"),
        line("é", 10, 1, "é at 10"),
        line("b", 20, 2, "b at 20"),
        line("Z", 5, 9, "Z at 5"),
        // Of a witness that contradicts itself, both lines are evidence.
        line("b", 20, 3, "b at 20, another root"),
    ];
    for line in &lines {
        ledger.put_witness_line(&law("L1"), line).await?;
    }
    let [b_10, z_10, e_10, b_20, z_5, b_other] = lines;
    let all = ["é", "b", "Z"];
    for (size, root, witnesses, expected) in [
        (5, 9, &all[..], vec![z_5.clone()]),
        (5, 1, &all[..], Vec::new()),
        (10, 1, &all[..], vec![z_10.clone(), b_10.clone(), e_10.clone()]),
        (10, 1, &["b", "unknown"][..], vec![b_10.clone()]),
        (10, 1, &all[..0], Vec::new()),
        (20, 2, &all[..], vec![b_20.clone()]),
        (20, 3, &all[..], vec![b_other.clone()]),
        (0, 1, &all[..], Vec::new()),
        (u64::MAX, 1, &all[..], Vec::new()),
    ] {
        let found = lines_at(&*ledger, "L1", (size, root), witnesses).await?;
        ensure_eq!(found, expected, format!("lines at {size}, {root}, of {witnesses:?}"));
    }
    let of_z = [z_10, z_5.clone()];
    let of_b = [b_20, b_other, b_10.clone()];
    for (through, witnesses, expected) in [
        (u64::MAX, &all[..], [&of_z[..], &of_b, std::slice::from_ref(&e_10)].concat()),
        (19, &all[..], [&of_z[..], &[b_10, e_10]].concat()),
        (20, &["b"][..], of_b.to_vec()),
        (5, &all[..], vec![z_5]),
        (4, &all[..], Vec::new()),
    ] {
        let latest = ledger.latest_witness_lines(&law("L1"), through, &names(witnesses)).await?;
        ensure_eq!(latest, expected, format!("the last lines of {witnesses:?} through {through}"));
    }
    let of_none = ledger.latest_witness_lines(&law("L3"), 20, &names(&all)).await?;
    ensure_eq!(of_none, [], "lines of no election");
    Ok(())
}

async fn only_the_last_lines_of_each_witness_are_kept(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let kept = WitnessLine::KEPT_PER_WITNESS as u64;
    ledger.put_witness_line(&law("L1"), &line("w2", 1, 1, "of another")).await?;
    ledger.put_witness_line(&law("L2"), &line("w1", 1, 1, "of another election")).await?;
    for size in 1..=kept + 1 {
        ledger.put_witness_line(&law("L1"), &line("w1", size, 1, "line")).await?;
    }
    let both = ["w1", "w2"];
    let at_one = lines_at(&*ledger, "L1", (1, 1), &both).await?;
    ensure_eq!(at_one, [line("w2", 1, 1, "of another")], "lines at the size that was removed");
    ensure_eq!(lines_at(&*ledger, "L2", (1, 1), &both).await?.len(), 1, "of another election");
    for size in [2, kept + 1] {
        let found = lines_at(&*ledger, "L1", (size, 1), &both).await?;
        ensure_eq!(found.len(), 1, format!("at {size}"));
    }
    // More are kept where each is over a smaller tree than the one before, and are not listed.
    for size in (1..=kept + 1).rev() {
        ledger.put_witness_line(&law("L1"), &line("w3", size, 1, "line")).await?;
    }
    let latest = ledger.latest_witness_lines(&law("L1"), u64::MAX, &names(&["w3"])).await?;
    ensure_eq!(latest.len() as u64, kept, "the last lines");
    ensure_eq!(latest[0].size, kept + 1, "the size of the last line");
    Ok(())
}

async fn lines_over_larger_trees_keep_no_line_out(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let kept = WitnessLine::KEPT_PER_WITNESS as u64;
    for size in 1000..1001 + kept {
        ledger.put_witness_line(&law("L1"), &line("w1", size, 1, "invented")).await?;
    }
    let true_one = line("w1", 30, 1, "line");
    ledger.put_witness_line(&law("L1"), &true_one).await?;
    let found = ledger.latest_witness_lines(&law("L1"), 30, &names(&["w1"])).await?;
    ensure_eq!(found, [true_one], "the line over the smaller tree");
    Ok(())
}

async fn line_that_breaks_a_rule_is_refused(storage: &dyn TestStorage) -> Outcome {
    let ledger = storage.open().await?.ledger;
    let malformed = |conflict: &Conflict| matches!(conflict, Conflict::Malformed { .. });
    let too_long = "x".repeat(256);
    let long_line = "x".repeat(WitnessLine::LINE_BYTES_MAX + 1);
    let good = line("w1", 1, 1, "line");
    for bad in [
        line("", 1, 1, "line"),
        line("a\0b", 1, 1, "line"),
        line(&too_long, 1, 1, "line"),
        line("w1", 1, 1, &long_line),
        WitnessLine { size: u64::MAX, ..good.clone() },
        WitnessLine { height: u64::MAX, ..good },
    ] {
        let refused = ledger.put_witness_line(&law("L1"), &bad).await;
        expect_conflict(refused, malformed, &format!("{bad:?}"))?;
    }
    let all = names(&["", "w1", &too_long]);
    let left = ledger.latest_witness_lines(&law("L1"), u64::MAX, &all).await?;
    ensure_eq!(left, [], "lines after refusals");
    Ok(())
}
