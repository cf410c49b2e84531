//! The connection limiter of a listener: the number of open connections, their addresses, the
//! newcomers that wait for a slot, and the connections to evict. A state machine that takes the
//! time as an argument and does not depend on a protocol.
//!
//! ```text
//! a prefix over its share            refused at once
//! every slot taken                   the newcomer waits: the lowest rank is served first
//! … a connection that was answered   is closed, unless its prefix ranks below every one that waits
//! … a connection idle for long       is evicted, the longest idle first
//! the waiting room full              the highest rank is refused
//! ```
//!
//! So an attacker with many busy connections loses a connection with each answer, and a voter whose
//! address has few connections gets the next slot and keeps it. On a listener with a reserve,
//! connections without a token cannot use the reserved slots.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use votekit_node::limits::address_prefix::{Prefix, Shares};

use super::activity::Activity;

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimiterRules {
    /// The maximum number of open connections.
    pub(super) slots_max: u32,
    /// The number of slots reserved for trusted connections.
    pub(super) reserved: u32,
    /// The maximum number of connections of one address, open or waiting; 0: no limit.
    pub(super) per_address_max: u32,
    /// The maximum number of waiting newcomers.
    pub(super) waiting_max: u32,
    /// The idle time before a connection may be evicted.
    pub(super) stay_min_ms: u64,
    /// The longest time for which a newcomer waits.
    pub(super) wait_max_ms: u64,
}

/// Identifies one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(u64);

/// The result of [`ConnectionLimiter::arrive`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It has a slot.
    Held(ConnectionId),
    /// It waits for a slot.
    Waiting(ConnectionId),
    /// Its prefix has used its share, or the waiting room is full.
    Refused,
}

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    rules: LimiterRules,
    held: HashMap<ConnectionId, Holder>,
    /// The number of connections with a slot that are not trusted.
    untrusted: u32,
    /// The number of connections with a slot that are to be closed.
    evicted: u32,
    /// In the order in which they get slots.
    waiting: BTreeMap<(Rank, ConnectionId), Waiter>,
    by_prefix: HashMap<Prefix, Count>,
    /// The idle connections of the last search, the longest idle last, with the time since which
    /// each waits for its client.
    idle: Vec<(u64, ConnectionId)>,
    next: u64,
}

/// The load of an address: its connections divided by the share factor, rounded up, for the prefix
/// where this is highest. 0 where nothing is counted.
type Rank = u32;

#[derive(Debug)]
struct Holder {
    /// `None` for a connection that counts under no prefix, such as a proxy's.
    shares: Option<Shares>,
    trusted: bool,
    evicted: bool,
    activity: Arc<Activity>,
}

#[derive(Debug)]
struct Waiter {
    shares: Option<Shares>,
    activity: Arc<Activity>,
    since_ms: u64,
}

#[derive(Debug, Default)]
struct Count {
    held: u32,
    waiting: u32,
    /// The rank of the latest newcomer that waits: a later newcomer of the same address is not
    /// served before it.
    last_rank: Rank,
}

impl ConnectionLimiter {
    pub(super) fn new(rules: LimiterRules) -> Self {
        Self {
            rules,
            held: HashMap::new(),
            untrusted: 0,
            evicted: 0,
            waiting: BTreeMap::new(),
            by_prefix: HashMap::new(),
            idle: Vec::new(),
            next: 0,
        }
    }

