use std::io;
use std::path::PathBuf;

use votekit_core::binding::BindingRule;
use votekit_core::credential::{CredentialError, PepperError};
use votekit_core::election::{ChoiceIdError, DefinitionError, State, TextPart};
use votekit_core::election_log::{Change, ElectionLogError};
use votekit_core::email::EmailError;
use votekit_core::envelope::{FieldRule, VoteRequest};
use votekit_core::id::{Digest, ElectionId, IdError};
use votekit_core::instant::{TimeError, UnixMinutes};
use votekit_core::log::note::KeyName;
use votekit_core::manifest::ManifestError;
use votekit_core::roll::RowRule;
use votekit_core::shard::{ChangesError, ShardError};
use votekit_node::config::Role;
use votekit_node::data_folder::{Exposure, FolderError};
use votekit_node::{
    AdminError, CallRule, ElectionFault, FieldFault, FileKind, FileRule, NodeError,
};
use votekit_node::{RollError, UnsignedReason, UploadError};
use votekit_store::memory::MemoryError;
use votekit_store::{Conflict, EngineError};

use super::*;

fn law() -> ElectionId {
    "L1".parse().expect("a law id")
}

#[test]
fn fields_of_a_vote_have_their_rules_in_words() {
    let body = br#"{"nas":"12","code":5,"vote":"\ud83d","sin":1}"#;
    let errors = VoteRequest::parse(body).expect_err("every field is wrong");
    let rules: Vec<_> = errors.iter().map(|error| error.rule.in_words()).collect();
    assert_eq!(
        rules,
        [
            "a NAS has exactly 9 digits, this one has 2",
            "must be a text in quotation marks, not a number",
            "is missing",
            "contains an unpaired surrogate, which is not valid text",
            "has the field 'sin': a vote has only nas, code, law_id and vote",
        ]
    );
}

#[test]
fn parameters_are_part_of_the_sentence() {
    let definition =
        DefinitionError::TextLength { what: TextPart::Reason, length: 0, minimum: 1, maximum: 500 };
    let past =
        CallRule::ClosesInPast { closes: UnixMinutes(29_400_000), now: UnixMinutes(29_400_001) };
    let refused = ElectionLogError::State { state: State::Draft, wanted: Change::RetireNode };
    let note = UnsignedReason::Unreadable(io::Error::other("no disk"));
    let unsigned = RollError::Unsigned { path: PathBuf::from("/r/manifest.note"), reason: note };
    let folder = FolderError::Exposed {
        path: PathBuf::from("/d/keys"),
        exposure: Exposure::Key { mode: 0o640 },
    };
    let named = FileRule::Incomplete { named: vec!["a".to_owned(), "b".to_owned()], more: 2 };
    let upload = UploadError::Refused { file: "manifest.json".to_owned(), rule: named };
    let engine =
        EngineError::Unavailable { engine: "SQLite", reason: "database is locked".to_owned() };
    for (words, expected) in [
        (
            CredentialError::CodeLength { length: 3 }.in_words(),
            "an access code has 4 to 32 characters, this one has 3",
        ),
        (definition.in_words(), "the reason has 0 characters; 1 to 500 are allowed"),
        (
            past.in_words(),
            "the poll would close at 2025-11-24T16:00:00Z, and it is 2025-11-24T16:01:00Z now",
        ),
        (
            refused.in_words(),
            "the election is draft: none of its nodes can be retired; this requires the state \
             open or closing",
        ),
        (
            unsigned.in_words(),
            "/r/manifest.note: this node requires signed manifests, and this one has no valid \
             signature by a known official (no disk)",
        ),
        (
            folder.in_words(),
            "/d/keys: other accounts have access to it (mode 0640); a key must be private: run \
             'chmod go= /d/keys'",
        ),
        (
            upload.in_words(),
            "manifest.json lists files that have not been uploaded: a, b and 2 more",
        ),
        (FileRule::NotRegular { found: FileKind::Fifo }.in_words(), "is a FIFO"),
        (engine.in_words(), "SQLite is not available: database is locked"),
    ] {
        assert_eq!(words, expected);
    }
}

