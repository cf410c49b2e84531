//! Tasks that the whole process depends on and that no node owns: those of engines. Should one
//! panic, nothing else would notice that its work is not done any more.

use std::sync::LazyLock;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The first task that panicked.
static PANICKED: LazyLock<watch::Sender<Option<&'static str>>> =
    LazyLock::new(|| watch::Sender::new(None));

/// Spawns a task without which nothing can go on: if it panics, every node of the process stops.
pub fn spawn<T: Send + 'static>(
    what: &'static str,
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(async move {
        let _guard = Guard(what);
        task.await
    })
}

/// Resolves when such a task has panicked, with its name.
pub async fn panicked() -> &'static str {
    let mut panicked = PANICKED.subscribe();
    let first = panicked.wait_for(Option::is_some).await.ok().and_then(|first| *first);
    match first {
        Some(what) => what,
        // The sender lives as long as the process.
        None => std::future::pending().await,
    }
}

struct Guard(&'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            PANICKED.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(self.0);
                is_first
            });
        }
    }
}
