//! File descriptors: each connection takes one, and the system limits their number per process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Reserved for files, connections of other listeners, waiting and lingering connections, and the
/// system: connections of the public listener never use the last file descriptors.
const RESERVED_DESCRIPTORS: usize = 1024;

/// The most connections of the public listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    /// Connections of requests.
    pub(super) connections: usize,
    /// Readers of live updates.
    pub(super) readers: usize,
}

/// Raises the limit of this process as far as allowed, and returns the numbers of connections and
/// readers that the public listener can have: the requested numbers, or lower ones if the file
/// descriptors do not suffice.
pub(super) fn grant(connections_max: usize, live_readers_max: usize) -> Granted {
    raise();
    let limit = getrlimit(Resource::Nofile).current;
    let asked = Granted { connections: connections_max, readers: live_readers_max };
    let granted = within(asked, limit);
    if granted != asked {
        tracing::warn!(
            event = "connections_max_lowered",
            connections_max,
            live_readers_max,
            granted = granted.connections,
            readers_granted = granted.readers,
            file_descriptors = limit,
            "too few file descriptors for connections_max and live_readers_max, raise LimitNOFILE"
        );
    }
    granted
}

fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // If the system refuses, the present limit applies.
    if current.is_some()
        && current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(
            event = "file_descriptor_limit_raise_failed",
            %error,
            "limit of file descriptors not raised"
        );
    }
}

/// Bounds `asked` by the limit; `None` means unlimited.
fn within(asked: Granted, limit: Option<u64>) -> Granted {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let free = limit.saturating_sub(RESERVED_DESCRIPTORS).max(limit / 2);
    // Voters before readers: where both do not fit, readers have at most a quarter.
    let readers = asked.readers.min(free.saturating_sub(asked.connections).max(free / 4));
    // Even with very few descriptors at least one connection is allowed.
    Granted { connections: asked.connections.min(free - readers).max(1), readers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let granted = |connections, readers, limit| {
            let granted = within(Granted { connections, readers }, limit);
            (granted.connections, granted.readers)
        };
        assert_eq!(granted(10_000, 0, Some(65_536)), (10_000, 0));
        assert_eq!(granted(10_000, 0, Some(4096)), (3072, 0));
        assert_eq!(granted(10_000, 0, Some(1024)), (512, 0));
        assert_eq!(granted(10_000, 0, Some(256)), (128, 0));
        assert_eq!(granted(10_000, 5000, None), (10_000, 5000));
        assert_eq!(granted(10_000, 5000, Some(65_536)), (10_000, 5000));
        assert_eq!(granted(10_000, 5000, Some(4096)), (2304, 768));
        assert_eq!(granted(2000, 5000, Some(4096)), (2000, 1072));
        assert_eq!(granted(10_000, 5000, Some(0)), (1, 0));
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        assert_eq!(grant(1, 1), Granted { connections: 1, readers: 1 });
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
