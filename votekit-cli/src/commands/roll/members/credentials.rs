//! Draws numbers and codes from the random numbers of the system, and writes them as a roll.

use std::collections::HashSet;

use votekit_core::id::ElectionId;
use zeroize::Zeroizing;

use super::super::{ELECTORS_MAX, FREE_NUMBERS, unissued};
use crate::error::CommandError;
use crate::random::random_bytes;

/// The characters of a code: none is easily taken for another.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";

/// Members of one list. With more, numbers that are still free would become rare.
pub(super) const MEMBERS_MAX: usize = ELECTORS_MAX as usize / 2;

/// Number and code of one member.
pub(super) struct Drawn {
    pub(super) number: [u8; 9],
    pub(super) code: Zeroizing<String>,
}

/// Draws distinct numbers, each with its code.
pub(super) fn draw(members: usize, code_length: usize) -> Result<Vec<Drawn>, CommandError> {
    let mut known = HashSet::with_capacity(members);
    let mut drawn = Vec::with_capacity(members);
    while drawn.len() < members {
        let free = free_digits()?;
        // Nine zeros are left out: `hashgen --check-digit` refuses them.
        if free != 0 && known.insert(free) {
            drawn.push(Drawn { number: unissued(free), code: code(code_length)? });
        }
    }
    Ok(drawn)
}

/// Seven random digits, as a number.
fn free_digits() -> Result<u64, CommandError> {
    /// Random numbers from this value on are rejected and generated again: with them, small digits
    /// would be more likely.
    const EVEN_BELOW: u64 = (1 << 32) / FREE_NUMBERS * FREE_NUMBERS;
    loop {
        let random = u64::from(u32::from_be_bytes(*random_bytes::<4>()?));
        if random < EVEN_BELOW {
            return Ok(random % FREE_NUMBERS);
        }
    }
}

fn code(length: usize) -> Result<Zeroizing<String>, CommandError> {
    /// Random bytes from here on are skipped, as in [`free_digits`].
    const EVEN_BELOW: usize = 256 / ALPHABET.len() * ALPHABET.len();
    // Long enough from the start: no shorter copy of it is left in memory.
    let mut code = Zeroizing::new(String::with_capacity(length));
    loop {
        for byte in random_bytes::<32>()?.iter().map(|byte| usize::from(*byte)) {
            if code.len() == length {
                return Ok(code);
            }
            if byte < EVEN_BELOW {
                code.push(char::from(ALPHABET[byte % ALPHABET.len()]));
            }
        }
    }
}

/// The electoral roll: one row a member and law, in the order of the list.
pub(super) fn roll(drawn: &[Drawn], laws: &[ElectionId]) -> Zeroizing<Vec<u8>> {
    let mut rows = Zeroizing::new(b"nas,code,law_id\n".to_vec());
    for Drawn { number, code } in drawn {
        for law in laws {
            for part in [number.as_slice(), b",", code.as_bytes(), b",", law.as_str().as_bytes()] {
                rows.extend_from_slice(part);
            }
            rows.push(b'\n');
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use votekit_core::credential::Nas;

    use super::*;

    #[test]
    fn numbers_are_distinct_and_never_issued() {
        let drawn = draw(20_000, 8).expect("random numbers");
        let numbers: HashSet<_> = drawn.iter().map(|drawn| drawn.number).collect();
        assert_eq!(numbers.len(), 20_000);
        for number in numbers {
            assert_eq!(number[0], b'0');
            assert_eq!(Nas::parse(&number).expect("nine digits").check_issued(), Ok(()));
        }
    }

    #[test]
    fn codes_use_the_whole_alphabet_evenly_and_nothing_else() {
        let drawn = draw(2_000, 31).expect("random numbers");
        let mut counts = [0_u32; 31];
        for character in drawn.iter().flat_map(|drawn| drawn.code.bytes()) {
            let index = ALPHABET.iter().position(|known| *known == character);
            counts[index.expect("of the alphabet")] += 1;
        }
        // Each is expected 2,000 times; a deviation of 300 is more than six sigma.
        assert!(counts.iter().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
        assert!(drawn.iter().all(|drawn| drawn.code.len() == 31));
    }
}
