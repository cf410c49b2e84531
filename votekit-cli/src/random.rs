//! Random numbers of the system, for secrets.

use zeroize::Zeroizing;

use crate::error::CommandError;

/// Draws random bytes.
pub(crate) fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, CommandError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(no_random_numbers)?;
    Ok(bytes)
}

/// The system returned no random numbers.
pub(crate) fn no_random_numbers(error: getrandom::Error) -> CommandError {
    CommandError::configuration(format!("the system returned no random numbers: {error}"))
}
