//! The answers to wrong codes do not depend on correct votes in between.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use votekit_core::credential::{Credential, CredentialHasher};
use votekit_core::electorate::KeyList;
use votekit_core::id::RequestId;
use votekit_store::Mark;
use votekit_store::embedded::EmbeddedRegistry;

use super::*;
use crate::config::Config;
use crate::error::SubmitError;
use crate::limits::throttle::{Next, Throttle};

/// A vote for one of a few NAS, from one of a few addresses, some time after the previous one.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    gap_ms: u64,
    host: u8,
    nas: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wrong,
    /// With the elector's code: the first vote counts, the others are duplicates.
    Correct,
    /// A repeat of a known request.
    Repeated,
}

const ELECTORS: u32 = 3;

fn credential(nas: u32, code: &str) -> Credential {
    Credential::parse(format!("{nas:09}").as_bytes(), code.as_bytes(), b"L1").expect("well formed")
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    // Mostly in bursts, sometimes after minutes or a day.
    let gap_ms = prop_oneof![
        6 => 0..1500_u64,
        2 => 0..90_000_u64,
        1 => 0..(30 * 3600 * 1000_u64),
    ];
    let kind =
        prop_oneof![3 => Just(Kind::Wrong), 2 => Just(Kind::Correct), 1 => Just(Kind::Repeated)];
    let attempt = (gap_ms, 1..4_u8, 0..ELECTORS, kind)
        .prop_map(|(gap_ms, host, nas, kind)| Attempt { gap_ms, host, nas, kind });
    proptest::collection::vec(attempt, 0..80)
}

/// The error, or `None` for a stored vote. Each error has one HTTP answer.
type Refusal = Option<String>;

/// The answers to the wrong codes among the attempts of the given kinds. The rate is lifted: its
/// shares are tested elsewhere.
async fn answers(attempts: &[Attempt], kinds: &[Kind]) -> Vec<Refusal> {
    let (registry, law_id) = (EmbeddedRegistry::new(), "L1".parse().expect("a law id"));
    let key = |nas, code: &str| {
        let Credential { nas, code, law_id } = credential(nas, code);
        CredentialHasher::plain().registry_key(&nas, &code, &law_id)
    };
    let mut keys: Vec<_> = (0..ELECTORS).map(|nas| key(nas, "CORRECT1")).collect();
    keys.sort_unstable();
    let roll = Arc::new(KeyList::new(keys).expect("sorted"));
    registry.add_roll(&law_id, &roll).await.expect("loaded");
    let config = Config { rate_limit_per_second: 0, ..Config::default() };
    let (admission, mut now) = (VoteAdmission::new(&config), Instant::now());
    let throttle = Throttle::starting_at(&config.throttle, now);
    let mut refusals = Vec::new();
    for (number, attempt) in (0_u64..).zip(attempts) {
        now += Duration::from_millis(attempt.gap_ms);
        if !kinds.contains(&attempt.kind) {
            continue;
        }
        let prefix = throttle.prefix(IpAddr::from([192, 0, 2, attempt.host]));
        let origin = throttle.origin(prefix, &credential(attempt.nas, "ANY1").nas);
        let code = if attempt.kind == Kind::Wrong { "WRONG123" } else { "CORRECT1" };
        let mut request = [0; 16];
        request[..8].copy_from_slice(&number.to_le_bytes());
        let request = RequestId::from_bytes(request);
        let mark = Mark { key: key(attempt.nas, code), request };
        let admitted = match throttle.begin(origin, now, now) {
            Err(retry_after) => Err(SubmitError::BackOff { retry_after }),
            Ok(Next::InTurn(_)) => panic!("every attempt before was judged"),
            Ok(Next::Turn(turn)) if attempt.kind == Kind::Repeated => {
                drop(turn);
                Ok(())
            }
            Ok(Next::Turn(turn)) => {
                let about = (&law_id, &mark);
                let admitted = admission.admit(turn, &throttle, &registry, about, now);
                admitted.map(|unjudged| assert!(unjudged.is_none(), "it was seen at once"))
            }
        };
        if admitted.is_ok() && attempt.kind != Kind::Repeated {
            registry.mark(&law_id, &[mark]).await.expect("marked");
        }
        if attempt.kind == Kind::Wrong {
            refusals.push(admitted.err().map(|error| format!("{error:?}")));
        }
    }
    refusals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The sender of wrong codes, under any NAS and from any address, even the voter's own, gets
    /// the same answers whether, how often and when the electors vote.
    #[test]
    fn correct_repeated_and_duplicate_votes_show_in_no_answer_to_a_wrong_code(
        attempts in attempts()
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let everything = [Kind::Wrong, Kind::Correct, Kind::Repeated];
        let with = runtime.block_on(answers(&attempts, &everything));
        let without = runtime.block_on(answers(&attempts, &[Kind::Wrong]));
        prop_assert_eq!(with, without);
    }
}

#[tokio::test]
async fn every_answer_to_a_wrong_code_is_reached() {
    let wrong = |gap_ms, host, nas| Attempt { gap_ms, host, nas, kind: Kind::Wrong };
    // Two from one address are stored; then its budget is spent; then the pair waits.
    let attempts: Vec<_> = (0..8).map(|_| wrong(0, 1, 1)).chain([wrong(1000, 2, 1)]).collect();
    let refusals = answers(&attempts, &[Kind::Wrong]).await;
    let is = |place: usize, error: &str| {
        refusals[place].as_ref().is_some_and(|refusal| refusal.contains(error))
    };
    assert_eq!(refusals[..2], [None, None]);
    assert!((2..6).all(|place| is(place, "NotRecognised")), "{refusals:?}");
    assert!((6..8).all(|place| is(place, "BackOff")), "{refusals:?}");
    assert_eq!(refusals[8], None);
}
