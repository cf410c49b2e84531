//! The thread of the readers' sockets. It has a lower priority than the threads that take votes: a
//! message to thousands of readers uses the processor for tens of milliseconds, and votes that
//! arrive meanwhile have priority.

use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Added to the thread's nice value: it gets about a tenth of a processor that is contended.
const NICENESS: i32 = 10;

/// The thread, which ends when this is dropped and no task is left waiting for it.
#[derive(Debug)]
pub(crate) struct ReaderThread {
    /// `None` if the thread could not be started: its tasks then run on the threads for votes.
    runtime: Option<Handle>,
    _end: oneshot::Sender<()>,
}

impl ReaderThread {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let (end, ended) = oneshot::channel();
        let runtime = Self::launch(ended)
            .inspect_err(|error| {
                tracing::warn!(event = "reader_thread_failed", %error, "no thread for readers");
            })
            .ok();
        Self { runtime, _end: end }
    }

    fn launch(ended: oneshot::Receiver<()>) -> std::io::Result<Handle> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("live-readers".to_owned()).spawn(move || {
            // Without the lower priority the thread serves its readers as well.
            let _ = setpriority_process(Some(gettid()), NICENESS);
            // Ends with an error: the sender is dropped.
            let _ = runtime.block_on(ended);
        })?;
        Ok(handle)
    }

    /// Runs the task of a reader.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_of_a_reader_runs_on_the_thread_of_lower_priority() {
        let thread = ReaderThread::start();
        let (sender, receiver) = oneshot::channel();
        thread.spawn(async move {
            let name = std::thread::current().name().map(str::to_owned);
            let priority = rustix::process::getpriority_process(Some(gettid()));
            let _ = sender.send((name, priority));
        });
        let (name, priority) = receiver.await.expect("it ran");
        assert_eq!(name.as_deref(), Some("live-readers"));
        let own = rustix::process::getpriority_process(Some(gettid())).expect("a priority");
        assert!(priority.expect("a priority") > own, "{priority:?} beside {own}");
    }
}
