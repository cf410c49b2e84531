//! Calls of officials and about accounts that were refused or failed: each error has its kind.

use votekit_core::election::State;
use votekit_core::election_log::ElectionLogError;
use votekit_messages::InWords;
use votekit_node::roll_store::RollError;
use votekit_node::{AdminError, BundleError, ElectionFault, UploadError};
use votekit_store::{Conflict, EngineError};

use super::kind::{
    ACCOUNT_STATE, ADMIN_BUSY, BODY_TOO_LARGE, EARLY_CLOSE, ELECTION_EXISTS, FORBIDDEN, HALTED,
    INTERNAL, Kind, MALFORMED, NOT_LEADING, NOT_SAFE, NOT_SERVED_HERE, OUTCOME_UNKNOWN,
    REFUSED_BY_LOG, ROLL_CONFLICT, ROLL_NOT_HASHED, ROLL_REFUSED, STOPPING, STORAGE_FULL,
    UNAVAILABLE, UNKNOWN_ACCOUNT, UNKNOWN_ELECTION, UNKNOWN_ROLL, WITNESSES_MISSING, WRONG_STATE,
};
use super::{FieldProblem, Problem};

/// Why a call was refused, or failed. The catalogue has its sentence.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// An administrative call.
    Admin(Box<AdminError>),
    /// A file of a roll, or an uploaded roll.
    Upload(Box<UploadError>),
    /// There is no bundle before the close.
    BundleEarly {
        /// The state of the election.
        state: State,
    },
    /// Too few outside witnesses have cosigned the log.
    BundleUnwitnessed {
        /// How many must have cosigned.
        quorum: usize,
        /// The names of those that have not.
        missing: Vec<String>,
    },
    /// The account is not among the members of the election.
    NotMember,
    /// There is no such account.
    UnknownAccount,
    /// Officials do not change the accounts with which they call.
    OwnAccount,
    /// Without the account no administrator could sign in.
    LastAdministrator,
    /// The account is disabled.
    AccountDisabled,
    /// Another call has changed the account.
    AccountChanged,
    /// Other calls keep changing the account.
    AccountBusy,
    /// The store of accounts does not answer.
    AccountsUnavailable,
    /// The password was changed, and earlier sessions may still be valid.
    SessionsLeft,
}

impl Refusal {
    pub(super) fn kind(&self) -> &'static Kind {
        match self {
            Self::Admin(error) => admin_kind(error),
            Self::Upload(error) => upload_kind(error),
            Self::BundleEarly { .. } => &WRONG_STATE,
            Self::BundleUnwitnessed { .. } => &WITNESSES_MISSING,
            Self::NotMember | Self::OwnAccount => &FORBIDDEN,
            Self::UnknownAccount => &UNKNOWN_ACCOUNT,
            Self::LastAdministrator | Self::AccountDisabled => &ACCOUNT_STATE,
            Self::AccountChanged | Self::AccountBusy => &ADMIN_BUSY,
            Self::AccountsUnavailable | Self::SessionsLeft => &UNAVAILABLE,
        }
    }
}

fn admin_kind(error: &AdminError) -> &'static Kind {
    match error {
        AdminError::UnknownElection { .. } => &UNKNOWN_ELECTION,
        AdminError::Field { .. } | AdminError::Fields { .. } | AdminError::Members { .. } => {
            &MALFORMED
        }
        AdminError::NotSafe { .. } => &NOT_SAFE,
        AdminError::Stopping => &STOPPING,
        AdminError::Exists { .. } => &ELECTION_EXISTS,
        // The state may change between the check of a call and its block.
        AdminError::State { .. } | AdminError::Refused(ElectionLogError::State { .. }) => {
            &WRONG_STATE
        }
        AdminError::Refused(_) | AdminError::Missing { .. } => &REFUSED_BY_LOG,
        AdminError::Roll(RollError::Folder(_)) => &INTERNAL,
        AdminError::Roll(_) | AdminError::ShortCodes { .. } => &ROLL_REFUSED,
        AdminError::UnknownRoll { .. } => &UNKNOWN_ROLL,
        AdminError::SecondRoll { .. }
        | AdminError::NotLatest { .. }
        | AdminError::RollInUse { .. }
        | AdminError::RollHasSupplement { .. } => &ROLL_CONFLICT,
        AdminError::EarlyClose { .. } => &EARLY_CLOSE,
        AdminError::WitnessesMissing { .. } => &WITNESSES_MISSING,
        AdminError::CreatedWithoutRoll { .. } => &UNAVAILABLE,
        AdminError::Busy { .. } | AdminError::Loading | AdminError::AccountsBusy => &ADMIN_BUSY,
        AdminError::Halted { .. } => &HALTED,
        AdminError::OutcomeUnknown => &OUTCOME_UNKNOWN,
        AdminError::TooLong { .. } => &UNAVAILABLE,
        AdminError::NotLeading { .. } => &NOT_LEADING,
        AdminError::NotAnAuthority => &NOT_SERVED_HERE,
        AdminError::Answering { .. } | AdminError::NotEnded { .. } => &REFUSED_BY_LOG,
        AdminError::Engine(error) => engine_kind(error),
        AdminError::Election(fault) => fault_kind(fault),
        AdminError::Folder(_) | AdminError::Setup(_) => &INTERNAL,
    }
}

