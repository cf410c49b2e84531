//! An election of members from their e-mail addresses: accounts for those who have none, one-time
//! links for those who have not chosen a password, then the roll and the draft.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use votekit_core::instant::UnixSeconds;
use votekit_store::{
    Account, AccountId, AccountRole, AccountState, Accounts, Conflict, EmailAddress, EngineError,
};

use crate::accounts::{OneTimeLink, add, invited_account};
use crate::admin::drafts::CreatedElection;
use crate::admin::election_requests::CreateElection;
use crate::call_rule::{CallRule, MemberFault, MemberRule};
use crate::error::{AdminError, NodeError};
use crate::node::Node;

/// The most members that one call may name: larger associations generate credentials offline.
const MEMBERS_MAX: usize = 2_000;

/// Attempts to invite the members while other calls change their accounts.
const ATTEMPTS_MAX: u32 = 3;

/// A new election and, in an election of members, the links for those who have not chosen a
/// password yet.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedWithMembers {
    /// The election.
    #[serde(flatten)]
    pub created: CreatedElection,
    /// One-time links, shown only here: each lets a member choose a password, and replaces an
    /// earlier one. Send each to its address. Members with an active account get none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invitations: Vec<MemberInvitation>,
}

/// The one-time link of a member.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct MemberInvitation {
    /// The member's e-mail address.
    pub email: String,
    /// The path of the link on this node.
    pub path: String,
    /// From then on the link is void, in RFC 3339.
    pub expires: String,
}

impl std::fmt::Debug for MemberInvitation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MemberInvitation(redacted)")
    }
}

impl From<CreatedElection> for CreatedWithMembers {
    fn from(created: CreatedElection) -> Self {
        Self { created, invitations: Vec::new() }
    }
}

impl Node {
    /// Creates an election, as a draft, for the members with these e-mail addresses. It cannot be
    /// binding. Members without an account get one; those who have not chosen a password yet get a
    /// one-time link.
    ///
    /// All conditions of the call are checked before accounts are created. If the creation of the
    /// election fails after that, its new accounts stay invited, and the next call creates new
    /// links for them.
    ///
    /// # Errors
    /// [`AdminError::Members`] with every address that is wrong; the errors of
    /// [`Node::create_with_members`].
    pub async fn create_with_addresses(
        &self,
        request: CreateElection,
        emails: &[String],
    ) -> Result<CreatedWithMembers, AdminError> {
        let emails = addresses(emails)?;
        self.check_members_election(&request).await?;
        let Members { accounts, invitations } = self.invite_members(&emails).await?;
        let created = self.create_with_members(request, &accounts).await?;
        Ok(CreatedWithMembers { created, invitations })
    }

    /// Checks the e-mail addresses of members without looking at the accounts.
    ///
    /// # Errors
    /// [`AdminError::Members`] with every address that is wrong; [`AdminError::Field`] for too few
    /// or too many.
    pub fn check_addresses(emails: &[String]) -> Result<(), AdminError> {
        addresses(emails).map(drop)
    }

    async fn invite_members(&self, emails: &[EmailAddress]) -> Result<Members, AdminError> {
        let accounts = &**self.accounts();
        for _ in 0..ATTEMPTS_MAX {
            let known = known_members(accounts, emails).await?;
            match invite(accounts, emails, known, self.now().seconds()).await {
                // Another call has created or changed one of the accounts in the meantime.
                Err(AdminError::Engine(EngineError::Conflict(
                    Conflict::AccountExists | Conflict::AccountChanged,
                ))) => {}
                members => return members,
            }
        }
        Err(AdminError::AccountsBusy)
    }
}

/// The members of an election, and the links of those who have no password.
#[derive(Default)]
struct Members {
    accounts: Vec<AccountId>,
    invitations: Vec<MemberInvitation>,
}

/// The addresses, parsed. Each invalid address is named by its index in the list.
fn addresses(texts: &[String]) -> Result<Vec<EmailAddress>, AdminError> {
    if texts.is_empty() || texts.len() > MEMBERS_MAX {
        let rule = CallRule::AddressCount { most: MEMBERS_MAX };
        return Err(AdminError::Field { field: MemberFault::LIST, rule });
    }
    let mut faults = Vec::new();
    let mut emails: Vec<EmailAddress> = Vec::with_capacity(texts.len());
    let mut indices: HashMap<EmailAddress, usize> = HashMap::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<EmailAddress>() {
            Err(error) => faults.push(MemberFault { index, rule: error.into() }),
            Ok(email) => match indices.get(&email) {
                Some(first) => {
                    let rule = MemberRule::Repeated { first: *first };
                    faults.push(MemberFault { index, rule });
                }
                None => {
                    indices.insert(email.clone(), index);
                    emails.push(email);
                }
            },
        }
    }
    if faults.is_empty() { Ok(emails) } else { Err(AdminError::Members { faults }) }
}

