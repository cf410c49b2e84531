//! The user a server runs as: its own when this program is root, else the current user.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A user of this machine. RabbitMQ and PostgreSQL refuse to run as root.
pub(crate) struct Account {
    name: &'static str,
    /// The user and its group; `None` for the current user.
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The account that Debian's package created for a service.
    ///
    /// # Errors
    /// When it does not exist.
    pub(crate) fn named(name: &'static str) -> Result<Self> {
        let ids = if rustix::process::geteuid().is_root() { Some(ids(name)?) } else { None };
        Ok(Self { name, ids })
    }

    /// Creates a folder of this account that no other user can read.
    pub(crate) fn make_folder(&self, folder: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("making {}", folder.display()))?;
        self.own(folder)?;
        let mut attempt = self.command(Path::new("true"), folder);
        match attempt.status() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                bail!(
                    "the user {} cannot reach {}; choose another place with --folder",
                    self.name,
                    folder.display()
                )
            }
            status => ensure!(status?.success(), "nothing can be run as {}", self.name),
        }
        Ok(())
    }

    /// Writes a file that no other user can read.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o400))?;
        self.own(path)
    }

    fn own(&self, path: &Path) -> Result<()> {
        match self.ids {
            Some((user, group)) => chown(path, Some(user), Some(group))
                .with_context(|| format!("giving away {}", path.display())),
            None => Ok(()),
        }
    }

    /// A command that runs a program in a folder, without this program's environment, in its own
    /// process group.
    pub(crate) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
        ]);
        // Servers may outlive `services up`, but not a test that runs it.
        command.envs(childguard::ancestors());
        command
            .env("HOME", folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Ctrl-C is for this program only: it ends the servers in order.
        command.process_group(0);
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
    }
}

fn ids(name: &str) -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    parse(&users, name)
        .with_context(|| format!("no user {name} on this machine: is its package installed?"))
}

fn parse(users: &str, name: &str) -> Option<(u32, u32)> {
    let row = users.lines().find(|row| row.split(':').next() == Some(name))?;
    let fields: Vec<&str> = row.split(':').collect();
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\nredis-old:x:1:2::/:\nredis:x:103:106::/var/lib/redis:/usr/sbin/nologin\n";
        assert_eq!(parse(users, "redis"), Some((103, 106)));
        assert_eq!(parse(users, "postgres"), None);
    }
}
