//! Profiles a running node, and divides its processor time among the parts of handling a vote.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::project;

/// Samples a second: a prime, so that the sampling does not coincide with periodic work.
const SAMPLES_PER_SECOND: &str = "997";

/// `perf`, recording a process.
pub(crate) struct Recording {
    perf: Child,
    data: PathBuf,
}

impl Recording {
    /// Starts to record a process.
    pub(crate) fn start(pid: u32, folder: &Path) -> Result<Self> {
        let data = folder.join("perf.data");
        let mut command = Command::new("perf");
        command.args(["record", "-F", SAMPLES_PER_SECOND, "-p", &pid.to_string(), "-o"]).arg(&data);
        let perf = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self {
            perf: perf.context("perf is needed for a profile: apt-get install linux-perf")?,
            data,
        })
    }

    /// Stops, and prints the share of each part and its cost a vote.
    pub(crate) fn print(mut self, votes: u64) -> Result<()> {
        project::succeed(Command::new("kill").args(["-INT", &self.perf.id().to_string()]))?;
        self.perf.wait()?;
        let mut report = Command::new("perf");
        report.args([
            "report",
            "--stdio",
            "--no-children",
            "-g",
            "none",
            "--sort",
            "comm,dso,sym",
            "-F",
            "sample,comm,dso,sym",
            "-i",
        ]);
        let output = report.arg(&self.data).stderr(Stdio::null()).output()?;
        ensure!(output.status.success(), "perf report failed: {}", output.status);
        let mut samples = vec![0_u64; PARTS.len()];
        let mut others: Vec<(u64, String)> = Vec::new();
        for line in
            String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#'))
        {
            let Some((count, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
            let Ok(count) = count.parse::<u64>() else { continue };
            let part = part_of(rest);
            samples[part] += count;
            if part == PARTS.len() - 1 {
                others.push((count, rest.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
        }
        let all: u64 = samples.iter().sum();
        let microseconds = |count: u64| {
            count as f64 / SAMPLES_PER_SECOND.parse::<f64>().unwrap_or(997.0) * 1e6 / votes as f64
        };
        println!("{:<34} {:>7} {:>12}", "part of the node's processor time", "share", "µs a vote");
        for (part, count) in PARTS.iter().zip(&samples) {
            println!(
                "{:<34} {:>6.1}% {:>12.2}",
                part.name,
                *count as f64 * 100.0 / all.max(1) as f64,
                microseconds(*count)
            );
        }
        println!("{:<34} {:>6.1}% {:>12.2}", "all", 100.0, microseconds(all));
        println!("the largest of the others:");
        others.sort_unstable_by(|left, right| right.cmp(left));
        for (count, symbol) in others.iter().take(8) {
            println!("  {:>5.1}% {symbol}", *count as f64 * 100.0 / all.max(1) as f64);
        }
        println!("the whole profile: perf report -i {}", self.data.display());
        Ok(())
    }
}

/// A part of handling a vote, recognized by texts in a line of the profile.
struct Part {
    name: &'static str,
    marks: &'static [&'static str],
}

/// The first part that matches counts; the last one matches everything else.
const PARTS: [Part; 12] = [
    Part {
        name: "SQLite and its files (kernel too)",
        marks: &[
            "ledger-writer",
            "checkpointer",
            "sqlite",
            "walFrames",
            "ext4",
            "jbd2",
            "rusqlite",
        ],
    },
    Part {
        name: "encrypt, sign, verify, commit",
        marks: &[
            "curve25519",
            "ed25519",
            "x25519",
            "hpke",
            "chacha",
            "poly1305",
            "sha512",
            "hkdf",
            "ConditionallySelectable",
        ],
    },
    Part {
        name: "hash and Merkle tree (SHA-256)",
        marks: &["sha256", "merkle", "digest::", "perfect_hash"],
    },
    Part {
        name: "decide, registry, leaves",
        marks: &[
            "registry",
            "Registry",
            "decision",
            "log",
            "KeyList",
            "request_index",
            "leaf::",
            "Electorate",
            "tally",
        ],
    },
    Part {
        name: "read and check the vote",
        marks: &["envelope", "credential", "throttle", "limits", "VoteRequest"],
    },
    Part {
        name: "intake, pending, waking voters",
        marks: &["intake", "pending", "oneshot", "mpsc", "Pending", "votekit_node::node"],
    },
    Part {
        name: "HTTP (hyper, axum)",
        marks: &[
            "hyper",
            "axum",
            "http::",
            "httparse",
            "matchit",
            "tower",
            "bytes::",
            "votekit_http",
        ],
    },
    Part {
        name: "memory (allocation, copies)",
        marks: &[
            "malloc",
            "cfree",
            "_int_free",
            "realloc",
            "memmove",
            "memcmp",
            "memset",
            "unlink_chunk",
            "memcpy",
            "alloc::",
        ],
    },
    Part {
        name: "network in the kernel",
        marks: &[
            "tcp",
            "sock",
            "skb",
            "inet",
            "ip_",
            "__ip",
            "loopback",
            "net_",
            "softirq",
            "nf_",
            "dev_queue",
            "sk_",
            "epoll",
            "ep_",
            "eventfd",
            "xmit",
            "bbr_",
            "raw_local",
            "_copy_to_iter",
            "_copy_from_iter",
            "vfs_writev",
            "sys_recv",
            "libc_recv",
        ],
    },
    Part {
        name: "scheduling (tokio, kernel)",
        marks: &[
            "tokio",
            "futex",
            "schedule",
            "task_switch",
            "wake",
            "spin_unlock",
            "syscall",
            "entry_SYSCALL",
            "nanosleep",
            "park",
        ],
    },
    Part { name: "other work of the kernel, the clock", marks: &["[kernel.kallsyms]", "[vdso]"] },
    Part { name: "others", marks: &[""] },
];

fn part_of(line: &str) -> usize {
    // The first word is the thread's name: the names of tokio's threads would match wrong parts.
    let line =
        line.trim_start().trim_start_matches("tokio-rt-worker").trim_start_matches("votekit");
    PARTS
        .iter()
        .position(|part| part.marks.iter().any(|mark| line.contains(mark)))
        .unwrap_or(PARTS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_find_their_part() {
        let name = |line| PARTS[part_of(line)].name;
        assert_eq!(
            name("ledger-writer  [kernel.kallsyms]  [k] tcp_sendmsg"),
            "SQLite and its files (kernel too)"
        );
        assert_eq!(
            name("tokio-rt-worker votekit [.] sha2::sha256::x86_sha::compress"),
            "hash and Merkle tree (SHA-256)"
        );
        assert_eq!(
            name("tokio-rt-worker votekit [.] hyper::proto::h1::dispatch"),
            "HTTP (hyper, axum)"
        );
        assert_eq!(name("tokio-rt-worker votekit [.] something_else"), "others");
    }
}
