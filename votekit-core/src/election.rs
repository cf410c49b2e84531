//! Elections: what is put to the vote, how, and where it stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ballot::{BallotPublicKey, ChoiceIndex};
use crate::id::LawId;
use crate::instant::{UnixMillis, UnixSeconds};

/// The id of the blank vote.
pub const BLANK: &str = "blanc";

/// The id of a choice: 1 to 50 of `a-z0-9._-`, such as `oui`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChoiceId(String);

/// A text is no choice id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a choice has 1 to 50 characters of a-z, 0-9, '.', '_' and '-'")]
pub struct ChoiceIdError;

impl ChoiceId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(text: &str) -> Result<(), ChoiceIdError> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        if (1..=50).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(())
        } else {
            Err(ChoiceIdError)
        }
    }
}

impl FromStr for ChoiceId {
    type Err = ChoiceIdError;

    fn from_str(text: &str) -> Result<Self, ChoiceIdError> {
        Self::check(text).map(|()| Self(text.to_owned()))
    }
}

impl TryFrom<String> for ChoiceId {
    type Error = ChoiceIdError;

    fn try_from(text: String) -> Result<Self, ChoiceIdError> {
        Self::check(&text).map(|()| Self(text))
    }
}

impl From<ChoiceId> for String {
    fn from(choice: ChoiceId) -> Self {
        choice.0
    }
}

impl fmt::Display for ChoiceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ChoiceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A text in both official languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bilingual {
    /// French.
    pub fr: String,
    /// English.
    pub en: String,
}

/// One choice on the ballot, with its labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Its id in votes and results.
    pub id: ChoiceId,
    /// The French label.
    pub fr: String,
    /// The English label.
    pub en: String,
}

impl Choice {
    /// A choice by id, with the customary labels of `oui`, `non` and `blanc`, and the id itself for
    /// any other.
    #[must_use]
    pub fn with_customary_labels(id: ChoiceId) -> Self {
        let (fr, en) = match id.as_str() {
            "oui" => ("Oui", "Yes"),
            "non" => ("Non", "No"),
            BLANK => ("Bulletin blanc", "Blank ballot"),
            other => (other, other),
        };
        Self { fr: fr.to_owned(), en: en.to_owned(), id }
    }
}

/// Who sees results, and when. Binds API, pages, metrics and totals leaves alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResultsPolicy {
    /// Everyone, while the poll is open.
    Live,
    /// Who has voted, while the poll is open; everyone after the close.
    AfterVote,
    /// Everyone, after the close.
    AfterClose,
}

impl ResultsPolicy {
    /// The policy as leaves and answers write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::AfterVote => "after_vote",
            Self::AfterClose => "after_close",
        }
    }
}

/// What is put to the vote. Published whole in the first leaf of the election's log.
///
/// A value of this type obeys the rules of [`Definition::check`] when it came through
/// [`Definition::checked`] or out of a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The law, and so the id of the election.
    pub law_id: LawId,
    /// Its title.
    pub title: Bilingual,
    /// What it is about; may be empty.
    pub description: Bilingual,
    /// The choices in the order of the ballot.
    pub choices: Vec<Choice>,
    /// Whether the result binds: then stricter rules apply.
    pub binding: bool,
    /// Who sees results when.
    pub results: ResultsPolicy,
    /// Under `live`: how many accepted votes must be new, and as many newer ones held back, before
    /// totals are opened again.
    pub publish_every: u64,
    /// When votes start to count, if planned.
    pub opens: Option<UnixSeconds>,
    /// When votes cease to count, if planned.
    pub closes: Option<UnixSeconds>,
    /// The key that choices are sealed to.
    pub ballot_key: BallotPublicKey,
}

