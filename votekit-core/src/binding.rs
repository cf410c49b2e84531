//! The requirements of binding elections: what must hold before one opens. The node that opens a
//! poll and the authorities that check the opening apply the same rules.

use std::fmt;

use crate::credential::HashScheme;
use crate::election::{Definition, ResultsPolicy};
use crate::id::Digest;

/// The base name of logs when none is given. It names no organisation.
pub const DEFAULT_BASE: &str = "votekit.example";

/// A requirement that a binding election does not meet. Its `Display` is for logs; the edges make
/// the sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
// Exhaustive: the edges have a sentence for each variant.
pub enum BindingRule {
    /// The roll is hashed without a pepper.
    Pepper,
    /// Results are shown before the close. The only rule that can be waived.
    Results,
    /// Votes reach the node without TLS.
    Confidential,
    /// The log has the name of a test.
    TestBase {
        /// The base name of the logs.
        base: String,
    },
    /// The log is not named after the organisation.
    DefaultBase,
    /// The access codes of a roll are too short.
    ShortCodes {
        /// The roll.
        manifest: Digest,
        /// Characters of its shortest code.
        length: u32,
    },
}

impl BindingRule {
    /// The name by which an opening waives [`BindingRule::Results`].
    pub const RESULTS_WAIVER: &'static str = "results";

    /// Whether an opening with these waivers need not meet the requirement.
    #[must_use]
    pub fn is_waived(&self, waivers: &[String]) -> bool {
        *self == Self::Results && waivers.iter().any(|waiver| waiver == Self::RESULTS_WAIVER)
    }
}

impl fmt::Display for BindingRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pepper => formatter.write_str("roll without a pepper"),
            Self::Results => formatter.write_str("results before the close"),
            Self::Confidential => formatter.write_str("votes without TLS"),
            Self::TestBase { base } => write!(formatter, "test name {base} of the log"),
            Self::DefaultBase => write!(formatter, "default name {DEFAULT_BASE} of the log"),
            Self::ShortCodes { manifest, length } => {
                write!(formatter, "shortest code of manifest {manifest}: {length} characters")
            }
        }
    }
}

/// The facts by which the requirements of an election are checked before it opens.
#[derive(Debug, Clone, Copy)]
pub struct BindingFacts<'a> {
    /// The definition in effect.
    pub definition: &'a Definition,
    /// How credentials are hashed. `None` before a roll is loaded: the rules on rolls then count as
    /// met.
    pub scheme: Option<HashScheme>,
    /// The base name of the logs.
    pub base: &'a str,
    /// Whether votes reach the node over TLS.
    pub is_confidential: bool,
    /// The rolls in effect, each with the length of its shortest code in characters; 0 means that
    /// it has no codes.
    pub code_lengths: &'a [(Digest, u32)],
}

impl BindingFacts<'_> {
    /// The requirements that are not met, waived or not. None of an election that is not binding.
    #[must_use]
    pub fn unmet(&self) -> Vec<BindingRule> {
        let mut unmet = Vec::new();
        if !self.definition.binding {
            return unmet;
        }
        if self.scheme.is_some_and(|scheme| scheme != HashScheme::HmacSha256) {
            unmet.push(BindingRule::Pepper);
        }
        if self.definition.results != ResultsPolicy::AfterClose {
            unmet.push(BindingRule::Results);
        }
        if !self.is_confidential {
            unmet.push(BindingRule::Confidential);
        }
        if Definition::is_test_base(self.base) {
            unmet.push(BindingRule::TestBase { base: self.base.to_owned() });
        }
        if self.base == DEFAULT_BASE {
            unmet.push(BindingRule::DefaultBase);
        }
        let short = self.code_lengths.iter();
        let short = short.filter(|(_, length)| Definition::is_too_short_to_bind(*length));
        unmet.extend(short.map(|(manifest, length)| BindingRule::ShortCodes {
            manifest: *manifest,
            length: *length,
        }));
        unmet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::BallotPublicKey;
    use crate::election::{Bilingual, Choice};

    fn definition(binding: bool, results: ResultsPolicy) -> Definition {
        let text = |text: &str| Bilingual { fr: text.to_owned(), en: text.to_owned() };
        Definition {
            law_id: "L2025-001".parse().expect("law id"),
            title: text("Loi"),
            description: text(""),
            choices: ["oui", "non"]
                .map(|id| Choice::with_customary_labels(id.parse().expect("choice id")))
                .to_vec(),
            binding,
            results,
            publish_every: 1,
            opens: None,
            closes: None,
            ballot_key: BallotPublicKey::from_bytes([9; 32]),
        }
    }

    #[test]
    fn each_requirement_is_found_alone_and_with_the_others() {
        let safe = definition(true, ResultsPolicy::AfterClose);
        let codes = [(Digest::of(b"roll"), 8), (Digest::of(b"no codes"), 0)];
        let facts = BindingFacts {
            definition: &safe,
            scheme: Some(HashScheme::HmacSha256),
            base: "vote.example.ca",
            is_confidential: true,
            code_lengths: &codes,
        };
        assert_eq!(facts.unmet(), []);
        assert_eq!(BindingFacts { scheme: None, code_lengths: &[], ..facts }.unmet(), []);

        let live = definition(true, ResultsPolicy::Live);
        let short = [(Digest::of(b"roll"), 7)];
        let rules = [
            BindingRule::Pepper,
            BindingRule::Results,
            BindingRule::Confidential,
            BindingRule::TestBase { base: "example.ca/test".to_owned() },
            BindingRule::DefaultBase,
            BindingRule::ShortCodes { manifest: short[0].0, length: 7 },
        ];
        let unsafe_facts = [
            BindingFacts { scheme: Some(HashScheme::Sha256), ..facts },
            BindingFacts { definition: &live, ..facts },
            BindingFacts { is_confidential: false, ..facts },
            BindingFacts { base: "example.ca/test", ..facts },
            BindingFacts { base: DEFAULT_BASE, ..facts },
            BindingFacts { code_lengths: &short, ..facts },
        ];
        for (facts, rule) in unsafe_facts.iter().zip(&rules) {
            assert_eq!(facts.unmet(), std::slice::from_ref(rule));
        }
        let consultation = definition(false, ResultsPolicy::Live);
        let worst = BindingFacts {
            definition: &consultation,
            scheme: Some(HashScheme::Sha256),
            base: DEFAULT_BASE,
            is_confidential: false,
            code_lengths: &short,
        };
        assert_eq!(worst.unmet(), []);
        assert_eq!(BindingFacts { definition: &live, ..worst }.unmet().len(), 5);
    }

    #[test]
    fn only_early_results_can_be_waived() {
        let waivers = ["results", "pepper"].map(str::to_owned);
        assert!(BindingRule::Results.is_waived(&waivers));
        assert!(!BindingRule::Results.is_waived(&waivers[1..]));
        assert!(!BindingRule::Pepper.is_waived(&waivers));
    }
}