#[test]
fn each_error_of_a_parser_has_a_sentence_beside_its_display() {
    for (words, display) in [
        (IdError::LawDots.in_words(), IdError::LawDots.to_string()),
        (ChoiceIdError.in_words(), ChoiceIdError.to_string()),
        (TimeError.in_words(), TimeError.to_string()),
        (PepperError.in_words(), PepperError.to_string()),
        (CredentialError::NasZeros.in_words(), CredentialError::NasZeros.to_string()),
        (EmailError::Domain.in_words(), EmailError::Domain.to_string()),
        (FieldRule::Repeated.in_words(), FieldRule::Repeated.to_string()),
        (RowRule::Blank.in_words(), RowRule::Blank.to_string()),
        (ManifestError::Kind.in_words(), ManifestError::Kind.to_string()),
        (ShardError::Key { key: 3 }.in_words(), ShardError::Key { key: 3 }.to_string()),
        (ChangesError::Repeated.in_words(), ChangesError::Repeated.to_string()),
        (DefinitionError::PublishEvery.in_words(), DefinitionError::PublishEvery.to_string()),
    ] {
        assert_ne!(words, display);
    }
}

/// The matches over the other errors of nodes and stores are exhaustive, and
/// `doubled_texts_test.rs` compares the texts of all of them.
#[test]
fn each_error_that_a_node_starts_with_has_a_sentence_beside_its_display() {
    let name: KeyName = "a.example".parse().expect("a name");
    let memory = MemoryError::InUse { path: PathBuf::from("/d/memory/memory.sqlite") };
    let source = || FolderError::NotOne { path: PathBuf::from("/d") };
    for error in [
        NodeError::Checkpoint { law_id: law(), rule: "another root" },
        NodeError::Undecodable { law_id: law(), reason: "block 3 is cut short".to_owned() },
        NodeError::Forked { law_id: law(), rule: "it is shorter".to_owned() },
        NodeError::BallotKey { law_id: law() },
        NodeError::ElectionKeys { law_id: law(), source: source() },
        NodeError::EpochRecord { law_id: law(), source: source() },
        NodeError::NotAnAuthority { name },
        NodeError::SealedKeys { law_id: law() },
        NodeError::Round { error: "no quorum".to_owned() },
        NodeError::Memory(memory),
        NodeError::NoServices,
        NodeError::Role { role: Role::Seal },
    ] {
        assert_ne!(error.in_words(), error.to_string());
    }
    let lost = NodeError::Memory(MemoryError::Missing { path: PathBuf::from("/d/memory") });
    assert!(lost.hint().is_some_and(|hint| hint.contains("votekit authority renew")));
}

/// An official reads the same, whether the node or the ledger found that a block was lost.
#[test]
fn a_lost_block_has_the_words_of_the_ledgers_refusal() {
    for (fault, conflict, expected) in [
        (
            ElectionFault::Superseded { law_id: law(), expected: 4, found: 6 },
            Conflict::Head { law_id: law(), expected: 4, found: 6 },
            "the log of L1 has 6 leaves, the block expects 4",
        ),
        (
            ElectionFault::LeadershipLost { law_id: law(), offered: 2, found: 3 },
            Conflict::Term { law_id: law(), offered: 2, found: 3 },
            "the log of L1 is in term 3, the block is of term 2",
        ),
        (
            ElectionFault::TooLate { law_id: law() },
            Conflict::Late { law_id: law() },
            "the block of L1 reached the ledger after its deadline and was not stored: retry",
        ),
    ] {
        assert_eq!(AdminError::from(fault).in_words(), expected);
        assert_eq!(AdminError::Engine(conflict.into()).in_words(), expected);
    }
}

#[test]
fn errors_inside_errors_have_their_own_words() {
    let digest = Digest::compute(b"roll");
    let manifest =
        ManifestError::FileDigest { file: "a".to_owned(), expected: digest, found: digest };
    let path = PathBuf::from("/r/a");
    let source = Box::new(AdminError::Roll(RollError::Manifest { path, source: manifest }));
    let created = AdminError::CreatedWithoutRoll { law_id: law(), source };
    assert_eq!(
        created.in_words(),
        format!(
            "the election L1 was created as a draft, and its roll has not taken effect yet: /r/a: \
             a has been changed: its SHA-256 is {digest}, the manifest states {digest}"
        )
    );
    let fault = |field, rule| FieldFault { field, rule };
    let errors = vec![
        fault("replace", CallRule::SupplementReplaces),
        fault("node", CallRule::AnsweringNode),
    ];
    assert_eq!(
        AdminError::Fields { errors }.in_words(),
        "replace: a supplement cannot replace a roll: load it without `replace`; node: this is the \
         node that answers this call, so it is not lost"
    );
    let missing = vec![BindingRule::Results, BindingRule::TestBase { base: "a/test".to_owned() }];
    let unsafe_yet = AdminError::NotSafe { missing }.in_words();
    assert!(unsafe_yet.starts_with("a binding election cannot open: results must be shown"));
    assert!(unsafe_yet.contains("; its log must not have the name of a test"), "{unsafe_yet}");
}
