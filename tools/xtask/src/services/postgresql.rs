//! One PostgreSQL server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::account::Account;
use super::install::Programs;
use super::ports::{HOST, Ports};
use super::site::Site;

/// The shipped settings; addresses and folders are set on the command line.
const SETTINGS: &str = include_str!("../../../../deploy/postgresql/votekit.conf");

/// Creates its data folder, with a superuser `postgres` that has a password.
pub(super) fn prepare(site: &Site, programs: &Programs) -> Result<()> {
    let account = Account::named("postgres")?;
    let folder = site.folder.join("postgresql");
    account.make_folder(&folder)?;
    let password = folder.join("password");
    account.write(&password, &site.secret)?;
    let mut command = account.command(&programs.postgresql.join("initdb"), &folder);
    command
        .args(["--pgdata", "data", "--username", "postgres", "--auth", "scram-sha-256", "--pwfile"])
        .arg(&password);
    // The initial files need not survive a crash: only later writes of the server are synced.
    command.args(["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]);
    let made = command.stderr(Stdio::piped()).output().context("starting initdb")?;
    ensure!(made.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&made.stderr));
    account.write(&folder.join("votekit.conf"), SETTINGS)?;
    let settings = folder.join("data/postgresql.conf");
    let shipped = fs::read_to_string(&settings)?;
    fs::write(&settings, format!("{shipped}\ninclude '../votekit.conf'\n"))
        .context("including the settings")
}

/// Removes the lock of a server that has ended, with all its children.
///
/// PostgreSQL takes a killed server for alive until its exit status is collected, and a container
/// may have no process that does so.
pub(super) fn clear_lock(site: &Site) -> Result<()> {
    match fs::remove_file(site.folder.join("postgresql/data/postmaster.pid")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("removing the lock of PostgreSQL")
        }
        _ => Ok(()),
    }
}

/// The data of the server, and the copy of it, beside each other.
const DATA: &str = "data";
const COPY: &str = "copy";

/// Copies the data of a server that is down. Replaces an earlier copy.
pub(super) fn keep_copy(site: &Site) -> Result<()> {
    let folder = site.folder.join("postgresql");
    remove(&folder.join(COPY))?;
    // Owner and rights stay: the server refuses a folder of another user.
    let mut copy = Command::new("cp");
    copy.args(["--archive", DATA, COPY]).current_dir(&folder);
    let copied = copy.output().context("starting cp")?;
    let errors = String::from_utf8_lossy(&copied.stderr);
    ensure!(copied.status.success(), "copying the data of PostgreSQL: {errors}");
    Ok(())
}

/// Restores the data of a server that is down from the copy.
pub(super) fn put_copy_back(site: &Site) -> Result<()> {
    let folder = site.folder.join("postgresql");
    let (data, copy) = (folder.join(DATA), folder.join(COPY));
    ensure!(copy.is_dir(), "no copy of the data of PostgreSQL was kept");
    remove(&data)?;
    fs::rename(&copy, &data).context("putting the data of PostgreSQL back")
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// The command that starts the server.
pub(super) fn command(site: &Site, programs: &Programs) -> Result<Command> {
    let folder = site.folder.join("postgresql");
    let mut command =
        Account::named("postgres")?.command(&programs.postgresql.join("postgres"), &folder);
    command.args(["-D", "data", "-p", &site.ports.postgresql().to_string()]);
    // No socket in the file system, where other servers of this machine have theirs.
    for setting in [&format!("listen_addresses={HOST}"), "unix_socket_directories="] {
        command.args(["-c", setting]);
    }
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .context("the log of PostgreSQL")?;
    command.stderr(log);
    Ok(command)
}

/// Sends SQL as the superuser; returns the rows, with fields separated by spaces.
pub(super) fn query(site: &Site, programs: &Programs, sql: &str) -> Result<Vec<String>> {
    let mut command = client(site, programs);
    let output = command.args(["--command", sql]).output().context("starting psql")?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// A session of the superuser, which reads SQL from its standard input and ends at an error.
pub(super) fn session(site: &Site, programs: &Programs) -> Result<Child> {
    let mut command = client(site, programs);
    command.args(["--set", "ON_ERROR_STOP=1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting psql")
}

fn client(site: &Site, programs: &Programs) -> Command {
    let mut command = Command::new(programs.postgresql.join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
    command.args(["--field-separator", " ", "--dbname"]).arg(site.ledger_url());
    command
}

/// Whether the server requests authentication; while it starts it returns an error.
pub(super) fn answers(ports: Ports) -> bool {
    let greet = || -> Result<[u8; 1]> {
        let timeout = Duration::from_secs(1);
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::from((HOST, ports.postgresql())), timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        let body = b"\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00";
        stream.write_all(&(body.len() as u32 + 4).to_be_bytes())?;
        stream.write_all(body)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind)
    };
    // A request to authenticate; any other message is an error.
    greet().is_ok_and(|kind| kind == *b"R")
}