/// Which rule a definition breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A ballot has 2 to 100 choices.
    #[error("an election has 2 to 100 choices, this one has {count}")]
    ChoiceCount {
        /// Choices given.
        count: usize,
    },
    /// Each choice is there once.
    #[error("the choice '{choice}' is given twice")]
    ChoiceTwice {
        /// The repeated choice.
        choice: ChoiceId,
    },
    /// A text is too long or empty.
    #[error("{what} has {length} characters; {rule}")]
    TextLength {
        /// Which text.
        what: &'static str,
        /// Characters found.
        length: usize,
        /// What is allowed.
        rule: &'static str,
    },
    /// A text holds a control character: a terminal or a page could be made to show something else.
    #[error("{what} holds a control character, as its character {position}")]
    ControlCharacter {
        /// Which text.
        what: &'static str,
        /// Position of the character, from 1.
        position: usize,
    },
    /// The poll must close after it opens.
    #[error("the poll closes ({closes}) no later than it opens ({opens})")]
    Times {
        /// When it opens.
        opens: UnixSeconds,
        /// When it closes.
        closes: UnixSeconds,
    },
    /// All texts together must fit in one leaf.
    #[error("the definition takes {length} bytes in all; at most {maximum} fit in the log", maximum = Definition::LENGTH_MAX)]
    TooLong {
        /// Bytes of the definition as canonical JSON.
        length: usize,
    },
    /// `publish_every` counts from 1.
    #[error("results are published every 1 or more votes, not every 0")]
    PublishEvery,
}

impl Definition {
    /// The longest definition as canonical JSON, in bytes: with what stands around it, it fits in a
    /// leaf.
    pub const LENGTH_MAX: usize = 65_000;

    /// The most choices on a ballot.
    pub const CHOICES_MAX: usize = 100;

    /// Gives the definition back if it obeys every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn checked(self) -> Result<Self, DefinitionError> {
        self.check().map(|()| self)
    }

    /// Checks every rule on counts, texts and times.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), DefinitionError> {
        self.faults().into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Every rule that is broken, each with the field of a request to create the election that
    /// breaks it: `title_fr`, `choices`, `closes` and so on, or `body` for all of them together.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, DefinitionError)> {
        let mut faults = Vec::new();
        let mut check = |field, checked: Result<(), DefinitionError>| {
            faults.extend(checked.err().map(|error| (field, error)));
        };
        check("choices", self.check_choices());
        for (field, text) in [("title_fr", &self.title.fr), ("title_en", &self.title.en)] {
            check(field, check_text("the title", text, 1, 500, "1 to 500 are allowed"));
        }
        let descriptions =
            [("description_fr", &self.description.fr), ("description_en", &self.description.en)];
        for (field, text) in descriptions {
            // A description may have lines.
            let line = text.replace('\n', " ");
            let rule = "at most 2000 are allowed";
            check(field, check_text("the description", &line, 0, 2000, rule));
        }
        if let (Some(opens), Some(closes)) = (self.opens, self.closes)
            && closes <= opens
        {
            check("closes", Err(DefinitionError::Times { opens, closes }));
        }
        if self.publish_every == 0 {
            check("publish_every", Err(DefinitionError::PublishEvery));
        }
        check("body", self.check_length());
        faults
    }

    fn check_choices(&self) -> Result<(), DefinitionError> {
        let count = self.choices.len();
        if !(2..=Self::CHOICES_MAX).contains(&count) {
            return Err(DefinitionError::ChoiceCount { count });
        }
        for (index, choice) in self.choices.iter().enumerate() {
            if self.choices[..index].iter().any(|earlier| earlier.id == choice.id) {
                return Err(DefinitionError::ChoiceTwice { choice: choice.id.clone() });
            }
            for label in [&choice.fr, &choice.en] {
                check_text("the label of a choice", label, 1, 100, "1 to 100 are allowed")?;
            }
        }
        Ok(())
    }

    fn check_length(&self) -> Result<(), DefinitionError> {
        let length = serde_json::to_vec(self).map_or(usize::MAX, |bytes| bytes.len());
        if length <= Self::LENGTH_MAX { Ok(()) } else { Err(DefinitionError::TooLong { length }) }
    }

    /// The place of a choice, if the ballot has it.
    #[must_use]
    pub fn choice_index(&self, id: &ChoiceId) -> Option<ChoiceIndex> {
        let index = self.choices.iter().position(|choice| choice.id == *id)?;
        u16::try_from(index).ok().map(ChoiceIndex)
    }
}

fn check_text(
    what: &'static str,
    text: &str,
    minimum: usize,
    maximum: usize,
    rule: &'static str,
) -> Result<(), DefinitionError> {
    let length = text.chars().count();
    if !(minimum..=maximum).contains(&length) {
        return Err(DefinitionError::TextLength { what, length, rule });
    }
    match text.chars().position(char::is_control) {
        Some(index) => Err(DefinitionError::ControlCharacter { what, position: index + 1 }),
        None => Ok(()),
    }
}

