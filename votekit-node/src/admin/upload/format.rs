//! The names and the first bytes of the files of a hashed roll.
//!
//! A file is accepted only if its first bytes are exactly those of a file with its name. A roll in
//! clear text is therefore never accepted, with any separators and any encoding; the header is read
//! only to name the mistake.

use votekit_core::manifest::Manifest;
use votekit_core::shard::ShardFormat;
use zeroize::Zeroizing;

use super::{FileRule, UploadError};

/// The number of bytes from the start of a file that are checked before any is written.
pub(super) const HEAD_BYTES: usize = 4096;

/// The longest name.
const NAME_CHARS_MAX: usize = 100;

const MANIFEST_BYTES_MAX: u64 = 16 << 20;
const NOTE_BYTES_MAX: u64 = 64 << 10;
const SHARD_BYTES_MAX: u64 = 256 << 20;

/// The end of the name of a change file.
const CHANGES: &str = ".changes.json";

/// The columns by which a roll is recognised, in both languages.
const NAS: [&[u8]; 2] = [b"nas", b"sin"];

/// Refuses a name that is not plain. No name that passes leaves its folder or is hidden in it.
pub(super) fn check_name(file: &str) -> Result<(), UploadError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = (1..=NAME_CHARS_MAX).contains(&file.len())
        && file.bytes().all(is_plain)
        && !file.starts_with('.');
    if is_name { Ok(()) } else { Err(UploadError::Name) }
}

/// The largest file of this name.
pub(super) fn bytes_max(file: &str) -> u64 {
    match file {
        Manifest::FILE_NAME => MANIFEST_BYTES_MAX,
        Manifest::NOTE_FILE_NAME => NOTE_BYTES_MAX,
        _ => SHARD_BYTES_MAX,
    }
}

/// Checks that the first bytes of a file are those of a file with its name. `head` is the whole
/// file if that is shorter than [`HEAD_BYTES`].
pub(super) fn check_head(file: &str, head: &[u8]) -> Result<(), UploadError> {
    if start(file).is_some_and(|start| head.starts_with(start)) {
        return Ok(());
    }
    if is_roll(head) {
        return Err(UploadError::NotHashed);
    }
    let rule = match start(file) {
        None => FileRule::Name,
        Some(_) => FileRule::Beginning,
    };
    Err(UploadError::Refused { file: file.to_owned(), rule })
}

/// The first bytes of the file of this name (docs/formats.md, sections 3 and 4). All of these files
/// have one canonical form.
fn start(file: &str) -> Option<&'static [u8]> {
    let start: &'static str = match file {
        Manifest::FILE_NAME => "{\n  \"format\": \"votekit-manifest/1\",\n",
        Manifest::NOTE_FILE_NAME => "votekit-manifest/1\n",
        _ if file.ends_with(CHANGES) => "{\"format\":\"votekit-changes/1\",",
        _ => match ShardFormat::from_file_name(file)? {
            ShardFormat::Json => "{\"format\":\"votekit-shard/1\",",
            ShardFormat::Binary => "VKSHARD1",
        },
    };
    Some(start.as_bytes())
}

/// Whether bytes are the start of a table with a column `nas`, or with a NAS in any column: with
/// any separator, quotation marks, points, a number behind the name, a byte-order mark, in UTF-8 or
/// UTF-16.
fn is_roll(head: &[u8]) -> bool {
    // Of UTF-16 this leaves the ASCII characters.
    let mut text = Zeroizing::new(Vec::<u8>::with_capacity(head.len()));
    text.extend(head.iter().copied().filter(u8::is_ascii).filter(|byte| *byte != 0));
    let mut lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.any(|line| {
        let mut fields = line.split(|byte| matches!(byte, b',' | b';' | b'\t' | b'|'));
        fields.any(|field| {
            let field = bare(field);
            is_nas(&field) || is_nas_name(&field)
        })
    })
}

/// A field without the quotes, spaces and separators around and between its characters.
fn bare(field: &[u8]) -> Zeroizing<Vec<u8>> {
    let is_left_out = |byte: &u8| {
        byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'.' | b'-' | b'_' | b'#')
    };
    let mut bare = Zeroizing::new(Vec::<u8>::with_capacity(field.len()));
    bare.extend(field.iter().copied().filter(|byte| !is_left_out(byte)));
    bare
}

/// Nine digits.
fn is_nas(field: &[u8]) -> bool {
    field.len() == 9 && field.iter().all(u8::is_ascii_digit)
}

