//! The scripts that run inside Redis, each one atomic step on one bucket.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// Marks a credential. KEYS: bucket, further requests. ARGV: field, tag. Returns 1 for the first
/// use (or the same request again), n ≥ 2 for attempt n, 0 for an unknown credential, -1 for a
/// revoked credential, -2 for a missing bucket.
///
/// Further requests are stored as field ‖ space ‖ tag → attempt number, and field → their count. At
/// most 1000 further requests are stored for each credential, so that endless attempts do not fill
/// the memory.
const MARK: &str = "
local used = redis.call('HGET', KEYS[1], ARGV[1])
if used == '0' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  return 1
end
if used == ARGV[2] then return 1 end
if used == '-1' then return -1 end
if not used then
  if redis.call('HEXISTS', KEYS[1], '') == 1 then return 0 end
  return -2
end
local again = ARGV[1] .. ' ' .. ARGV[2]
local known = redis.call('HGET', KEYS[2], again)
if known then return tonumber(known) end
local before = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if before < 1000 then
  redis.call('HSET', KEYS[2], ARGV[1], before + 1, again, before + 2)
end
return before + 2
";

/// Adds missing credentials, unused. KEYS: bucket. ARGV: 1 to make a missing bucket, fields.
/// Returns the number added; -1 when the bucket is missing and must not be made.
const MERGE: &str = "
if ARGV[1] == '1' then
  redis.call('HSETNX', KEYS[1], '', 'v1')
elseif redis.call('HEXISTS', KEYS[1], '') == 0 then
  return -1
end
local added = 0
for place = 2, #ARGV do added = added + redis.call('HSETNX', KEYS[1], ARGV[place], '0') end
return added
";

/// Replaces a bucket. KEYS: bucket, further requests. ARGV: field, first use, field, …
const REPLACE: &str = "
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], '', 'v1')
for place = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1]) end
return 1
";

/// Moves a credential from one state to another, if it is in the first. KEYS: bucket. ARGV: field,
/// from, to; `-` means absent. Returns whether it did.
const MOVE: &str = "
local used = redis.call('HGET', KEYS[1], ARGV[1]) or '-'
if used ~= ARGV[2] then return 0 end
if ARGV[3] == '-' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
";

/// Counts a bucket. KEYS: bucket. Returns the numbers of all, of used and of revoked credentials;
/// -1 for a missing bucket.
const COUNT: &str = "
local uses = redis.call('HVALS', KEYS[1])
if #uses == 0 then return {-1, 0, 0} end
local unused, revoked = 0, 0
for place = 1, #uses do
  if uses[place] == '0' then
    unused = unused + 1
  elseif uses[place] == '-1' then
    revoked = revoked + 1
  end
end
return {#uses - 1, #uses - 1 - unused - revoked, revoked}
";

/// The scripts, with their digests.
pub(super) struct Scripts {
    mark: Script,
    merge: Script,
    replace: Script,
    change: Script,
    count: Script,
}

/// Created once, since each script is hashed.
pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    mark: Script::new(MARK),
    merge: Script::new(MERGE),
    replace: Script::new(REPLACE),
    change: Script::new(MOVE),
    count: Script::new(COUNT),
});

impl Scripts {
    /// Number of commands that [`Scripts::load`] returns.
    pub(super) const COUNT: usize = 5;

    /// The commands that load the scripts into a server.
    pub(super) fn load(&self) -> [Cmd; Self::COUNT] {
        [MARK, MERGE, REPLACE, MOVE, COUNT].map(|source| {
            let mut command = redis::cmd("SCRIPT");
            command.arg("LOAD").arg(source);
            command
        })
    }

    pub(super) fn mark(&self, bucket: &str, later: &str, field: &[u8], tag: i32) -> Cmd {
        call(&self.mark, &[bucket, later], |command| {
            command.arg(field).arg(tag);
        })
    }

    pub(super) fn merge<'a>(
        &self,
        bucket: &str,
        make: bool,
        fields: impl Iterator<Item = &'a [u8]>,
    ) -> Cmd {
        call(&self.merge, &[bucket], |command| {
            command.arg(u8::from(make));
            fields.for_each(|field| {
                command.arg(field);
            });
        })
    }

    pub(super) fn replace<'a>(
        &self,
        bucket: &str,
        later: &str,
        uses: impl Iterator<Item = (&'a [u8], i32)>,
    ) -> Cmd {
        call(&self.replace, &[bucket, later], |command| {
            uses.for_each(|(field, used)| {
                command.arg(field).arg(used);
            });
        })
    }

    /// `None` means absent.
    pub(super) fn change(
        &self,
        bucket: &str,
        field: &[u8],
        from: Option<i32>,
        to: Option<i32>,
    ) -> Cmd {
        let text = |used: Option<i32>| used.map_or_else(|| "-".to_owned(), |used| used.to_string());
        call(&self.change, &[bucket], |command| {
            command.arg(field).arg(text(from)).arg(text(to));
        })
    }

    pub(super) fn count(&self, bucket: &str) -> Cmd {
        call(&self.count, &[bucket], |_| {})
    }
}

fn call(script: &Script, keys: &[&str], arguments: impl FnOnce(&mut Cmd)) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(keys.len()).arg(keys);
    arguments(&mut command);
    command
}
