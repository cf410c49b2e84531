//! The body of `add-checkpoint`.

use crate::checkpoint::{decimal, hash};
use crate::merkle::Hash;

/// Maximum number of lines of a consistency proof.
const PROOF_MAX: usize = 63;

/// A parsed body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) old_size: u64,
    pub(crate) proof: Vec<Hash>,
    /// The signed checkpoint, not yet parsed.
    pub(crate) note: &'a str,
}

impl<'a> Request<'a> {
    /// Parses `old N`, the lines of the proof, an empty line and the checkpoint.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let (head, note) = body.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old_size = decimal(lines.next()?.strip_prefix("old ")?)?;
        let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
        (proof.len() <= PROOF_MAX).then_some(Self { old_size, proof, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=";

    #[test]
    fn a_body_has_an_old_size_a_proof_and_a_note() {
        let body = format!("old 7\n{HASH}\n\na\n\n— b c\n");
        let request = Request::parse(body.as_bytes()).expect("a body");
        assert_eq!((request.old_size, request.proof.len()), (7, 1));
        assert_eq!(request.note, "a\n\n— b c\n");
        let longest = format!("old 0\n{}\na\n", format!("{HASH}\n").repeat(PROOF_MAX));
        assert!(Request::parse(longest.as_bytes()).is_some());
        for bad in [
            format!("old 0\n{}\na\n", format!("{HASH}\n").repeat(PROOF_MAX + 1)),
            "old 07\n\na\n".to_owned(),
            "old\n\na\n".to_owned(),
            "7\n\na\n".to_owned(),
            "old 7\nshort=\n\na\n".to_owned(),
            "old 7\r\n\na\n".to_owned(),
            "old 7\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(Request::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
