//! Results as JSON: for programs, and for the digest that certifies an official result.

use serde::Serialize;

use crate::election::{BLANK, Bilingual, State};
use crate::id::Digest;
use crate::results::Results;

/// The name and version of this format.
pub const FORMAT: &str = "votekit-results/1";

/// The results as pretty-printed JSON (two spaces, final line feed), with keys in the order of
/// [`Document`].
///
/// ```
/// # use votekit_core::{ballot::BallotPublicKey, election::*};
/// # use votekit_core::{reconcile::Report, results::Results, tally::Counts};
/// # let title = Bilingual { fr: "Loi".into(), en: "Law".into() };
/// # let choice = |id: &str| Choice::with_customary_labels(id.parse().unwrap());
/// # let choices = ["oui", "non"].map(choice).to_vec();
/// # let definition = Definition {
/// #     law_id: "L1".parse()?, title: title.clone(), description: title, choices,
/// #     binding: false, results: ResultsPolicy::Live, publish_every: 1, opens: None,
/// #     closes: None, ballot_key: BallotPublicKey::from_bytes([9; 32]),
/// # };
/// # let mut report = Report::default();
/// # (report.received, report.accepted) = (3, 3);
/// # let counts = Counts { choices: vec![2, 1], spoiled: 0 };
/// # let mut results = Results::new(definition, State::Closed, report, counts);
/// # results.registered = 8;
/// let text = String::from_utf8(votekit_core::export::json::to_json(&results))?;
/// assert!(text.contains(r#""oui_count": 2"#) && text.contains(r#""turnout": "37.50""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn to_json(results: &Results) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(&Document::new(results)).expect("results have text keys only");
    bytes.push(b'\n');
    bytes
}

/// The digest in a `certified` leaf: SHA-256 of the JSON of the result as of the close. `results`
/// must be read from the log up to the block that closed the election. Its state is written as
/// `closed`, so that the digest does not depend on the certification itself.
#[must_use]
pub fn certified_digest(results: &Results) -> Digest {
    Digest::compute(&to_json(&Results { state: State::Closed, ..results.clone() }))
}

/// The form of results in files and in a node's answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document<'a> {
    /// [`FORMAT`].
    pub format: &'static str,
    /// The law id.
    pub law_id: &'a str,
    /// The title.
    pub title: &'a Bilingual,
    /// Whether the result is binding.
    pub binding: bool,
    /// The state of the election.
    pub state: State,
    /// The opening time, RFC 3339.
    pub opened: Option<String>,
    /// The closing time, RFC 3339.
    pub closed: Option<String>,
    /// Number of registered electors.
    pub registered: u64,
    /// Number of envelopes received.
    pub received: u64,
    /// Number of votes that count.
    pub accepted: u64,
    /// Number of votes with credentials that had already voted.
    pub duplicate: u64,
    /// Number of votes that do not count.
    pub invalid: u64,
    /// Number of second copies of requests decided earlier.
    pub replayed: u64,
    /// The count of every choice, in ballot order.
    pub choices: Vec<ChoiceCount<'a>>,
    /// Number of accepted votes whose choice is unreadable.
    pub spoiled: u64,
    /// The count of `oui`, if the ballot has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oui_count: Option<u64>,
    /// The count of `non`, if the ballot has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_count: Option<u64>,
    /// The count of `blanc`, if the ballot has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank_count: Option<u64>,
    /// The sum of all choices and spoiled votes.
    pub total_votes: u64,
    /// Accepted votes in per cent of registered electors, two decimals, rounded down.
    pub turnout: String,
    /// The turnout in hundredths of a per cent.
    pub turnout_basis_points: u64,
    /// The log from which the results were read.
    pub log: LogHead,
    /// The time of the log's last block, RFC 3339.
    pub updated_at: String,
}

/// The count of one choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChoiceCount<'a> {
    /// The choice id.
    pub id: &'a str,
    /// The French label.
    pub fr: &'a str,
    /// The English label.
    pub en: &'a str,
    /// Number of accepted votes.
    pub count: u64,
}

/// The part of a log that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogHead {
    /// Number of leaves.
    pub size: u64,
    /// The root over the leaves, in hexadecimal.
    pub root: Digest,
}

impl<'a> Document<'a> {
    /// Builds the document from results.
    #[must_use]
    pub fn new(results: &'a Results) -> Self {
        let Results { definition, report, counts, .. } = results;
        let count_of = |id: &str| results.has_choice(id).then(|| results.count_of(id));
        let choices = definition.choices.iter().zip(&counts.choices);
        Self {
            format: FORMAT,
            law_id: definition.law_id.as_str(),
            title: &definition.title,
            binding: definition.binding,
            state: results.state,
            opened: results.opened.map(|at| at.to_rfc3339()),
            closed: results.closed.map(|at| at.to_rfc3339()),
            registered: results.registered,
            received: report.received,
            accepted: report.accepted,
            duplicate: report.duplicate,
            invalid: report.invalid,
            replayed: report.replayed,
            choices: choices
                .map(|(choice, count)| ChoiceCount {
                    id: choice.id.as_str(),
                    fr: &choice.fr,
                    en: &choice.en,
                    count: *count,
                })
                .collect(),
            spoiled: counts.spoiled,
            oui_count: count_of("oui"),
            non_count: count_of("non"),
            blank_count: count_of(BLANK),
            total_votes: counts.total(),
            turnout: results.turnout_percent(),
            turnout_basis_points: results.turnout_basis_points(),
            log: LogHead { size: results.log_size, root: results.log_root },
            updated_at: results.updated_at.to_rfc3339(),
        }
    }
}
