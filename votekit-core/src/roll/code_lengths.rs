//! Lengths of the access codes of one law. A spreadsheet that drops leading zeros leaves some codes
//! shorter than the rest.

use std::collections::BTreeMap;

use crate::credential::AccessCode;

/// Lines kept for each length in one chunk.
const LINES_KEPT: usize = 4;

/// Counts code lengths while rows are read; as cheap as a minimum.
pub(super) struct LengthCounter([LengthSlot; AccessCode::LENGTH_MAX + 1]);

#[derive(Clone, Copy, Default)]
struct LengthSlot {
    count: u32,
    /// The first lines, in file order.
    lines: [u32; LINES_KEPT],
}

impl Default for LengthCounter {
    fn default() -> Self {
        Self([LengthSlot::default(); AccessCode::LENGTH_MAX + 1])
    }
}

impl LengthCounter {
    #[inline]
    pub(super) fn push(&mut self, length: usize, line: u32) {
        let Some(slot) = self.0.get_mut(length) else { return };
        if let Some(index) = slot.lines.get_mut(slot.count as usize) {
            *index = line;
        }
        slot.count += 1;
    }

    pub(super) fn counted(&self) -> CodeLengths {
        let lengths = self.0.iter().zip(0..).filter(|(slot, _)| slot.count > 0);
        CodeLengths(
            lengths
                .map(|(slot, length)| {
                    let kept = LINES_KEPT.min(slot.count as usize);
                    let lines = slot.lines[..kept].iter().map(|line| u64::from(*line)).collect();
                    (length, LengthCount { count: u64::from(slot.count), lines })
                })
                .collect(),
        )
    }
}

/// The number of access codes of each length, and the lines of the first of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeLengths(BTreeMap<u32, LengthCount>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct LengthCount {
    count: u64,
    lines: Vec<u64>,
}

/// Codes that are shorter than the usual length.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShortCodes {
    /// The number of short codes.
    pub count: u64,
    /// The lines of the first short codes.
    pub lines: Vec<u64>,
    /// The usual length in characters.
    pub usual: u32,
    /// The number of codes of the usual length.
    pub usual_count: u64,
}

impl CodeLengths {
    /// Adds the lengths of a later part of the file.
    pub(super) fn extend(&mut self, later: Self) {
        for (length, more) in later.0 {
            let known = self.0.entry(length).or_default();
            known.count += more.count;
            known.lines.extend(more.lines);
            known.lines.truncate(LINES_KEPT);
        }
    }

    /// Length of the shortest code in characters.
    #[must_use]
    pub fn shortest(&self) -> Option<u32> {
        self.0.keys().next().copied()
    }

    /// The codes shorter than the usual length, which is the length of more than half of them. A
    /// spreadsheet shortens codes and never lengthens them, so if at least as many codes are
    /// longer, the lengths differ by design. `others` are codes of the same law in another file,
    /// which count towards the usual length.
    #[must_use]
    pub fn shorter_than_usual(&self, others: &Self) -> Option<ShortCodes> {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for (length, found) in self.0.iter().chain(&others.0) {
            *counts.entry(*length).or_default() += found.count;
        }
        let (usual, usual_count) = counts
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(length, count)| (*length, *count))?;
        let sum =
            |range: &mut dyn Iterator<Item = (&u32, &u64)>| range.map(|(_, count)| *count).sum();
        let shorter: u64 = sum(&mut counts.range(..usual));
        let longer: u64 = sum(&mut counts.range(usual + 1..));
        if usual_count <= shorter + longer || shorter <= longer {
            return None;
        }
        let mut short = ShortCodes { count: 0, lines: vec![], usual, usual_count };
        for length in self.0.range(..usual).map(|(_, length)| length) {
            short.count += length.count;
            short.lines.extend(&length.lines);
        }
        short.lines.sort_unstable();
        short.lines.truncate(LINES_KEPT);
        (short.count > 0).then_some(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(codes: &[(usize, u32)]) -> CodeLengths {
        let mut counter = LengthCounter::default();
        codes.iter().for_each(|(length, line)| counter.push(*length, *line));
        counter.counted()
    }

    #[test]
    fn codes_shorter_than_the_usual_ones_are_found_with_their_lines() {
        let found = lengths(&[(8, 2), (8, 3), (6, 4), (8, 5)]);
        assert_eq!(
            found.shorter_than_usual(&CodeLengths::default()),
            Some(ShortCodes { count: 1, lines: vec![4], usual: 8, usual_count: 3 })
        );
        assert_eq!(found.shortest(), Some(6));
    }

    #[test]
    fn lengths_that_differ_by_design_are_no_matter() {
        for design in
            [&[(8, 2), (8, 3)][..], &[(6, 2), (8, 3)], &[(8, 2), (8, 3), (7, 4), (9, 5)], &[]]
        {
            assert_eq!(lengths(design).shorter_than_usual(&CodeLengths::default()), None);
        }
    }

    #[test]
    fn one_code_too_long_hides_no_short_ones() {
        let codes: Vec<_> = [7, 8, 8, 8, 8, 9, 7].into_iter().zip(2..).collect();
        let short =
            lengths(&codes).shorter_than_usual(&CodeLengths::default()).expect("short codes");
        assert_eq!((short.count, short.lines, short.usual_count), (2, vec![2, 8], 4));
    }

    #[test]
    fn usual_code_length_is_taken_over_all_files_of_the_law() {
        let roll = lengths(&[(8, 2), (8, 3), (8, 4), (7, 5)]);
        let short = lengths(&[(7, 2)]).shorter_than_usual(&roll).expect("a short code");
        assert_eq!((short.count, short.lines, short.usual_count), (1, vec![2], 3));
        assert_eq!(lengths(&[(8, 2)]).shorter_than_usual(&roll), None);
    }

    #[test]
    fn the_first_lines_are_kept_and_all_are_counted() {
        let mut all = CodeLengths::default();
        for chunk in 0..3 {
            let codes: Vec<_> = (0..10).map(|row| (4 + row % 2, 10 * chunk + row as u32)).collect();
            all.extend(lengths(&codes));
        }
        assert_eq!(all.0[&4], LengthCount { count: 15, lines: vec![0, 2, 4, 6] });
    }
}
