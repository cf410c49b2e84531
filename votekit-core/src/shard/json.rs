//! The JSON form: a head line, then one key per line.

use super::{ShardError, ShardHead};
use crate::credential::RegistryKey;

/// Length of a key's line: two quotation marks, 64 digits, a comma, a line feed.
const LINE_LENGTH: usize = 1 + 64 + 1 + 1 + 1;

/// Writes the text before the keys.
pub(super) fn encode_head(head: &ShardHead, count: usize, text: &mut Vec<u8>) {
    let ShardHead { law_id, shard, shards } = head;
    let head = format!(
        "{{\"format\":\"votekit-shard/1\",\"law_id\":\"{law_id}\",\"shard\":{shard},\"shards\":{shards},\"count\":{count},\"keys\":[\n"
    );
    text.extend_from_slice(head.as_bytes());
}

/// Writes one line per key; `last` says that no key follows.
pub(super) fn encode_keys(keys: &[RegistryKey], last: bool, text: &mut Vec<u8>) {
    let start = text.len();
    text.resize(start + keys.len() * LINE_LENGTH, b'"');
    for (line, key) in text[start..].as_chunks_mut::<LINE_LENGTH>().0.iter_mut().zip(keys) {
        let (digits, end) = line[1..].split_at_mut(64);
        const_hex::encode_to_slice(key.as_bytes(), digits).expect("two digits a byte");
        end.copy_from_slice(b"\",\n");
    }
    if last && !keys.is_empty() {
        text.truncate(text.len() - 2);
        text.push(b'\n');
    }
}

/// Writes the text after the keys.
pub(super) fn encode_end(text: &mut Vec<u8>) {
    text.extend_from_slice(b"]}\n");
}

pub(super) fn decode(bytes: &[u8]) -> Result<(ShardHead, Vec<RegistryKey>), ShardError> {
    let mut cursor = Cursor { bytes, offset: 0 };
    cursor.expect(b"{\"format\":\"votekit-shard/1\",\"law_id\":\"")?;
    let law_id = cursor.take_while(|byte| byte != b'"');
    cursor.expect(b"\",\"shard\":")?;
    let shard = cursor.number()?;
    cursor.expect(b",\"shards\":")?;
    let shards = cursor.number()?;
    cursor.expect(b",\"count\":")?;
    let count = cursor.number()?;
    cursor.expect(b",\"keys\":[\n")?;
    let head = ShardHead::checked(law_id, shard, shards, count)?;

    // Check the length before allocating: a few bytes must not make a reader allocate memory for a
    // million keys. The last key has no comma; `saturating_sub` covers a shard without keys.
    let length = (count as usize * LINE_LENGTH).saturating_sub(1) + b"]}\n".len();
    if bytes.len() - cursor.offset != length {
        return Err(ShardError::Count { stated: count });
    }
    let mut keys = Vec::with_capacity(count as usize);
    for index in 1..=count as usize {
        cursor.expect(b"\"")?;
        let digits = cursor.take(64);
        keys.push(RegistryKey::from_hex(digits).map_err(|_| ShardError::Key { key: index })?);
        cursor.expect(if index < count as usize { b"\",\n" } else { b"\"\n" })?;
    }
    cursor.expect(b"]}\n")?;
    Ok((head, keys))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.offset..]
    }

    fn expect(&mut self, literal: &[u8]) -> Result<(), ShardError> {
        let same = self
            .rest()
            .iter()
            .zip(literal)
            .take_while(|(found, expected)| found == expected)
            .count();
        self.offset += same;
        if same == literal.len() {
            Ok(())
        } else {
            Err(ShardError::Malformed { offset: self.offset })
        }
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let rest = self.rest();
        let taken = &rest[..length.min(rest.len())];
        self.offset += taken.len();
        taken
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest().iter().take_while(|byte| accept(**byte)).count();
        self.take(length)
    }

    /// Reads a number without sign or leading zero.
    fn number(&mut self) -> Result<u32, ShardError> {
        let malformed = ShardError::Malformed { offset: self.offset };
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if digits.len() > 1 && digits[0] == b'0' {
            return Err(malformed);
        }
        std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(malformed)
    }
}
