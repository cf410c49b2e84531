use proptest::prelude::*;

use super::*;
use crate::decision::Decision;
use crate::decision::Entry;
use crate::id::RequestId;
use crate::instant::UnixMinutes;
use crate::log::leaf::BlockLeaf;

/// Returns a few bytes at a time, with interruptions, as a pipe may.
struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
    interrupt: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = self.step.min(buffer.len());
        let length = self.bytes.len().min(length);
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

fn leaf(number: u64, block_every: u64) -> Leaf {
    if number % block_every == block_every - 1 {
        let leader = "a".repeat((number % 97) as usize);
        return Leaf::Block(BlockLeaf {
            height: number + 1,
            term: 1,
            leader,
            sealed_at: UnixMinutes(29_400_000 + number),
        });
    }
    let request = RequestId::from_bytes((u128::from(number) + 1).to_be_bytes());
    let hash = crate::credential::CredentialHash::from_bytes([7; 32]);
    Leaf::Entry(Entry {
        request,
        decision: Decision::Accepted { hash },
        minute: UnixMinutes(29_400_000 + number),
    })
}

fn lines(leaves: &[Leaf]) -> Vec<u8> {
    leaves.iter().flat_map(|leaf| [leaf.to_bytes(), b"\n".to_vec()].concat()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn chunks_and_threads_change_nothing(
        count in 0_u64..13_000,
        block_every in 2_u64..3000,
        threads in 0_usize..5,
    ) {
        let leaves: Vec<Leaf> = (0..count).map(|number| leaf(number, block_every)).collect();
        let bytes = lines(&leaves);
        let mut simple = RootHasher::new();
        let mut roots = Vec::new();
        for leaf in &leaves {
            simple.push(leaf_hash(&leaf.to_bytes()));
            roots.push(simple.root());
        }
        let mut taken = 0;
        let mut reader = Trickle { bytes: &bytes, step: 300_007, interrupt: false };
        let ending = read(&mut reader, threads, |item, root| {
            match item {
                Item::Outcome(outcome, _) => assert_eq!(Leaf::from(*outcome), leaves[taken]),
                Item::Other(leaf) => {
                    assert_eq!(**leaf, leaves[taken]);
                    assert_eq!(root(), roots[taken], "the root up to the block leaf {taken}");
                }
                Item::Bad(error) => panic!("{error}"),
            }
            taken += 1;
        }).expect("memory reads");
        prop_assert_eq!(taken, leaves.len());
        prop_assert_eq!(ending.root, simple.root());
        prop_assert_eq!(ending.digest, Digest::compute(&bytes));
        prop_assert_eq!(ending.size, bytes.len() as u64);
        prop_assert_eq!(ending.fault, None);
    }
}

fn fault_of(bytes: &[u8]) -> (Option<(u64, &'static str)>, Ending, usize) {
    let mut taken = 0;
    let mut reader = bytes;
    let ending = read(&mut reader, 2, |_, _| taken += 1).expect("memory reads");
    (ending.fault, ending, taken)
}

#[test]
fn a_truncated_last_line_is_reported() {
    let mut bytes = lines(&[leaf(0, 9), leaf(1, 9)]);
    bytes.extend_from_slice(b"{\"leaf\"");
    let (fault, ending, taken) = fault_of(&bytes);
    assert_eq!(fault.map(|(line, _)| line), Some(3));
    assert_eq!(
        (ending.size, ending.digest, taken),
        (bytes.len() as u64, Digest::compute(&bytes), 2)
    );
}

#[test]
fn a_line_without_end_is_not_kept_in_memory() {
    let mut bytes = lines(&[leaf(0, 9)]);
    bytes.resize(5 << 20, b'x');
    bytes.push(b'\n');
    let (fault, ending, taken) = fault_of(&bytes);
    assert_eq!(fault.map(|(line, _)| line), Some(2));
    assert_eq!(
        (ending.size, ending.digest, taken),
        (bytes.len() as u64, Digest::compute(&bytes), 1)
    );
}

#[test]
fn empty_lines_are_bad_leaves_in_their_places() {
    let mut bad = 0;
    let bytes = [b"\n".as_slice(), &lines(&[leaf(0, 9)]), b"\r\n"].concat();
    let mut reader = bytes.as_slice();
    let ending = read(&mut reader, 1, |item, _| bad += usize::from(matches!(item, Item::Bad(_))))
        .expect("memory reads");
    assert_eq!((bad, ending.fault), (2, None));
}
