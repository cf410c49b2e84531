//! The places of a listener: how many connections it holds, how many from one address, and who must
//! leave when they are all taken.
//!
//! ```text
//! over the share of its address     refused at once
//! every place taken                 the longest idle are told to leave; the newcomer waits for the first place
//! … and nobody is idle for long     the newcomer waits: the system's queue holds who comes after it
//! ```
//!
//! Idle is whoever has sent no whole request: it says nothing, trickles, or keeps a connection for
//! later. Dropping it loses nothing. But whoever has just come is about to ask: a crowd that comes
//! again as fast as it is sent away must not push out a voter between the connection and its first
//! request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;
use crate::metrics;
use crate::throttle::Prefix;

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    places_max: u32,
    /// 0: any number.
    per_address_max: u32,
    start: Instant,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    held: HashMap<u64, Arc<Activity>>,
    next: u64,
    /// Connections by address prefix: no more prefixes than places.
    by_prefix: HashMap<Prefix, u32>,
    /// The longest idle when it was last looked for them, the longest first, with the time since
    /// which they waited. Whoever has not moved since then is idle for longer than everybody who is
    /// not in here.
    idle: VecDeque<(u64, u64)>,
}

/// The most of the idle that are remembered from one look over all connections.
const IDLE_REMEMBERED_MAX: usize = 1024;

/// Who is idle for less than this stays: time for a TLS handshake and a request over a slow line.
/// So a crowd that comes again and again turns over every place once in this time at the most.
const STAY_MIN_MS: u64 = 1000;

/// How long a newcomer waits for a place before it is looked for the idle again.
const LOOK_AGAIN_TIME: Duration = Duration::from_millis(20);

impl Places {
    /// So many places; 0 for each address: any number.
    pub(super) fn new(places_max: usize, per_address_max: usize) -> Self {
        let places_max =
            u32::try_from(places_max.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX).max(1);
        Self {
            free: Arc::new(Semaphore::new(places_max as usize)),
            places_max,
            per_address_max: u32::try_from(per_address_max).unwrap_or(u32::MAX),
            start: Instant::now(),
            table: Mutex::default(),
        }
    }

    /// Milliseconds since these places were made, from 1.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).map_or(u64::MAX - 1, |elapsed| elapsed + 1)
    }

    /// Takes a place for a connection from this prefix, `None` for one that has no share; waits for
    /// it if all are taken. `Err` when the prefix holds its share already.
    pub(super) async fn take(self: &Arc<Self>, prefix: Option<Prefix>) -> Result<Place, OverShare> {
        if let Some(prefix) = &prefix
            && self.per_address_max > 0
            && self.table().by_prefix.get(prefix).is_some_and(|held| *held >= self.per_address_max)
        {
            metrics::connection_refused();
            return Err(OverShare);
        }
        let permit = self.room().await;
        let activity = Arc::new(Activity::waiting(self.now_ms()));
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.held.insert(number, Arc::clone(&activity));
        if let Some(prefix) = prefix {
            *table.by_prefix.entry(prefix).or_insert(0) += 1;
        }
        Ok(Place { places: Arc::clone(self), number, prefix, activity, _permit: permit })
    }

    /// Resolves when every place is free.
    pub(super) async fn all_free(&self) {
        // The semaphore is never closed.
        let _ = self.free.acquire_many(self.places_max).await;
    }

    async fn room(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return permit;
            }
            // A few more than the one that is needed: a flood of newcomers should not wait for one
            // leaving after the other.
            self.dismiss_idle((self.places_max as usize / 64).clamp(1, 64));
            if let Ok(Ok(permit)) =
                tokio::time::timeout(LOOK_AGAIN_TIME, Arc::clone(&self.free).acquire_owned()).await
            {
                return permit;
            }
        }
    }

    /// Tells so many of the longest idle to leave, as far as there are any that have had their
    /// time.
    fn dismiss_idle(&self, count: usize) {
        let latest_ms = self.now_ms().saturating_sub(STAY_MIN_MS);
        let table = &mut *self.table();
        let mut dismissed = 0;
        let mut looked = false;
        while dismissed < count {
            match table.idle.front().copied() {
                // Who is not in here came later still.
                Some((_, since)) if since > latest_ms => return,
                Some((number, since)) => {
                    table.idle.pop_front();
                    if table.held.get(&number).is_some_and(|activity| activity.dismiss(since)) {
                        metrics::connection_dismissed();
                        dismissed += 1;
                    }
                }
                None if looked => return,
                None => {
                    looked = true;
                    table.find_idle();
                }
            }
        }
    }

    /// No code panics while it holds a table half changed, so a poisoned lock is as good as
    /// another.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn find_idle(&mut self) {
        let waiting =
            |(number, activity): (&u64, &Arc<Activity>)| Some((*number, activity.waiting_since()?));
        let mut idle: Vec<_> = self.held.iter().filter_map(waiting).collect();
        // Of those that wait equally long the first to come goes first.
        idle.sort_unstable_by_key(|(number, since)| (*since, *number));
        idle.truncate(IDLE_REMEMBERED_MAX);
        self.idle = idle.into();
    }
}

