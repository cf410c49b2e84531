//! What is done to an installation of several nodes and their servers.

use std::fmt;

use crate::chaos::chance::Chance;

/// One thing that goes wrong, and is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL for a node that takes votes.
    KillIngest,
    KillValidator,
    KillSealer,
    /// SIGKILL for a master of the Redis Cluster: its replica takes over, and it comes back as a
    /// replica.
    KillRedis,
    KillRabbitMq,
    KillPostgreSql,
    /// A node stands still for longer than its leases last.
    StallNode,
    StallServer,
    /// One node's wires to one service are cut; everybody else's are not.
    CutOff,
    /// A master of the Redis Cluster loses all it had; later the registry is rebuilt.
    ForgetMarks,
    /// A validator dies after the marks of a batch and before the batch is passed on.
    KillAfterMark,
    /// The leading sealer dies with a commit that the ledger never carries out.
    KillBeforeCommit,
    /// The leading sealer dies after the ledger carried out its commit, and before it heard so.
    KillAfterCommit,
}

impl Fault {
    /// Every kind.
    pub(super) const ALL: [Self; 13] = [
        Self::KillIngest,
        Self::KillValidator,
        Self::KillSealer,
        Self::KillRedis,
        Self::KillRabbitMq,
        Self::KillPostgreSql,
        Self::StallNode,
        Self::StallServer,
        Self::CutOff,
        Self::ForgetMarks,
        Self::KillAfterMark,
        Self::KillBeforeCommit,
        Self::KillAfterCommit,
    ];

    /// So many faults, in rounds: each round has every kind once, in an order that is drawn.
    pub(super) fn rounds(count: u64, chance: &mut Chance) -> Vec<Self> {
        let mut faults = Vec::new();
        while (faults.len() as u64) < count {
            let mut round = Self::ALL;
            for place in (1..round.len()).rev() {
                let other = chance.between(0, place as u64) as usize;
                round.swap(place, other);
            }
            faults.extend(round);
        }
        faults.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        faults
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::KillIngest => "kill ingest",
            Self::KillValidator => "kill validator",
            Self::KillSealer => "kill sealer",
            Self::KillRedis => "kill Redis master",
            Self::KillRabbitMq => "kill RabbitMQ",
            Self::KillPostgreSql => "kill PostgreSQL",
            Self::StallNode => "stall node",
            Self::StallServer => "stall server",
            Self::CutOff => "cut off",
            Self::ForgetMarks => "forget marks",
            Self::KillAfterMark => "kill after mark",
            Self::KillBeforeCommit => "kill before commit",
            Self::KillAfterCommit => "kill after commit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_every_kind_once() {
        let faults = Fault::rounds(30, &mut Chance::of(1, 1));
        assert_eq!(faults.len(), 30);
        for round in faults.chunks_exact(Fault::ALL.len()) {
            assert!(Fault::ALL.iter().all(|fault| round.contains(fault)));
        }
        let kinds = Fault::ALL.len();
        assert!(faults[..kinds] != faults[kinds..2 * kinds], "the order is drawn");
    }
}
