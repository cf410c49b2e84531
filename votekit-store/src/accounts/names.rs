//! The names of roles, states and kinds of session: in the store, in files, commands and tokens.

use std::fmt;

use super::{AccountRole, AccountState, SessionKind};

impl AccountRole {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Administrator, Self::Auditor, Self::Observer, Self::Voter];

    /// The name of the role.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
            Self::Observer => "observer",
            Self::Voter => "voter",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for AccountRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl AccountState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Invited, Self::Active, Self::Disabled];

    /// The name of the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for AccountState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl SessionKind {
    /// The name of the kind in the store.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Refresh => "refresh",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for role in AccountRole::ALL {
            assert_eq!(AccountRole::from_name(role.as_str()), Some(role));
        }
        for state in AccountState::ALL {
            assert_eq!(AccountState::from_name(state.as_str()), Some(state));
        }
        assert_eq!(AccountRole::from_name("Administrator"), None);
        assert_eq!(AccountState::from_name(""), None);
    }
}