/// An address holds its share of the connections already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OverShare;

/// A place, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    prefix: Option<Prefix>,
    activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.places.now_ms()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let table = &mut *self.places.table();
        table.held.remove(&self.number);
        if let Some(prefix) = &self.prefix
            && let Some(held) = table.by_prefix.get_mut(prefix)
        {
            *held -= 1;
            if *held == 0 {
                table.by_prefix.remove(prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::{Throttle, ThrottleConfig};

    fn prefixes() -> [Option<Prefix>; 2] {
        let throttle = Throttle::new(ThrottleConfig::default());
        ["192.0.2.1", "192.0.2.2"]
            .map(|address| Some(throttle.prefix(address.parse().expect("an address"))))
    }

    #[tokio::test]
    async fn an_address_over_its_share_is_refused_and_another_is_not() {
        let places = Arc::new(Places::new(10, 2));
        let [one, other] = prefixes();
        let first = places.take(one).await.expect("free");
        let _second = places.take(one).await.expect("free");
        assert_eq!(places.take(one).await.expect_err("over its share"), OverShare);
        let _another = places.take(other).await.expect("free");
        let _proxied = places.take(None).await.expect("free");
        drop(first);
        let _third = places.take(one).await.expect("one has left");
        assert_eq!(places.table().by_prefix.len(), 2);
    }

    /// Places that were made a while ago, so that times may lie before now.
    fn made_a_while_ago(places_max: usize) -> Arc<Places> {
        let mut places = Places::new(places_max, 0);
        places.start =
            places.start.checked_sub(Duration::from_secs(60)).expect("the system runs for longer");
        Arc::new(places)
    }

    #[tokio::test]
    async fn the_longest_idle_leaves_first_and_who_works_stays() {
        let places = made_a_while_ago(4);
        let mut held = Vec::new();
        for since in [5, 3, 4, 2] {
            let place = places.take(None).await.expect("free");
            place.activity().wait(since);
            held.push(place);
        }
        assert!(held[3].activity().work(), "the longest idle begins to work");
        let leaves = async {
            held[1].activity().dismissed().await;
            drop(held.remove(1));
        };
        let (newcomer, ()) = tokio::join!(places.take(None), leaves);
        let newcomer = newcomer.expect("a place");
        let since: Vec<_> = held.iter().map(|place| place.activity().waiting_since()).collect();
        assert_eq!(since, [Some(5), Some(4), None]);
        // What was remembered does not hold for who has moved since.
        held[1].activity().wait(places.now_ms() + 1000);
        let leaves = async {
            held[0].activity().dismissed().await;
            drop(held.remove(0));
        };
        let (second, ()) = tokio::join!(places.take(None), leaves);
        drop((newcomer, second));
    }

    #[tokio::test]
    async fn who_has_just_come_stays() {
        let places = made_a_while_ago(3);
        let [first, second, third] =
            [places.take(None).await, places.take(None).await, places.take(None).await];
        let held = [first, second, third].map(|place| place.expect("free"));
        held[1].activity().wait(places.now_ms() - STAY_MIN_MS);
        places.dismiss_idle(3);
        held[1].activity().dismissed().await;
        let since = held.each_ref().map(|place| place.activity().waiting_since().is_some());
        assert_eq!(since, [true, false, true], "only who was idle for so long leaves");
    }

    #[tokio::test]
    async fn with_nobody_idle_a_newcomer_waits() {
        let places = Arc::new(Places::new(1, 0));
        let busy = places.take(None).await.expect("free");
        assert!(busy.activity().work());
        let newcomer = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(None).await.map(drop) }
        });
        tokio::time::sleep(3 * LOOK_AGAIN_TIME).await;
        assert!(!newcomer.is_finished());
        busy.activity().wait(places.now_ms());
        busy.activity().dismissed().await;
        drop(busy);
        assert_eq!(newcomer.await.expect("no panic"), Ok(()));
        places.all_free().await;
    }
}
