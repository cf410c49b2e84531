//! Exit codes and hints for errors of the engines, of a node and of its data folder. The sentences
//! are those of votekit-messages: no command prints the `Display` of such an error.

use votekit_core::manifest::ManifestError;
use votekit_messages::InWords as _;
use votekit_node::data_folder::{FileDamage, FolderError};
use votekit_node::{AdminError, ElectionFault, NodeError, RollError};
use votekit_store::EngineError;
#[cfg(feature = "services")]
use votekit_store::services::url::AddressError;

use crate::client::{EARLY_HINT, ROLLS_HINT, WITNESSES_HINT};
use crate::error::CommandError;

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let words = error.in_words();
        let failed = match error {
            EngineError::Panicked { .. } => Self::internal(words),
            _ => Self::configuration(words),
        };
        failed.hint_if(error.hint())
    }
}

impl From<FolderError> for CommandError {
    fn from(error: FolderError) -> Self {
        let text = error.in_words();
        let failed = Self::configuration(text.clone());
        match error {
            FolderError::InUse { .. } => failed.hint(
                "a node is running on it: stop it, or give --node with the administration address \
                 that it printed at its start",
            ),
            FolderError::Newer { .. } => failed.hint("use the version of votekit that wrote it, or \
                                                      a newer one"),
            FolderError::OtherLedger { .. } => failed.hint(
                "check that --registry, --ballot-box and --ledger, or the variables \
                 VOTEKIT_REGISTRY, VOTEKIT_BALLOT_BOX and VOTEKIT_LEDGER, are those of this \
                 installation",
            ),
            FolderError::OtherBase { ref found, .. } => failed.hint(format!(
                "if {found} is your organisation's name, omit --log-base; if not, load the roll into a \
                 new folder with --log-base"
            )),
            FolderError::NotOne { .. } => Self::bad_input(text)
                .hint("check the path; create a data folder with `votekit load` or `votekit serve \
                       --init`"),
            FolderError::Occupied { .. } => {
                failed.hint("choose a new or empty folder: nothing was written to this one")
            }
            FolderError::Present { ref path } => failed.hint(format!(
                "choose a new or empty folder; `votekit authority show --data {}` prints the line \
                 of an authority",
                path.display()
            )),
            FolderError::NotAuthority { .. } => Self::bad_input(text)
                .hint("`votekit authority keygen` creates the folder of an authority"),
            FolderError::OtherAuthorities { .. } => failed.hint(
                "collect the lines of all authorities again with `votekit authority show`, make \
                 the file with `votekit policy make`, and install it on every machine",
            ),
            FolderError::Damaged { damage: FileDamage::Authorities(_), .. } => failed.hint(
                "install the file again as `votekit policy make` wrote it: the same bytes on \
                 every machine",
            ),
            FolderError::Io { ref path, ref source } => Self::using(path, source),
            _ => failed,
        }
    }
}

impl From<NodeError> for CommandError {
    fn from(error: NodeError) -> Self {
        let failed = Self::configuration(error.in_words()).hint_if(error.hint());
        match error {
            NodeError::Folder(error) | NodeError::Roll(RollError::Folder(error)) => error.into(),
            NodeError::Engine(error) => error.into(),
            NodeError::Log { .. }
            | NodeError::Undecodable { .. }
            | NodeError::Checkpoint { .. } => failed.hint(
                "nothing was changed: keep the folder as it is, and restore a backup from \
                     before the damage",
            ),
            NodeError::Roll(RollError::Manifest {
                source: ManifestError::PepperMissing { id },
                ..
            }) => failed.hint(format!(
                "restore keys/pepper/{} from a backup of the data folder",
                id.to_hex()
            )),
            NodeError::Forked { .. } => failed.hint(
                "nothing was changed: restore the newer ledger; only if no checkpoint or receipt \
                 beyond this one was ever published, run `votekit serve --no-snapshot`",
            ),
            NodeError::BallotKey { .. } => failed.hint(
                "with several authorities, a node receives the keys once it is admitted with \
                 `votekit node admit`",
            ),
            #[cfg(feature = "services")]
            NodeError::Address(error) => error.into(),
            _ => failed,
        }
    }
}

/// For every verb that takes an address.
#[cfg(feature = "services")]
impl From<AddressError> for CommandError {
    fn from(error: AddressError) -> Self {
        Self::configuration(error.to_string()).hint("docs/operations.md describes the addresses")
    }
}

