//! Passwords: the rules for a new one, and its hash with Argon2id (RFC 9106).
//!
//! ```text
//! $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH     base64 without padding: 16 and 32 bytes
//! ```
//!
//! This is the one form that is read (a PHC string), and its costs are bounded before any memory is
//! allocated: a stored hash must not decide how much work a sign-in is.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;
use votekit_node::memory::with_overwritten_stack;
use zeroize::Zeroizing;

/// The fewest and the most characters of a password.
pub(crate) const CHARS_MIN: usize = 12;
pub(crate) const CHARS_MAX: usize = 128;

/// The fewest different characters of a password.
const DIFFERENT_MIN: usize = 5;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

const PREFIX: &str = "$argon2id$v=19$";

/// The words in the passwords that are guessed first, without the digits at either end. A number
/// without its digits is empty.
const COMMON: &[&str] = &[
    "",
    "abcdefghijkl",
    "admin",
    "administrateur",
    "administrator",
    "azerty",
    "azertyuiop",
    "bienvenue",
    "bonjour",
    "canada",
    "canadiens",
    "changeme",
    "changezmoi",
    "election",
    "elections",
    "football",
    "hockey",
    "iloveyou",
    "jetaime",
    "letmein",
    "letmeinletmein",
    "loulou",
    "montreal",
    "motdepasse",
    "motdepassemotdepasse",
    "nordiques",
    "passe",
    "password",
    "passwordpassword",
    "princess",
    "quebec",
    "qwerty",
    "qwertyuiop",
    "qwertyuiopasdf",
    "referendum",
    "soleil",
    "sunshine",
    "tiguidou",
    "votekit",
    "welcome",
];

/// A password as it was typed, in normalization form C: two keyboards may send one letter as
/// different code points.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(redacted)")
    }
}

/// The rule that a new password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordFault {
    /// It has too few or too many characters.
    Length,
    /// It is the e-mail address of its account.
    IsEmail,
    /// It is among the first that are guessed.
    Common,
}

impl PasswordFault {
    /// The rule, for the field of a problem.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Length => "must have 12 to 128 characters",
            Self::IsEmail => "must not be the e-mail address",
            Self::Common => {
                "is too easy to guess: several words that do not belong together are \
                             better"
            }
        }
    }
}

impl Password {
    /// Normalizes a password.
    pub(crate) fn typed(text: &str) -> Self {
        // The form has at most three times the bytes: no copy is left behind by a reallocation.
        let mut normal = Zeroizing::new(String::with_capacity(3 * text.len()));
        normal.extend(text.nfc());
        Self(normal)
    }

    /// Checks the rules for a new password of this account.
    ///
    /// # Errors
    /// The first [`PasswordFault`].
    pub(crate) fn check(&self, email: &str) -> Result<(), PasswordFault> {
        if !(CHARS_MIN..=CHARS_MAX).contains(&self.0.chars().count()) {
            return Err(PasswordFault::Length);
        }
        let lower = Zeroizing::new(self.0.to_lowercase());
        if lower.as_str() == email.to_lowercase() {
            return Err(PasswordFault::IsEmail);
        }
        if is_common(&lower) { Err(PasswordFault::Common) } else { Ok(()) }
    }

