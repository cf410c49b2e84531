//! Keeps every checkpoint that the authorities publish during a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::chaos::LAW;
use crate::chaos::node::{Addresses, answer};

/// How often each authority is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Threads that ask one authority each: one that is stopped holds up no other.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Vec<PathBuf>>>>,
}

impl Watch {
    /// Begins to poll. Each checkpoint becomes a file in `folder/seen`.
    pub(crate) fn start(folder: &Path, authorities: Vec<(String, Addresses)>) -> Result<Self> {
        let folder = folder.join("seen");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let threads = authorities
            .into_iter()
            .map(|(name, addresses)| {
                let (stop, folder) = (Arc::clone(&stop), folder.clone());
                std::thread::spawn(move || poll(&stop, &folder, &name, addresses))
            })
            .collect();
        Ok(Self { stop, threads })
    }

    /// Ends the polling. Returns the files, in no particular order.
    pub(crate) fn finish(mut self) -> Result<Vec<PathBuf>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut seen = Vec::new();
        for thread in std::mem::take(&mut self.threads) {
            seen.extend(thread.join().map_err(|_| anyhow::anyhow!("a watch panicked"))??);
        }
        Ok(seen)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // After a failure the threads are not awaited: they end by themselves.
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn poll(
    stop: &AtomicBool,
    folder: &Path,
    name: &str,
    addresses: Addresses,
) -> Result<Vec<PathBuf>> {
    let path = format!("/log/{LAW}/checkpoint");
    let (mut seen, mut last) = (Vec::new(), String::new());
    while !stop.load(Ordering::SeqCst) {
        if let Some(note) = answer(addresses.public(), &path)
            && note != last
        {
            let file = folder.join(format!("{name}-{}", seen.len() + 1));
            fs::write(&file, &note).with_context(|| format!("writing {}", file.display()))?;
            seen.push(file);
            last = note;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(seen)
}
