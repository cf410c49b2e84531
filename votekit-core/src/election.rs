//! Elections: their definition, its rules, and the states and times of a poll.

mod choice;

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

pub use self::choice::{BLANK, Choice, ChoiceId, ChoiceIdError};
use crate::ballot::{BallotPublicKey, ChoiceIndex};
use crate::id::ElectionId;
use crate::instant::UnixMinutes;

/// A text in both official languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bilingual {
    /// French.
    pub fr: String,
    /// English.
    pub en: String,
}

/// Who may see results, and when. Applies to the API, pages, metrics and totals leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResultsPolicy {
    /// Everyone, while the poll is open.
    Live,
    /// Electors who have voted, while the poll is open; everyone after the close.
    AfterVote,
    /// Everyone, after the close.
    AfterClose,
}

impl ResultsPolicy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::Live, Self::AfterVote, Self::AfterClose];

    /// The policy's name in leaves and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::AfterVote => "after_vote",
            Self::AfterClose => "after_close",
        }
    }
}

/// The definition of an election. Published in full in the first leaf of the election's log.
///
/// Values from [`Definition::checked`] or from a leaf obey the rules of [`Definition::check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The law, which is also the id of the election.
    pub law_id: ElectionId,
    /// The title.
    pub title: Bilingual,
    /// The description; may be empty.
    pub description: Bilingual,
    /// The choices in ballot order.
    pub choices: Vec<Choice>,
    /// Whether the result is binding; stricter rules then apply.
    pub binding: bool,
    /// Who may see results, and when.
    pub results: ResultsPolicy,
    /// Under `live`: totals are published again only once they include this many new accepted votes
    /// while as many newer votes are held back.
    pub publish_every: u64,
    /// The first minute whose votes count, if planned.
    pub opens: Option<UnixMinutes>,
    /// The first minute whose votes no longer count, if planned.
    pub closes: Option<UnixMinutes>,
    /// The public key to which choices are sealed.
    pub ballot_key: BallotPublicKey,
}

/// A text that people write for an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPart {
    /// The French title.
    FrenchTitle,
    /// The English title.
    EnglishTitle,
    /// The French description.
    FrenchDescription,
    /// The English description.
    EnglishDescription,
    /// The label of a choice, in either language.
    ChoiceLabel,
    /// The reason for an early close or an annulment.
    Reason,
}

impl fmt::Display for TextPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FrenchTitle => "French title",
            Self::EnglishTitle => "English title",
            Self::FrenchDescription => "French description",
            Self::EnglishDescription => "English description",
            Self::ChoiceLabel => "label of a choice",
            Self::Reason => "reason",
        })
    }
}

/// The rule that a definition breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A ballot has 2 to 100 choices.
    #[error("{count} choices, not 2 to {max}", max = Definition::CHOICES_MAX)]
    ChoiceCount {
        /// Number of choices given.
        count: usize,
    },
    /// A choice may occur only once.
    #[error("choice '{choice}' repeated")]
    ChoiceTwice {
        /// The repeated choice.
        choice: ChoiceId,
    },
    /// A text is too long or empty.
    #[error("{what}: {length} characters, not {minimum} to {maximum}")]
    TextLength {
        /// The text at fault.
        what: TextPart,
        /// Number of characters found.
        length: usize,
        /// Minimum number of characters.
        minimum: usize,
        /// Maximum number of characters.
        maximum: usize,
    },
    /// A text contains a character that cannot be displayed or changes how others are displayed.
    #[error("{what}: U+{character:04X} at character {position}")]
    TextCharacter {
        /// The text at fault.
        what: TextPart,
        /// Position of the character, from 1.
        position: usize,
        /// The character's code point.
        character: u32,
    },
    /// A text is blank.
    #[error("{what}: blank")]
    TextBlank {
        /// The text at fault.
        what: TextPart,
    },
    /// Two choices have the same label.
    #[error("choices '{first}' and '{second}': same label")]
    LabelTwice {
        /// The first choice.
        first: ChoiceId,
        /// The second choice.
        second: ChoiceId,
    },
    /// The ballot key is not a usable X25519 point.
    #[error("ballot key of small order")]
    BallotKey,
    /// The poll must close after it opens.
    #[error("closes {closes}, not after opens {opens}")]
    Times {
        /// The opening time.
        opens: UnixMinutes,
        /// The closing time.
        closes: UnixMinutes,
    },
    /// The whole definition must fit in one leaf.
    #[error("definition of {length} bytes, over {max}", max = Definition::LENGTH_MAX)]
    TooLong {
        /// Length of the definition as canonical JSON in bytes.
        length: usize,
    },
    /// `publish_every` must be at least 1.
    #[error("publish_every below 1")]
    PublishEvery,
}

impl Definition {
    /// Maximum length of a definition as canonical JSON in bytes: with its surrounding fields it
    /// fits in a leaf.
    pub const LENGTH_MAX: usize = 65_000;

