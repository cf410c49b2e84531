//! The checked e-mail address of an account or a member: one text for one mailbox, so that no
//! address has two accounts.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization as _;

/// An e-mail address in the form in which it is stored and compared: trimmed, in Unicode
/// normalization form C, ASCII letters in lower case.
///
/// ```
/// use votekit_core::email::EmailAddress;
///
/// let address: EmailAddress = " M.Tremblay@Example.org ".parse()?;
/// assert_eq!(address.as_str(), "m.tremblay@example.org");
/// # Ok::<(), votekit_core::email::EmailError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(String);

/// Why a text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmailError {
    /// Nothing is left after trimming.
    #[error("no e-mail address")]
    Missing,
    /// It is longer than a mail server accepts.
    #[error("e-mail address of over {} bytes", EmailAddress::BYTES_MAX)]
    TooLong,
    /// It has no `@`, or several.
    #[error("e-mail address without @, or with several")]
    NotOneAt,
    /// It contains a space, a control character, or one that is not visible.
    #[error("e-mail address with a space, a control or an invisible character")]
    Invisible,
    /// It contains a character that addresses need quotation marks for, or two names.
    #[error("e-mail address with a reserved character")]
    Special,
    /// The part before the `@` is empty, or has a dot at its beginning or end, or two in a row.
    #[error("e-mail address with a wrong local part")]
    Local,
    /// The part after the `@` is not the name of a host with a dot.
    #[error("e-mail address with a wrong domain")]
    Domain,
}

impl EmailAddress {
    /// Maximum length in bytes (RFC 5321, less the angle brackets).
    pub const BYTES_MAX: usize = 254;

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        // Normalization can lengthen a text: a bound keeps the work small.
        let text = text.trim();
        if text.len() > Self::BYTES_MAX {
            return Err(EmailError::TooLong);
        }
        let address = text.nfc().collect::<String>().to_ascii_lowercase();
        if address.is_empty() {
            return Err(EmailError::Missing);
        }
        if address.len() > Self::BYTES_MAX {
            return Err(EmailError::TooLong);
        }
        if address.chars().any(is_invisible) {
            return Err(EmailError::Invisible);
        }
        if address.contains(['"', '(', ')', ',', ':', ';', '<', '>', '[', ']', '\\']) {
            return Err(EmailError::Special);
        }
        let (local, domain) = address.split_once('@').ok_or(EmailError::NotOneAt)?;
        if domain.contains('@') {
            return Err(EmailError::NotOneAt);
        }
        if local.split('.').any(str::is_empty) {
            return Err(EmailError::Local);
        }
        // `localhost` is for trials, which send no mail.
        if domain != "localhost" && !is_domain(domain) {
            return Err(EmailError::Domain);
        }
        Ok(Self(address))
    }
}

/// Whether a text is a domain name of two labels at least.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|character| character.is_alphanumeric() || character == '-')
    };
    text.contains('.') && text.split('.').all(is_label)
}

/// Whether a character is a space or is not shown: two addresses that look the same must be the
/// same.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || character.is_whitespace()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for EmailAddress {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
#[path = "email_test.rs"]
mod tests;
