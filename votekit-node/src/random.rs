//! Random request ids, fetched from the system in bulk.

use std::cell::RefCell;

use votekit_core::id::RequestId;

/// Random bytes fetched in one call, so that a request id does not cost a system call each.
const STORE_BYTES: usize = 1024;

thread_local! {
    static STORE: RefCell<Store> =
        const { RefCell::new(Store { bytes: [0; STORE_BYTES], left: 0 }) };
}

struct Store {
    bytes: [u8; STORE_BYTES],
    /// Unused bytes, at the front.
    left: usize,
}

/// A new random id for a request without an idempotency key.
pub(crate) fn random_request_id() -> Result<RequestId, getrandom::Error> {
    STORE.with_borrow_mut(|store| {
        if store.left < RequestId::LENGTH {
            getrandom::fill(&mut store.bytes)?;
            store.left = STORE_BYTES;
        }
        store.left -= RequestId::LENGTH;
        let mut id = [0; RequestId::LENGTH];
        // The id is swapped for zeros: the store keeps no trace of it.
        id.swap_with_slice(&mut store.bytes[store.left..][..RequestId::LENGTH]);
        Ok(RequestId::from_bytes(id))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_is_given_twice() {
        let ids: HashSet<_> =
            (0..10 * STORE_BYTES).map(|_| random_request_id().expect("random bytes")).collect();
        assert_eq!(ids.len(), 10 * STORE_BYTES);
        assert!(!ids.contains(&RequestId::from_bytes([0; RequestId::LENGTH])));
    }
}
