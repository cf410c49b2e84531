//! The texts for failures below a call: the data folder, the node itself.

use std::path::Path;

use votekit_core::election_log::ReplayError;
use votekit_node::config::ConfigError;
use votekit_node::data_folder::{
    AuthorityMismatch, Exposure, FileDamage, FolderError, LedgerMismatch,
};
use votekit_node::log_repair::{CertificateFault, HeadFault, RepairError};
use votekit_node::node_name::NodeNameError;
use votekit_node::node_record::NodeRecordError;
use votekit_node::{DependencyFault, ElectionFault, NodeError, NodeFailure, NotReady};

use crate::{InWords, store};

impl InWords for FolderError {
    fn in_words(&self) -> String {
        match self {
            Self::Io { path, source } => format!("{}: {source}", path.display()),
            Self::NotOne { path } => format!(
                "{} is not the data folder of a node: it has no votekit.toml",
                path.display()
            ),
            Self::Occupied { path, found } => format!(
                "{} is not a data folder, and is not empty: it holds '{found}'",
                path.display()
            ),
            Self::Exposed { path, exposure } => {
                format!("{}: {}", path.display(), exposed(path, *exposure))
            }
            Self::InUse { path } => {
                format!("{} is in use by another votekit process", path.display())
            }
            Self::Newer { path, found, known } => format!(
                "{} was written by a newer votekit (format {found}, this one knows {known})",
                path.display()
            ),
            Self::OtherBase { found, wanted } => format!(
                "the logs in this folder are named under '{found}', not '{wanted}': the name \
                 cannot change"
            ),
            Self::OtherLedger { path, mismatch } => {
                format!("{}: {}", path.display(), other_ledger(*mismatch))
            }
            Self::Present { path } => format!("{} is a data folder already", path.display()),
            Self::NotAuthority { path } => format!(
                "{} is not the folder of an authority: it has no key for statements",
                path.display()
            ),
            Self::OtherAuthorities { path, mismatch } => {
                format!("{}: {}", path.display(), mismatch.in_words())
            }
            Self::Damaged { path, damage } => format!("{}: {}", path.display(), damage.in_words()),
        }
    }
}

impl InWords for AuthorityMismatch {
    fn in_words(&self) -> String {
        match self {
            Self::Base { listed, own } => format!(
                "it is for the base {listed}, but the logs of this folder are named under {own}"
            ),
            Self::Key { name, key } => format!(
                "the {key} key of {name} in it does not belong to the secret key in this folder"
            ),
        }
    }
}

fn exposed(path: &Path, exposure: Exposure) -> String {
    let path = path.display();
    match exposure {
        Exposure::Owner { owner, user } => format!(
            "it belongs to the user id {owner}, and this process runs as user id {user}: run the \
             command as the owner, or change the owner with chown"
        ),
        Exposure::Key { mode } => format!(
            "other accounts have access to it (mode {mode:04o}); a key must be private: run \
             'chmod go= {path}'"
        ),
        Exposure::Folder { mode } => {
            format!("other accounts have access to it (mode {mode:04o}): run 'chmod o= {path}'")
        }
    }
}

fn other_ledger(mismatch: LedgerMismatch) -> &'static str {
    match mismatch {
        LedgerMismatch::OnServices => "its ledger is on services, and no services were given",
        LedgerMismatch::InFolder => "its ledger is in the folder itself, and services were given",
        LedgerMismatch::OtherServices => {
            "its ledger is in another database or schema than the one given"
        }
    }
}

impl InWords for FileDamage {
    fn in_words(&self) -> String {
        let text = match self {
            Self::KeyMissing => "this key is missing: restore it from a backup of the folder",
            Self::TokenMissing => {
                "the administrator's token is missing: is this the data folder of a node?"
            }
            Self::KeyForm => "a key file is one line that begins with 64 hexadecimal digits",
            Self::KeyCheck => {
                "the key does not match its check: restore it from a backup of the folder"
            }
            Self::Name(reason) => return reason.in_words(),
            Self::NotVerifierKeys(reason) => {
                return format!("expected one verifier key per line: {}", reason.in_words());
            }
            Self::Authorities(reason) => return reason.in_words(),
            Self::NotDigest => "a line that is not a digest",
            Self::Roll(error) => return error.in_words(),
            Self::Settings { reason } => return reason.clone(),
        };
        text.to_owned()
    }
}

