//! Ends the processes that a test or a tool started, also when it is killed and cannot end them.
//!
//! ```text
//! the process ──mark──▶ its children, their children …     CHILDGUARD=…,PID-START in each environment
//!      │
//!      └──pipe──▶ the guard: a shell. The pipe closes: kill every process that carries the mark
//! ```
//!
//! The kernel closes the pipe however the process ends: by itself, by a signal, by SIGKILL. The
//! mark is inherited, so it also reaches a node that a test program started which cargo started.
//! A process that must outlive its starter is started with [`unmark`], or with an empty
//! environment.
//!
//! Needs Linux (`/proc`), a POSIX shell and GNU grep. A tool calls [`guard_this_process`] once; a
//! test passes each command through [`guard`].

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The environment variable that holds the marks of all guarded ancestors, apart by commas.
const VARIABLE: &str = "CHILDGUARD";

/// Written by a process that ended its children itself.
const DISMISSED: &str = "dismissed";

/// Waits for the end of the pipe, then kills until no marked process has been seen for three
/// rounds: one that was between fork and exec carries its mark a moment later. `$1` is the mark.
const GUARD: &str = r#"
trap '' HUP INT TERM
read -r word && [ "$word" = dismissed ] && exit 0
quiet=0
round=0
while [ $quiet -lt 3 ] && [ $round -lt 300 ]; do
    found=$(grep -lszE "^CHILDGUARD=(.*,)?$1(,.*)?\$" /proc/[0-9]*/environ | cut -d/ -f3)
    if [ -n "$found" ]; then
        quiet=0
        kill -KILL $found 2>/dev/null
    else
        quiet=$((quiet + 1))
    fi
    round=$((round + 1))
    sleep 0.1
done
"#;

/// The guard of this process's children.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    fn start(mark: &str) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "childguard", mark]);
        // In a group of its own it outlives Ctrl-C; unmarked it does not kill itself.
        unmark(command.process_group(0));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// Ends the guard: this process ended its children itself. What is left of them stays.
    pub fn dismiss(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // A guard that was killed has nothing to be dismissed from.
            let _ = writeln!(pipe, "{DISMISSED}");
        }
        let _ = self.0.wait();
    }
}

/// Guards every process that this one starts from here on, without a word at each command: the
/// program executes itself again, under the same process id, with its mark in its own environment.
///
/// # Errors
/// When the program cannot be executed again, or no shell can be started.
pub fn guard_this_process() -> io::Result<Guard> {
    let mark = own_mark()?;
    let marks = std::env::var(VARIABLE).unwrap_or_default();
    if marks.rsplit(',').next() != Some(mark.as_str()) {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let mut again = Command::new(std::env::current_exe()?);
        return Err(again.arg0(name).args(arguments).env(VARIABLE, joined(&marks, &mark)).exec());
    }
    Guard::start(&mark)
}

/// Marks a command as a child of this process. The first call starts the guard.
///
/// # Panics
/// When no shell can be started: a test that leaves processes behind is worse than none.
pub fn guard(command: &mut Command) -> &mut Command {
    static GUARDED: OnceLock<(Guard, String)> = OnceLock::new();
    let (_, marks) = GUARDED.get_or_init(|| {
        let mark = own_mark().expect("/proc/self/stat of Linux");
        let marks = std::env::var(VARIABLE).unwrap_or_default();
        (Guard::start(&mark).expect("a shell"), joined(&marks, &mark))
    });
    command.env(VARIABLE, marks)
}

/// Takes the marks from a command whose process must outlive this one.
pub fn unmark(command: &mut Command) -> &mut Command {
    command.env_remove(VARIABLE)
}

/// The variable with the marks of this process's guarded ancestors, its own left out: for a process
/// that may outlive this one, and not those. `None` without such ancestors.
#[must_use]
pub fn ancestors() -> Option<(&'static str, String)> {
    let marks = std::env::var(VARIABLE).ok()?;
    let own = own_mark().ok()?;
    let ancestors = match marks.strip_suffix(own.as_str()) {
        Some(rest) => rest.trim_end_matches(','),
        None => &marks,
    };
    (!ancestors.is_empty()).then(|| (VARIABLE, ancestors.to_owned()))
}

fn joined(marks: &str, mark: &str) -> String {
    if marks.is_empty() { mark.to_owned() } else { format!("{marks},{mark}") }
}

/// The process id with the start time, since ids are given out again.
fn own_mark() -> io::Result<String> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name stands in parentheses and may hold anything; field 3 follows it: proc(5).
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
    let started = fields.and_then(|mut fields| fields.nth(22 - 3));
    let started = started.ok_or_else(|| io::Error::other("/proc/self/stat has no field 22"))?;
    Ok(format!("{}-{started}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_one_process() {
        let mark = own_mark().expect("Linux");
        assert_eq!(mark, own_mark().expect("Linux"));
        let (pid, started) = mark.split_once('-').expect("two numbers");
        assert_eq!(pid, std::process::id().to_string());
        assert!(started.bytes().all(|byte| byte.is_ascii_digit()), "{mark}");
        assert_eq!(joined("", "2-2"), "2-2");
        assert_eq!(joined("1-1", "2-2"), "1-1,2-2");
    }
}
