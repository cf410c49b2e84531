//! Elections: what is put to the vote, how, and where it stands.
//!
//! Long because each rule of a definition stands beside its error and its test.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::ballot::{BallotPublicKey, ChoiceIndex};
use crate::id::ElectionId;
use crate::instant::UnixMinutes;

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
        Self::check_bytes(text.as_bytes())
    }

    /// Checks the bytes of a choice id without allocating.
    ///
    /// # Errors
    /// [`ChoiceIdError`].
    pub fn check_bytes(text: &[u8]) -> Result<(), ChoiceIdError> {
        let allowed = |byte: &u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        };
        if (1..=50).contains(&text.len()) && text.iter().all(allowed) {
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
    pub law_id: ElectionId,
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
    /// The first minute whose votes count, if planned.
    pub opens: Option<UnixMinutes>,
    /// The first minute whose votes do not count any more, if planned.
    pub closes: Option<UnixMinutes>,
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
    #[error("{what} has {length} characters; {minimum} to {maximum} are allowed")]
    TextLength {
        /// Which text.
        what: &'static str,
        /// Characters found.
        length: usize,
        /// Characters needed.
        minimum: usize,
        /// Characters allowed.
        maximum: usize,
    },
    /// A text holds a character that cannot be shown, or that changes how others are shown.
    #[error("{what}: character {position} is U+{character:04X}, a control or direction character")]
    TextCharacter {
        /// Which text.
        what: &'static str,
        /// The place of the character, from 1.
        position: usize,
        /// The character's code point.
        character: u32,
    },
    /// A text shows nothing.
    #[error("{what} has only blank characters")]
    TextBlank {
        /// Which text.
        what: &'static str,
    },
    /// Two choices read alike.
    #[error("the choices '{first}' and '{second}' have the same label")]
    LabelTwice {
        /// The first choice.
        first: ChoiceId,
        /// The second.
        second: ChoiceId,
    },
    /// The ballot key is not a usable point of X25519.
    #[error("the ballot key is a point of small order, under which anyone can read every choice")]
    BallotKey,
    /// The poll must close after it opens.
    #[error("the poll closes ({closes}) no later than it opens ({opens})")]
    Times {
        /// When it opens.
        opens: UnixMinutes,
        /// When it closes.
        closes: UnixMinutes,
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

    /// The shortest access code with which a binding election opens or takes a supplement, in
    /// characters.
    pub const BINDING_CODE_LENGTH_MIN: u32 = 8;

    /// Whether codes whose shortest has this length are too short for a binding election. 0 says
    /// that there is no code at all.
    #[must_use]
    pub fn is_too_short_to_bind(code_length: u32) -> bool {
        (1..Self::BINDING_CODE_LENGTH_MIN).contains(&code_length)
    }

    /// Whether a binding election must not have its log under this base: one that ends in `/test`
    /// names the log of a test.
    #[must_use]
    pub fn is_test_base(base: &str) -> bool {
        base == "test" || base.ends_with("/test")
    }

    /// Gives the definition back if it obeys every rule.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn checked(self) -> Result<Self, DefinitionError> {
        self.check().map(|()| self)
    }

    /// Checks every rule on counts, texts, times and the ballot key.
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
        for (field, what, text, allowed) in [
            ("title_fr", "the French title", &self.title.fr, 1..=500),
            ("title_en", "the English title", &self.title.en, 1..=500),
            ("description_fr", "the French description", &self.description.fr, 0..=2000),
            ("description_en", "the English description", &self.description.en, 0..=2000),
        ] {
            check(field, check_text(what, text, allowed));
        }
        if !self.ballot_key.is_usable() {
            check("body", Err(DefinitionError::BallotKey));
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
                check_text("the label of a choice", label, 1..=100)?;
            }
            let same = |earlier: &&Choice| {
                is_same_text(&earlier.fr, &choice.fr) || is_same_text(&earlier.en, &choice.en)
            };
            if let Some(earlier) = self.choices[..index].iter().find(same) {
                let (first, second) = (earlier.id.clone(), choice.id.clone());
                return Err(DefinitionError::LabelTwice { first, second });
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

/// Checks a text that people read: its length in characters (Unicode scalar values), and that it
/// shows what it says.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_text(
    what: &'static str,
    text: &str,
    allowed: RangeInclusive<usize>,
) -> Result<(), DefinitionError> {
    let length = text.chars().count();
    if !allowed.contains(&length) {
        let (minimum, maximum) = (*allowed.start(), *allowed.end());
        return Err(DefinitionError::TextLength { what, length, minimum, maximum });
    }
    if let Some((place, character)) =
        text.chars().enumerate().find(|(_, character)| is_hidden(*character))
    {
        let (position, character) = (place + 1, u32::from(character));
        return Err(DefinitionError::TextCharacter { what, position, character });
    }
    if length > 0 && text.chars().all(is_blank) {
        return Err(DefinitionError::TextBlank { what });
    }
    Ok(())
}

/// Whether a character shows nothing and changes how others are shown: control characters (C0, DEL,
/// C1), line and paragraph separators, direction marks, embeddings, overrides and isolates, and the
/// byte-order mark.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// Whether a character is white space or has no width.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '\u{00ad}' | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200d}'
                | '\u{2060}'..='\u{2064}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
        )
}

