//! File descriptors: each connection takes one, and the system limits their number per process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Reserved for files, connections of other listeners, waiting and lingering connections, and the
/// system: connections of the public listener never take the last ones.
const RESERVED: usize = 1024;

/// Raises the limit of this process as far as allowed, and returns the number of connections that
/// the public listener can hold: `asked`, or fewer if the file descriptors do not suffice.
pub(super) fn connections_within_limit(asked: usize) -> usize {
    raise();
    let limit = getrlimit(Resource::Nofile).current;
    let granted = within(asked, limit);
    if granted < asked {
        tracing::warn!(
            event = "connections_max_lowered",
            connections_max = asked,
            granted,
            file_descriptors = limit,
            "too few file descriptors for connections_max, raise LimitNOFILE"
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
fn within(asked: usize, limit: Option<u64>) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // Even with very few descriptors at least one connection is allowed.
    asked.min(limit.saturating_sub(RESERVED).max(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(within(10_000, Some(65_536)), 10_000);
        assert_eq!(within(10_000, Some(4096)), 3072);
        assert_eq!(within(10_000, Some(1024)), 512);
        assert_eq!(within(10_000, Some(256)), 128);
        assert_eq!(within(10_000, None), 10_000);
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        assert_eq!(connections_within_limit(1), 1);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
