//! Fast path for rows in the plainest form, which reads each byte once:
//! `123456789,ABC12345,L2025-001`, each field quoted or not. The separator is a constant of each
//! instance, so that semicolons cost the comma nothing.
//!
//! Nearly every row of nearly every roll has this form. All others are left to
//! [`Rows`](super::Rows), which reads every form and reports faults; on a plain row both return the
//! same.

use crate::id::ElectionId;

/// A plain row, well formed except for the law id.
pub(super) struct PlainRow<'a> {
    pub(super) nas: &'a [u8; 9],
    /// The NAS as a number.
    pub(super) number: u32,
    pub(super) code: PlainCode,
    /// 1 to 50 bytes without a separator, quotation mark or line break, not checked further; `None`
    /// for the expected law.
    pub(super) law: Option<&'a [u8]>,
    /// Length of the whole row in bytes, with its line feed.
    pub(super) length: usize,
}

/// 4 to 32 capital letters and digits; the bytes after `length` are zero.
#[derive(Clone, Copy)]
pub(super) struct PlainCode {
    pub(super) bytes: [u8; 32],
    pub(super) length: usize,
}

/// Returns the row at the start of `bytes` if it is a plain one with the columns NAS, code and law.
/// `law` is the expected law.
#[inline]
pub(super) fn plain_row<'a, const SEPARATOR: u8>(
    bytes: &'a [u8],
    law: &[u8],
) -> Option<PlainRow<'a>> {
    let (quote, rest) = opened(bytes);
    let (nas, rest) = rest.split_first_chunk::<9>()?;
    let number = number_of(nas)?;
    let (quote, rest) = opened(closed(rest, quote)?.strip_prefix(&[SEPARATOR])?);
    let code = code(rest)?;
    let rest = &rest[code.length..];
    let (quote, rest) = opened(closed(rest, quote)?.strip_prefix(&[SEPARATOR])?);
    let (law, rest) = match rest.strip_prefix(law) {
        // The expected law must be the whole field: `L1` also begins `L12`.
        Some(behind) if !law.is_empty() && behind.first().is_some_and(ends_law) => (None, behind),
        _ => {
            let (other, behind) = rest.split_at(law_length::<SEPARATOR>(rest)?);
            (Some(other), behind)
        }
    };
    let rest = closed(rest, quote)?;
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest).strip_prefix(b"\n")?;
    Some(PlainRow { nas, number, code, law, length: bytes.len() - rest.len() })
}

/// Whether the field is quoted, and the bytes after the quotation mark.
#[inline]
fn opened(bytes: &[u8]) -> (bool, &[u8]) {
    match bytes {
        [b'"', rest @ ..] => (true, rest),
        _ => (false, bytes),
    }
}

#[inline]
fn closed(bytes: &[u8], quote: bool) -> Option<&[u8]> {
    if quote { bytes.strip_prefix(b"\"") } else { Some(bytes) }
}

/// The value of 9 digits; `None` if there is any other byte. The first 8 are checked and added up
/// within one 64-bit word.
#[inline]
fn number_of(nas: &[u8; 9]) -> Option<u32> {
    let (eight, last) = nas.split_first_chunk::<8>()?;
    let word = u64::from_le_bytes(*eight);
    let digits = word ^ 0x3030_3030_3030_3030;
    // A byte above 9 has its high bit set already, or gets it by adding 0x76. A carry into the next
    // byte only comes from a byte that is rejected itself.
    let other = (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
    let last = last[0].wrapping_sub(b'0');
    if other != 0 || last > 9 {
        return None;
    }
    // Combines neighbours: 8 digits into 4 pairs, into 2 groups of four, into one number.
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let eight = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff;
    Some(eight as u32 * 10 + u32::from(last))
}

/// Maps letters and digits to capitals, all other bytes to zero.
const CAPITALS: [u8; 256] = {
    let mut capitals = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            capitals[byte] = (byte as u8).to_ascii_uppercase();
        }
        byte += 1;
    }
    capitals
};

