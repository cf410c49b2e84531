//! Overwrites the stack of a thread after work that may have left secrets on it.
//!
//! A moved value leaves its bytes in the frame it left, hash functions keep their last block there,
//! and no destructor reaches either. Therefore code that handles secrets calls [`stack_used`], and
//! the caller at the bottom of the stack overwrites the part above when the work returns.

use std::cell::Cell;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// The size of the overwritten part: more than the deepest call that handles a secret uses. Frames
/// of unoptimised builds are several times as large.
const OVERWRITTEN_BYTES: usize = if cfg!(debug_assertions) { 384 * 1024 } else { 32 * 1024 };

thread_local! {
    static USED: Cell<bool> = const { Cell::new(false) };
}

/// Records that the stack of this thread may contain secrets: it is overwritten as soon as the
/// current step of the calling task ends.
pub fn stack_used() {
    USED.set(true);
}

/// Runs a future, and overwrites the stack after each step that called [`stack_used`]. For the
/// outermost future of a task: its callees are above it on the stack.
pub async fn overwriting_stack<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        let polled = poll(work.as_mut(), context);
        if USED.replace(false) {
            overwrite();
        }
        polled
    })
    .await
}

/// Runs work that handles secrets, then overwrites the stack it used.
pub fn with_overwritten_stack<T>(work: impl FnOnce() -> T) -> T {
    let done = call(work);
    USED.set(false);
    overwrite();
    done
}

// Not inlined: the frame of the caller is not overwritten, so no value may live in it.
#[inline(never)]
fn poll<F: Future>(work: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    work.poll(context)
}

#[inline(never)]
fn call<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    let mut stack = [0_u8; OVERWRITTEN_BYTES];
    // Keeps the compiler from removing the array, which nothing reads.
    black_box(&mut stack);
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    const LENGTH: usize = 4096;

    /// Leaves a pattern on the stack, and returns its address.
    #[inline(never)]
    fn leave_pattern(byte: u8) -> u64 {
        let mut pattern = [0_u8; LENGTH];
        black_box(&mut pattern).fill(byte);
        black_box(&pattern).as_ptr().addr() as u64
    }

    /// Counts the bytes of the pattern that are left. Reads as another process would, since no
    /// value owns that stack any more.
    fn bytes_left(address: u64, byte: u8) -> usize {
        let mut found = vec![0; LENGTH];
        let memory = File::open("/proc/self/mem").expect("the memory of this process");
        memory.read_exact_at(&mut found, address).expect("the stack is mapped");
        found.iter().filter(|found| **found == byte).count()
    }

    /// Calls `leave_pattern` well above the frames of the code that reads it afterwards.
    #[inline(never)]
    fn leave_pattern_deep(byte: u8) -> u64 {
        let mut room = [0_u8; 64 * 1024];
        black_box(&mut room);
        leave_pattern(byte)
    }

    #[test]
    fn work_leaves_its_stack_and_overwriting_clears_it() {
        // A byte value that neither a zeroed nor a poisoned stack contains.
        let byte = 0xb7;
        let left = bytes_left(leave_pattern_deep(byte), byte);
        assert!(left > LENGTH / 2, "without overwriting the pattern stays: {left} bytes left");
        let address = with_overwritten_stack(|| leave_pattern_deep(byte));
        assert_eq!(bytes_left(address, byte), 0);
    }

    #[tokio::test]
    async fn a_step_that_used_the_stack_for_secrets_is_followed_by_overwriting() {
        let byte = 0xc9;
        let address = overwriting_stack(async {
            stack_used();
            leave_pattern_deep(byte)
        })
        .await;
        assert_eq!(bytes_left(address, byte), 0);
        assert!(!USED.get(), "the record is taken back");
    }
}
