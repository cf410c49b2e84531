//! E-mail addresses of members and officials, in one form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an e-mail address. Does not contain the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmailError {
    /// It has no `@`, or more than one.
    #[error("an e-mail address has one '@', this one has {count}")]
    At {
        /// Number of `@` found.
        count: usize,
    },
    /// The part before the `@`, or the whole, is empty or too long (RFC 5321).
    #[error("an e-mail address has 1 to 64 characters before the '@' and at most 254 in all")]
    Length,
    /// A character that addresses do not have outside of quotation marks.
    #[error("an e-mail address does not have character {position}")]
    Character {
        /// Position of the first such character, from 1.
        position: usize,
    },
    /// A dot at the start or end of the first part, or two in a row.
    #[error("a dot in an e-mail address stands between two other characters")]
    Dots,
    /// The part after the `@` is not a domain name with a dot.
    #[error("an e-mail address ends with a domain name, such as example.com")]
    Domain,
}

/// An e-mail address: `local@domain` in ASCII, in lower case. Quoted local parts and addresses of
/// hosts by number are refused: no member is reached by them. A domain in other letters is written
/// in its ASCII form (`xn--…`).
///
/// ```
/// use votekit_core::email::EmailAddress;
/// let address: EmailAddress = " Alice@Example.com ".parse()?;
/// assert_eq!(address.as_str(), "alice@example.com");
/// assert!("alice@localhost".parse::<EmailAddress>().is_err());
/// # Ok::<(), votekit_core::email::EmailError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Maximum length in bytes (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    pub const LENGTH_MAX: usize = 254;
    /// Maximum length of the part before the `@`.
    pub const LOCAL_LENGTH_MAX: usize = 64;

    /// The address in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = EmailError;

    /// White space around the address is ignored.
    fn from_str(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        let count = text.matches('@').count();
        let (1, Some((local, domain))) = (count, text.split_once('@')) else {
            return Err(EmailError::At { count });
        };
        if let Some(place) = text.chars().position(|each| each != '@' && !is_of_address(each)) {
            return Err(EmailError::Character { position: place + 1 });
        }
        if text.len() > Self::LENGTH_MAX || !(1..=Self::LOCAL_LENGTH_MAX).contains(&local.len()) {
            return Err(EmailError::Length);
        }
        if local.split('.').any(str::is_empty) {
            return Err(EmailError::Dots);
        }
        if !is_domain(domain) {
            return Err(EmailError::Domain);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// Whether a character is one of an unquoted address (RFC 5322, `atext`), or a dot.
fn is_of_address(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(character)
}

/// Whether a text is a domain name of two labels or more, the last of which is not a number.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.contains('.')
        && text.split('.').all(is_label)
        && text
            .rsplit('.')
            .next()
            .is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

impl TryFrom<String> for EmailAddress {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, EmailError> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailAddress(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, EmailError> {
        text.parse().map(|address: EmailAddress| address.0)
    }

    #[test]
    fn addresses_have_one_form() {
        for (text, form) in [
            ("alice@example.com", "alice@example.com"),
            ("\tAlice.B+vote@Sub.Example.COM ", "alice.b+vote@sub.example.com"),
            ("o'neil_{x}@xn--qubec-csa.ca", "o'neil_{x}@xn--qubec-csa.ca"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(form), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_its_rule() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}com", "example.".repeat(32));
        for (text, error) in [
            ("", EmailError::At { count: 0 }),
            ("alice", EmailError::At { count: 0 }),
            ("a@b@example.com", EmailError::At { count: 2 }),
            ("Éric@example.com", EmailError::Character { position: 1 }),
            ("a b@example.com", EmailError::Character { position: 2 }),
            ("a@example.com\r\nBcc: b", EmailError::Character { position: 14 }),
            ("\"a\"@example.com", EmailError::Character { position: 1 }),
            ("@example.com", EmailError::Length),
            (long.as_str(), EmailError::Length),
            (longer.as_str(), EmailError::Length),
            (".a@example.com", EmailError::Dots),
            ("a..b@example.com", EmailError::Dots),
            ("a@localhost", EmailError::Domain),
            ("a@.com", EmailError::Domain),
            ("a@-x.com", EmailError::Domain),
            ("a@127.0.0.1", EmailError::Domain),
            ("a@exa_mple.com", EmailError::Domain),
        ] {
            assert_eq!(parsed(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_address_does_not_print_in_debug() {
        let address: EmailAddress = "alice@example.com".parse().expect("an address");
        assert!(!format!("{address:?}").contains("alice"));
    }
}
