//! Reads of published keys, under invented ids and a store that fails: by counting them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::time::{sleep, timeout};

use super::*;

/// Published ids, those that were read, and how often.
#[derive(Default)]
struct Store {
    published: Mutex<HashSet<String>>,
    known: Mutex<HashSet<String>>,
    reads: AtomicU32,
    reading: AtomicU32,
    is_down: AtomicBool,
}

#[derive(Default)]
struct Site {
    store: Store,
    reads: KeyReads,
}

impl Site {
    /// Whether the id is found; `None` while the store fails.
    async fn find(&self, kid: &str) -> Option<bool> {
        let known = || self.store.known.lock().contains(kid).then_some(());
        let found = self.reads.find(kid, known, self.store.read()).await;
        match found {
            Ok(found) => Some(found.is_some()),
            Err(problem) => {
                assert_eq!(problem.kind().code, "unavailable");
                None
            }
        }
    }

    fn publish(&self, kid: &str) {
        self.store.published.lock().insert(kid.to_owned());
    }

    fn count(&self) -> u32 {
        self.store.reads.load(Ordering::SeqCst)
    }
}

impl Store {
    async fn read(&self) -> Result<(), Problem> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.reading.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        let published = self.published.lock().clone();
        sleep(Duration::from_millis(20)).await;
        self.reading.fetch_sub(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Problem::Refused(Refusal::AccountsUnavailable));
        }
        *self.known.lock() = published;
        Ok(())
    }
}

#[tokio::test]
async fn many_tokens_of_unseen_keys_share_one_read() {
    let site = Arc::new(Site::default());
    site.publish("fresh");
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let site = Arc::clone(&site);
        let kid = if number % 10 == 0 { "fresh".to_owned() } else { format!("invented-{number}") };
        calls.spawn(async move { (site.find(&kid).await, kid) });
    }
    while let Some(call) = calls.join_next().await {
        let (found, kid) = call.expect("no panic");
        assert_eq!(found, Some(kid == "fresh"), "{kid}");
    }
    // The first call reads at once; those that came during its read share a second one.
    assert!(site.count() <= 2, "{}", site.count());
}

#[tokio::test]
async fn an_invented_id_that_is_repeated_is_not_read_again() {
    let site = Site::default();
    assert_eq!(site.find("invented").await, Some(false));
    let begun = Instant::now();
    for _ in 0..1000 {
        assert_eq!(site.find("invented").await, Some(false));
    }
    assert_eq!(site.count(), 1);
    assert!(begun.elapsed() < READ_INTERVAL, "none of them waits");
}

#[tokio::test]
async fn a_fresh_key_is_found_within_a_second_during_a_flood_of_invented_ids() {
    let site = Arc::new(Site::default());
    let flood = Arc::clone(&site);
    let flood = tokio::spawn(async move {
        for number in 0.. {
            let site = Arc::clone(&flood);
            tokio::spawn(async move { site.find(&format!("invented-{number}")).await });
            sleep(Duration::from_millis(2)).await;
        }
    });
    let begun = Instant::now();
    for number in 0..3 {
        sleep(Duration::from_millis(300)).await;
        let kid = format!("fresh-{number}");
        site.publish(&kid);
        let found = timeout(Duration::from_secs(1), site.find(&kid)).await;
        assert_eq!(found.expect("within a second"), Some(true));
    }
    let reads_max = begun.elapsed().as_millis() / READ_INTERVAL.as_millis() + 2;
    assert!(u128::from(site.count()) <= reads_max, "{} reads", site.count());
    flood.abort();
}

#[tokio::test]
async fn reads_back_off_while_the_store_fails_and_come_back_within_a_second() {
    let site = Site::default();
    site.store.is_down.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        number += 1;
        assert_eq!(site.find(&format!("kid-{number}")).await, None);
        sleep(Duration::from_millis(2)).await;
    }
    // At 0, 145, 415 and 935 ms, and at 1,955 ms if that is within the time.
    assert!((2..=5).contains(&site.count()), "{} reads for {number} tokens", site.count());
    site.store.is_down.store(false, Ordering::SeqCst);
    site.publish("fresh");
    let back = async {
        while site.find("fresh").await != Some(true) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(BACK_OFF_MAX + READ_INTERVAL, back).await.expect("found again");
}

#[tokio::test]
async fn a_read_that_is_dropped_decides_nothing() {
    let site = Site::default();
    let dropped = timeout(Duration::from_millis(5), site.find("fresh")).await;
    assert!(dropped.is_err(), "dropped in its read");
    site.store.reading.store(0, Ordering::SeqCst);
    site.publish("fresh");
    assert_eq!(site.find("fresh").await, Some(true));
    assert_eq!(site.count(), 2);
}

#[test]
fn the_unknown_ids_are_bounded() {
    let reads = KeyReads::default();
    for number in 0..3 * UNKNOWN_MAX {
        reads.remember_unknown(&number.to_string());
        assert!(reads.unknown.lock().len() <= UNKNOWN_MAX);
    }
    assert!(reads.is_unknown(&(3 * UNKNOWN_MAX - 1).to_string()));
    assert!(!reads.is_unknown("0"));
    assert_eq!(
        [0, 1, 2, 3, 9].map(|failures| back_off(failures).as_millis()),
        [125, 250, 500, 1000, 1000]
    );
}
