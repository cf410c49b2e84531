//! A process identified by its id and start time, so that a reused id is never taken for it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize};

/// A process, running or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Hundredths of a second since the machine's start: proc(5), field 22.
    started_ticks: u64,
}

impl Process {
    /// The process that has this id now.
    pub(crate) fn from_pid(pid: u32) -> Result<Self> {
        let stat = Stat::read(pid).with_context(|| format!("process {pid} ended at once"))?;
        Ok(Self { pid, started_ticks: stat.started_ticks })
    }

    /// Whether it still runs, or is stopped.
    pub(crate) fn runs(self) -> bool {
        // An ended child stays until its status is collected. For any other process this only
        // fails.
        let _ = waitpid(pid(self.pid), WaitOptions::NOHANG);
        Stat::read(self.pid)
            .is_some_and(|stat| stat.started_ticks == self.started_ticks && stat.state != 'Z')
    }

    /// Sends a signal, if it still runs.
    pub(crate) fn signal(self, signal: Signal) {
        if let (true, Some(id)) = (self.runs(), pid(self.pid)) {
            // It may end at this moment: then the signal has no receiver.
            let _ = kill_process(id, signal);
        }
    }

    /// The process and all its descendants, parents first.
    pub(crate) fn family(self) -> Vec<Self> {
        if !self.runs() {
            return Vec::new();
        }
        let mut children: HashMap<u32, Vec<Self>> = HashMap::new();
        for (pid, stat) in all() {
            children
                .entry(stat.parent)
                .or_default()
                .push(Self { pid, started_ticks: stat.started_ticks });
        }
        let mut family = vec![self];
        let mut next = 0;
        while let Some(parent) = family.get(next) {
            family.extend(children.remove(&parent.pid).unwrap_or_default());
            next += 1;
        }
        family
    }

    /// Processor time used so far by it and by children that have ended, in seconds; 0 for a
    /// process that has ended itself.
    pub(crate) fn processor_seconds(self) -> f64 {
        // Hundredths of a second on every Linux: proc(5).
        Stat::read(self.pid)
            .filter(|stat| stat.started_ticks == self.started_ticks)
            .map_or(0.0, |stat| stat.used_ticks as f64 / 100.0)
    }
}

/// Every process of one of these programs whose working directory is a folder or below it, even if
/// that has been removed; those of other users only for root. Other programs, such as a shell in
/// the folder, do not count.
pub(crate) fn working_in(folder: &Path, programs: &[&str]) -> Vec<Process> {
    let works_there = |pid: u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        programs.contains(&name.trim_end())
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.starts_with(folder))
    };
    let there = all().into_iter().filter(|(pid, _)| works_there(*pid));
    there
        .map(|(pid, stat)| Process { pid, started_ticks: stat.started_ticks })
        .filter(|process| process.runs())
        .collect()
}

/// Waits until all have ended. Returns whether they have.
pub(crate) fn wait_ended(processes: &[Process], timeout: Duration) -> bool {
    let begun = Instant::now();
    loop {
        if !processes.iter().any(|process| process.runs()) {
            return true;
        }
        if begun.elapsed() > timeout {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// The used fields of `/proc/PID/stat`.
struct Stat {
    state: char,
    parent: u32,
    /// In hundredths of a second, like all times there.
    used_ticks: u64,
    started_ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses and may contain anything: fields are counted from its end,
        // where field 3 is the state.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: u32::try_from(number(4)?).ok()?,
            used_ticks: number(14)? + number(15)? + number(16)? + number(17)?,
            started_ticks: number(22)?,
        })
    }
}

fn all() -> Vec<(u32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_line_of_proc_is_read_whatever_the_name() {
        let line = "77 (a) b (c) S 12 77 77 0 -1 0 0 0 0 0 150 50 7 1 20 0 1 0 98765 0 0";
        let stat = Stat::parse(line).expect("a line of proc");
        assert_eq!(
            (stat.state, stat.parent, stat.used_ticks, stat.started_ticks),
            ('S', 12, 208, 98765)
        );
        assert!(Stat::parse("77 (short) S 1").is_none());
    }

    #[test]
    fn a_family_is_found_and_ends() -> Result<()> {
        // The shell waits for its own child.
        let mut command = Command::new("sh");
        let child = childguard::guard(command.args(["-c", "sleep 600 & wait"])).spawn()?;
        let shell = Process::from_pid(child.id())?;
        while shell.family().len() < 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let family = shell.family();
        assert_eq!(family[0], shell);
        for process in &family {
            process.signal(Signal::KILL);
        }
        assert!(wait_ended(&family, Duration::from_secs(60)), "killed, and still there");
        assert!(shell.family().is_empty());
        Ok(())
    }

    #[test]
    fn processes_working_in_a_folder_are_found() -> Result<()> {
        let folder = crate::project::scratch("working-in-test")?;
        let mut command = Command::new("sleep");
        let child = childguard::guard(command.arg("600").current_dir(&folder)).spawn()?;
        let process = Process::from_pid(child.id())?;
        while fs::read_to_string(format!("/proc/{}/comm", process.pid))? != "sleep\n" {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(working_in(&folder, &["sleep"]), [process]);
        assert!(
            working_in(&folder.join("below"), &["sleep"]).is_empty()
                && working_in(&folder, &["redis-server"]).is_empty()
        );
        process.signal(Signal::KILL);
        assert!(wait_ended(&[process], Duration::from_secs(60)), "killed, and still there");
        assert!(working_in(&folder, &["sleep"]).is_empty());
        Ok(())
    }

    #[test]
    fn reused_process_id_is_another_process() -> Result<()> {
        let me = Process::from_pid(std::process::id())?;
        assert!(me.runs());
        assert!(!Process { started_ticks: me.started_ticks + 1, ..me }.runs());
        Ok(())
    }
}
