//! The faults of a node, and how often each is drawn.

use std::fmt;

use super::chance::Chance;

/// One fault. All but [`Close`](Self::Close) end a round; `Close` ends an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
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
    /// Draws the fault that ends a round. Disk faults are drawn only on the faulty disk.
    pub(super) fn draw(chance: &mut Chance, on_disk: bool) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_up_where_it_can() {
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
}
