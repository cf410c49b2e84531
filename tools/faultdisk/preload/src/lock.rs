//! Locks of the disk.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. Ignoring poison is sound: a panic in a C function ends the process, so no other thread
/// sees the state it left.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
