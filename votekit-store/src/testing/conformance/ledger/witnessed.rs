//! The cases on cosignatures of outside witnesses.

use votekit_core::log::merkle::TreeHash;

use super::super::samples::law;
use super::super::{Case, CaseError, Outcome, TestStorage, case, ensure_eq, expect_conflict};
use crate::{Conflict, WitnessLine};

pub(super) const CASES: &[Case] = &[
    case!(lines_of_a_witness_over_a_head_are_kept_beside_one_another),
    case!(lines_are_read_by_size_and_by_witness),
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

async fn lines_of_a_witness_over_a_head_are_kept_beside_one_another(
    place: &dyn TestStorage,
) -> Outcome {
    let ledger = place.open().await?.ledger;
    let first = line("w1", 10, 1, "first");
    ledger.put_witness_line(&law("L1"), &first).await?;
    ledger.put_witness_line(&law("L1"), &first).await?;
    // Any program may have written the first one: readers use the one that the witness signed.
    let second = line("w1", 10, 1, "second");
    ledger.put_witness_line(&law("L1"), &second).await?;
    let (by_other, of_other) = (line("w2", 10, 1, "other"), line("w1", 10, 1, "elsewhere"));
    ledger.put_witness_line(&law("L1"), &by_other).await?;
    ledger.put_witness_line(&law("L2"), &of_other).await?;
    ensure_eq!(ledger.elections().await?, [], "a line of a witness creates no log");
    drop(ledger);
    let ledger = place.open().await?.ledger;
    let expected = [first.clone(), second.clone(), by_other.clone()];
    ensure_eq!(ledger.witness_lines(&law("L1"), 10).await?, expected, "lines of L1");
    let latest = ledger.latest_witness_lines(&law("L1"), 10).await?;
    ensure_eq!(latest, [first, second, by_other], "the last lines of L1");
    ensure_eq!(ledger.witness_lines(&law("L2"), 10).await?, [of_other], "lines of L2");
    Ok(())
}

async fn lines_are_read_by_size_and_by_witness(place: &dyn TestStorage) -> Outcome {
    let ledger = place.open().await?.ledger;
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
    for (size, expected) in [
        (5, vec![z_5.clone()]),
        (10, vec![z_10.clone(), b_10.clone(), e_10.clone()]),
        (20, vec![b_20.clone(), b_other.clone()]),
        (0, Vec::new()),
        (11, Vec::new()),
        (u64::MAX, Vec::new()),
    ] {
        let found = ledger.witness_lines(&law("L1"), size).await?;
        ensure_eq!(found, expected, format!("lines at {size}"));
    }
    for (through, expected) in [
        (u64::MAX, vec![z_10.clone(), b_20.clone(), b_other.clone(), e_10.clone()]),
        (20, vec![z_10.clone(), b_20, b_other, e_10.clone()]),
        (19, vec![z_10, b_10, e_10]),
        (5, vec![z_5]),
        (4, Vec::new()),
    ] {
        let latest = ledger.latest_witness_lines(&law("L1"), through).await?;
        ensure_eq!(latest, expected, format!("the last line of each through {through}"));
    }
    ensure_eq!(ledger.latest_witness_lines(&law("L3"), 20).await?, [], "lines of no election");
    Ok(())
}

async fn only_the_last_lines_of_each_witness_are_kept(place: &dyn TestStorage) -> Outcome {
    let ledger = place.open().await?.ledger;
    let kept = WitnessLine::KEPT_PER_WITNESS as u64;
    ledger.put_witness_line(&law("L1"), &line("w2", 1, 1, "of another")).await?;
    ledger.put_witness_line(&law("L2"), &line("w1", 1, 1, "of another election")).await?;
    for size in 1..=kept + 1 {
        ledger.put_witness_line(&law("L1"), &line("w1", size, 1, "line")).await?;
    }
    let at_one = ledger.witness_lines(&law("L1"), 1).await?;
    ensure_eq!(at_one, [line("w2", 1, 1, "of another")], "lines at the size that was removed");
    ensure_eq!(ledger.witness_lines(&law("L2"), 1).await?.len(), 1, "of another election");
    for size in [2, kept + 1] {
        ensure_eq!(ledger.witness_lines(&law("L1"), size).await?.len(), 1, format!("at {size}"));
    }
    Ok(())
}

async fn lines_over_larger_trees_keep_no_line_out(place: &dyn TestStorage) -> Outcome {
    let ledger = place.open().await?.ledger;
    let kept = WitnessLine::KEPT_PER_WITNESS as u64;
    for size in 1000..1001 + kept {
        ledger.put_witness_line(&law("L1"), &line("w1", size, 1, "invented")).await?;
    }
    let true_one = line("w1", 30, 1, "line");
    ledger.put_witness_line(&law("L1"), &true_one).await?;
    let found = ledger.latest_witness_lines(&law("L1"), 30).await?;
    ensure_eq!(found, [true_one], "the line over the smaller tree");
    Ok(())
}

async fn line_that_breaks_a_rule_is_refused(place: &dyn TestStorage) -> Outcome {
    let ledger = place.open().await?.ledger;
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
    ensure_eq!(
        ledger.latest_witness_lines(&law("L1"), u64::MAX).await?,
        [],
        "lines after refusals"
    );
    Ok(())
}
