//! Searches the writable memory of another process.
//!
//! A node cannot be read by processes of its own account, only by root. A test that does not run as
//! root is root in a user namespace: [`as_root`].

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use memchr::memmem::Finder;

/// Bytes read at once. Readings overlap by more than the longest needle.
const CHUNK_BYTES: usize = 4 << 20;
const OVERLAP_BYTES: usize = 256;

/// Set where a test runs inside the namespace already.
const INSIDE: &str = "VOTEKIT_TEST_IN_NAMESPACE";

/// Runs the body of a test as root: here, or by running the test again in a user namespace.
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

/// A region of memory that the process may write.
struct Region {
    start: u64,
    end: u64,
    name: String,
}

/// Every place where one of the needles stands, described.
#[track_caller]
pub(crate) fn find(process: u32, needles: &[(&str, Vec<u8>)]) -> Vec<String> {
    let finders: Vec<_> = needles.iter().map(|(name, bytes)| (*name, Finder::new(bytes))).collect();
    let memory = File::open(format!("/proc/{process}/mem")).expect("root reads any memory");
    let mut found = Vec::new();
    let mut read_bytes = 0;
    for region in regions(process) {
        let mut start = region.start;
        while start < region.end {
            let length = (region.end - start).min(CHUNK_BYTES as u64) as usize;
            let mut bytes = vec![0; length];
            // The process goes on, and may give a region back meanwhile.
            if memory.read_exact_at(&mut bytes, start).is_ok() {
                read_bytes += length;
                for (name, finder) in &finders {
                    found.extend(finder.find_iter(&bytes).map(|place| {
                        format!(
                            "{name} at {:x} in {}: {}",
                            start + place as u64,
                            region.name,
                            around(&bytes, place)
                        )
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

/// What stands around a place, for the message of a failure.
fn around(bytes: &[u8], place: usize) -> String {
    let mut text = String::new();
    for byte in &bytes[place.saturating_sub(48)..(place + 80).min(bytes.len())] {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            0 => text.push('.'),
            _ => write!(text, "\\{byte:02x}").expect("a string takes everything"),
        }
    }
    text
}