fn upload_kind(error: &UploadError) -> &'static Kind {
    match error {
        UploadError::Admin(error) => admin_kind(error),
        UploadError::Name => &MALFORMED,
        UploadError::NotHashed => &ROLL_NOT_HASHED,
        UploadError::Refused { .. } | UploadError::NoPepper { .. } => &ROLL_REFUSED,
        UploadError::OtherLaw { .. } => &ROLL_CONFLICT,
        UploadError::TooLarge { .. } | UploadError::TooMuch { .. } => &BODY_TOO_LARGE,
        UploadError::NoRoom => &STORAGE_FULL,
        UploadError::Busy { .. } => &ADMIN_BUSY,
    }
}

/// The kind for a fault of an election during a change. A lost block has the kind of the ledger's
/// refusal: see [`engine_kind`].
fn fault_kind(fault: &ElectionFault) -> &'static Kind {
    match fault {
        ElectionFault::Engine(error) => engine_kind(error),
        ElectionFault::NotReady(_) | ElectionFault::TooLate { .. } => &UNAVAILABLE,
        ElectionFault::Superseded { .. } | ElectionFault::LeadershipLost { .. } => &OUTCOME_UNKNOWN,
        ElectionFault::Damaged { .. } => &INTERNAL,
    }
}

/// The kind for an engine's failure during a change. Known refusals: an unavailable engine, a
/// setting that it does not support, a block that came too late or was made before the ledger was
/// restored from an older copy. The outcome is unknown after a write that leaves the engine
/// untrustworthy, and for a block that another node's block overtook while its own outcome was
/// unknown.
fn engine_kind(error: &EngineError) -> &'static Kind {
    match error {
        EngineError::Unavailable { .. }
        | EngineError::Misconfigured { .. }
        | EngineError::Conflict(Conflict::Late { .. } | Conflict::NotStaged { .. }) => &UNAVAILABLE,
        EngineError::OutcomeUnknown { .. }
        | EngineError::Fatal { .. }
        | EngineError::Conflict(Conflict::Head { .. } | Conflict::Term { .. }) => &OUTCOME_UNKNOWN,
        _ => &INTERNAL,
    }
}

/// Administrators see the message of the engine, the folder or the roll's files.
impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::UnknownElection { .. } => Self::UnknownElection,
            AdminError::Field { field, rule } => Self::field(field, rule.in_words()),
            AdminError::Fields { errors } => Self::Malformed {
                errors: errors
                    .into_iter()
                    .map(|fault| FieldProblem {
                        field: fault.field.into(),
                        rule: fault.rule.in_words(),
                    })
                    .collect(),
            },
            AdminError::Members { faults } => Self::Malformed {
                errors: faults
                    .into_iter()
                    .map(|fault| FieldProblem {
                        field: fault.field().into(),
                        rule: fault.rule.in_words(),
                    })
                    .collect(),
            },
            AdminError::NotSafe { missing } => Self::NotSafe { missing },
            AdminError::Stopping => Self::Stopping,
            error => {
                let refusal = Refusal::Admin(Box::new(error));
                if refusal.kind().status.is_server_error() {
                    tracing::error!(
                        event = "admin_call_failed",
                        error = refusal.in_words(),
                        "administrative call failed"
                    );
                }
                Self::Refused(refusal)
            }
        }
    }
}

/// Officials see the name and the rule of the file, never a byte of it.
impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Admin(error) => error.into(),
            UploadError::Name => Self::field("file", error.in_words()),
            error => Self::Refused(Refusal::Upload(Box::new(error))),
        }
    }
}

impl From<BundleError> for Problem {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::UnknownElection => Self::UnknownElection,
            BundleError::NotClosed { state } => Self::Refused(Refusal::BundleEarly { state }),
            BundleError::WitnessesMissing { quorum, missing } => {
                Self::Refused(Refusal::BundleUnwitnessed { quorum, missing })
            }
            BundleError::Read(error) => error.into(),
        }
    }
}
