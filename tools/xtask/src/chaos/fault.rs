//! The faults of a node, their frequencies, and the random generator that chooses them.

use std::fmt;
use std::time::Duration;

/// One fault. All but [`Close`](Self::Close) end a round; `Close` ends an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// SIGKILL under load.
    Kill,
    /// SIGKILL under load, and unsynced changes are lost.
    PowerCut,
    /// The node is stopped for a while under load, continues, and is then killed.
    Stall,
    /// The disk is full for a while, then has space again; the node must continue without a
    /// restart.
    FullDisk,
    /// A sync fails. The node must stop by itself; the power is cut afterwards, since the pages
    /// that could not be written are lost.
    FailedSync,
    /// The node is killed while it starts.
    Start,
    /// The node is killed while it closes the election.
    Close,
}

impl Fault {
    /// Chooses the fault that ends a round at random. Disk faults are chosen only on the faulty
    /// disk.
    pub(crate) fn draw(chance: &mut Chance, on_disk: bool) -> Self {
        match (chance.between(0, 19), on_disk) {
            (0..=8, true) => Self::PowerCut,
            (9..=10, true) => Self::FailedSync,
            (11..=12, true) => Self::FullDisk,
            (13..=15, _) => Self::Start,
            (16..=17, _) => Self::Stall,
            _ => Self::Kill,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kill => "kill",
            Self::PowerCut => "power cut",
            Self::Stall => "stall",
            Self::FullDisk => "full disk",
            Self::FailedSync => "failed sync",
            Self::Start => "kill in a start",
            Self::Close => "kill in a close",
        })
    }
}

/// A repeatable sequence of numbers (splitmix64): all random choices of chaos follow from its seed,
/// as far as the operating system allows.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The sequence for one item, such as an episode, under a seed.
    pub(crate) fn new(seed: u64, thing: u64) -> Self {
        let mut chance = Self(seed ^ thing.wrapping_mul(0xd134_2543_de82_ef95));
        chance.next();
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` to `most`, inclusive.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    pub(crate) fn milliseconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.between(least * 1_000, most * 1_000))
    }

    /// A random element of `things`.
    pub(crate) fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[(self.next() % things.len() as u64) as usize]
    }

    /// Chooses `count` kinds of faults, in rounds: each round has every kind once, in random order.
    /// The first round may keep the order of `kinds`, so that a short run has the first kinds.
    pub(crate) fn rounds<T: Copy>(
        &mut self,
        kinds: &[T],
        count: u64,
        is_first_in_order: bool,
    ) -> Vec<T> {
        let mut faults = if is_first_in_order { kinds.to_vec() } else { Vec::new() };
        while (faults.len() as u64) < count {
            let mut round = kinds.to_vec();
            for index in (1..round.len()).rev() {
                let other = self.between(0, index as u64) as usize;
                round.swap(index, other);
            }
            faults.extend(round);
        }
        faults.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        faults
    }

    /// True with probability 1/`times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_occurs_where_possible() {
        let mut chance = Chance::new(1, 1);
        let drawn: Vec<Fault> = (0..1_000).map(|_| Fault::draw(&mut chance, true)).collect();
        let all = [
            Fault::Kill,
            Fault::PowerCut,
            Fault::Stall,
            Fault::FullDisk,
            Fault::FailedSync,
            Fault::Start,
        ];
        assert!(all.iter().all(|fault| drawn.contains(fault)));
        let drawn: Vec<Fault> = (0..1_000).map(|_| Fault::draw(&mut chance, false)).collect();
        assert!(
            drawn.iter().all(|fault| matches!(fault, Fault::Kill | Fault::Stall | Fault::Start))
        );
    }

    #[test]
    fn each_round_has_every_kind_once() {
        let kinds = [1, 2, 3, 4, 5];
        let faults = Chance::new(1, 1).rounds(&kinds, 13, true);
        assert_eq!((faults.len(), &faults[..5]), (13, &kinds[..]));
        for round in faults.chunks_exact(kinds.len()) {
            assert!(kinds.iter().all(|kind| round.contains(kind)), "{round:?}");
        }
        let drawn = Chance::new(1, 1).rounds(&kinds, 10, false);
        assert!(drawn[..5] != drawn[5..], "the order is drawn: {drawn:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed, thing| {
            let mut chance = Chance::new(seed, thing);
            [(); 4].map(|()| chance.between(5, 1_000_000))
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert!(numbers(1, 2) != numbers(1, 3) && numbers(1, 2) != numbers(2, 2));
        assert!((0..100).all(|thing| (5..=7).contains(&Chance::new(9, thing).between(5, 7))));
    }
}