    /// Adds a newcomer. Also returns the waiting connection that was refused instead of it, if any.
    pub(super) fn arrive(
        &mut self,
        shares: Option<Shares>,
        activity: &Arc<Activity>,
        now_ms: u64,
    ) -> (Arrival, Option<ConnectionId>) {
        if self.is_over_share(shares.as_ref()) {
            return (Arrival::Refused, None);
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        let activity = Arc::clone(activity);
        if self.waiting.is_empty() && self.has_room() {
            self.hold(id, shares, activity);
            return (Arrival::Held(id), None);
        }
        let rank = self.rank_of_newcomer(shares.as_ref());
        let mut refused = None;
        if self.waiting.len() >= self.rules.waiting_max as usize {
            match self.waiting.last_key_value() {
                Some(((last, other), _)) if *last > rank => {
                    let other = *other;
                    self.forget(other);
                    refused = Some(other);
                }
                _ => return (Arrival::Refused, None),
            }
        }
        if let Some(shares) = &shares {
            for (prefix, _) in shares.iter() {
                self.by_prefix.entry(prefix).or_default().waiting += 1;
            }
            self.by_prefix.entry(shares.narrow()).or_default().last_rank = rank;
        }
        self.waiting.insert((rank, id), Waiter { shares, activity, since_ms: now_ms });
        (Arrival::Waiting(id), refused)
    }

    /// Gives free slots to waiting newcomers, and returns them.
    pub(super) fn grant(&mut self) -> Vec<ConnectionId> {
        let mut granted = Vec::new();
        while self.has_room()
            && let Some(((_, id), waiter)) = self.waiting.pop_first()
        {
            self.count_waiting_left(waiter.shares.as_ref());
            self.hold(id, waiter.shares, waiter.activity);
            granted.push(id);
        }
        granted
    }

    /// Whether a connection that was just answered has to leave.
    pub(super) fn answered(&mut self, id: ConnectionId) -> bool {
        // Enough connections leave already for all that wait.
        if self.evicted as usize >= self.waiting.len() {
            return self.held.get(&id).is_some_and(|holder| holder.evicted);
        }
        let Some(holder) = self.held.get(&id) else { return false };
        if holder.evicted {
            return true;
        }
        if holder.trusted {
            return false;
        }
        // The first to be served has the lowest rank of all that wait.
        let least = self.waiting.first_key_value().map_or(0, |((rank, _), _)| *rank);
        let yields = holder.shares.is_none_or(|shares| {
            let own_waits = self.by_prefix.get(&shares.narrow()).is_some_and(|own| own.waiting > 0);
            own_waits || self.rank(&shares, |count| count.held) >= least
        });
        if yields {
            self.mark_leaving(id);
        }
        yields
    }

    /// Marks a connection that showed a token as trusted: it is never evicted, and its former slot
    /// is free for connections without one.
    pub(super) fn trust(&mut self, id: ConnectionId) {
        if let Some(holder) = self.held.get_mut(&id)
            && !holder.trusted
        {
            holder.trusted = true;
            self.untrusted -= 1;
        }
    }

    /// Removes a connection that has ended, or no longer waits.
    pub(super) fn release(&mut self, id: ConnectionId) {
        if let Some(holder) = self.held.remove(&id) {
            self.untrusted -= u32::from(!holder.trusted);
            self.evicted -= u32::from(holder.evicted);
            if let Some(shares) = &holder.shares {
                for (prefix, _) in shares.iter() {
                    self.change(prefix, |count| count.held -= 1);
                }
            }
        } else {
            self.forget(id);
        }
    }

    /// Evicts the longest idle connections, at most one for each waiting newcomer, and removes
    /// newcomers that have waited too long. Returns both. Scans every connection: called a few
    /// times a second while newcomers wait.
    pub(super) fn tick(&mut self, now_ms: u64) -> (Vec<ConnectionId>, Vec<ConnectionId>) {
        let expired: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiter)| now_ms >= waiter.since_ms + self.rules.wait_max_ms)
            .map(|((_, id), _)| *id)
            .collect();
        expired.iter().for_each(|id| self.forget(*id));
        let wanted = self.waiting.len().saturating_sub(self.evicted as usize);
        let mut dismissed = Vec::new();
        if wanted > 0 {
            self.find_idle(now_ms);
            while dismissed.len() < wanted
                && let Some((since_ms, id)) = self.idle.pop()
            {
                let holder = self.held.get(&id).filter(|holder| !holder.evicted);
                if holder.is_some_and(|holder| holder.activity.dismiss(since_ms)) {
                    self.mark_leaving(id);
                    dismissed.push(id);
                }
            }
        }
        (dismissed, expired)
    }

    /// The number of waiting newcomers.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Collects the connections that may be evicted, the longest idle last.
    fn find_idle(&mut self, now_ms: u64) {
        let latest_ms = now_ms.saturating_sub(self.rules.stay_min_ms);
        self.idle.clear();
        let idle = self.held.iter().filter(|(_, holder)| !holder.trusted && !holder.evicted);
        self.idle.extend(idle.filter_map(|(id, holder)| {
            let since_ms = holder.activity.waiting_since()?;
            (since_ms <= latest_ms).then_some((since_ms, *id))
        }));
        // Among connections that are idle equally long, the first to arrive is evicted first.
        self.idle.sort_unstable_by(|one, other| other.cmp(one));
    }

    fn has_room(&self) -> bool {
        (self.held.len() as u64) < u64::from(self.rules.slots_max)
            && self.untrusted < self.rules.slots_max - self.rules.reserved
    }

    fn is_over_share(&self, shares: Option<&Shares>) -> bool {
        let share = self.rules.per_address_max;
        share > 0
            && shares.is_some_and(|shares| {
                shares.iter().any(|(prefix, factor)| {
                    let count = self.by_prefix.get(&prefix);
                    count.map_or(0, |count| count.held + count.waiting)
                        >= share.saturating_mul(factor)
                })
            })
    }

    fn rank_of_newcomer(&self, shares: Option<&Shares>) -> Rank {
        shares.map_or(0, |shares| {
            let rank = self.rank(shares, |count| count.held + count.waiting);
            let own = self.by_prefix.get(&shares.narrow()).filter(|own| own.waiting > 0);
            rank.max(own.map_or(0, |own| own.last_rank))
        })
    }

    fn rank(&self, shares: &Shares, counted: impl Fn(&Count) -> u32) -> Rank {
        let ranks = shares.iter().map(|(prefix, factor)| {
            self.by_prefix.get(&prefix).map_or(0, &counted).div_ceil(factor)
        });
        ranks.max().unwrap_or(0)
    }

    fn hold(&mut self, id: ConnectionId, shares: Option<Shares>, activity: Arc<Activity>) {
        for (prefix, _) in shares.iter().flat_map(Shares::iter) {
            self.by_prefix.entry(prefix).or_default().held += 1;
        }
        self.untrusted += 1;
        self.held.insert(id, Holder { shares, trusted: false, evicted: false, activity });
    }

    fn mark_leaving(&mut self, id: ConnectionId) {
        if let Some(holder) = self.held.get_mut(&id) {
            self.evicted += u32::from(!holder.evicted);
            holder.evicted = true;
        }
    }

    /// Removes a newcomer from the waiting room.
    fn forget(&mut self, id: ConnectionId) {
        let key = self.waiting.keys().find(|(_, waiting)| *waiting == id).copied();
        if let Some(waiter) = key.and_then(|key| self.waiting.remove(&key)) {
            self.count_waiting_left(waiter.shares.as_ref());
        }
    }

    fn count_waiting_left(&mut self, shares: Option<&Shares>) {
        for (prefix, _) in shares.into_iter().flat_map(Shares::iter) {
            self.change(prefix, |count| count.waiting -= 1);
        }
    }

    fn change(&mut self, prefix: Prefix, change: impl FnOnce(&mut Count)) {
        if let Some(count) = self.by_prefix.get_mut(&prefix) {
            change(count);
            if count.held == 0 && count.waiting == 0 {
                self.by_prefix.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
#[path = "limiter_test.rs"]
mod tests;
