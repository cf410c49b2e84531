//! All sentences of problems. The sentences for the errors of the lower layers, which are codes
//! with parameters, are in `votekit-messages`. A second language is a second set of these
//! functions.

pub(crate) mod field_rules;
mod texts;

use votekit_core::election::{ResultsPolicy, State};
use votekit_core::instant::UnixMinutes;
use votekit_messages::InWords;
use votekit_node::AdminError;
use votekit_store::{AccountRole, EngineError};

use super::{Kind, OUTCOME_UNKNOWN, Problem, Refusal};

pub(super) use self::texts::OTHER_CHOICE;

impl InWords for Problem {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Malformed { errors } if errors.len() != 1 => return wrong_fields(errors.len()),
            Self::ResultsWithheld { policy, state } => return withheld(*policy, *state),
            Self::NotServedHere { needs } => {
                return format!(
                    "this node cannot answer: send the request to a node with the role {needs}"
                );
            }
            Self::NotOpen { early, state, opens, closes } => {
                return not_open(*early, *state, *opens, *closes);
            }
            Self::WrongRole { needs } => return wrong_role(needs),
            Self::Refused(refusal) => return refusal.in_words(),
            Self::NotSafe { missing } => return unmet_rules(missing.len()),
            Self::BodyTooLarge { bytes_max } => {
                return format!(
                    "the body is too large: this call accepts at most {bytes_max} bytes"
                );
            }
            Self::Malformed { .. } | Self::Framing { .. } => texts::ONE_FIELD,
            Self::UnknownChoice => texts::UNKNOWN_CHOICE,
            Self::Unauthorized => texts::UNAUTHORIZED,
            Self::NotSignedIn => texts::NOT_SIGNED_IN,
            Self::CredentialRefused => texts::CREDENTIAL_REFUSED,
            Self::SignInRefused => texts::SIGN_IN_REFUSED,
            Self::TokenRefused => texts::TOKEN_REFUSED,
            Self::RefreshRefused => texts::REFRESH_REFUSED,
            Self::ForeignNetwork => texts::FOREIGN_NETWORK,
            Self::AccountExists => texts::ACCOUNT_EXISTS,
            Self::InvitationVoid => texts::INVITATION_VOID,
            Self::ForeignOrigin => texts::FOREIGN_ORIGIN,
            Self::UnknownRoute | Self::UriTooLong => texts::ADDRESSES,
            Self::UnknownElection => texts::UNKNOWN_ELECTION,
            Self::UnknownRequest => texts::UNKNOWN_REQUEST,
            Self::UnknownTile => texts::UNKNOWN_TILE,
            Self::UnknownManifest => texts::UNKNOWN_MANIFEST,
            Self::UnknownRoll => texts::UNKNOWN_ROLL,
            Self::MethodNotAllowed => texts::METHODS,
            Self::RequestTimeout => texts::REQUEST_TIMEOUT,
            Self::AlreadyCast { .. } => texts::ALREADY_CAST,
            Self::NotRecordedYet => texts::NOT_RECORDED_YET,
            Self::UpgradeRequired => texts::UPGRADE_REQUIRED,
            Self::NotJson => texts::NOT_JSON,
            Self::ContentCoding => texts::CONTENT_CODING,
            Self::TransferCoding => texts::TRANSFER_CODING,
            Self::HeadersTooLarge => texts::HEADERS_TOO_LARGE,
            Self::RateLimited { .. } => texts::RATE_LIMITED,
            Self::AddressShare { .. } => texts::ADDRESS_SHARE,
            Self::TooManyConnections => texts::TOO_MANY_CONNECTIONS,
            Self::TooManyReaders => texts::TOO_MANY_READERS,
            Self::TooManyDownloads => texts::TOO_MANY_DOWNLOADS,
            Self::BackOff { .. } => texts::BACK_OFF,
            Self::NotRecognised { .. } => texts::NOT_RECOGNISED,
            Self::ReadShare { .. } => texts::READ_SHARE,
            Self::SignInShare { .. } => texts::SIGN_IN_SHARE,
            Self::PasswordsWaiting { .. } => texts::PASSWORDS_WAITING,
            Self::TooManyDuplicates { .. } => texts::TOO_MANY_DUPLICATES,
            Self::Busy { .. } => texts::BUSY,
            Self::Clock => texts::CLOCK,
            Self::Halted => texts::HALTED,
            Self::UnreadableLog => texts::UNREADABLE_LOG,
            Self::NotStored => texts::NOT_STORED,
            Self::Unavailable => texts::UNAVAILABLE,
            Self::OutcomeUnknown { .. } => texts::OUTCOME_UNKNOWN,
            Self::Stopping => texts::STOPPING,
            Self::Internal => texts::INTERNAL,
        };
        text.to_owned()
    }
}

