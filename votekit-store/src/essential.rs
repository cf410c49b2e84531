//! Supervises tasks of engines on which the whole process depends and which no node owns. Without
//! this supervision, a panic in such a task would go unnoticed.

use std::sync::LazyLock;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The first task that panicked.
static PANICKED: LazyLock<watch::Sender<Option<&'static str>>> =
    LazyLock::new(|| watch::Sender::new(None));

/// Spawns an essential task: if it panics, every node of the process stops.
pub fn spawn<T: Send + 'static>(
    what: &'static str,
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(async move {
        let _guard = Guard(what);
        task.await
    })
}

/// Waits until an essential task panics, and returns its name.
pub async fn panicked() -> &'static str {
    let mut panicked = PANICKED.subscribe();
    let first = panicked.wait_for(Option::is_some).await.ok().and_then(|first| *first);
    match first {
        Some(what) => what,
        // Unreachable: the sender lives as long as the process.
        None => std::future::pending().await,
    }
}

struct Guard(&'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        // A task that ends or is cancelled drops the guard too, without a panic.
        if std::thread::panicking() {
            PANICKED.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(self.0);
                is_first
            });
        }
    }
}
