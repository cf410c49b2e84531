//! What is done to a node, and how often each.

use std::fmt;

use super::chance::Chance;

/// One thing that goes wrong. All but [`Close`](Self::Close) end a round; it ends an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL under load.
    Kill,
    /// SIGKILL under load, and what was not synced is gone.
    PowerCut,
    /// The node stands still for a while under load, goes on, and is then killed.
    Stall,
    /// The disk is full for a while, then has space again, and the node is to go on by itself.
    FullDisk,
    /// A sync fails. The node is to stop by itself; the power is cut thereafter, since the pages
    /// that could not be written are gone.
    FailedSync,
    /// The node is killed while it starts.
    Start,
    /// The node is killed while it closes the poll.
    Close,
}

impl Fault {
    /// Draws what ends a round. Without the disk that fails on order there is no fault of the disk.
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
        let mut chance = Chance::of(1, 1);
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
