//! The rules of elections and binding elections, in words for the page: from the values that the
//! lower layers return, never from their English sentences.

use votekit_core::binding::BindingRule;
use votekit_core::election::{Definition, DefinitionError};

use super::super::lang::Lang;
use super::super::numbers::count;

impl Lang {
    /// A rule that a definition or a reason breaks.
    pub(crate) fn definition_rule(self, error: &DefinitionError) -> String {
        match error {
            DefinitionError::TextLength { length: 0, .. } => self.field_missing().to_owned(),
            DefinitionError::TextLength { length, maximum, .. } => {
                self.text_length(*length, *maximum)
            }
            DefinitionError::TextCharacter { position, character, .. } => {
                self.text_character(*position, &format!("U+{character:04X}"))
            }
            DefinitionError::TextBlank { .. } => self.text_blank().to_owned(),
            DefinitionError::ChoiceCount { count } => self.choice_count(*count),
            DefinitionError::ChoiceTwice { choice } => self.choice_twice(choice.as_str()),
            DefinitionError::LabelTwice { first, second } => {
                self.label_twice(first.as_str(), second.as_str())
            }
            DefinitionError::Times { .. } => self.times_order().to_owned(),
            DefinitionError::PublishEvery => self.every_wrong().to_owned(),
            DefinitionError::TooLong { .. } => self.definition_too_long().to_owned(),
            // No form can cause another error.
            other => other.to_string(),
        }
    }

    /// A requirement that a binding election does not meet.
    pub(crate) fn binding_rule(self, rule: &BindingRule) -> String {
        match rule {
            BindingRule::Pepper => self.rule_pepper().to_owned(),
            BindingRule::Results => self.rule_results().to_owned(),
            BindingRule::Confidential => self.rule_confidential().to_owned(),
            BindingRule::TestBase { base } => self.rule_test_base(base),
            BindingRule::DefaultBase => self.rule_default_base().to_owned(),
            BindingRule::ShortCodes { length, .. } => {
                self.rule_short_codes(*length, Definition::BINDING_CODE_LENGTH_MIN)
            }
        }
    }

    /// The warning about the votes that a small step of published counts reveals.
    pub(crate) fn step_reveals(self, votes: u64) -> String {
        self.every_reveals(&count(self, votes))
    }
}

#[cfg(test)]
mod tests {
    use votekit_core::election::TextPart;

    use super::*;

    #[test]
    fn rules_are_written_in_the_language_of_the_page() {
        let long = DefinitionError::TextLength {
            what: TextPart::FrenchTitle,
            length: 501,
            minimum: 1,
            maximum: 500,
        };
        assert!(Lang::Fr.definition_rule(&long).starts_with("Ce texte a 501 caractères"));
        let hidden = DefinitionError::TextCharacter {
            what: TextPart::FrenchTitle,
            position: 3,
            character: 0x202e,
        };
        assert!(Lang::En.definition_rule(&hidden).contains("3 (U+202E)"));
        let empty = DefinitionError::TextLength {
            what: TextPart::FrenchTitle,
            length: 0,
            minimum: 1,
            maximum: 500,
        };
        assert_eq!(Lang::Fr.definition_rule(&empty), "Remplissez ce champ.");
        assert!(Lang::Fr.binding_rule(&BindingRule::Pepper).contains("poivre"));
        let rule = BindingRule::TestBase { base: "a/test".to_owned() };
        assert!(Lang::En.binding_rule(&rule).contains("this folder has a/test"));
    }
}
