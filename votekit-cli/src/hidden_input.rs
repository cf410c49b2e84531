//! A line typed at the terminal without being shown, such as an access code.
//!
//! While nothing is shown, a signal that ends or stops the process first puts the terminal back as
//! it was: else the next shell would show nothing of what is typed.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::{flag, low_level};
use zeroize::Zeroizing;

use crate::interruption::is_ignored;
use crate::output::to_stderr;

/// The longest line that a terminal hands over at once.
const LINE_BYTES_MAX: usize = 4096;

/// The terminal as it was, while it shows nothing.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a line from standard input, a terminal, without showing it. `None` at the end of input.
///
/// # Errors
/// When the terminal cannot be set or read; it is then as it was.
pub(crate) fn read_line() -> io::Result<Option<Zeroizing<String>>> {
    restore_on_signals()?;
    let hidden = Hidden::begin()?;
    // One buffer that never grows: no copy of the code is left behind in freed memory.
    let mut line = Zeroizing::new([0; LINE_BYTES_MAX]);
    let length = loop {
        match rustix::io::read(io::stdin(), line.as_mut_slice()) {
            Ok(length) => break length,
            // After a stop the terminal was set again, and the line is typed anew.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    drop(hidden);
    if length == 0 {
        return Ok(None);
    }
    let text = std::str::from_utf8(&line[..length])
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the line is not text in UTF-8"))?;
    Ok(Some(Zeroizing::new(text.trim().to_owned())))
}

/// While it lives the terminal shows nothing of what is typed.
struct Hidden;

impl Hidden {
    fn begin() -> io::Result<Self> {
        let mut before = before();
        let shown = tcgetattr(io::stdin())?;
        hide(&shown)?;
        *before = Some(shown);
        Ok(Self)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        restore(&mut before());
    }
}

/// Shows nothing but the line feed that ends the line.
fn hide(shown: &Termios) -> io::Result<()> {
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    hidden.local_modes |= LocalModes::ECHONL;
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, &hidden)?)
}

/// Puts the terminal back as it was, if it shows nothing. Tells whether it did.
fn restore(before: &mut Option<Termios>) -> bool {
    let Some(shown) = before.take() else { return false };
    // A terminal that is gone needs nothing.
    let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &shown);
    true
}

/// Installed once, for the rest of the process: a handler that is taken away again would leave its
/// signal without effect.
fn restore_on_signals() -> io::Result<()> {
    static INSTALLED: Once = Once::new();
    let mut result = Ok(());
    INSTALLED.call_once(|| result = install());
    result
}

fn install() -> io::Result<()> {
    let (mut wake, waker) = io::pipe()?;
    let caught = Arc::new(AtomicUsize::new(0));
    let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];
    for signal in signals.into_iter().filter(|signal| !is_ignored(*signal)) {
        // Handlers run in the order of their registration: first it is noted which signal it was.
        flag::register_usize(signal, Arc::clone(&caught), signal as usize)?;
        low_level::pipe::register(signal, OwnedFd::from(waker.try_clone()?))?;
    }
    thread::Builder::new().name("hidden-input".into()).spawn(move || {
        while wake.read_exact(&mut [0]).is_ok() {
            handle(i32::try_from(caught.load(Ordering::SeqCst)).unwrap_or(SIGTERM));
        }
    })?;
    Ok(())
}

/// Puts the terminal back, then lets the signal do what it does.
fn handle(signal: i32) {
    // Held meanwhile: no prompt hides anything between the two.
    let mut before = before();
    let shown = before.clone();
    if restore(&mut before) {
        to_stderr("\n");
    }
    // One that ends the process does not return from here; one that stops it returns when the
    // process is continued.
    let _ = low_level::emulate_default_handler(signal);
    if let Some(shown) = shown
        && hide(&shown).is_ok()
    {
        *before = Some(shown);
    }
}
