//! The slots of readers: counted separately from the connections of requests, so that readers do
//! not use up the connections of voters, and limited by address.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use votekit_node::limits::address_prefix::{Prefix, Shares};
use votekit_node::metrics::{LiveReader, ReaderKind};

/// The address shares of a request that becomes a reader: an extension of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientShares(pub(crate) Shares);

/// The slots of a node.
#[derive(Debug)]
pub(crate) struct ReaderSlots {
    /// The most readers of one address; 0: no limit.
    per_address_max: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    readers_max: u32,
    held: u32,
    by_prefix: HashMap<Prefix, u32>,
}

/// Why a reader gets no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSlot {
    /// No slot is free.
    Full,
    /// Its address has used its share.
    AddressShare,
}

impl ReaderSlots {
    /// Creates the slots, all free.
    pub(crate) fn new(readers_max: u32, per_address_max: u32) -> Self {
        let state = State { readers_max, ..State::default() };
        Self { per_address_max, state: Mutex::new(state) }
    }

    /// Lowers the number of slots: the process may have too few file descriptors.
    pub(crate) fn limit(&self, readers_max: u32) {
        let mut state = self.state.lock();
        state.readers_max = state.readers_max.min(readers_max);
    }

    /// Takes a slot; `shares` is `None` for a reader that counts under no address.
    ///
    /// # Errors
    /// [`NoSlot`].
    pub(crate) fn take(
        self: &Arc<Self>,
        kind: ReaderKind,
        shares: Option<Shares>,
    ) -> Result<ReaderSlot, NoSlot> {
        let mut state = self.state.lock();
        if state.held >= state.readers_max {
            return Err(NoSlot::Full);
        }
        let is_over = |(prefix, factor): (Prefix, u32)| {
            let held = state.by_prefix.get(&prefix).copied().unwrap_or(0);
            self.per_address_max > 0 && held >= self.per_address_max.saturating_mul(factor)
        };
        if shares.iter().flat_map(Shares::iter).any(is_over) {
            return Err(NoSlot::AddressShare);
        }
        state.held += 1;
        for (prefix, _) in shares.iter().flat_map(Shares::iter) {
            *state.by_prefix.entry(prefix).or_default() += 1;
        }
        Ok(ReaderSlot { slots: Arc::clone(self), shares, _counted: LiveReader::count(kind) })
    }

    fn release(&self, shares: Option<&Shares>) {
        let mut state = self.state.lock();
        state.held -= 1;
        for (prefix, _) in shares.into_iter().flat_map(Shares::iter) {
            if let Some(held) = state.by_prefix.get_mut(&prefix) {
                *held -= 1;
                if *held == 0 {
                    state.by_prefix.remove(&prefix);
                }
            }
        }
    }
}

/// The slot of one reader, until it is dropped.
#[derive(Debug)]
pub(crate) struct ReaderSlot {
    slots: Arc<ReaderSlots>,
    shares: Option<Shares>,
    _counted: LiveReader,
}

impl Drop for ReaderSlot {
    fn drop(&mut self) {
        self.slots.release(self.shares.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use votekit_node::limits::address_prefix::DigestKey;

    use super::*;

    #[test]
    fn places_are_limited_in_all_and_by_address_and_are_given_back() {
        let (slots, key) = (Arc::new(ReaderSlots::new(4, 2)), DigestKey::random());
        let take = |host: u8| {
            let shares = key.shares([192, 0, 2, host].into(), true);
            slots.take(ReaderKind::Events, Some(shares))
        };
        let [first, second] = [1, 1].map(|host| take(host).expect("free"));
        assert_eq!(take(1).expect_err("over its share"), NoSlot::AddressShare);
        let others = [2, 3].map(|host| take(host).expect("free"));
        assert_eq!(take(4).expect_err("full"), NoSlot::Full);
        drop(first);
        let again = take(1).expect("given back");
        assert_eq!(take(4).expect_err("full"), NoSlot::Full);
        drop((second, again, others));
        let state = slots.state.lock();
        assert!(state.held == 0 && state.by_prefix.is_empty());
    }

    #[test]
    fn the_networks_around_an_address_have_larger_shares() {
        let (slots, key) = (Arc::new(ReaderSlots::new(10, 1)), DigestKey::random());
        let take = |host: u8| {
            let shares = key.shares([192, 0, 2, host].into(), false);
            slots.take(ReaderKind::Socket, Some(shares))
        };
        let _held = [1, 2].map(|host| take(host).expect("free"));
        assert_eq!(take(3).expect_err("over its share"), NoSlot::AddressShare);
    }

    #[test]
    fn a_limit_only_lowers_the_number_and_none_is_allowed() {
        let slots = Arc::new(ReaderSlots::new(2, 0));
        slots.limit(5);
        let held = [(); 2].map(|()| slots.take(ReaderKind::Events, None).expect("free"));
        assert_eq!(slots.take(ReaderKind::Events, None).expect_err("full"), NoSlot::Full);
        drop(held);
        slots.limit(0);
        assert_eq!(slots.take(ReaderKind::Events, None).expect_err("full"), NoSlot::Full);
    }
}
