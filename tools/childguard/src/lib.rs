//! Ends the processes that a test or a tool started, even when it is killed and cannot end them.
//!
//! ```text
//! the process ──mark──▶ its children, their children …  CHILDGUARD=…,PID-START in each environment
//!      │
//!      └──pipe──▶ the guard: a shell. The pipe closes: kill every process that carries the mark
//! ```
//!
//! The kernel closes the pipe however the process ends: by exit, signal or SIGKILL. Children
//! inherit the mark, so it also reaches a node that a test program started under cargo. Start a
//! process that must outlive its parent with [`unmark`], or with an empty environment.
//!
//! Needs Linux (`/proc`), a POSIX shell and GNU grep. A tool calls [`guard_this_process`] once; a
//! test passes each command through [`guard`].

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The environment variable with the marks of all guarded ancestors, separated by commas.
const VARIABLE: &str = "CHILDGUARD";

/// Written to the pipe by a process that ended its children itself.
const DISMISSED: &str = "dismissed";

/// Waits for the pipe to close, then kills until three rounds in a row find no marked process: a
/// child between fork and exec shows its mark a moment later. `$1` is the mark.
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
        // Its own process group survives Ctrl-C; without the mark it does not kill itself.
        unmark(command.process_group(0));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// Ends the guard when this process has ended its children itself. Any that remain keep
    /// running.
    pub fn dismiss(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // The write fails if the guard was killed: nothing to dismiss then.
            let _ = writeln!(pipe, "{DISMISSED}");
        }
        let _ = self.0.wait();
    }
}

/// Guards every process this one starts from now on, without changes to each command: the program
/// executes itself again, under the same process id, with its mark in its own environment.
///
/// # Errors
/// When the program cannot be executed again, or the shell cannot be started.
pub fn guard_this_process() -> io::Result<Guard> {
    let mark = own_mark()?;
    let marks = std::env::var(VARIABLE).unwrap_or_default();
    // If the last mark is this process's own, the program has already executed itself again.
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
/// When the shell cannot be started: a test must not leave processes behind.
pub fn guard(command: &mut Command) -> &mut Command {
    static GUARDED: OnceLock<(Guard, String)> = OnceLock::new();
    let (_, marks) = GUARDED.get_or_init(|| {
        let mark = own_mark().expect("/proc/self/stat of Linux");
        let marks = std::env::var(VARIABLE).unwrap_or_default();
        (Guard::start(&mark).expect("a shell"), joined(&marks, &mark))
    });
    command.env(VARIABLE, marks)
}

/// Removes the marks from a command whose process must outlive this one.
pub fn unmark(command: &mut Command) -> &mut Command {
    command.env_remove(VARIABLE)
}

/// The variable with the marks of this process's guarded ancestors but not its own: for a process
/// that may outlive this one but not those. `None` without such ancestors.
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

/// The process id with the start time, since the kernel reuses process ids.
fn own_mark() -> io::Result<String> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name is in parentheses and may contain anything; field 3 follows it: proc(5).
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
