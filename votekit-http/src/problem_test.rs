use std::collections::BTreeSet;

use votekit_core::election_log::{Change, ElectionLogError};
use votekit_core::id::ElectionId;
use votekit_node::{AdminError, ElectionFault, FileRule, SubmitError, UploadError};
use votekit_store::{Conflict, EngineError};

use super::*;

fn json(problem: Problem) -> String {
    serde_json::to_string(&problem.document()).expect("texts and numbers")
}

#[test]
fn codes_and_statuses_are_stable() {
    let kinds: Vec<_> =
        KINDS.iter().map(|kind| format!("{} {}", kind.status.as_u16(), kind.code)).collect();
    let expected = [
        "400 malformed",
        "400 unknown-choice",
        "401 unauthorized",
        "401 not-signed-in",
        "401 sign-in-refused",
        "401 token-refused",
        "403 results-withheld",
        "403 foreign-origin",
        "403 forbidden",
        "404 unknown-route",
        "404 unknown-election",
        "404 unknown-request",
        "404 unknown-tile",
        "404 unknown-manifest",
        "404 unknown-roll",
        "404 unknown-account",
        "405 method-not-allowed",
        "408 request-timeout",
        "409 not-open-yet",
        "409 closed",
        "409 already-cast",
        "409 not-recorded-yet",
        "409 election-exists",
        "409 wrong-state",
        "409 early-close",
        "409 witnesses-missing",
        "409 roll-conflict",
        "409 refused-by-log",
        "409 admin-busy",
        "409 not-leading",
        "409 not-safe",
        "409 account-exists",
        "409 account-state",
        "410 invitation-void",
        "413 body-too-large",
        "414 uri-too-long",
        "415 not-json",
        "415 content-coding",
        "421 not-served-here",
        "422 roll-refused",
        "422 roll-not-hashed",
        "426 upgrade-required",
        "429 rate-limited",
        "429 address-share",
        "429 back-off",
        "429 not-recognised",
        "429 too-many-duplicates",
        "431 headers-too-large",
        "500 internal",
        "501 transfer-coding",
        "503 busy",
        "503 unavailable",
        "503 clock",
        "503 halted",
        "503 outcome-unknown",
        "503 too-many-connections",
        "503 too-many-readers",
        "503 too-many-downloads",
        "503 stopping",
        "507 storage-full",
    ];
    assert_eq!(kinds, expected);
    let codes: BTreeSet<_> = KINDS.iter().map(|kind| kind.code).collect();
    assert_eq!(codes.len(), KINDS.len());
}

#[test]
fn documents_have_the_members_of_rfc_9457_and_ours() {
    assert_eq!(
        json(Problem::field("nas", "a NAS has exactly 9 digits, this one has 8")),
        concat!(
            r#"{"type":"urn:problem-type:votekit:malformed","title":"The request breaks a rule","status":400,"code":"malformed","#,
            r#""detail":"1 field is wrong","errors":[{"field":"nas","rule":"a NAS has exactly 9 digits, this one has 8"}]}"#
        )
    );
    assert_eq!(
        json(Problem::OutcomeUnknown { request: RequestId::from_bytes([1; 16]) }),
        concat!(
            r#"{"type":"urn:problem-type:votekit:outcome-unknown","title":"It is unknown whether this was stored","status":503,"#,
            r#""code":"outcome-unknown","detail":"retry with the same key: it counts once","request_id":"01010101010101010101010101010101"}"#
        )
    );
}

