//! The last batch of an epoch: a signed batch without votes. It has the same bytes in every run, so
//! that signing it again is harmless.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};
use votekit_core::ballot::BallotPublicKey;
use votekit_core::batch::{Batch, BatchError, BatchHeader, NodeKey};
use votekit_core::id::{BatchNumber, ElectionId, Epoch, Sequence};

use crate::election::ElectionHandle;
use crate::error::ElectionFault;

/// Signs the last batch of an epoch, whose number follows that of the last confirmed batch.
///
/// # Errors
/// [`ElectionFault::Damaged`] when the ballot key of the election is unusable.
pub(super) fn last_batch(
    election: &ElectionHandle,
    node_key: &NodeKey,
    epoch: Epoch,
    through: Sequence,
) -> Result<Batch, ElectionFault> {
    let ballot_key = &election.definition.ballot_key;
    let sealed = seal(election.law_id(), ballot_key, node_key, epoch, through);
    sealed.map_err(|error| ElectionFault::damaged(error.to_string()))
}

fn seal(
    law_id: &ElectionId,
    ballot_key: &BallotPublicKey,
    node_key: &NodeKey,
    epoch: Epoch,
    through: Sequence,
) -> Result<Batch, BatchError> {
    let law_id = law_id.clone();
    let number = BatchNumber { node: node_key.node_id(), epoch, sequence: through.next() };
    // The batch encrypts nothing, so its key need not be secret. With a random key, two runs would
    // sign different batches under one number.
    let mut rng = DerivedRng::new(&format!("{law_id}\n{number}"));
    let header = BatchHeader { law_id, number, confirmed_through: through, last: true };
    Batch::seal(header, &[], ballot_key, node_key, &mut rng)
}

/// A generator whose bytes depend only on a text. Not for secrets.
struct DerivedRng {
    seed: [u8; 32],
    counter: u64,
}

impl DerivedRng {
    fn new(text: &str) -> Self {
        let seed = Sha256::new().chain_update("votekit-epoch-end/1\n").chain_update(text);
        Self { seed: seed.finalize().into(), counter: 0 }
    }
}

impl TryRng for DerivedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let counter = self.counter.to_be_bytes();
            let block = Sha256::new().chain_update(self.seed).chain_update(counter).finalize();
            self.counter += 1;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for DerivedRng {}

#[cfg(test)]
mod tests {
    use votekit_core::ballot::BallotSecretKey;

    use super::*;

    #[test]
    fn the_end_of_an_epoch_is_the_same_bytes_each_time() {
        let node = NodeKey::from_seed(&[1; 32]);
        let key = BallotSecretKey::from_seed(&[9; 32]).public_key();
        let end = |law_id: &str, epoch| {
            let law_id = law_id.parse().expect("a law id");
            seal(&law_id, &key, &node, Epoch(epoch), Sequence(4)).expect("the ballot key is usable")
        };
        let batch = end("L1", 2);
        assert_eq!(batch.as_bytes(), end("L1", 2).as_bytes());
        assert_ne!(batch.digest(), end("L1", 3).digest());
        assert_ne!(batch.digest(), end("L2", 2).digest());
        assert!(batch.header().last);
        assert_eq!(batch.number().sequence, Sequence(5));
    }
}
