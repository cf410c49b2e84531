//! Protects the memory of the whole process: no core dump, no reader but root, and no swap where
//! the system lets the process lock its memory.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{CapabilitySet, capabilities};

/// The protections applied, as logged.
#[derive(Debug)]
#[non_exhaustive]
pub struct Protection {
    /// Whether the kernel refuses core dumps of this process, and refuses other processes of the
    /// same account access to its memory.
    pub undumpable: io::Result<()>,
    /// Whether core files are limited to no bytes, for this process and its children.
    pub no_core_file: io::Result<()>,
    /// Whether the memory is locked.
    pub lock: Lock,
    /// The swap areas of the machine, by name.
    pub swap_areas: Vec<String>,
}

/// Whether the memory is locked, so that it never reaches a swap area.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lock {
    /// All memory is locked, including later allocations.
    Locked,
    /// `RLIMIT_MEMLOCK` allows only a part. Locking would make later allocations fail.
    Limited {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The system refused.
    Refused(io::Error),
}

/// Protects the memory of this process as far as the system allows, and logs the result. Call it
/// before the first secret is read.
pub fn protect() -> Protection {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let protection = Protection {
        undumpable: set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Into::into),
        no_core_file: setrlimit(Resource::Core, no_core).map_err(Into::into),
        lock: lock(),
        swap_areas: std::fs::read_to_string("/proc/swaps")
            .map(|table| swap_areas(&table))
            .unwrap_or_default(),
    };
    log(&protection);
    protection
}

fn lock() -> Lock {
    // With this capability the kernel ignores the limit, also for later allocations; but only
    // outside of user namespaces.
    let unlimited = || {
        capabilities(None).is_ok_and(|held| held.effective.contains(CapabilitySet::IPC_LOCK))
            && std::fs::read_to_string("/proc/self/uid_map")
                .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
    };
    match getrlimit(Resource::Memlock).current {
        Some(limit_bytes) if !unlimited() => Lock::Limited { limit_bytes },
        // Pages are locked on first use: much of the reserved memory, such as thread stacks, is
        // never used.
        _ => {
            match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
            {
                Ok(()) => Lock::Locked,
                Err(error) => Lock::Refused(error.into()),
            }
        }
    }
}

/// The names in `/proc/swaps`: a heading, then one area a line.
fn swap_areas(table: &str) -> Vec<String> {
    let names = table.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

fn log(protection: &Protection) {
    for (setting, result) in
        [("PR_SET_DUMPABLE", &protection.undumpable), ("RLIMIT_CORE", &protection.no_core_file)]
    {
        if let Err(error) = result {
            tracing::warn!(
                event = "memory_not_protected",
                setting,
                %error,
                "core dumps remain possible"
            );
        }
    }
    let locked = matches!(protection.lock, Lock::Locked);
    let (reason, limit_bytes) = match &protection.lock {
        Lock::Locked => (None, None),
        Lock::Limited { limit_bytes } => {
            (Some("RLIMIT_MEMLOCK is finite".to_owned()), Some(*limit_bytes))
        }
        Lock::Refused(error) => (Some(error.to_string()), None),
    };
    tracing::info!(
        event = "memory_protection",
        undumpable = protection.undumpable.is_ok(),
        no_core_file = protection.no_core_file.is_ok(),
        locked,
        reason,
        limit_bytes,
        "memory protection set"
    );
    if !locked && !protection.swap_areas.is_empty() {
        let swap_areas = protection.swap_areas.join(" ");
        tracing::warn!(
            event = "swap_in_use",
            swap_areas,
            "memory not locked and swap in use, turn swap off or set LimitMEMLOCK=infinity"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_areas_are_read_from_the_kernels_table() {
        let table = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
                     /dev/nvme0n1p3                          partition\t8388604\t\t0\t\t-2\n\
                     /swapfile                               file\t\t2097148\t\t0\t\t-3\n";
        assert_eq!(swap_areas(table), ["/dev/nvme0n1p3", "/swapfile"]);
        assert!(swap_areas("Filename\tType\tSize\tUsed\tPriority\n").is_empty());
        assert!(swap_areas("").is_empty());
    }
}
