//! Aborts the process when the recording would become wrong.

use crate::real;

/// Prints the reason to standard error and aborts.
pub(crate) fn fatal(reason: &str) -> ! {
    let line = format!("faultdisk: {reason}\n");
    // SAFETY: the pointer and the length are those of the line. A failed write does not stop the
    // abort.
    unsafe {
        real::write(2, line.as_ptr().cast(), line.len());
        libc::abort()
    }
}

/// Like [`fatal`], with the current `errno`.
pub(crate) fn fatal_errno(what: &str) -> ! {
    let number = real::errno();
    fatal(&format!("{what}: error {number}"))
}
