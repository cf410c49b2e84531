//! Prompts at the terminal: asks for confirmation before a step that cannot be undone, and reads a
//! line without echo, such as an access code.
//!
//! While echo is off, a signal that ends or stops the process first restores the terminal;
//! otherwise the next shell would not echo its input.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::{flag, low_level};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::CommandError;
use crate::interruption::is_ignored;
use crate::output::to_stderr;

/// Longest line that a terminal delivers in one read.
const LINE_BYTES_MAX: usize = 4096;

/// Settings of the terminal before echo was turned off, while it is off.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock()
}

/// Confirmation of a step that cannot be undone
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct YesArgs {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

impl YesArgs {
    /// Whether the user must confirm.
    ///
    /// # Errors
    /// When the user must confirm, and standard input is not a terminal.
    pub(crate) fn must_confirm(self, step: &str) -> Result<bool, CommandError> {
        if self.yes {
            return Ok(false);
        }
        if io::stdin().is_terminal() {
            return Ok(true);
        }
        Err(CommandError::usage(format!(
            "{step} cannot be undone, and there is no terminal to ask for confirmation"
        ))
        .hint("give --yes to confirm"))
    }
}

/// Prints the effect, and asks the user to type the id of the election.
///
/// # Errors
/// When another answer is given; nothing was changed then.
pub(crate) fn confirm(context: &Context, statement: &str, id: &str) -> Result<(), CommandError> {
    context
        .output
        .question(format_args!("{statement}\nType {id} to continue, or Enter to cancel: "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| {
        CommandError::bad_input(format!("cannot read the answer: {error}; nothing was changed"))
    })?;
    if answer.trim() == id {
        return Ok(());
    }
    let hint = format!("the answer must be exactly {id}");
    Err(CommandError::bad_input("not confirmed: nothing was changed").hint(hint))
}

/// Reads a line from standard input, a terminal, without echo. `None` at the end of input.
///
/// # Errors
/// When the terminal cannot be set or read; its settings are then restored.
pub(crate) fn read_line() -> io::Result<Option<Zeroizing<String>>> {
    restore_on_signals()?;
    let hidden = Hidden::begin()?;
    // One buffer that never grows, so that no copy of the code is left in freed memory.
    let mut line = Zeroizing::new([0; LINE_BYTES_MAX]);
    let length = loop {
        match rustix::io::read(io::stdin(), line.as_mut_slice()) {
            Ok(length) => break length,
            // After a stop, echo was turned off again, and the user types the line again.
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

/// While it lives, the terminal does not echo.
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
        // Input that was typed ahead answers the next prompt.
        restore(&mut before(), OptionalActions::Now);
    }
}

/// Turns off echo, except for the line feed that ends the line.
fn hide(shown: &Termios) -> io::Result<()> {
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    hidden.local_modes |= LocalModes::ECHONL;
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, &hidden)?)
}

/// Restores the terminal if echo is off. Returns whether it was.
fn restore(before: &mut Option<Termios>, when: OptionalActions) -> bool {
    let Some(shown) = before.take() else { return false };
    // The error is ignored: a closed terminal need not be restored.
    let _ = tcsetattr(io::stdin().as_fd(), when, &shown);
    true
}

/// Installed once, for the rest of the process: after removing a handler, its signal would have no
/// effect.
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
        // Handlers run in order of registration: the signal is stored before the thread is woken.
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

/// Restores the terminal, then runs the default action of the signal.
fn handle(signal: i32) {
    // Locked meanwhile, so that no prompt turns echo off between the two.
    let mut before = before();
    let shown = before.clone();
    // The half-typed line is discarded, or the shell would read it as a command.
    if restore(&mut before, OptionalActions::Flush) {
        to_stderr("\n");
    }
    // Does not return if the signal ends the process. If it stops the process, returns once it is
    // continued.
    let _ = low_level::emulate_default_handler(signal);
    if let Some(shown) = shown
        && hide(&shown).is_ok()
    {
        *before = Some(shown);
    }
}