impl InWords for Refusal {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Admin(error) => return detail(error, self.kind()),
            Self::Upload(error) => return error.in_words(),
            Self::BundleEarly { state } => return bundle_early(*state),
            Self::BundleUnwitnessed { quorum, missing } => {
                return bundle_unwitnessed(*quorum, missing);
            }
            Self::NotMember => texts::NOT_MEMBER,
            Self::UnknownAccount => texts::UNKNOWN_ACCOUNT,
            Self::OwnAccount => texts::OWN_ACCOUNT,
            Self::LastAdministrator => texts::LAST_ADMINISTRATOR,
            Self::AccountDisabled => texts::ACCOUNT_DISABLED,
            Self::AccountChanged => texts::ACCOUNT_CHANGED,
            Self::AccountBusy => texts::ACCOUNT_BUSY,
            Self::AccountsUnavailable => texts::ACCOUNTS_UNAVAILABLE,
            Self::SessionsLeft => texts::SESSIONS_LEFT,
        };
        text.to_owned()
    }
}

/// The detail of a refused call: administrators also see how to correct a setting, and what to do
/// when the outcome is not known.
fn detail(error: &AdminError, kind: &Kind) -> String {
    let mut detail = error.in_words();
    if let AdminError::Engine(EngineError::Misconfigured { hint, .. }) = error {
        detail = format!("{detail} ({hint})");
    }
    if *kind == OUTCOME_UNKNOWN {
        detail.push_str(": check the election before repeating this call; repeating it is safe");
    }
    detail
}

fn wrong_fields(count: usize) -> String {
    format!("{count} fields are wrong")
}

fn unmet_rules(count: usize) -> String {
    format!("{count} rules of binding elections are not met")
}

fn wrong_role(needs: &[AccountRole]) -> String {
    let names: Vec<&str> = needs.iter().map(|role| role.as_str()).collect();
    let names = match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    };
    format!("this requires an account with the role {names}")
}

fn withheld(policy: ResultsPolicy, state: State) -> String {
    match policy {
        ResultsPolicy::AfterVote => format!(
            "the election is {state}: results are shown to those who have voted (give the request \
             id of an accepted vote, with its token in the header Votekit-Voter-Token), and to \
             everyone after the close"
        ),
        _ => format!("the election is {state}: results are shown after the close"),
    }
}

fn bundle_early(state: State) -> String {
    format!("the election is {state}: its bundle can be downloaded after the close")
}

fn bundle_unwitnessed(quorum: usize, missing: &[String]) -> String {
    format!(
        "{quorum} outside witnesses must have cosigned the log, but too few have; missing: {}. A \
         verifier would refuse the bundle: download it once they have cosigned",
        missing.join(", ")
    )
}

fn not_open(
    early: bool,
    state: State,
    opens: Option<UnixMinutes>,
    closes: Option<UnixMinutes>,
) -> String {
    match (early, opens, closes) {
        (true, Some(opens), _) => format!("the election is {state}: votes are taken from {opens}"),
        (true, None, _) => format!("the election is {state}: no opening time is set"),
        (false, _, Some(closes)) => {
            format!("the election is {state}: votes were taken until {closes}")
        }
        (false, _, None) => format!("the election is {state}: no more votes are taken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_line_without_a_final_stop() {
        for text in texts::ALL {
            assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
            assert!(!text.contains("  ") && !text.contains('\n'), "{text}");
        }
    }
}
