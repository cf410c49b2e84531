//! The encodings that the C2SP texts share. Each is accepted only in its canonical form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Parses an ASCII decimal without sign or leading zero that fits in 64 bits.
pub(crate) fn parse_decimal(text: &[u8]) -> Option<u64> {
    let canonical =
        matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.iter().all(u8::is_ascii_digit);
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Decodes RFC 4648 section 4 base64 with padding; stray bits after the last byte are refused.
pub(super) fn parse_base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Decodes the base64 of exactly `N` bytes.
pub(super) fn parse_base64_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    parse_base64(text)?.try_into().ok()
}

/// Encodes as RFC 4648 section 4 base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_one_form() {
        assert_eq!(parse_decimal(b"0"), Some(0));
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in
            ["", "00", "01", "+1", "-1", " 1", "1 ", "1\r", "0x1", "18446744073709551616", "١"]
        {
            assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn base64_has_one_form() {
        assert_eq!(parse_base64(b"AQ=="), Some(vec![1]));
        for bad in ["AQ", "AQ=", "AR==", "AQ==\n", "A Q==", "A_==", "AQ==="] {
            assert_eq!(parse_base64(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_base64_array::<1>(b"AQ=="), Some([1]));
        assert_eq!(parse_base64_array::<2>(b"AQ=="), None);
    }
}
