//! Random ids of requests, in bulk from the system.

use std::cell::RefCell;

use votekit_core::id::RequestId;

/// Random bytes that the system gave at once: a request id must not cost a call each.
const STORE_BYTES: usize = 1024;

thread_local! {
    static STORE: RefCell<Store> = const { RefCell::new(Store { bytes: [0; STORE_BYTES], left: 0 }) };
}

struct Store {
    bytes: [u8; STORE_BYTES],
    /// Bytes at the front that were not given out.
    left: usize,
}

/// A fresh id for a request without an idempotency key.
pub(crate) fn random_request_id() -> Result<RequestId, getrandom::Error> {
    STORE.with_borrow_mut(|store| {
        if store.left < RequestId::LENGTH {
            getrandom::fill(&mut store.bytes)?;
            store.left = STORE_BYTES;
        }
        store.left -= RequestId::LENGTH;
        let mut id = [0; RequestId::LENGTH];
        // Given out once: nothing that is kept tells of an id.
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