/// The access code at the start of `bytes`, if it has 4 to 32 letters and digits.
#[inline]
fn code(bytes: &[u8]) -> Option<PlainCode> {
    let mut code = PlainCode { bytes: [0; 32], length: 0 };
    for (place, byte) in code.bytes.iter_mut().zip(bytes) {
        let capital = CAPITALS[usize::from(*byte)];
        if capital == 0 {
            break;
        }
        *place = capital;
        code.length += 1;
    }
    // A longer code continues where a separator should be; the caller rejects it there.
    (code.length >= 4).then_some(code)
}

/// The length of a law id.
#[inline]
fn law_length<const SEPARATOR: u8>(bytes: &[u8]) -> Option<usize> {
    let length = bytes
        .iter()
        .take(ElectionId::LENGTH_MAX + 1)
        .position(|byte| ends_law(byte) || *byte == SEPARATOR)?;
    (length > 0).then_some(length)
}

#[inline]
fn ends_law(byte: &u8) -> bool {
    matches!(byte, b'"' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_nine_digits_and_nothing_else() {
        assert_eq!(number_of(b"123456789"), Some(123_456_789));
        assert_eq!(number_of(b"000000000"), Some(0));
        assert_eq!(number_of(b"999999999"), Some(999_999_999));
        for place in 0..9 {
            for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                let mut nas = *b"909090909";
                nas[place] = byte;
                assert_eq!(number_of(&nas), None, "byte {byte} at {place}");
            }
        }
    }

    #[test]
    fn plain_rows_are_read_whole() {
        for row in [
            "123456789,abC123,L1\n",
            "\"123456789\",\"abC123\",\"L1\"\r\n",
            "123456789,\"abC123\",L1\r\n",
        ] {
            let rows = format!("{row}987654321,X");
            for law in [&b"L1"[..], b"", b"L", b"L12"] {
                let plain = plain_row::<b','>(rows.as_bytes(), law).expect("a plain row");
                let semicolons = rows.replace(',', ";");
                let other = plain_row::<b';'>(semicolons.as_bytes(), law).expect("a plain row");
                assert_eq!(
                    (plain.number, plain.code.bytes, plain.law, plain.length),
                    (other.number, other.code.bytes, other.law, other.length)
                );
                assert!(plain_row::<b','>(semicolons.as_bytes(), law).is_none());
                assert_eq!(
                    (plain.number, &plain.code.bytes[..plain.code.length]),
                    (123_456_789, &b"ABC123"[..])
                );
                assert_eq!(plain.law.unwrap_or(law), b"L1");
                assert_eq!(plain.length, row.len());
            }
        }
    }

    #[test]
    fn anything_else_is_left_to_the_parser() {
        let long = format!("123456789,{},L1\n", "A".repeat(33));
        let law = format!("123456789,ABC123,{}\n", "L".repeat(51));
        for row in [
            "",
            "\n",
            "123456789",
            "123456789,ABC123,L1",
            "123456789,ABC123,L1\r",
            "12345678,ABC123,L1\n",
            "123 456 789,ABC123,L1\n",
            "123456789,ABC,L1\n",
            "123456789, ABC123,L1\n",
            "123456789,ABC123,\n",
            "123456789,ABC123,L1,\n",
            "123456789,ABC123,\"L1\n",
            "123456789,ABC123,L1\"\n",
            "\"123456789,ABC123,L1\n",
            "123456789\",ABC123,L1\n",
            "123456789,ABC123,L1\rx\n",
            &long,
            &law,
        ] {
            assert!(plain_row::<b','>(row.as_bytes(), b"L1").is_none(), "{row:?}");
            let semicolons = row.replace(',', ";");
            assert!(plain_row::<b';'>(semicolons.as_bytes(), b"L1").is_none(), "{row:?}");
        }
    }
}
