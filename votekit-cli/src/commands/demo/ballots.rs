//! The votes of the demo, of every kind, and their expected outcomes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::ballot_call::{self, Ballot, VoteAnswer};
use crate::client::{Answer, Client};
use crate::error::CommandError;

/// The time for which one call waits for the decision on a vote, in seconds, and the time for which
/// the demo waits.
const CALL_SECONDS: u64 = 10;
const DECISION_TIMEOUT: Duration = Duration::from_secs(30);

/// A row of the sample roll.
#[derive(Clone)]
pub(super) struct Elector {
    pub(super) nas: String,
    pub(super) code: String,
    pub(super) law_id: String,
}

/// Expected counts by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) unknown: u64,
    pub(super) revoked: u64,
    pub(super) refused: u64,
    /// Accepted votes by choice.
    pub(super) oui: u64,
    pub(super) non: u64,
    pub(super) blanc: u64,
}

/// Parses the sample roll, whose columns the demo's own command wrote.
pub(super) fn read_roll(text: &str) -> Vec<Elector> {
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split(',');
        Some(Elector {
            nas: fields.next()?.to_owned(),
            code: fields.next()?.to_owned(),
            law_id: fields.next()?.to_owned(),
        })
    });
    rows.collect()
}

/// Makes two files of votes. The first casts each credential once; the outcomes of the second
/// depend on the first having been cast.
///
/// Elector 0 is left for the vote that is repeated with its key, the code of elector 1 is revoked,
/// and every tenth elector, such as 9 and 19, does not vote.
pub(super) fn vote_files(roll: &[Elector]) -> (String, String, Expected) {
    let mut expected = Expected::default();
    let mut first = "nas,code,law_id,vote\n".to_owned();
    let mut second = first.clone();
    let voters = roll.iter().enumerate().skip(2).filter(|(index, _)| index % 10 != 9);
    for (index, elector) in voters {
        let vote = match index % 7 {
            0 | 2 | 5 => "non",
            3 => "blanc",
            _ => "oui",
        };
        match vote {
            "oui" => expected.oui += 1,
            "non" => expected.non += 1,
            _ => expected.blanc += 1,
        }
        expected.accepted += 1;
        row(&mut first, &elector.nas, &elector.code, &elector.law_id, vote);
        if index % 20 == 4 {
            row(&mut second, &elector.nas, &elector.code, &elector.law_id, "non");
            expected.duplicate += 1;
        }
    }
    let (revoked, known) = (&roll[1], &roll[2]);
    row(&mut second, &revoked.nas, &revoked.code, &revoked.law_id, "oui");
    expected.revoked = 1;
    for guess in ["GUESS001", "GUESS002"] {
        row(&mut second, &known.nas, guess, &known.law_id, "oui");
        expected.unknown += 1;
    }
    for stray in ["peut-etre", "abstention"] {
        row(&mut second, &known.nas, &known.code, &known.law_id, stray);
        expected.refused += 1;
    }
    (first, second, expected)
}

/// Casts a vote, again with the same key while it is not decided.
pub(super) async fn cast_until_decided(
    client: &Client,
    elector: &Elector,
    key: &str,
) -> Result<VoteAnswer, CommandError> {
    let ballot =
        Ballot { nas: &elector.nas, code: &elector.code, law_id: &elector.law_id, vote: "oui" };
    let until = Instant::now() + DECISION_TIMEOUT;
    loop {
        let answer = answered(ballot_call::cast(client, &ballot, key, CALL_SECONDS).await?)?;
        if answer.status != "pending" || Instant::now() >= until {
            return Ok(answer);
        }
    }
}

/// The answer to a vote; the node's refusal as an error.
pub(super) fn answered(answer: Result<VoteAnswer, Answer>) -> Result<VoteAnswer, CommandError> {
    answer.map_err(|refused| refused.refusal())
}

fn row(file: &mut String, nas: &str, code: &str, law_id: &str, vote: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(file, "{nas},{code},{law_id},{vote}");
}
