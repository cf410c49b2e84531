//! Encodes hints for messages and for the ledger: one byte each, and 4 more for the attempt number
//! of a duplicate.
//!
//! The bytes are specified in `docs/formats.md`.

use crate::{Hint, Hints};

const ACCEPTED: u8 = 0;
const UNKNOWN: u8 = 1;
const REVOKED: u8 = 2;
const DUPLICATE: u8 = 3;

/// Smallest attempt number of a duplicate.
const ATTEMPT_MIN: u32 = 2;

/// Encodes hints in order.
pub(super) fn encode(hints: &Hints) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hints.len());
    for hint in hints {
        match hint {
            Hint::Accepted => bytes.push(ACCEPTED),
            Hint::Unknown => bytes.push(UNKNOWN),
            Hint::Revoked => bytes.push(REVOKED),
            Hint::Duplicate { attempt } => {
                bytes.push(DUPLICATE);
                bytes.extend_from_slice(&attempt.to_be_bytes());
            }
        }
    }
    bytes
}

/// Decodes all hints, or returns the broken rule.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Hints, String> {
    let mut hints = Hints::new();
    while !bytes.is_empty() {
        hints.push(take(&mut bytes)?);
    }
    Ok(hints)
}

/// Decodes one hint from the front of `bytes`, or returns the broken rule.
pub(super) fn take(bytes: &mut &[u8]) -> Result<Hint, String> {
    Ok(match take_bytes::<1>(bytes)? {
        [ACCEPTED] => Hint::Accepted,
        [UNKNOWN] => Hint::Unknown,
        [REVOKED] => Hint::Revoked,
        [DUPLICATE] => match u32::from_be_bytes(take_bytes(bytes)?) {
            attempt @ ATTEMPT_MIN.. => Hint::Duplicate { attempt },
            attempt => {
                return Err(format!("a duplicate hint has the invalid attempt number {attempt}"));
            }
        },
        [other] => return Err(format!("unknown hint {other}")),
    })
}

fn take_bytes<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], String> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or("the hints are truncated")?;
    *bytes = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_read_as_they_were_written() {
        let hints = vec![
            Hint::Accepted,
            Hint::Duplicate { attempt: 2 },
            Hint::Unknown,
            Hint::Duplicate { attempt: u32::MAX },
            Hint::Revoked,
        ];
        let bytes = encode(&hints);
        // As specified in docs/formats.md: ledgers and queues hold what other versions wrote.
        assert_eq!(bytes, [0, 3, 0, 0, 0, 2, 1, 3, 0xff, 0xff, 0xff, 0xff, 2]);
        assert_eq!(decode(&bytes), Ok(hints));
        assert_eq!(decode(&[]), Ok(Hints::new()));
        for (bytes, reason) in [
            (&bytes[..3], "truncated"),
            (&[4], "unknown hint 4"),
            (&[3, 0, 0, 0, 1], "attempt number 1"),
        ] {
            assert!(decode(bytes).is_err_and(|error| error.contains(reason)), "{reason}");
        }
    }
}
