//! Signals of a running node: SIGTERM and SIGINT stop it, a second one ends it at once, SIGHUP
//! makes it reload certificate and token.
//!
//! A separate thread waits for them: it must respond even when every other thread hangs on a disk.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use tokio::sync::{Notify, watch};
use votekit_http::listener;

use crate::error::CommandError;

/// Time to write the last log lines before the process ends.
const FLUSH_TIME: Duration = Duration::from_millis(500);

/// A requested stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// Name of the signal.
    pub(crate) signal: &'static str,
    /// Time of its arrival.
    pub(crate) at: Instant,
}

/// The signals received.
#[derive(Debug)]
pub(crate) struct Signals {
    stop: watch::Receiver<Option<Stop>>,
    reload: Arc<Notify>,
}

impl Signals {
    /// Catches the signals from now on. The process ends at the latest `stop_time` after the first
    /// stop.
    ///
    /// # Errors
    /// When the operating system has no handles or threads left.
    pub(crate) fn catch(stop_time: Duration) -> Result<Self, CommandError> {
        let (stopping, stop) = watch::channel(None);
        let reload = Arc::new(Notify::new());
        let waking = Arc::clone(&reload);
        let install = || -> io::Result<()> {
            let (wake, waker) = io::pipe()?;
            let mut caught = Vec::new();
            for (signal, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT"), (SIGHUP, "SIGHUP")] {
                let came = Arc::new(AtomicBool::new(false));
                // Handlers run in order of registration: the signal is stored before the thread is
                // woken.
                flag::register(signal, Arc::clone(&came))?;
                low_level::pipe::register(signal, OwnedFd::from(waker.try_clone()?))?;
                caught.push((signal, name, came));
            }
            let waiting = Waiting { caught, stopping, reload: waking, stop_time };
            thread::Builder::new().name("signals".into()).spawn(move || waiting.run(wake))?;
            Ok(())
        };
        install().map_err(|error| {
            CommandError::configuration(format!("cannot handle signals: {error}"))
        })?;
        Ok(Self { stop, reload })
    }

    /// Waits for the stop.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut stop = self.stop.clone();
        let came = stop.wait_for(Option::is_some).await.ok().and_then(|stop| *stop);
        match came {
            Some(stop) => stop,
            // The thread that waits lives as long as the process.
            None => std::future::pending().await,
        }
    }

    /// Waits for SIGHUP. A signal that arrives between two calls is not lost.
    pub(crate) async fn reloaded(&self) {
        self.reload.notified().await;
    }
}

/// Ends the process with this code after a time, unless it has ended by itself.
pub(crate) fn end_after(time: Duration, code: i32) {
    let watchdog = thread::Builder::new().name("watchdog".into());
    // Without the thread the stop has no time limit; a second signal still ends the process.
    let _ = watchdog.spawn(move || {
        thread::sleep(time);
        tracing::warn!(
            event = "stop_timed_out",
            seconds = time.as_secs(),
            "stop took too long, process ended"
        );
        listener::flush_log(FLUSH_TIME);
        std::process::exit(code);
    });
}

/// State of the thread.
struct Waiting {
    caught: Vec<(i32, &'static str, Arc<AtomicBool>)>,
    stopping: watch::Sender<Option<Stop>>,
    reload: Arc<Notify>,
    stop_time: Duration,
}

impl Waiting {
    fn run(self, mut wake: io::PipeReader) {
        while wake.read_exact(&mut [0]).is_ok() {
            for (signal, name, came) in &self.caught {
                if came.swap(false, Ordering::SeqCst) {
                    self.heed(*signal, name);
                }
            }
        }
    }

    fn heed(&self, signal: i32, name: &'static str) {
        if signal == SIGHUP {
            self.reload.notify_one();
            return;
        }
        let first = self.stopping.borrow().is_none();
        if first {
            tracing::info!(
                event = "stop_begun",
                signal = name,
                "stop begun, a second signal ends the process"
            );
            self.stopping.send_replace(Some(Stop { signal: name, at: Instant::now() }));
            end_after(self.stop_time, 0);
            return;
        }
        tracing::warn!(event = "stop_forced", signal = name, "second signal, process ended");
        listener::flush_log(FLUSH_TIME);
        // Ends the process as the signal itself would.
        let _ = low_level::emulate_default_handler(signal);
    }
}