#[test]
fn a_refusal_names_what_the_caller_can_change() {
    use votekit_store::AccountRole::{Administrator, Auditor, Observer};
    for (problem, words) in [
        (Problem::WrongRole { needs: &[Administrator] }, "an account with the role administrator"),
        (
            Problem::WrongRole { needs: &[Administrator, Auditor, Observer] },
            "an account with the role administrator, auditor or observer",
        ),
        (Problem::ForeignNetwork, "not work from this network"),
        (Problem::ForeignOrigin, "Sec-Fetch-Site: same-origin"),
        (
            Problem::ResultsWithheld { policy: ResultsPolicy::AfterVote, state: State::Open },
            "the header Votekit-Voter-Token",
        ),
        (Problem::CredentialRefused, "NAS and code are not recognised"),
        (Problem::RefreshRefused, "the refresh token is not valid"),
    ] {
        let text = json(problem);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_state_that_the_log_refuses_is_a_wrong_state() {
    let (state, wanted) = (State::Open, Change::Open);
    let refused = AdminError::Refused(ElectionLogError::State { state, wanted });
    for error in [refused, AdminError::State { state, wanted }] {
        let text = json(error.into());
        assert!(text.contains(r#""code":"wrong-state""#), "{text}");
        let words = "the election is open: it cannot be opened; this requires the state draft";
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_refused_file_is_named_by_what_is_wrong_with_it() {
    let law = |text: &str| text.parse::<ElectionId>().expect("a law id");
    let refused = UploadError::Refused { file: "a.bin".to_owned(), rule: FileRule::NoLaw };
    for (error, code) in [
        (UploadError::Name, "malformed"),
        (UploadError::NotHashed, "roll-not-hashed"),
        (refused, "roll-refused"),
        (UploadError::OtherLaw { law_id: law("L1"), other: law("L2") }, "roll-conflict"),
        (UploadError::TooLarge { bytes_max: 1 }, "body-too-large"),
        (UploadError::NoRoom, "storage-full"),
        (UploadError::Busy { law_id: law("L1") }, "admin-busy"),
        (UploadError::Admin(AdminError::Stopping), "stopping"),
    ] {
        assert_eq!(Problem::from(error).kind().code, code);
    }
    let cast = json(Problem::AlreadyCast { request: RequestId::from_bytes([1; 16]) });
    assert!(cast.contains(r#""request_id":"01010101010101010101010101010101""#), "{cast}");
}

#[test]
fn a_poll_is_early_or_closed_by_state_and_time() {
    let code = |early, state, opens: Option<u64>| {
        let error = SubmitError::NotOpen {
            early,
            state,
            opens: opens.map(UnixMinutes),
            closes: Some(UnixMinutes(200)),
        };
        Problem::not_taken(error).kind().code
    };
    assert_eq!(code(true, State::Draft, None), "not-open-yet");
    assert_eq!(code(true, State::Open, Some(100)), "not-open-yet");
    assert_eq!(code(false, State::Open, Some(100)), "closed");
    assert_eq!(code(false, State::Certified, Some(100)), "closed");
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up() {
    let header = |retry_after| {
        Problem::BackOff { retry_after }.into_response().headers()[RETRY_AFTER].clone()
    };
    assert_eq!(header(Duration::from_millis(1)), "1");
    assert_eq!(header(Duration::from_millis(2001)), "3");
    assert_eq!(header(Duration::ZERO), "1");
    assert!(Problem::UnknownRoute.into_response().headers().get(RETRY_AFTER).is_none());
}

/// "Nothing was changed" and "was not stored" are said only where that is known.
#[test]
fn an_uncertain_outcome_is_called_unknown() {
    let engine = "SQLite";
    let reason = String::new;
    let law_id: ElectionId = "L1".parse().expect("a law id");
    let head = Conflict::Head { law_id: law_id.clone(), expected: 1, found: 2 };
    let term = Conflict::Term { law_id: law_id.clone(), offered: 1, found: 2 };
    for uncertain in [
        AdminError::OutcomeUnknown,
        AdminError::Engine(EngineError::OutcomeUnknown { engine, reason: reason() }),
        AdminError::Engine(EngineError::Fatal { engine, reason: reason() }),
        AdminError::Engine(head.into()),
        AdminError::Engine(term.into()),
    ] {
        let text = json(uncertain.into());
        assert!(text.contains(r#""code":"outcome-unknown""#), "{text}");
        assert!(!text.contains("nothing was") && !text.contains("not stored"), "{text}");
    }
    let not_staged = Conflict::NotStaged { law_id: law_id.clone(), position: 7 };
    let late = Conflict::Late { law_id };
    for (known, code) in [
        (AdminError::Stopping, "stopping"),
        (AdminError::Engine(EngineError::Unavailable { engine, reason: reason() }), "unavailable"),
        (AdminError::Engine(late.into()), "unavailable"),
        (AdminError::Engine(not_staged.into()), "unavailable"),
    ] {
        assert!(json(known.into()).contains(&format!(r#""code":"{code}""#)), "{code}");
    }
    // A failed read gives no information about the stored data.
    for error in [
        EngineError::Unavailable { engine, reason: reason() },
        EngineError::OutcomeUnknown { engine, reason: reason() },
    ] {
        let text = json(error.into());
        assert!(text.contains("cannot be read") && !text.contains("not stored"), "{text}");
    }
    let text = json(Problem::UnreadableLog);
    assert!(text.contains("cannot be read") && !text.contains("not stored"), "{text}");
    // A refusal is about this attempt only: an earlier attempt with the same key may be stored.
    let wait = Duration::from_secs(1);
    for refused in [
        Problem::NotStored,
        Problem::Halted,
        Problem::RateLimited { retry_after: wait },
        Problem::AddressShare { retry_after: wait },
        Problem::BackOff { retry_after: wait },
        Problem::TooManyDuplicates { retry_after: wait },
        Problem::Busy { retry_after: wait },
    ] {
        let text = json(refused);
        assert!(text.contains("this attempt was not stored"), "{text}");
        assert!(!text.contains("nothing was stored"), "{text}");
    }
}

/// Whether the node or the ledger finds that a block is lost, the answer is the same.
#[test]
fn a_lost_block_has_the_problem_of_the_ledgers_refusal() {
    let law_id: ElectionId = "L1".parse().expect("a law id");
    let law = || law_id.clone();
    for (fault, conflict, code, status) in [
        (
            ElectionFault::Superseded { law_id: law(), expected: 1, found: 2 },
            Conflict::Head { law_id: law(), expected: 1, found: 2 },
            "outcome-unknown",
            503,
        ),
        (
            ElectionFault::LeadershipLost { law_id: law(), offered: 1, found: 2 },
            Conflict::Term { law_id: law(), offered: 1, found: 2 },
            "outcome-unknown",
            503,
        ),
        (
            ElectionFault::TooLate { law_id: law() },
            Conflict::Late { law_id: law() },
            "unavailable",
            503,
        ),
    ] {
        let found = Problem::from(AdminError::Election(fault));
        assert_eq!((found.kind().code, found.kind().status.as_u16()), (code, status));
        let refused = Problem::from(AdminError::Engine(conflict.into()));
        assert_eq!(json(found), json(refused));
    }
}

#[test]
fn engines_reasons_reach_administrators_only() {
    let error = || EngineError::Unavailable {
        engine: "SQLite",
        reason: "/data/ledger.db is locked".to_owned(),
    };
    assert!(!json(error().into()).contains("ledger.db"));
    assert!(
        !json(Problem::not_taken(SubmitError::Unavailable(error().into()))).contains("ledger.db")
    );
    assert!(json(AdminError::Engine(error()).into()).contains("ledger.db"));
    let law_id: ElectionId = "L1".parse().expect("a law id");
    // A command that may have been carried out is never reported as not carried out.
    let unknown = json(AdminError::OutcomeUnknown.into());
    assert!(unknown.contains(r#""code":"outcome-unknown""#) && !unknown.contains("nothing"));
    assert!(json(AdminError::Exists { law_id }.into()).contains(r#""code":"election-exists""#));
}