    /// Maximum number of choices on a ballot.
    pub const CHOICES_MAX: usize = 100;

    /// Minimum length of the shortest access code, in characters, for opening a binding election or
    /// adding a supplement to it.
    pub const BINDING_CODE_LENGTH_MIN: u32 = 8;

    /// Whether codes are too short for a binding election. `code_length` is the length of the
    /// shortest one; 0 means that there are no codes.
    #[must_use]
    pub fn is_too_short_to_bind(code_length: u32) -> bool {
        (1..Self::BINDING_CODE_LENGTH_MIN).contains(&code_length)
    }

    /// Whether this base names test logs (it is `test` or ends in `/test`), and so must not be used
    /// for a binding election.
    #[must_use]
    pub fn is_test_base(base: &str) -> bool {
        base == "test" || base.ends_with("/test")
    }

    /// Returns the definition if it obeys every rule.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn checked(self) -> Result<Self, DefinitionError> {
        self.check().map(|()| self)
    }

    /// Checks every rule on counts, texts, times and the ballot key.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(&self) -> Result<(), DefinitionError> {
        self.faults().into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// All broken rules, each with the field at fault in a request to create the election:
    /// `title_fr`, `choices`, `closes` and so on, or `body` for the definition as a whole.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, DefinitionError)> {
        let mut faults = Vec::new();
        let mut check = |field, checked: Result<(), DefinitionError>| {
            faults.extend(checked.err().map(|error| (field, error)));
        };
        check("choices", self.check_choices());
        for (field, what, text, allowed) in [
            ("title_fr", TextPart::FrenchTitle, &self.title.fr, 1..=500),
            ("title_en", TextPart::EnglishTitle, &self.title.en, 1..=500),
            ("description_fr", TextPart::FrenchDescription, &self.description.fr, 0..=2000),
            ("description_en", TextPart::EnglishDescription, &self.description.en, 0..=2000),
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
                check_text(TextPart::ChoiceLabel, label, 1..=100)?;
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

    /// The index of a choice, if the ballot has it.
    #[must_use]
    pub fn choice_index(&self, id: &ChoiceId) -> Option<ChoiceIndex> {
        let index = self.choices.iter().position(|choice| choice.id == *id)?;
        u16::try_from(index).ok().map(ChoiceIndex)
    }
}

/// Checks a text for display: its length in characters (Unicode scalar values), and that it has no
/// hidden characters and is not blank.
///
/// # Errors
/// The first broken rule.
pub fn check_text(
    what: TextPart,
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

/// Whether a character is invisible and changes how others are displayed: control characters (C0,
/// DEL, C1), line and paragraph separators, direction marks, embeddings, overrides and isolates,
/// and the byte-order mark.
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

/// Whether two labels are equal in Unicode normalization form C, ignoring blank characters at both
/// ends.
fn is_same_text(one: &str, other: &str) -> bool {
    let normal = |text: &str| text.trim_matches(is_blank).nfc().collect::<String>();
    normal(one) == normal(other)
}

/// The state of an election. It only ever advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// Defined; votes are not accepted.
    Draft,
    /// Votes are accepted from the opening time.
    Open,
    /// No new votes are accepted; those received in time are still decided.
    Closing,
    /// All votes are decided and reconciled, and the result is opened.
    Closed,
    /// The result is declared official.
    Certified,
    /// The election is declared void.
    Annulled,
}

impl State {
    /// All states, in their order.
    pub const ALL: [Self; 6] =
        [Self::Draft, Self::Open, Self::Closing, Self::Closed, Self::Certified, Self::Annulled];
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

/// The time in which votes count: opening ≤ received < closing, by the minute stamped once on
/// arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The effective opening time; `None` before the opening.
    pub opens: Option<UnixMinutes>,
    /// The planned closing time, replaced by the effective closing time at the close.
    pub closes: Option<UnixMinutes>,
}

/// The position of a time stamp relative to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Before the opening.
    Early,
    /// Within the window.
    InTime,
    /// At or after the closing time.
    Late,
}

impl Window {
    /// Compares a time stamp with this window.
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
        assert!(rules[1].starts_with("French title: U+001B at character 1"), "{rules:?}");
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
            let refused = check_text(TextPart::FrenchTitle, text, 1..=500).expect_err(text);
            assert!(
                matches!(
                    refused,
                    DefinitionError::TextCharacter { position: at, .. } if at == position
                ),
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
            let refused = check_text(TextPart::FrenchTitle, blank, 1..=500);
            assert_eq!(refused, Err(DefinitionError::TextBlank { what: TextPart::FrenchTitle }));
        }
        for good in ["Loi sur l'eau", "Œuvre d’été — 2ᵉ", "投票", "לא"] {
            assert_eq!(check_text(TextPart::FrenchTitle, good, 1..=500), Ok(()));
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
