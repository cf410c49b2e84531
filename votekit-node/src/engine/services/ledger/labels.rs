//! Labels as the ledger keeps them: a byte each, and 4 more for the attempt of a duplicate.

use crate::engine::{Expectation, Labels};

const ACCEPTED: u8 = 0;
const DUPLICATE: u8 = 1;
const REVOKED: u8 = 2;
const UNKNOWN: u8 = 3;

pub(super) fn encode(labels: &Labels) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(labels.len());
    for label in labels {
        match label {
            Expectation::Accepted => bytes.push(ACCEPTED),
            Expectation::Duplicate { attempt } => {
                bytes.push(DUPLICATE);
                bytes.extend_from_slice(&attempt.to_be_bytes());
            }
            Expectation::Revoked => bytes.push(REVOKED),
            Expectation::Unknown => bytes.push(UNKNOWN),
        }
    }
    bytes
}

/// `None` for bytes that [`encode`] did not make.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Labels> {
    let mut labels = Labels::new();
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        labels.push(match *kind {
            ACCEPTED => Expectation::Accepted,
            DUPLICATE => {
                let (attempt, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Expectation::Duplicate { attempt: u32::from_be_bytes(*attempt) }
            }
            REVOKED => Expectation::Revoked,
            UNKNOWN => Expectation::Unknown,
            _ => return None,
        });
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_were_written() {
        let labels = vec![
            Expectation::Accepted,
            Expectation::Duplicate { attempt: 2 },
            Expectation::Unknown,
            Expectation::Duplicate { attempt: u32::MAX },
            Expectation::Revoked,
        ];
        let bytes = encode(&labels);
        assert_eq!(bytes.len(), 3 + 2 * 5);
        assert_eq!(decode(&bytes), Some(labels));
        assert_eq!(decode(&[]), Some(Labels::new()));
        assert_eq!(decode(&bytes[..3]), None, "cut short");
        assert_eq!(decode(&[4]), None, "a kind there is not");
    }
}
