//! The faults of an installation of several nodes and their servers.

use std::fmt;

/// One fault, which is later repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL for an ingest node.
    KillIngest,
    KillValidator,
    KillSealer,
    /// SIGKILL for a master of the Redis Cluster: its replica takes over, and it returns as a
    /// replica.
    KillRedis,
    KillRabbitMq,
    KillPostgreSql,
    /// A node is stopped for longer than its leases last.
    StallNode,
    StallServer,
    /// One node's connections to one service are cut; those of all other nodes are not.
    CutOff,
    /// A master of the Redis Cluster loses all its data; later the registry is rebuilt.
    ForgetMarks,
    /// A validator dies after it marked a batch and before it forwarded it.
    KillAfterMark,
    /// The leading sealer dies with a commit that the ledger never executes.
    KillBeforeCommit,
    /// The leading sealer dies after the ledger executed its commit and before it received the
    /// reply.
    KillAfterCommit,
}

impl Fault {
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
