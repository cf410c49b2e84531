//! The budget for storing votes with a wrong code, as a state machine that takes the time as an
//! argument: a rate in all, and a lower one per prefix, so that one attacker cannot use it up.

use std::collections::HashMap;
use std::time::Duration;

use super::pairs::Millis;
use crate::limits::address_prefix::Prefix;
use crate::limits::rate_limit::Rate;

/// Only wrong codes change it. Each rate has a burst of one second's worth.
pub(super) struct WrongBudget {
    all: Rate,
    all_earned_ns: u64,
    of_prefix: Rate,
    /// When each prefix has earned back what it took. A prefix that has earned everything back is
    /// dropped, so the map holds no more prefixes than are stored in a second or two.
    by_prefix: HashMap<Prefix, u64>,
}

impl WrongBudget {
    pub(super) fn new(per_second: u32, per_prefix_per_second: u32) -> Self {
        Self {
            all: Rate::per_second(per_second, per_second),
            all_earned_ns: 0,
            of_prefix: Rate::per_second(per_prefix_per_second, per_prefix_per_second),
            by_prefix: HashMap::new(),
        }
    }

    /// Takes one for a prefix, or returns how long to wait. A refusal takes nothing.
    pub(super) fn take(&mut self, prefix: Prefix, now: Millis) -> Result<(), Duration> {
        let now_ns = now.0.saturating_mul(1_000_000);
        let earned_ns = self.by_prefix.get(&prefix).copied().unwrap_or(0);
        // Both are checked before either is stored, so that a refusal changes neither.
        let prefix_after_ns = self.of_prefix.after(earned_ns, now_ns)?;
        self.all_earned_ns = self.all.after(self.all_earned_ns, now_ns)?;
        if !self.of_prefix.is_lifted() {
            self.by_prefix.retain(|_, earned_ns| *earned_ns > now_ns);
            self.by_prefix.insert(prefix, prefix_after_ns);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::address_prefix::DigestKey;

    #[test]
    fn one_prefix_takes_its_part_and_all_together_take_the_budget() {
        let (key, mut budget) = (DigestKey::random(), WrongBudget::new(20, 2));
        let prefix = |host: u8| key.prefix([192, 0, 2, host].into());
        let mut taken =
            |host, now| (0..30).filter(|_| budget.take(prefix(host), Millis(now)).is_ok()).count();
        assert_eq!((taken(1, 5), taken(1, 5), taken(2, 5)), (2, 0, 2));
        let others: usize = (3..30).map(|host| taken(host, 5)).sum();
        assert_eq!(others, 16, "20 in all");
        assert_eq!(taken(30, 55), 1, "one is earned in a twentieth of a second");
        assert_eq!((taken(1, 2000), taken(2, 2000)), (2, 2));
        assert!(budget.by_prefix.len() <= 2, "what has been earned again is dropped");
    }

    #[test]
    fn zero_lifts_a_limit() {
        let (key, mut budget) = (DigestKey::random(), WrongBudget::new(0, 0));
        let prefix = key.prefix([192, 0, 2, 1].into());
        assert!((0..1000).all(|_| budget.take(prefix, Millis(0)).is_ok()));
        assert!(budget.by_prefix.is_empty());
    }
}
