//! The faults of an installation of several authorities.

use std::fmt;

use crate::chaos::fault::Chance;

/// One fault, which is later repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL for the authority that leads.
    KillLeader,
    KillFollower,
    /// The leader is stopped for longer than its lease lasts.
    StopLeader,
    StopFollower,
    /// SIGKILL for a node that takes votes.
    KillIntake,
    /// The wire between one authority and PostgreSQL is cut.
    CutLedger,
    /// An operator asks for another leader.
    StepDown,
    KillPostgreSql,
    KillRabbitMq,
    /// SIGKILL for a master of the Redis Cluster.
    KillRedis,
    /// One authority takes the leadership and proposes a false block.
    Lie,
}

impl Fault {
    pub(super) const ALL: [Self; 11] = [
        Self::KillLeader,
        Self::StopLeader,
        Self::CutLedger,
        Self::KillIntake,
        Self::StepDown,
        Self::KillPostgreSql,
        Self::KillFollower,
        Self::StopFollower,
        Self::KillRabbitMq,
        Self::KillRedis,
        Self::Lie,
    ];

    /// `count` faults, in rounds: each round has every kind once, in random order. The first round
    /// has the order of [`Fault::ALL`], so that a short run has the kinds that matter most.
    pub(super) fn rounds(count: u64, chance: &mut Chance, with_lies: bool) -> Vec<Self> {
        let kinds: Vec<Self> =
            Self::ALL.into_iter().filter(|fault| with_lies || *fault != Self::Lie).collect();
        let mut faults = kinds.clone();
        while (faults.len() as u64) < count {
            let mut round = kinds.clone();
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
            Self::KillLeader => "kill leader",
            Self::KillFollower => "kill follower",
            Self::StopLeader => "stop leader",
            Self::StopFollower => "stop follower",
            Self::KillIntake => "kill ingest",
            Self::CutLedger => "cut from ledger",
            Self::StepDown => "step down",
            Self::KillPostgreSql => "kill PostgreSQL",
            Self::KillRabbitMq => "kill RabbitMQ",
            Self::KillRedis => "kill Redis master",
            Self::Lie => "lie",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_every_kind_once() {
        let mut chance = Chance::new(1, 1);
        let faults = Fault::rounds(30, &mut chance, true);
        assert_eq!(faults.len(), 30);
        for round in faults.chunks_exact(Fault::ALL.len()) {
            assert!(Fault::ALL.iter().all(|fault| round.contains(fault)));
        }
        assert_eq!(faults[..6], Fault::ALL[..6], "a short run has these");
        assert!(!Fault::rounds(30, &mut chance, false).contains(&Fault::Lie));
    }
}
