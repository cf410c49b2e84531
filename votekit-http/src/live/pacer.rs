//! When the numbers of an election are sent: soon after a block, and not too often. Pure: takes the
//! time as an argument.

use std::time::Duration;

/// The shortest time between two messages of a topic: four a second.
const SEND_INTERVAL: Duration = Duration::from_millis(250);

const INTERVAL_MS: u64 = SEND_INTERVAL.as_millis() as u64;

/// Paces the messages of one election. Changes that come between two messages are sent together, as
/// the latest state.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// The first change that was not sent yet.
    changed_at_ms: Option<u64>,
    sent_at_ms: Option<u64>,
}

impl Pacer {
    /// Records a change.
    pub(crate) fn record_change(&mut self, now_ms: u64) {
        self.changed_at_ms.get_or_insert(now_ms);
    }

    /// How long to wait before the next message; `None` while nothing has changed.
    pub(crate) fn wait(&self, now_ms: u64) -> Option<Duration> {
        self.changed_at_ms?;
        let due_ms = self.sent_at_ms.map_or(0, |sent_at_ms| sent_at_ms + INTERVAL_MS);
        Some(Duration::from_millis(due_ms.saturating_sub(now_ms)))
    }

    /// Records that a message is sent now. Returns how long its first change has waited.
    pub(crate) fn record_sent(&mut self, now_ms: u64) -> Duration {
        self.sent_at_ms = Some(now_ms);
        let changed_at_ms = self.changed_at_ms.take().unwrap_or(now_ms);
        Duration::from_millis(now_ms.saturating_sub(changed_at_ms))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_after_a_rest_is_sent_at_once_and_the_next_one_waits() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.wait(7), None);
        pacer.record_change(7);
        assert_eq!(pacer.wait(7), Some(Duration::ZERO));
        assert_eq!(pacer.record_sent(9), Duration::from_millis(2));
        assert_eq!(pacer.wait(9), None, "nothing is new");
        pacer.record_change(19);
        pacer.record_change(29);
        assert_eq!(pacer.wait(29), Some(Duration::from_millis(230)));
        assert_eq!(pacer.record_sent(259), Duration::from_millis(240), "since the first change");
        pacer.record_change(10_000);
        assert_eq!(pacer.wait(10_000), Some(Duration::ZERO));
    }

    proptest! {
        /// Changes at any times: no second has more than four messages, and the last change is sent
        /// within the interval.
        #[test]
        fn at_most_four_messages_a_second_and_no_change_is_lost(
            gaps_ms in proptest::collection::vec(0_u64..400, 1..60),
        ) {
            let mut changes_ms: Vec<u64> = gaps_ms
                .iter()
                .scan(1000, |now_ms, gap_ms| {
                    *now_ms += gap_ms;
                    Some(*now_ms)
                })
                .collect();
            let last_ms = *changes_ms.last().expect("one at least");
            let mut pacer = Pacer::default();
            let mut sent_ms: Vec<u64> = Vec::new();
            for now_ms in 0..=last_ms + INTERVAL_MS {
                while changes_ms.first().is_some_and(|change_ms| *change_ms == now_ms) {
                    changes_ms.remove(0);
                    pacer.record_change(now_ms);
                }
                if pacer.wait(now_ms) == Some(Duration::ZERO) {
                    pacer.record_sent(now_ms);
                    sent_ms.push(now_ms);
                }
            }
            for (index, first_ms) in sent_ms.iter().enumerate() {
                let second = sent_ms[index..].iter().filter(|sent| **sent < first_ms + 1000);
                prop_assert!(second.count() <= 4);
            }
            prop_assert!(sent_ms.last().is_some_and(|sent_ms| *sent_ms >= last_ms));
        }
    }
}