/// The accounts that exist already. Accounts of officials and disabled accounts are refused, each
/// by its index in the list.
async fn known_members(
    accounts: &dyn Accounts,
    emails: &[EmailAddress],
) -> Result<Vec<Option<Account>>, AdminError> {
    let mut faults = Vec::new();
    let mut known = Vec::with_capacity(emails.len());
    for (index, email) in emails.iter().enumerate() {
        let account = accounts.account_by_email(email.as_str()).await?;
        let rule = account.as_ref().and_then(|account| match (account.role, account.state) {
            (AccountRole::Voter, AccountState::Disabled) => Some(MemberRule::Disabled),
            (AccountRole::Voter, _) => None,
            _ => Some(MemberRule::Official),
        });
        if let Some(rule) = rule {
            faults.push(MemberFault { index, rule });
        }
        known.push(account);
    }
    if faults.is_empty() { Ok(known) } else { Err(AdminError::Members { faults }) }
}

/// Creates the missing accounts, all of them or none, and generates a link for each member who has
/// not chosen a password yet.
async fn invite(
    accounts: &dyn Accounts,
    emails: &[EmailAddress],
    known: Vec<Option<Account>>,
    now: UnixSeconds,
) -> Result<Members, AdminError> {
    let mut members = Members::default();
    let (mut made, mut renewed) = (Vec::new(), Vec::new());
    for (email, known) in emails.iter().zip(known) {
        let is_active = |account: &Account| account.state == AccountState::Active;
        if let Some(account) = known.as_ref().filter(|account| is_active(account)) {
            members.accounts.push(account.id);
            continue;
        }
        let link =
            OneTimeLink::draw(now, OneTimeLink::LIFETIME_SECONDS).map_err(NodeError::from)?;
        match known {
            Some(account) => {
                members.accounts.push(account.id);
                renewed.push(Account { invitation: Some(link.invitation()), ..account });
            }
            None => {
                let account = invited_account(email, AccountRole::Voter, &link, now)
                    .map_err(NodeError::from)?;
                members.accounts.push(account.id);
                made.push(account);
            }
        }
        members.invitations.push(MemberInvitation {
            email: email.as_str().to_owned(),
            path: link.path("fr"),
            expires: link.expires.to_rfc3339(),
        });
    }
    add(accounts, &made).await?;
    for account in &renewed {
        accounts.update(account).await?;
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(texts: &[&str]) -> Vec<(usize, MemberRule)> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let Err(AdminError::Members { faults }) = addresses(&texts) else { panic!("refused") };
        faults.into_iter().map(|fault| (fault.index, fault.rule)).collect()
    }

    #[test]
    fn addresses_have_one_form() {
        let texts = ["Alice@Example.com".to_owned(), "bob@example.com".to_owned()];
        let emails = addresses(&texts).expect("right");
        let texts: Vec<_> = emails.iter().map(EmailAddress::as_str).collect();
        assert_eq!(texts, ["alice@example.com", "bob@example.com"]);
    }

    #[test]
    fn every_wrong_address_is_named_by_its_place() {
        let faults = refused(&["a@example.com", "b@", "A@example.com", "c"]);
        let indices: Vec<_> = faults.iter().map(|(index, _)| *index).collect();
        assert_eq!(indices, [1, 2, 3]);
        assert_eq!(faults[1].1, MemberRule::Repeated { first: 0 });
        assert!(!faults[0].1.to_string().contains("b@"), "{faults:?}");
        for texts in [Vec::new(), vec!["a@example.com".to_owned(); MEMBERS_MAX + 1]] {
            let refused = addresses(&texts).expect_err("refused");
            assert!(matches!(refused, AdminError::Field { field: "eligible_voters", .. }));
        }
    }

    #[test]
    fn no_link_is_in_the_debug_form() {
        let invitation = MemberInvitation {
            email: "a@example.com".to_owned(),
            path: "/fr/accounts/invitation?token=secret".to_owned(),
            expires: String::new(),
        };
        assert_eq!(format!("{invitation:?}"), "MemberInvitation(redacted)");
    }
}
