//! The faults of an installation of several authorities.

use std::fmt;

use clap::ValueEnum;

/// One fault, which is later repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL for the authority that leads.
    KillLeader,
    KillFollower,
    /// The leader is stopped for longer than its lease lasts.
    StopLeader,
    StopFollower,
    /// SIGKILL for a node that takes votes.
    #[value(name = "kill-ingest")]
    KillIntake,
    /// The wire between one authority and PostgreSQL is cut.
    CutLedger,
    /// The wires between one authority and Redis are cut.
    CutRegistry,
    /// The wire between one authority and RabbitMQ is cut.
    CutBallotBox,
    /// An operator asks for another leader.
    StepDown,
    #[value(name = "kill-postgresql")]
    KillPostgreSql,
    #[value(name = "kill-rabbitmq")]
    KillRabbitMq,
    /// SIGKILL for a master of the Redis Cluster.
    KillRedis,
    /// PostgreSQL is restored from an older copy while all nodes run.
    RollLedgerBack,
    /// Rows of rounds that no authority signed are inserted by hand.
    InsertRows,
    /// A staged batch is changed by hand.
    ChangeBatch,
    /// The wall clock of one authority jumps.
    JumpClock,
    /// One authority takes the leadership and proposes a false block.
    Lie,
}

impl Fault {
    pub(super) const ALL: [Self; 17] = [
        Self::KillLeader,
        Self::StopLeader,
        Self::CutLedger,
        Self::KillIntake,
        Self::StepDown,
        Self::KillPostgreSql,
        Self::RollLedgerBack,
        Self::KillFollower,
        Self::StopFollower,
        Self::KillRabbitMq,
        Self::KillRedis,
        Self::CutRegistry,
        Self::CutBallotBox,
        Self::InsertRows,
        Self::ChangeBatch,
        Self::JumpClock,
        Self::Lie,
    ];

    /// The kinds that are possible, in the order of a first round, which has those that matter most
    /// first: lies need a liar, and jumps of a clock the library for them.
    pub(super) fn kinds(with_lies: bool, with_jumps: bool) -> Vec<Self> {
        let is_possible = |fault: &Self| match fault {
            Self::Lie => with_lies,
            Self::JumpClock => with_jumps,
            _ => true,
        };
        Self::ALL.into_iter().filter(is_possible).collect()
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
            Self::CutRegistry => "cut from registry",
            Self::CutBallotBox => "cut from ballot box",
            Self::StepDown => "step down",
            Self::KillPostgreSql => "kill PostgreSQL",
            Self::KillRabbitMq => "kill RabbitMQ",
            Self::KillRedis => "kill Redis master",
            Self::RollLedgerBack => "roll ledger back",
            Self::InsertRows => "insert rows",
            Self::ChangeBatch => "change batch",
            Self::JumpClock => "jump clock",
            Self::Lie => "lie",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_need_a_tool_are_left_out_without_it() {
        assert_eq!(Fault::kinds(true, true), Fault::ALL);
        let without = Fault::kinds(false, false);
        assert_eq!(without.len(), Fault::ALL.len() - 2);
        assert!(!without.contains(&Fault::Lie) && !without.contains(&Fault::JumpClock));
        let mut names: Vec<String> = Fault::ALL.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len(), "each has a name");
    }
}