    /// Hashes the password under a random salt. Takes tens of milliseconds: for a blocking thread.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) fn hash(&self) -> Result<String, HashError> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| HashError::Random)?;
        let hash = Costs::PRESENT.derive(self, &salt)?;
        let Costs { memory_kib, passes, lanes } = Costs::PRESENT;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(*hash));
        Ok(format!("{PREFIX}m={memory_kib},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Compares the password with a stored hash; `None` costs the same and never matches. Takes
    /// tens of milliseconds: for a blocking thread.
    ///
    /// # Errors
    /// [`HashError`].
    pub(crate) fn verify(&self, stored: Option<&str>) -> Result<Verdict, HashError> {
        let known = stored.map(|text| StoredHash::parse(text).ok_or(HashError::Malformed));
        let is_known = known.is_some();
        let StoredHash { costs, salt, hash } = known.transpose()?.unwrap_or(StoredHash::DUMMY);
        let fits = bool::from(costs.derive(self, &salt)?.ct_eq(&hash));
        if !(is_known & fits) {
            return Ok(Verdict::Wrong);
        }
        Ok(Verdict::Right { is_outdated: costs.is_below(&Costs::PRESENT) })
    }
}

/// Whether a password in lower case is among the first that are guessed.
fn is_common(lower: &str) -> bool {
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    let letters: Zeroizing<String> =
        Zeroizing::new(lower.chars().filter(|character| character.is_alphanumeric()).collect());
    let core = letters.trim_matches(|character: char| character.is_numeric());
    different.len() < DIFFERENT_MIN || COMMON.contains(&core)
}

/// The result of [`Password::verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another password, or none is stored.
    Wrong,
    /// The password.
    Right {
        /// Whether it should be hashed again, at the present costs.
        is_outdated: bool,
    },
}

/// Why a password cannot be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// The system returned no random bytes.
    #[error("the system returned no random bytes")]
    Random,
    /// The stored hash is none that votekit writes.
    #[error("a stored password hash is malformed, or its costs are out of range")]
    Malformed,
    /// The function failed: no memory is left.
    #[error("{0}")]
    Function(argon2::Error),
    /// The thread panicked.
    #[error("the thread that hashes panicked")]
    Panicked,
}

/// The costs of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Costs {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Costs {
    /// For new hashes: the least that OWASP recommends.
    const PRESENT: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    /// Of a hash that is still compared.
    const MAX: Self = Self { memory_kib: 128 * 1024, passes: 8, lanes: 4 };

    /// Whether one of the costs is lower than in `other`.
    fn is_below(&self, other: &Self) -> bool {
        self.memory_kib < other.memory_kib || self.passes < other.passes || self.lanes < other.lanes
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let mut cost =
            |name: &str| -> Option<u32> { parts.next()?.strip_prefix(name)?.parse().ok() };
        let costs = Self { memory_kib: cost("m=")?, passes: cost("t=")?, lanes: cost("p=")? };
        let is_complete = parts.next().is_none();
        (is_complete && !Self::MAX.is_below(&costs)).then_some(costs)
    }

    fn derive(
        &self,
        password: &Password,
        salt: &[u8],
    ) -> Result<Zeroizing<[u8; HASH_BYTES]>, HashError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES))
            .map_err(HashError::Function)?;
        let function = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut hash = Zeroizing::new([0; HASH_BYTES]);
        with_overwritten_stack(|| {
            function.hash_password_into(password.0.as_bytes(), salt, hash.as_mut_slice())
        })
        .map_err(HashError::Function)?;
        Ok(hash)
    }
}

/// A stored hash, parsed.
struct StoredHash {
    costs: Costs,
    salt: [u8; SALT_BYTES],
    hash: [u8; HASH_BYTES],
}

impl StoredHash {
    /// Used instead of the hash of an account that does not exist, so that both checks take the
    /// same time.
    const DUMMY: Self =
        Self { costs: Costs::PRESENT, salt: [0; SALT_BYTES], hash: [0; HASH_BYTES] };

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('$');
        let costs = Costs::parse(parts.next()?)?;
        let salt = decoded(parts.next()?)?;
        let hash = decoded(parts.next()?)?;
        parts.next().is_none().then_some(Self { costs, salt, hash })
    }
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// A hash of lower costs than the present ones.
#[cfg(test)]
pub(super) fn outdated_hash_for_test(password: &str) -> String {
    let (costs, salt) = (Costs { memory_kib: 64, ..Costs::PRESENT }, [1; SALT_BYTES]);
    let hash = costs.derive(&Password::typed(password), &salt).expect("memory");
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(*hash));
    format!("{PREFIX}m=64,t=2,p=1${salt}${hash}")
}

#[cfg(test)]
#[path = "password_test.rs"]
mod tests;
