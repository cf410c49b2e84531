//! Characters that are invisible or look like another; they slip in when cells are copied.

use std::fmt;

/// An invisible character, such as U+00A0. Displays as its number and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InvisibleCharacter(char);

impl InvisibleCharacter {
    /// Wraps an invisible character; `None` for visible ones and for a plain space.
    #[must_use]
    pub fn new(character: char) -> Option<Self> {
        let found = name(character).is_some() || character.is_control();
        (found && character != ' ').then_some(Self(character))
    }

    /// A plain space in a field that does not allow it.
    pub(super) const SPACE: Self = Self(' ');

    /// The character.
    #[must_use]
    pub const fn character(self) -> char {
        self.0
    }
}

impl fmt::Display for InvisibleCharacter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = name(self.0).unwrap_or("a control character");
        write!(formatter, "U+{:04X} ({name})", u32::from(self.0))
    }
}

/// The first invisible character of a text, with its position from 1.
pub(super) fn first_in(text: &str) -> Option<(usize, InvisibleCharacter)> {
    text.chars().zip(1..).find_map(|(character, position)| {
        InvisibleCharacter::new(character).map(|found| (position, found))
    })
}

const fn name(character: char) -> Option<&'static str> {
    Some(match character {
        ' ' => "a space",
        '\t' => "a tab",
        '\n' => "a line feed",
        '\r' => "a carriage return",
        '\u{a0}' => "a no-break space",
        '\u{ad}' => "a soft hyphen",
        '\u{200b}' => "a zero-width space",
        '\u{200c}' | '\u{200d}' => "a zero-width joiner",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark of text direction"
        }
        '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => "a space of another width",
        '\u{2028}' | '\u{2029}' => "a line separator",
        '\u{202f}' => "a narrow no-break space",
        '\u{2060}' => "a word joiner",
        '\u{feff}' => "a byte-order mark",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_named_with_their_place() {
        let (position, character) = first_in("é12\u{a0}3").expect("a no-break space");
        assert_eq!((position, character.to_string().as_str()), (4, "U+00A0 (a no-break space)"));
        let (position, character) = first_in("\u{feff}nas").expect("a mark");
        assert_eq!((position, character.character()), (1, '\u{feff}'));
        assert_eq!(
            first_in("\u{7}").expect("a bell").1.to_string(),
            "U+0007 (a control character)"
        );
        assert_eq!(first_in("L2025-001.é中"), None);
    }
}
