//! A plan of faults that a seed decides, for tests.
//!
//! A role over [`SeededFaults`] fails at random; [`SeededFaults::retried`] adds the minimum that a
//! caller must do about it: it repeats a call until its outcome is definite. A case that passes
//! over both tolerates such faults.

use std::time::Duration;

use parking_lot::Mutex;

use crate::EngineError;
use crate::faults::{Call, Fault, FaultPlan};

const ENGINE: &str = "the unreliable engine";

/// Maximum of attempts for one call when calls are retried.
const RETRIED_ATTEMPTS_MAX: u32 = 1000;

/// The probability of each fault, in percent of calls. The remaining calls are unaffected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Odds {
    /// The call is not made, and fails as unavailable.
    pub unavailable_percent: u8,
    /// The call is made after a delay of up to two milliseconds.
    pub delayed_percent: u8,
    /// A write is made, and its outcome reported as unknown. Reads are unaffected.
    pub outcome_unknown_percent: u8,
    /// An acknowledgement is not made, but reported as made.
    pub acknowledgement_lost_percent: u8,
}

impl Odds {
    /// No faults.
    pub const NONE: Self = Self {
        unavailable_percent: 0,
        delayed_percent: 0,
        outcome_unknown_percent: 0,
        acknowledgement_lost_percent: 0,
    };

    /// Frequent faults: about every third call is affected.
    pub const BAD_DAY: Self = Self {
        unavailable_percent: 12,
        delayed_percent: 10,
        outcome_unknown_percent: 12,
        acknowledgement_lost_percent: 10,
    };
}

/// Faults at random. The same seed gives the same faults, call by call.
#[derive(Debug)]
pub struct SeededFaults {
    odds: Odds,
    attempts_max: u32,
    draws: Mutex<Draws>,
}

impl SeededFaults {
    /// A plan with these odds.
    #[must_use]
    pub fn new(seed: u64, odds: Odds) -> Self {
        Self { odds, attempts_max: 1, draws: Mutex::new(Draws { state: seed }) }
    }

    /// Repeats each call until its outcome is definite.
    #[must_use]
    pub fn retried(mut self) -> Self {
        self.attempts_max = RETRIED_ATTEMPTS_MAX;
        self
    }
}

impl FaultPlan for SeededFaults {
    fn next_fault(&self, call: Call) -> Fault {
        let mut draws = self.draws.lock();
        let before = self.odds.unavailable_percent;
        let delayed = before.saturating_add(self.odds.delayed_percent);
        let after = delayed.saturating_add(self.odds.outcome_unknown_percent);
        match draws.percent() {
            draw if draw < before => Fault::FailBefore(EngineError::Unavailable {
                engine: ENGINE,
                reason: "refused, as planned".to_owned(),
            }),
            draw if draw < delayed => {
                Fault::Delay(Duration::from_micros(20 * u64::from(draws.percent())))
            }
            draw if draw < after && call == Call::Write => {
                Fault::FailAfter(EngineError::OutcomeUnknown {
                    engine: ENGINE,
                    reason: "the answer was lost, as planned".to_owned(),
                })
            }
            _ => Fault::None,
        }
    }

    fn loses_acknowledgement(&self) -> bool {
        self.draws.lock().percent() < self.odds.acknowledgement_lost_percent
    }

    fn attempts_max(&self) -> u32 {
        self.attempts_max
    }
}

/// Pseudorandom generator (SplitMix64).
#[derive(Debug)]
struct Draws {
    state: u64,
}

impl Draws {
    fn percent(&mut self) -> u8 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [.., last] = ((mixed ^ (mixed >> 31)) % 100).to_be_bytes();
        last
    }
}