/// Where an election stands. It only ever moves to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Defined; no vote is taken.
    Draft,
    /// Votes are taken from the opening time on.
    Open,
    /// No new vote is taken; those received in time are still decided.
    Closing,
    /// Everything is decided, reconciled and opened.
    Closed,
    /// The result is declared official.
    Certified,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Certified => "certified",
        })
    }
}

/// When a vote counts: opening ≤ received < closing, by the stamp made once on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The effective opening time; `None` before the opening.
    pub opens: Option<UnixSeconds>,
    /// The planned closing time, replaced by the effective one at the close.
    pub closes: Option<UnixSeconds>,
}

/// Where a stamp lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Before the opening.
    Early,
    /// Within the window.
    InTime,
    /// At the closing time or after it.
    Late,
}

impl Window {
    /// Where a stamp lies in this window.
    #[must_use]
    pub fn timing(&self, received: UnixMillis) -> Timing {
        match (self.opens, self.closes) {
            (None, _) => Timing::Early,
            (Some(opens), _) if received < opens.millis() => Timing::Early,
            (_, Some(closes)) if received >= closes.millis() => Timing::Late,
            _ => Timing::InTime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Definition {
        let bilingual = |text: &str| Bilingual { fr: text.to_owned(), en: text.to_owned() };
        Definition {
            law_id: "L2025-001".parse().expect("law id"),
            title: bilingual("Loi"),
            description: bilingual(""),
            choices: ["oui", "non"]
                .map(|id| Choice::with_customary_labels(id.parse().expect("choice id")))
                .to_vec(),
            binding: false,
            results: ResultsPolicy::Live,
            publish_every: 1,
            opens: None,
            closes: None,
            ballot_key: BallotPublicKey::from_bytes([9; 32]),
        }
    }

    #[test]
    fn each_rule_is_enforced() {
        assert_eq!(definition().check(), Ok(()));
        let one = Definition { choices: definition().choices[..1].to_vec(), ..definition() };
        assert_eq!(one.check(), Err(DefinitionError::ChoiceCount { count: 1 }));
        let twice =
            Definition { choices: vec![definition().choices[0].clone(); 2], ..definition() };
        assert!(matches!(twice.check(), Err(DefinitionError::ChoiceTwice { .. })));
        let backwards = Definition {
            opens: Some(UnixSeconds(5)),
            closes: Some(UnixSeconds(5)),
            ..definition()
        };
        assert!(matches!(backwards.check(), Err(DefinitionError::Times { .. })));
        let choices = (0..100).map(|place| Choice {
            id: format!("choix-{place}").parse().expect("choice id"),
            fr: "\u{1f5f3}".repeat(100),
            en: "\u{1f5f3}".repeat(100),
        });
        let long = Definition { choices: choices.collect(), ..definition() };
        assert!(matches!(long.check(), Err(DefinitionError::TooLong { .. })));
        let never = Definition { publish_every: 0, ..definition() };
        assert_eq!(never.check(), Err(DefinitionError::PublishEvery));
    }

    #[test]
    fn every_broken_rule_is_found_with_its_field() {
        let broken = Definition {
            title: Bilingual { fr: "\u{1b}[31mLoi".to_owned(), en: "x".repeat(501) },
            description: Bilingual { fr: "deux\nlignes".to_owned(), en: "a\u{7}".to_owned() },
            choices: Vec::new(),
            opens: Some(UnixSeconds(5)),
            closes: Some(UnixSeconds(5)),
            publish_every: 0,
            ..definition()
        };
        let fields: Vec<_> = broken.faults().into_iter().map(|(field, _)| field).collect();
        let expected =
            ["choices", "title_fr", "title_en", "description_en", "closes", "publish_every"];
        assert_eq!(fields, expected);
        let rules: Vec<_> = broken.faults().iter().map(|(_, rule)| rule.to_string()).collect();
        assert_eq!(rules[1], "the title holds a control character, as its character 1");
        assert!(!rules.concat().contains('\u{1b}'));
    }

    #[test]
    fn the_window_is_half_open() {
        let window = Window { opens: Some(UnixSeconds(10)), closes: Some(UnixSeconds(20)) };
        assert_eq!(window.timing(UnixMillis(9_999)), Timing::Early);
        assert_eq!(window.timing(UnixMillis(10_000)), Timing::InTime);
        assert_eq!(window.timing(UnixMillis(19_999)), Timing::InTime);
        assert_eq!(window.timing(UnixMillis(20_000)), Timing::Late);
    }
}