impl InWords for NodeError {
    fn in_words(&self) -> String {
        match self {
            Self::Folder(error) => error.in_words(),
            Self::Engine(error) => error.in_words(),
            Self::Roll(error) => error.in_words(),
            Self::Log { law_id, error: ReplayError::Leaf(error) } => {
                format!("the log of {law_id} is damaged: {}", error.in_words())
            }
            Self::Log { law_id, error } => format!("the log of {law_id} is damaged: {error}"),
            Self::Undecodable { law_id, reason } => format!(
                "the ledger holds damaged data: the log of {law_id} cannot be decoded: {reason}"
            ),
            Self::Checkpoint { law_id, rule } => {
                format!("the log of {law_id} does not match its checkpoint: {rule}")
            }
            Self::Forked { law_id, rule } => {
                format!("the ledger of {law_id} was restored from an older copy: {rule}")
            }
            Self::BallotKey { law_id } => format!(
                "a key of {law_id} is missing from the data folder (keys/ballot/{law_id} or \
                 keys/request/{law_id}): its election cannot continue without it"
            ),
            Self::ElectionKeys { law_id, source } => {
                format!("the keys of {law_id} cannot be used: {}", source.in_words())
            }
            Self::EpochRecord { law_id, source } => format!(
                "this node's record of its epochs in {law_id} cannot be read: {}",
                source.in_words()
            ),
            Self::Role { role } => format!(
                "this node lacks the role {role}: with the embedded engine, one process has all \
                 roles"
            ),
            Self::Random(reason) => format!("the system returned no random numbers: {reason}"),
            Self::NotAnAuthority { name } => format!(
                "{name} is not in the file authorities of this data folder: a node with the role \
                 seal is one of the authorities that it lists"
            ),
            Self::SealedKeys { law_id } => format!(
                "the keys of {law_id} that were sealed to this node cannot be opened with its key"
            ),
            Self::Round { error } => format!("the round about the first block: {error}"),
            Self::Memory(error) => format!("the memory of this authority: {}", error.in_words()),
            Self::NoServices => {
                "this votekit was built without the services engine (the feature `services`)"
                    .to_owned()
            }
            Self::Key(error) => error.in_words(),
            Self::Policy(error) => error.in_words(),
            Self::Sign(error) => error.in_words(),
            // An address is described by its parser.
            other => other.to_string(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Memory(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            _ => None,
        }
    }
}

impl InWords for NodeNameError {
    fn in_words(&self) -> String {
        "the name of a node has 1 to 40 characters of a-z, 0-9 and '-', such as ingest-1".to_owned()
    }
}

impl InWords for NodeRecordError {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Form => {
                "a record is one line `node <name> <node key> <transport key>`, its keys as 64 \
                 lower-case hexadecimal digits"
            }
            Self::Name(error) => return error.in_words(),
            Self::NodeKey => "the node key is not a usable Ed25519 key",
            Self::TransportKey => "the transport key is not a usable X25519 key",
            other => return other.to_string(),
        };
        text.to_owned()
    }

    fn hint(&self) -> Option<String> {
        Some("`votekit node show` prints the record of a node".to_owned())
    }
}

impl InWords for NodeFailure {
    fn in_words(&self) -> String {
        match self {
            Self::Engine(error) => error.in_words(),
            Self::Panicked { what } => what.clone(),
        }
    }
}

impl InWords for DependencyFault {
    fn in_words(&self) -> String {
        match self {
            Self::Engine(error) => error.in_words(),
            Self::NoAnswer => "it does not answer".to_owned(),
            Self::Failed(failure) => failure.in_words(),
            Self::NotAdmitted { law_id } => {
                format!("{law_id} does not admit it: votekit node admit")
            }
            Self::ClockStepped { law_id, seconds } => format!(
                "it went back: it is {seconds} s before a time issued or sealed for {law_id}"
            ),
            Self::Halted { reason } => format!("halted: {reason}"),
        }
    }
}

