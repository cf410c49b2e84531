//! Tracks whether the engine that stores votes can write. Pure.
//!
//! While it cannot, a vote is refused before its credential is checked: otherwise an attacker who
//! fills the disk could test credentials without casting votes. One vote at a time is still
//! admitted as a probe; its credential is not checked until the vote is stored.

use std::sync::atomic::{AtomicBool, Ordering};

/// The state of the engine after the last write. Starts as writing.
#[derive(Debug, Default)]
pub(crate) struct WriteGate {
    failing: AtomicBool,
    probing: AtomicBool,
}

/// The right of one vote to reach the engine, until it is dropped.
#[derive(Debug)]
pub(crate) struct WritePass<'a> {
    /// Set for the vote that probes whether the engine writes again.
    probes: Option<&'a WriteGate>,
}

impl WriteGate {
    /// Records that a write was stored.
    pub(crate) fn record_success(&self) {
        // Stored only on a change: this is called with every batch.
        if self.failing.load(Ordering::Relaxed) {
            self.failing.store(false, Ordering::Relaxed);
        }
    }

    /// Records that a write is known not to be stored.
    pub(crate) fn record_failure(&self) {
        self.failing.store(true, Ordering::Relaxed);
    }

    /// Admits a vote; `None` while the engine cannot write.
    pub(crate) fn enter(&self) -> Option<WritePass<'_>> {
        if !self.failing.load(Ordering::Relaxed) {
            Some(WritePass { probes: None })
        } else if self.probing.swap(true, Ordering::Acquire) {
            None
        } else {
            Some(WritePass { probes: Some(self) })
        }
    }
}

impl WritePass<'_> {
    /// Whether this vote is the probe: its credential must not be checked before it is stored.
    pub(crate) fn is_probe(&self) -> bool {
        self.probes.is_some()
    }
}

impl Drop for WritePass<'_> {
    fn drop(&mut self) {
        if let Some(health) = self.probes {
            health.probing.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_probe_at_a_time_until_a_success() {
        let health = WriteGate::default();
        let probes = || health.enter().map(|pass| (pass.is_probe(), pass));
        assert!(matches!(probes(), Some((false, _))));
        health.record_failure();
        let probe = probes();
        assert!(matches!(probe, Some((true, _))));
        assert!(probes().is_none());
        drop(probe);
        let probe = probes();
        assert!(matches!(probe, Some((true, _))), "the next one finds out");
        health.record_success();
        assert!(matches!(probes(), Some((false, _))), "whatever became of the probe");
    }
}