/// The name of a column with a NAS: `nas`, `N.A.S.`, `nas_1`.
fn is_nas_name(field: &[u8]) -> bool {
    let letters = field.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    NAS.iter().any(|name| field[..letters].eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use votekit_core::id::{Digest, ElectionId};
    use votekit_core::manifest::{ManifestBody, RollFacts};
    use votekit_core::shard::{Changes, ShardHead};

    use super::*;

    #[test]
    fn names_are_plain_and_stay_in_their_folder() {
        let long = "a".repeat(NAME_CHARS_MAX);
        for name in ["manifest.json", "L2025-001.0001.json", "a", "A_b-c.d", &long] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let longer = "a".repeat(NAME_CHARS_MAX + 1);
        for name in
            ["", ".", "..", ".hidden", "../x", "a/b", "a\\b", "a b", "a\0", "%2e%2e", "é", &longer]
        {
            assert!(matches!(check_name(name), Err(UploadError::Name)), "{name:?}");
        }
    }

    #[test]
    fn content_of_each_hashed_file_matches_its_name() {
        let law: ElectionId = "L1".parse().expect("a law id");
        let head = ShardHead { law_id: law.clone(), shard: 1, shards: 1 };
        let body = ManifestBody {
            tool: "votekit test".to_owned(),
            scheme: votekit_core::credential::HashScheme::Sha256,
            pepper: None,
            date: None,
            parent: None,
            roll: RollFacts {
                sha256: Digest::compute(b""),
                rows: 0,
                duplicates: 0,
                rejects: 0,
                code_length_min: 0,
            },
            laws: vec![],
            shards: vec![],
            changes: vec![],
        };
        let manifest = Manifest::new(body).expect("consistent");
        let changes = Changes::new(law.clone(), vec![], vec![], vec![]).expect("disjoint");
        for (name, bytes) in [
            ("manifest.json".to_owned(), manifest.encode()),
            ("manifest.note".to_owned(), manifest.note_text().into_bytes()),
            (Changes::file_name(&law), changes.encode()),
            (head.file_name(ShardFormat::Json), head.encode(ShardFormat::Json, &[])),
            (head.file_name(ShardFormat::Binary), head.encode(ShardFormat::Binary, &[])),
        ] {
            assert!(check_head(&name, &bytes).is_ok(), "{name}");
            for other in ["roll.csv", "manifest.txt", "x.0001.bin.gz"] {
                let refused = check_head(other, &bytes);
                assert!(matches!(refused, Err(UploadError::Refused { .. })), "{other}: {name}");
            }
            assert!(check_head(&name, b"").is_err() && check_head(&name, b"PK\x03\x04").is_err());
        }
    }

    #[test]
    fn a_roll_is_known_in_any_spelling() {
        let wide = |text: &str, order: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(order).collect::<Vec<u8>>()
        };
        let excel = "\u{feff}NAS;Code;Loi\r\n046454286;ABCD1234;L1\r\n";
        for roll in [
            b"nas,code,law_id\n".to_vec(),
            b"code , \"Nas\" ,law_id\n".to_vec(),
            b"sep=;\r\nnas;code\r\n".to_vec(),
            b"\n\nnom\tNAS\tcode\n".to_vec(),
            b"nas".to_vec(),
            b"N.A.S.;code\n".to_vec(),
            b"code,nas_1\n".to_vec(),
            b"No|SIN #|code\n".to_vec(),
            b"'n-a-s','code'\n".to_vec(),
            b"ABCD1234;L1;046.454.286\n".to_vec(),
            b"name,card\nA,046 454 286\n".to_vec(),
            b"046-454-286,ABCD1234,L1\n".to_vec(),
            b"046 454 286;ABCD1234;L1".to_vec(),
            excel.as_bytes().to_vec(),
            wide(excel, u16::to_le_bytes),
            wide(excel, u16::to_be_bytes),
        ] {
            for name in ["roll.csv", "L1.0001.json", "L1.0001.bin", "manifest.json"] {
                let refused = check_head(name, &roll);
                assert!(matches!(refused, Err(UploadError::NotHashed)), "{name}: {roll:?}");
            }
        }
        for other in [
            &b"name,code\n"[..],
            b"{\"nas\":1}",
            b"\x1f\x8b\x08",
            b"12345678\n",
            b"1234567890;x\n",
            b"nassau,nas2a\n",
            b"12;34\n",
        ] {
            let refused = check_head("roll.csv", other);
            assert!(matches!(refused, Err(UploadError::Refused { .. })), "{other:?}");
        }
    }
}