impl InWords for ConfigError {
    fn in_words(&self) -> String {
        let text = match self {
            Self::Syntax { message } => return message.clone(),
            Self::HalfTls => "tls_cert and tls_key belong together: one is missing",
            Self::PlainBeyondLoopback { address } => {
                return format!(
                    "listening on {address} beyond this machine requires TLS: give tls_cert and \
                     tls_key, or the addresses of the TLS-terminating proxies as tls_proxies"
                );
            }
            Self::InternalBeyondLoopback { setting, address } => {
                return format!(
                    "{setting} = {address} is plain HTTP beyond this machine: set \
                     admin_beyond_loopback = true to allow it on a private network"
                );
            }
            Self::BatchVotes { maximum } => {
                return format!("batch_votes_max can be at most {maximum}");
            }
            Self::HalfServices { missing } => {
                return format!(
                    "registry, ballot_box and ledger belong together: {missing} is missing"
                );
            }
            Self::NoRole => "roles must name at least one of ingest, validate, seal and query",
            Self::LogLevel { level } => {
                return format!(
                    "log_level = \"{level}\" is not a level: it is one of error, warn, info, \
                     debug and trace"
                );
            }
            Self::Origin { setting, origin } => {
                return format!(
                    "{setting}: \"{origin}\" is not an origin: it is a scheme, a host and a port \
                     unless it is the scheme's own, such as \"https://results.example.ca\""
                );
            }
            Self::Zero { name } => return format!("{name} must be at least 1"),
        };
        text.to_owned()
    }
}

impl InWords for RepairError {
    fn in_words(&self) -> String {
        match self {
            Self::Engine(error) => error.in_words(),
            Self::Memory(error) => error.in_words(),
            Self::NotCertified { law_id, fault } => format!(
                "the checkpoint of {law_id} is not certified by a quorum of the authorities: {}",
                fault.in_words()
            ),
            Self::NoLog { law_id } => format!("the ledger has no log of {law_id}"),
            Self::HeadVerifies { law_id, height } => format!(
                "the head of {law_id} at block {height} verifies: there is nothing to discard"
            ),
            Self::NotHeld { law_id, size, reason } => format!(
                "the ledger does not hold the {size} leaves of {law_id} that the checkpoint is \
                 about: {reason}"
            ),
            Self::NewerCertified { law_id, height, certified } => format!(
                "a quorum of the authorities has certified block {certified} of {law_id}, and the \
                 checkpoint is about block {height}"
            ),
            Self::Changed { law_id } => format!("the rows of {law_id} changed meanwhile"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Memory(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            _ => None,
        }
    }
}

impl InWords for CertificateFault {
    fn in_words(&self) -> String {
        match self {
            Self::NoLeaf => "it has no leaf".to_owned(),
            Self::Policy(error) => error.in_words(),
            Self::Checkpoint(error) => error.in_words(),
        }
    }
}

impl InWords for HeadFault {
    fn in_words(&self) -> String {
        match self {
            Self::Corrupt { reason } => reason.clone(),
            Self::Checkpoint(error) => error.in_words(),
            Self::Size { size, signed } => {
                format!("it has {size} leaves, its checkpoint {signed}")
            }
            Self::Root => "its root is not the one of its checkpoint".to_owned(),
        }
    }
}

impl InWords for ElectionFault {
    fn in_words(&self) -> String {
        match self {
            Self::Engine(error) => error.in_words(),
            Self::NotReady(error) => format!("this node is not ready: {}", error.in_words()),
            // In the words of the ledger's refusals, which mean the same to the reader.
            Self::Superseded { law_id, expected, found } => {
                store::other_head(law_id, *expected, *found)
            }
            Self::LeadershipLost { law_id, offered, found } => {
                store::later_term(law_id, *offered, *found)
            }
            Self::TooLate { law_id } => store::after_deadline(law_id),
            Self::Damaged { reason } => reason.clone(),
        }
    }
}

impl InWords for NotReady {
    fn in_words(&self) -> String {
        let text = match self {
            Self::NotLeading => "it does not lead",
            Self::NoIngestRole => {
                "it does not have the role ingest: send votes to a node that has it"
            }
            Self::NotAdmitted => {
                "its key is not admitted to the election: is this its own data folder?"
            }
            Self::WritesFail => "the last write was not stored",
            Self::NoLeaseInTime => "it has no lease to answer voters: the ledger does not answer",
            Self::Stopping => "it is stopping and takes no more votes",
            Self::NotPublished { reason } => {
                return format!("the batch could not be published: {reason}");
            }
            Self::Randomness { reason } => return format!("no random numbers: {reason}"),
        };
        text.to_owned()
    }
}
