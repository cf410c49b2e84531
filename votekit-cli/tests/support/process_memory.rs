//! Searches the writable memory of another process.
//!
//! Processes of its own account cannot read a node, only root can. A test that does not run as root
//! becomes root in a user namespace: [`as_root`].

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use memchr::memmem::Finder;

/// Bytes per read. Reads overlap by more than the longest needle.
const CHUNK_BYTES: usize = 4 << 20;
const OVERLAP_BYTES: usize = 256;

/// Set when a test already runs inside the namespace.
const INSIDE: &str = "VOTEKIT_TEST_IN_NAMESPACE";

/// Runs the body of a test as root: directly, or by running the test again in a user namespace.
pub(crate) fn as_root(test: &str, body: impl FnOnce()) {
    if rustix::process::geteuid().is_root() {
        return body();
    }
    assert!(std::env::var_os(INSIDE).is_none(), "the user namespace does not make this test root");
    let program = std::env::current_exe().expect("the path of this test");
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--"])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("this test needs root, or `unshare` of util-linux and user namespaces");
    assert!(status.success(), "in a user namespace: {status}");
}

/// A pattern to search for.
pub(crate) struct Needle {
    name: &'static str,
    start: Finder<'static>,
    digits: usize,
}

impl Needle {
    /// Matches these bytes.
    pub(crate) fn bytes(name: &'static str, bytes: &[u8]) -> Self {
        Self { name, start: Finder::new(bytes).into_owned(), digits: 0 }
    }

    /// Matches any number that starts with these digits and has `digits` further ones.
    pub(crate) fn number(name: &'static str, start: &str, digits: usize) -> Self {
        Self { digits, ..Self::bytes(name, start.as_bytes()) }
    }

    fn indices<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let is_whole = |index: &usize| {
            let end = index + self.start.needle().len();
            let rest = bytes.get(end..end + self.digits);
            let is_digit =
                |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
            self.digits == 0
                || rest.is_some_and(|rest| rest.iter().all(u8::is_ascii_digit))
                    && !is_digit(index.checked_sub(1))
                    && !is_digit(Some(end + self.digits))
        };
        self.start.find_iter(bytes).filter(is_whole)
    }
}

/// A writable region of memory.
struct Region {
    start: u64,
    end: u64,
    name: String,
}

/// Describes every position at which one of the needles is found.
#[track_caller]
pub(crate) fn find(process: u32, needles: &[Needle]) -> Vec<String> {
    let memory = File::open(format!("/proc/{process}/mem")).expect("root reads any memory");
    let mut found = Vec::new();
    let mut read_bytes = 0;
    for region in regions(process) {
        let mut start = region.start;
        while start < region.end {
            let length = (region.end - start).min(CHUNK_BYTES as u64) as usize;
            let mut bytes = vec![0; length];
            // The process keeps running, and may unmap a region meanwhile.
            if memory.read_exact_at(&mut bytes, start).is_ok() {
                read_bytes += length;
                for needle in needles {
                    found.extend(needle.indices(&bytes).map(|index| {
                        let (address, around) = (start + index as u64, around(&bytes, index));
                        format!("{} at {address:x} in {}: {around}", needle.name, region.name)
                    }));
                }
            }
            if start + length as u64 == region.end {
                break;
            }
            start += (length - OVERLAP_BYTES) as u64;
        }
    }
    assert!(read_bytes > 1 << 20, "the memory of {process} was read: {read_bytes} bytes");
    found
}

fn regions(process: u32) -> Vec<Region> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("it runs");
    let region = |line: &str| {
        let mut fields = line.split_whitespace();
        let (range, permissions) = (fields.next()?, fields.next()?);
        let (start, end) = range.split_once('-')?;
        let address = |digits| u64::from_str_radix(digits, 16).ok();
        let name = fields.nth(3).unwrap_or("anonymous memory").to_owned();
        permissions.starts_with("rw").then_some(Region {
            start: address(start)?,
            end: address(end)?,
            name,
        })
    };
    maps.lines().filter_map(region).collect()
}

/// The bytes around a position, for the failure message.
fn around(bytes: &[u8], index: usize) -> String {
    let mut text = String::new();
    for byte in &bytes[index.saturating_sub(48)..(index + 80).min(bytes.len())] {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            0 => text.push('.'),
            _ => write!(text, "\\{byte:02x}").expect("a string takes everything"),
        }
    }
    text
}
