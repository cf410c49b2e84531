//! An election of members is created: accounts for those who have none, then the roll, then the
//! draft.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;
use votekit_node::{CreateElection, CreatedElection};
use votekit_store::{AccountId, AccountRole, AccountState, EmailAddress};

use crate::accounts::OneTimeLink;
use crate::context::Api;
use crate::problem::catalogue::InWords as _;
use crate::problem::{FieldProblem, Problem};

/// The field of a request that lists the members.
const FIELD: &str = "eligible_voters";

/// The most members that one request may name: larger associations draw credentials offline.
const MEMBERS_MAX: usize = 2_000;

/// A new election, and the links for its members who have not chosen a password yet.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedWithMembers {
    #[serde(flatten)]
    pub(crate) created: CreatedElection,
    /// One-time links, shown only here: each lets a member choose a password, and replaces an
    /// earlier one. Send each to its address. Members with an active account get none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) invitations: Vec<MemberInvitation>,
}

/// The one-time link of a member.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberInvitation {
    /// The member's e-mail address.
    email: String,
    /// The path of the link on this node.
    path: String,
    /// From then on the link is void, in RFC 3339.
    expires: String,
}

impl From<CreatedElection> for CreatedWithMembers {
    fn from(created: CreatedElection) -> Self {
        Self { created, invitations: Vec::new() }
    }
}

/// Creates an election for the members with these e-mail addresses. It cannot be binding. Members
/// without an account get one; those who have not chosen a password yet get a one-time link.
///
/// Everything that can refuse the request is checked before accounts are made. If the election
/// fails after that, its new accounts stay invited, and the next request makes their links anew.
///
/// # Errors
/// Every address that is wrong; the problems of an election that cannot be created.
pub(crate) async fn create_with_members(
    api: &Api,
    request: CreateElection,
    emails: Vec<String>,
) -> Result<CreatedWithMembers, Problem> {
    let emails = addresses(&emails)?;
    api.node.check_members_election(&request).await?;
    let known = known_accounts(api, &emails).await?;
    let mut accounts = Vec::with_capacity(emails.len());
    let mut invitations = Vec::new();
    for (email, known) in emails.iter().zip(known) {
        let account = match known {
            Some((account, AccountState::Active)) => account,
            _ => {
                let link = api.accounts.invite(email.as_str(), AccountRole::Voter).await?;
                invitations.push(MemberInvitation::new(email, &link));
                invited(api, email).await?
            }
        };
        accounts.push(account);
    }
    let created = api.node.create_with_members(request, &accounts).await?;
    Ok(CreatedWithMembers { created, invitations })
}

/// The addresses, parsed. Each wrong one is named by its place in the list.
fn addresses(texts: &[String]) -> Result<Vec<EmailAddress>, Problem> {
    if texts.is_empty() || texts.len() > MEMBERS_MAX {
        let rule = format!(
            "must have 1 to {MEMBERS_MAX} e-mail addresses; for more members draw credentials \
             offline with votekit roll members"
        );
        return Err(Problem::field(FIELD, rule));
    }
    let mut errors = Vec::new();
    let mut emails: Vec<EmailAddress> = Vec::with_capacity(texts.len());
    let mut places: HashMap<EmailAddress, usize> = HashMap::new();
    for (place, text) in texts.iter().enumerate() {
        match text.parse::<EmailAddress>() {
            Err(error) => errors.push(fault(place, error.in_words())),
            Ok(email) => match places.get(&email) {
                Some(first) => {
                    errors.push(fault(place, format!("is the same address as {FIELD}[{first}]")));
                }
                None => {
                    places.insert(email.clone(), place);
                    emails.push(email);
                }
            },
        }
    }
    if errors.is_empty() { Ok(emails) } else { Err(Problem::Malformed { errors }) }
}

fn fault(place: usize, rule: impl Into<String>) -> FieldProblem {
    FieldProblem { field: format!("{FIELD}[{place}]").into(), rule: rule.into() }
}

/// The accounts that exist already. Those of officials, and disabled ones, are refused, each by its
/// place in the list.
async fn known_accounts(
    api: &Api,
    emails: &[EmailAddress],
) -> Result<Vec<Option<(AccountId, AccountState)>>, Problem> {
    let mut errors = Vec::new();
    let mut known = Vec::with_capacity(emails.len());
    for (place, email) in emails.iter().enumerate() {
        let account = api.node.accounts().account_by_email(email.as_str()).await?;
        let account = account.map(|account| (account.id, account.role, account.state));
        match account {
            Some((_, role, _)) if role != AccountRole::Voter => {
                let rule = "is the address of an official: a member has an account apart";
                errors.push(fault(place, rule));
            }
            Some((_, _, AccountState::Disabled)) => {
                errors.push(fault(place, "is the address of an account that is disabled"));
            }
            account => known.push(account.map(|(id, _, state)| (id, state))),
        }
    }
    if errors.is_empty() { Ok(known) } else { Err(Problem::Malformed { errors }) }
}

/// The account of a member that was just invited.
async fn invited(api: &Api, email: &EmailAddress) -> Result<AccountId, Problem> {
    let account = api.node.accounts().account_by_email(email.as_str()).await?;
    account.map(|account| account.id).ok_or(Problem::Internal)
}

impl MemberInvitation {
    fn new(email: &EmailAddress, link: &OneTimeLink) -> Self {
        Self {
            email: email.to_string(),
            path: link.path("fr").to_string(),
            expires: link.expires.to_rfc3339(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(texts: &[&str]) -> Vec<(String, String)> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let Err(Problem::Malformed { errors }) = addresses(&texts) else { panic!("refused") };
        errors.into_iter().map(|error| (error.field.into_owned(), error.rule)).collect()
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
        let errors = refused(&["a@example.com", "b@", "A@example.com", "c"]);
        let fields: Vec<_> = errors.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["eligible_voters[1]", "eligible_voters[2]", "eligible_voters[3]"]);
        assert_eq!(errors[1].1, "is the same address as eligible_voters[0]");
        assert!(errors.iter().all(|(_, rule)| !rule.contains("b@")), "{errors:?}");
        assert_eq!(refused(&[])[0].0, FIELD);
        assert_eq!(refused(&["a@example.com"; MEMBERS_MAX + 1])[0].0, FIELD);
    }
}
