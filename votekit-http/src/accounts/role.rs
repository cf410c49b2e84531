//! The names of roles and states in the interface for programs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_store::{AccountRole, AccountState};

/// The permissions of the holder of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoleName {
    /// Creates elections, changes their state, and invites other officials.
    Administrator,
    /// Reads everything that officials see; changes nothing.
    Auditor,
    /// Reads the elections, their states and their turnout.
    Observer,
    /// A member of an association.
    Voter,
}

impl From<AccountRole> for RoleName {
    fn from(role: AccountRole) -> Self {
        match role {
            AccountRole::Administrator => Self::Administrator,
            AccountRole::Auditor => Self::Auditor,
            AccountRole::Observer => Self::Observer,
            AccountRole::Voter => Self::Voter,
        }
    }
}

impl From<RoleName> for AccountRole {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Administrator => Self::Administrator,
            RoleName::Auditor => Self::Auditor,
            RoleName::Observer => Self::Observer,
            RoleName::Voter => Self::Voter,
        }
    }
}

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateName {
    /// Its holder has not followed the one-time link yet.
    Invited,
    /// Its holder may sign in.
    Active,
    /// Its holder may not sign in, and no session or token of it counts.
    Disabled,
}

impl From<AccountState> for StateName {
    fn from(state: AccountState) -> Self {
        match state {
            AccountState::Invited => Self::Invited,
            AccountState::Active => Self::Active,
            AccountState::Disabled => Self::Disabled,
        }
    }
}
