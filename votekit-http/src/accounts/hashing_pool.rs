//! The work on passwords: a few hashes at once, and a bounded queue before them. A hash needs 19
//! MiB and tens of milliseconds, and must not delay the votes.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::password::HashError;

/// The most hashes that are made at once.
const RUNNING_MAX: usize = 2;

/// The maximum number of running and waiting hashes: the last of them waits for about half a
/// second.
const SLOTS_MAX: usize = 32;

/// Why no hash was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// The pool is full.
    #[error("too many passwords are waiting")]
    Busy,
    /// The hash failed.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// The slots for hashes.
pub(crate) struct HashingPool {
    running: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    /// How many hashes were begun.
    #[cfg(test)]
    pub(super) begun: std::sync::atomic::AtomicU64,
}

impl HashingPool {
    pub(crate) fn new() -> Self {
        Self::with_slots(RUNNING_MAX, SLOTS_MAX)
    }

    fn with_slots(running_max: usize, slots: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            running: semaphore(running_max),
            slots: semaphore(slots),
            #[cfg(test)]
            begun: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// Runs work on a blocking thread, in the order of the calls. If the caller is dropped, its
    /// slot becomes free only when the started work is done: otherwise dropped requests could start
    /// any number of hashes.
    ///
    /// # Errors
    /// [`PoolError::Busy`] at once, if no slot is free; or the error of the work.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, PoolError> {
        // Neither semaphore is ever closed.
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| PoolError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PoolError::Busy)?;
        #[cfg(test)]
        self.begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let done = tokio::task::spawn_blocking(move || {
            let _held = (slot, turn);
            work()
        });
        Ok(done.await.map_err(|_| HashError::Panicked)??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_refuses_at_once_and_empties() {
        let pool = Arc::new(HashingPool::with_slots(1, 2));
        let (release, held) = mpsc::channel::<()>();
        let (begun, beginning) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    let _ = begun.send(());
                    held.recv().map_err(|_| HashError::Random)
                })
                .await
            }
        });
        beginning.await.expect("it begins");
        let second = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(|| Ok(2)).await }
        });
        while pool.slots.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(pool.run(|| Ok(3)).await, Err(PoolError::Busy)));
        release.send(()).expect("it waits");
        first.await.expect("no panic").expect("done");
        assert_eq!(second.await.expect("no panic").expect("done"), 2);
        assert_eq!(pool.run(|| Ok(3)).await.expect("free again"), 3);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let pool = HashingPool::with_slots(1, 1);
        let panicked = pool.run::<()>(|| panic!("a test panics")).await;
        assert!(matches!(panicked, Err(PoolError::Hash(HashError::Panicked))));
        assert_eq!(pool.run(|| Ok(1)).await.expect("free again"), 1);
    }
}