impl From<AdminError> for CommandError {
    fn from(error: AdminError) -> Self {
        let text = error.in_words();
        match error {
            AdminError::UnknownElection { .. } => {
                Self::bad_input(text).hint("list the elections with `votekit election list`")
            }
            AdminError::Roll(RollError::Read { ref path, ref source }) => {
                Self::reading(path, source)
                    .hint("check that this is the complete folder made by `votekit hashgen`")
            }
            AdminError::Roll(RollError::Manifest {
                source:
                    ManifestError::PepperMissing { .. }
                    | ManifestError::PepperOther { .. }
                    | ManifestError::PepperUnasked,
                ..
            }) => Self::bad_input(text).hint(
                "give the roll's pepper with --pepper-file; `votekit pepper show FILE` prints the \
                 id of a pepper",
            ),
            AdminError::Engine(error) => error.into(),
            // As for the ledger's refusal of the block.
            AdminError::Election(
                ElectionFault::Superseded { .. }
                | ElectionFault::LeadershipLost { .. }
                | ElectionFault::TooLate { .. },
            )
            | AdminError::Stopping
            | AdminError::Halted { .. }
            | AdminError::OutcomeUnknown
            | AdminError::AccountsBusy
            | AdminError::TooLong { .. } => Self::configuration(text),
            AdminError::Roll(RollError::NotRegular { .. } | RollError::TooLarge { .. }) => {
                Self::bad_input(text)
                    .hint("give the folder made by `votekit hashgen`, with its files")
            }
            AdminError::NotAnAuthority => Self::bad_input(text)
                .hint("send the command to an authority of an installation that has several"),
            AdminError::NotLeading { .. } => Self::configuration(text)
                .hint("give the administration address of the leader with --node"),
            AdminError::Answering { .. }
            | AdminError::Missing { .. }
            | AdminError::NotEnded { .. } => Self::bad_input(text)
                .hint("retire a permanently lost node with `votekit node retire`"),
            AdminError::EarlyClose { .. } => Self::bad_input(text).hint(EARLY_HINT),
            AdminError::WitnessesMissing { .. } => Self::bad_input(text).hint(WITNESSES_HINT),
            AdminError::ShortCodes { .. } => Self::bad_input(text).hint(
                "give these electors longer codes and hash the supplement again; nothing was \
                 loaded",
            ),
            AdminError::SecondRoll { .. }
            | AdminError::NotLatest { .. }
            | AdminError::UnknownRoll { .. }
            | AdminError::RollInUse { .. }
            | AdminError::RollHasSupplement { .. } => Self::bad_input(text).hint(ROLLS_HINT),
            AdminError::CreatedWithoutRoll { .. } => Self::configuration(text)
                .hint("fix the cause, then load the roll again: it takes effect then"),
            AdminError::Folder(error) | AdminError::Roll(RollError::Folder(error)) => error.into(),
            AdminError::Setup(error) => (*error).into(),
            _ => Self::bad_input(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use votekit_store::Conflict;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn errors_of_engines_have_their_kind_and_hint() {
        let engine = "SQLite";
        let reason = || "database is locked".to_owned();
        let unavailable = CommandError::from(EngineError::Unavailable { engine, reason: reason() });
        assert_eq!(unavailable.kind, ErrorKind::Configuration);
        assert_eq!(unavailable.message, "SQLite is not available: database is locked");
        assert_eq!(unavailable.hint, None);
        let hint = "free space".to_owned();
        let wrong = EngineError::Misconfigured { engine, reason: reason(), hint: hint.clone() };
        assert_eq!(CommandError::from(wrong).hint, Some(hint));
        let panicked = CommandError::from(EngineError::Panicked { engine, what: "the writer" });
        assert_eq!(panicked.kind, ErrorKind::Internal);
        assert_eq!(panicked.message, "bug in votekit: the writer of SQLite panicked");
        let conflict = EngineError::from(Conflict::AccountChanged);
        assert_eq!(CommandError::from(conflict).message, "the account was changed meanwhile");
    }

    #[test]
    fn a_lost_block_is_printed_like_the_ledgers_refusal() {
        let law_id = || "L1".parse().expect("a law id");
        for (fault, conflict) in [
            (
                ElectionFault::Superseded { law_id: law_id(), expected: 4, found: 6 },
                Conflict::Head { law_id: law_id(), expected: 4, found: 6 },
            ),
            (
                ElectionFault::LeadershipLost { law_id: law_id(), offered: 2, found: 3 },
                Conflict::Term { law_id: law_id(), offered: 2, found: 3 },
            ),
            (ElectionFault::TooLate { law_id: law_id() }, Conflict::Late { law_id: law_id() }),
        ] {
            let found = CommandError::from(AdminError::from(fault));
            let refused = CommandError::from(AdminError::Engine(conflict.into()));
            assert_eq!(found.kind, ErrorKind::Configuration);
            assert_eq!(found.kind, refused.kind);
            assert_eq!((found.message, found.hint), (refused.message, refused.hint));
        }
    }

    #[test]
    fn errors_of_nodes_are_printed_in_the_words_of_the_catalogue() {
        let in_use = || FolderError::InUse { path: PathBuf::from("node") };
        let law_id = "L1".parse().expect("a law id");
        let said = "node is in use by another votekit process";
        for failed in [
            CommandError::from(in_use()),
            CommandError::from(NodeError::Folder(in_use())),
            CommandError::from(AdminError::Roll(RollError::Folder(in_use()))),
        ] {
            assert_eq!(failed.message, said);
            assert!(failed.hint.is_some_and(|hint| hint.contains("--node")));
        }
        let unknown = CommandError::from(AdminError::UnknownElection { law_id });
        assert_eq!(unknown.kind, ErrorKind::BadInput);
        assert_eq!(unknown.message, "there is no election L1");
        assert_eq!(CommandError::from(NodeError::NoServices).kind, ErrorKind::Configuration);
    }
}
