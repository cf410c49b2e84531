//! Fault injection: a wrapper over each role that fails calls according to a seeded plan, and one
//! that retries.
//!
//! [`Unreliable`] fails as networks and disks do: it refuses a call before anything happens, delays
//! it, makes a write and reports an unknown outcome, or loses an acknowledgement. [`Persistent`] is
//! the minimum that a caller must do about it: retry until the outcome is definite. A case that
//! passes over both tolerates such faults.

mod accounts;
mod ballot_box;
mod ledger;
mod registry;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use votekit_core::id::ElectionId;

use crate::{EngineError, Head};

const ENGINE: &str = "the unreliable engine";

/// Maximum of attempts that [`Persistent`] makes for one call.
const TRIES_MAX: u32 = 1000;

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
    /// Frequent faults: about every third call is affected.
    pub const BAD_DAY: Self = Self {
        unavailable_percent: 12,
        delayed_percent: 10,
        outcome_unknown_percent: 12,
        acknowledgement_lost_percent: 10,
    };
}

/// A role that fails according to a plan. The same seed gives the same faults, call by call.
#[derive(Debug)]
pub struct Unreliable<T: ?Sized> {
    plan: Mutex<Plan>,
    odds: Odds,
    shared: bool,
    put_back: Mutex<Option<(ElectionId, Head)>>,
    inner: Arc<T>,
}

/// A role that retries each call until its outcome is definite.
#[derive(Debug)]
pub struct Persistent<T> {
    inner: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Before,
    Late(Duration),
    After,
}

impl<T: ?Sized> Unreliable<T> {
    /// Wraps a role.
    #[must_use]
    pub fn new(inner: Arc<T>, seed: u64, odds: Odds) -> Self {
        Self {
            plan: Mutex::new(Plan { state: seed }),
            odds,
            shared: false,
            put_back: Mutex::default(),
            inner,
        }
    }

    /// Reports the ledger as shared, as if other processes used it.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// From now on, reports this head for a log, as if the server had been restored from a backup.
    pub fn put_back(&self, law_id: ElectionId, head: Head) {
        *self.put_back.lock() = Some((law_id, head));
    }

    fn next_fault(&self) -> Fault {
        let mut plan = self.plan.lock();
        let Odds {
            unavailable_percent: before,
            delayed_percent: late,
            outcome_unknown_percent: after,
            ..
        } = self.odds;
        match plan.percent() {
            draw if draw < before => Fault::Before,
            draw if draw < before.saturating_add(late) => {
                Fault::Late(Duration::from_micros(20 * u64::from(plan.percent())))
            }
            draw if draw < before.saturating_add(late).saturating_add(after) => Fault::After,
            _ => Fault::None,
        }
    }

    fn loses_acknowledgement(&self) -> bool {
        self.plan.lock().percent() < self.odds.acknowledgement_lost_percent
    }

    async fn read<R>(
        &self,
        call: impl Future<Output = Result<R, EngineError>> + Send,
    ) -> Result<R, EngineError> {
        match self.next_fault() {
            Fault::Before => return Err(refused()),
            Fault::Late(delay) => tokio::time::sleep(delay).await,
            Fault::None | Fault::After => {}
        }
        call.await
    }

    async fn write<R>(
        &self,
        call: impl Future<Output = Result<R, EngineError>> + Send,
    ) -> Result<R, EngineError> {
        match self.next_fault() {
            Fault::Before => return Err(refused()),
            Fault::Late(delay) => tokio::time::sleep(delay).await,
            Fault::None => {}
            Fault::After => {
                call.await?;
                return Err(EngineError::OutcomeUnknown {
                    engine: ENGINE,
                    reason: "the answer was lost, as planned".into(),
                });
            }
        }
        call.await
    }
}

impl<T> Persistent<T> {
    /// Wraps a role.
    #[must_use]
    pub fn new(inner: T) -> Self {
        Self { inner }
    }
}

/// Retries until the outcome is definite, up to [`TRIES_MAX`] attempts.
async fn persist<R, F>(mut call: impl FnMut() -> F + Send) -> Result<R, EngineError>
where
    F: Future<Output = Result<R, EngineError>> + Send,
{
    let mut tries = 1;
    loop {
        match call().await {
            Err(EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. })
                if tries < TRIES_MAX =>
            {
                tries += 1
            }
            definite => return definite,
        }
        tokio::task::yield_now().await;
    }
}

fn refused() -> EngineError {
    EngineError::Unavailable { engine: ENGINE, reason: "refused, as planned".into() }
}

/// Pseudorandom generator (SplitMix64).
#[derive(Debug)]
struct Plan {
    state: u64,
}

impl Plan {
    fn percent(&mut self) -> u8 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [.., last] = ((mixed ^ (mixed >> 31)) % 100).to_be_bytes();
        last
    }
}