/// Whether two labels read alike: equal in Unicode normalization form C, blank characters at the
/// ends left out.
fn is_same_text(one: &str, other: &str) -> bool {
    let normal = |text: &str| text.trim_matches(is_blank).nfc().collect::<String>();
    normal(one) == normal(other)
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
    /// The election is declared void.
    Annulled,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Certified => "certified",
            Self::Annulled => "annulled",
        })
    }
}

/// When a vote counts: opening ≤ received < closing, by the minute stamped once on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The effective opening time; `None` before the opening.
    pub opens: Option<UnixMinutes>,
    /// The planned closing time, replaced by the effective one at the close.
    pub closes: Option<UnixMinutes>,
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
    pub fn timing(&self, received: UnixMinutes) -> Timing {
        match (self.opens, self.closes) {
            (None, _) => Timing::Early,
            (Some(opens), _) if received < opens => Timing::Early,
            (_, Some(closes)) if received >= closes => Timing::Late,
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
            opens: Some(UnixMinutes(5)),
            closes: Some(UnixMinutes(5)),
            ..definition()
        };
        assert!(matches!(backwards.check(), Err(DefinitionError::Times { .. })));
        let choices = (0..100).map(|place| Choice {
            id: format!("choix-{place}").parse().expect("choice id"),
            fr: format!("{place:03}{}", "𝄞".repeat(97)),
            en: format!("{place:03}{}", "𝄞".repeat(97)),
        });
        let long = Definition { choices: choices.collect(), ..definition() };
        assert!(matches!(long.check(), Err(DefinitionError::TooLong { .. })));
        let weak = Definition { ballot_key: BallotPublicKey::from_bytes([0; 32]), ..definition() };
        assert_eq!(weak.check(), Err(DefinitionError::BallotKey));
        let never = Definition { publish_every: 0, ..definition() };
        assert_eq!(never.check(), Err(DefinitionError::PublishEvery));
    }

    #[test]
    fn every_broken_rule_is_found_with_its_field() {
        let broken = Definition {
            title: Bilingual { fr: "\u{1b}[31mLoi".to_owned(), en: "x".repeat(501) },
            description: Bilingual { fr: String::new(), en: "a\u{7}".to_owned() },
            choices: Vec::new(),
            opens: Some(UnixMinutes(5)),
            closes: Some(UnixMinutes(5)),
            publish_every: 0,
            ..definition()
        };
        let fields: Vec<_> = broken.faults().into_iter().map(|(field, _)| field).collect();
        let expected =
            ["choices", "title_fr", "title_en", "description_en", "closes", "publish_every"];
        assert_eq!(fields, expected);
        let rules: Vec<_> = broken.faults().iter().map(|(_, rule)| rule.to_string()).collect();
        assert!(rules[1].starts_with("the French title: character 1 is U+001B"), "{rules:?}");
        assert!(!rules.concat().contains('\u{1b}'));
    }

    #[test]
    fn texts_that_mislead_are_refused() {
        for (text, position) in [
            ("Loi\nfingerprint 00", 4),
            ("\u{1b}[2J", 1),
            ("a\u{7f}", 2),
            ("a\u{9b}", 2),
            ("Loi \u{202e}non", 5),
            ("\u{2066}Loi", 1),
            ("Loi\u{2028}", 4),
            ("\u{feff}Loi", 1),
        ] {
            let refused = check_text("the title", text, 1..=500).expect_err(text);
            assert!(
                matches!(refused, DefinitionError::TextCharacter { position: at, .. } if at == position),
                "{refused}"
            );
        }
        for label in ["Oui\u{1b}[2J", "Oui\u{1b}]52;c;\u{7}"] {
            let mut broken = definition();
            broken.choices[0].en = label.to_owned();
            let faults = broken.faults();
            let [("choices", DefinitionError::TextCharacter { position: 4, character: 0x1b, .. })] =
                faults.as_slice()
            else {
                panic!("{faults:?}")
            };
        }
        for blank in ["   ", "\u{200b}\u{2060}", "\u{3164}", "\u{a0}"] {
            let refused = check_text("the title", blank, 1..=500);
            assert_eq!(refused, Err(DefinitionError::TextBlank { what: "the title" }));
        }
        for good in ["Loi sur l'eau", "Œuvre d’été — 2ᵉ", "投票", "לא"] {
            assert_eq!(check_text("the title", good, 1..=500), Ok(()));
        }
    }

    #[test]
    fn two_choices_with_one_label_are_refused() {
        let labelled = |first: &str, second: &str| {
            let mut choices = definition().choices;
            (choices[0].fr, choices[1].fr) = (first.to_owned(), second.to_owned());
            Definition { choices, ..definition() }.check()
        };
        assert_eq!(labelled("Même", "Meme"), Ok(()));
        for (first, second) in
            [("Même", "Même"), ("Mêmê", "Me\u{302}me\u{302}"), ("Oui", "Oui\u{200b}")]
        {
            let refused = labelled(first, second);
            assert!(matches!(refused, Err(DefinitionError::LabelTwice { .. })), "{first} {second}");
        }
    }

    #[test]
    fn the_window_is_half_open() {
        let window = Window { opens: Some(UnixMinutes(10)), closes: Some(UnixMinutes(20)) };
        assert_eq!(window.timing(UnixMinutes(9)), Timing::Early);
        assert_eq!(window.timing(UnixMinutes(10)), Timing::InTime);
        assert_eq!(window.timing(UnixMinutes(19)), Timing::InTime);
        assert_eq!(window.timing(UnixMinutes(20)), Timing::Late);
    }
}
