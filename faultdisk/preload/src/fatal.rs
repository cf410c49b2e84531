//! The end, when going on would be a lie.

use crate::real;

/// Says why, and ends the process at once.
pub(crate) fn fatal(reason: &str) -> ! {
    let line = format!("faultdisk: {reason}\n");
    // SAFETY: the pointer and the length are those of the line. That nobody may read it is no
    // reason to go on.
    unsafe {
        real::write(2, line.as_ptr().cast(), line.len());
        libc::abort()
    }
}

/// The same, with what the system said last.
pub(crate) fn fatal_errno(what: &str) -> ! {
    let number = real::errno();
    fatal(&format!("{what}: error {number}"))
}
