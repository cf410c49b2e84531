//! The text of a checkpoint: origin, size, root, and extension lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::Hash;

/// The content of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint<'a> {
    pub(crate) origin: &'a str,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl<'a> Checkpoint<'a> {
    /// Parses the text of a note; `None` if it is not a checkpoint.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        if origin.is_empty() || lines.any(str::is_empty) {
            return None;
        }
        Some(Self { origin, size: decimal(size)?, root: hash(root)? })
    }
}

/// Parses an ASCII decimal without leading zeroes.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_canonical && is_digits { text.parse().ok() } else { None }
}

/// Parses the base64 of a hash.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    #[test]
    fn a_checkpoint_has_three_lines_or_more() {
        let text = format!("example.com/behind-the-sofa\n20852163\n{ROOT}\n");
        let parsed = Checkpoint::parse(&text).expect("the example of the specification");
        assert_eq!((parsed.origin, parsed.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(parsed.root[..2], [0x0a, 0xc5]);
        assert!(Checkpoint::parse(&format!("a\n0\n{ROOT}\nmore\n")).is_some());
        for bad in [
            format!("a\n0\n{ROOT}"),
            format!("a\n01\n{ROOT}\n"),
            format!("a\n+1\n{ROOT}\n"),
            format!("a\n\n{ROOT}\n"),
            format!("\n0\n{ROOT}\n"),
            format!("a\n0\n{ROOT}\n\n"),
            format!("a\n0\n{}\n", &ROOT[4..]),
            format!("a\n18446744073709551616\n{ROOT}\n"),
            "a\n0\n".to_owned(),
        ] {
            assert_eq!(Checkpoint::parse(&bad), None, "{bad:?}");
        }
    }
}
