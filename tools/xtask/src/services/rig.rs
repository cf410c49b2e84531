//! The running servers: each can be killed, stopped and restarted; all end with the rig.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::guard::Guard;
use super::install::Programs;
use super::process::{Process, wait_ended, working_in};
use super::redis::RedisNode;
use super::server::Server;
use super::site::Site;
use super::{postgresql, rabbitmq, redis};

/// How long a server may take to answer: an upper bound, not a target.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How long servers may take to end in order.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// The process names of the servers, including those of their start scripts.
const PROGRAMS: [&str; 8] =
    ["redis-server", "epmd", "rabbitmq-server", "erl", "erlexec", "beam.smp", "initdb", "postgres"];

/// Running servers. Dropping it ends them and removes their folder, unless it was
/// [left](Rig::leave).
pub(crate) struct Rig {
    record: Record,
    record_file: PathBuf,
    programs: Programs,
    /// `None` when the rig is not owned by this program: it was left, or found.
    guard: Option<Guard>,
}

/// The record of a rig, as stored in its file.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    site: Site,
    processes: BTreeMap<Server, Process>,
}

impl Rig {
    /// Starts all servers in a new folder and waits until each answers. Records the running
    /// processes in a file.
    ///
    /// # Errors
    /// When a server does not start, with the end of its log. Nothing is left behind.
    pub(crate) fn start(site: Site, record_file: &Path, programs: Programs) -> Result<Self> {
        let record = Record { site, processes: BTreeMap::new() };
        let mut rig = Self { record, record_file: record_file.to_owned(), programs, guard: None };
        rig.guard = Some(Guard::set(record_file)?);
        rig.save()?;
        redis::prepare(rig.site())?;
        rabbitmq::prepare(rig.site())?;
        // Epmd first: without one RabbitMQ would start its own.
        rig.launch(Server::Epmd)?;
        rig.wait_ready(Server::Epmd)?;
        rig.launch(Server::RabbitMq)?;
        for server in Server::all().filter(|server| matches!(server, Server::Redis(_))) {
            rig.launch(server)?;
        }
        postgresql::prepare(rig.site(), &rig.programs)?;
        rig.launch(Server::PostgreSql)?;
        for server in Server::all() {
            rig.wait_ready(server)?;
        }
        redis::make_cluster(rig.site(), &rig.programs)?;
        rig.wait_until("the Redis Cluster is whole", Self::redis_is_whole)?;
        Ok(rig)
    }

    /// The rig that another process started and left.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn found(record_file: &Path) -> Result<Self> {
        let record =
            Record::read(record_file)?.context("no servers run: cargo xtask services up")?;
        Ok(Self {
            record,
            record_file: record_file.to_owned(),
            programs: Programs::find()?,
            guard: None,
        })
    }

    /// Leaves the servers running when this program ends.
    pub(crate) fn leave(mut self) -> Result<()> {
        self.guard.take().map_or(Ok(()), Guard::dismiss)
    }

    /// Ends the servers and removes their folder.
    ///
    /// # Errors
    /// When a server had ended by itself, or cannot be ended.
    pub(crate) fn end(self) -> Result<()> {
        let ended: Vec<String> = Server::all()
            .filter(|server| !self.runs(*server))
            .map(|server| server.to_string())
            .collect();
        let logs: Vec<String> = Server::all()
            .filter(|server| !self.runs(*server))
            .map(|server| self.log_end(server))
            .collect();
        stop(&self.record_file)?;
        ensure!(ended.is_empty(), "{} ended unexpectedly:\n{}", ended.join(", "), logs.join("\n"));
        Ok(())
    }

    /// The folder, ports and secret of the rig.
    pub(crate) fn site(&self) -> &Site {
        &self.record.site
    }

    /// A server's process, the first of its family; `None` when it never ran.
    pub(crate) fn process(&self, server: Server) -> Option<Process> {
        self.record.processes.get(&server).copied()
    }

    /// Whether a server's process exists, running or stopped.
    pub(crate) fn runs(&self, server: Server) -> bool {
        self.process(server).is_some_and(Process::runs)
    }

    /// Whether a server answers now.
    pub(crate) fn answers(&self, server: Server) -> bool {
        let ports = self.site().ports;
        match server {
            Server::Redis(node) => redis::answers(ports, node),
            Server::Epmd => rabbitmq::epmd_answers(ports),
            Server::RabbitMq => rabbitmq::answers(ports),
            Server::PostgreSql => postgresql::answers(ports),
        }
    }

    /// Processor time that a server and all its children used so far, in seconds.
    pub(crate) fn processor_seconds(&self, server: Server) -> f64 {
        self.process(server)
            .map(Process::family)
            .unwrap_or_default()
            .into_iter()
            .map(Process::processor_seconds)
            .sum()
    }

    /// Sends SQL to PostgreSQL as its superuser; returns the rows, with fields separated by spaces.
    ///
    /// # Errors
    /// When the server is down, or rejects it.
    pub(crate) fn ask_postgresql(&self, sql: &str) -> Result<Vec<String>> {
        postgresql::query(self.site(), &self.programs, sql)
    }

    /// A session of PostgreSQL's superuser, `psql`, which reads its standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn open_postgresql(&self) -> Result<Child> {
        postgresql::session(self.site(), &self.programs)
    }

    /// Processor time that PostgreSQL used so far for the clients of this application name, in
    /// seconds; only open connections count.
    ///
    /// # Errors
    /// As for [`Rig::ask_postgresql`].
    pub(crate) fn postgresql_seconds_for(&self, application: &str) -> Result<f64> {
        let rows = self.ask_postgresql(&format!(
            "select pid from pg_stat_activity where application_name = '{application}'"
        ))?;
        // A backend may end between the query and this.
        let backends = rows.iter().filter_map(|row| Process::from_pid(row.parse().ok()?).ok());
        Ok(backends.map(Process::processor_seconds).sum())
    }

    /// Kills a server and all its children at once, like a failing machine.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub(crate) fn kill(&self, server: Server) -> Result<()> {
        let family = self.family(server)?;
        signal(&family, Signal::KILL);
        ensure!(wait_ended(&family, END_TIMEOUT), "{server} was killed and is still there");
        Ok(())
    }

    /// Stops the processes of a server and all its children: connections stay open, nothing
    /// answers.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn pause(&self, server: Server) -> Result<()> {
        signal(&self.family(server)?, Signal::STOP);
        Ok(())
    }

    /// Continues a paused server.
    ///
    /// # Errors
    /// When it no longer exists.
    pub(crate) fn resume(&self, server: Server) -> Result<()> {
        signal(&self.family(server)?, Signal::CONT);
        Ok(())
    }

    /// Restarts a server on its stored data, without waiting. Ends a running server orderly first.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn launch(&mut self, server: Server) -> Result<()> {
        if let Some(process) = self.process(server) {
            end(&[(server, process)]);
        }
        let (site, programs) = (&self.record.site, &self.programs);
        let mut command = match server {
            Server::Redis(node) => redis::command(site, programs, node)?,
            Server::Epmd => rabbitmq::epmd_command(site, programs)?,
            Server::RabbitMq => rabbitmq::command(site, programs)?,
            Server::PostgreSql => {
                postgresql::clear_lock(site)?;
                postgresql::command(site, programs)?
            }
        };
        let child = command.spawn().with_context(|| format!("starting {server}"))?;
        self.record.processes.insert(server, Process::from_pid(child.id())?);
        self.save()
    }

    /// Copies the present data of PostgreSQL. The server is down during the copy.
    ///
    /// # Errors
    /// When the data cannot be copied, or the server does not start again.
    pub(crate) fn copy_postgresql(&mut self) -> Result<()> {
        self.without_postgresql(postgresql::keep_copy)
    }

    /// Restores PostgreSQL from the kept copy, which replaces everything stored since. The server
    /// is down during the restore.
    ///
    /// # Errors
    /// When there is no copy, or the server does not start again.
    pub(crate) fn restore_postgresql(&mut self) -> Result<()> {
        self.without_postgresql(postgresql::put_copy_back)
    }

    fn without_postgresql(&mut self, work: impl FnOnce(&Site) -> Result<()>) -> Result<()> {
        if let Some(process) = self.process(Server::PostgreSql) {
            end(&[(Server::PostgreSql, process)]);
        }
        let done = work(self.site());
        self.launch(Server::PostgreSql)?;
        self.wait_ready(Server::PostgreSql)?;
        done
    }

    /// Waits until a server answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time; with the end of its log.
    pub(crate) fn wait_ready(&self, server: Server) -> Result<()> {
        let begun = Instant::now();
        while !self.answers(server) {
            ensure!(self.runs(server), "{server} ended:\n{}", self.log_end(server));
            ensure!(
                begun.elapsed() < START_TIMEOUT,
                "{server} does not answer:\n{}",
                self.log_end(server)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The nodes, as described by the Redis Cluster.
    ///
    /// # Errors
    /// When no node answers.
    pub(crate) fn redis_nodes(&self) -> Result<Vec<RedisNode>> {
        redis::nodes(self.site().ports)
    }

    /// Whether the Redis Cluster serves all of its slots, and every replica is in sync with its
    /// master.
    pub(crate) fn redis_is_whole(&self) -> bool {
        redis::cluster_is_whole(self.site().ports)
    }

    /// Deletes all data of a Redis node, as if it lost its disk. It must be a master.
    ///
    /// # Errors
    /// When it does not answer, or is not a master.
    pub(crate) fn empty_redis(&self, node: u8) -> Result<()> {
        redis::empty(self.site().ports, node)
    }

    fn wait_until(&self, what: &str, holds: fn(&Self) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !holds(self) {
            ensure!(
                begun.elapsed() < START_TIMEOUT,
                "waited {} s until {what}",
                START_TIMEOUT.as_secs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn family(&self, server: Server) -> Result<Vec<Process>> {
        let family = self.process(server).map(Process::family).unwrap_or_default();
        ensure!(!family.is_empty(), "{server} does not run");
        Ok(family)
    }

    fn log_end(&self, server: Server) -> String {
        let log = match server {
            Server::Redis(node) => format!("redis-{node}/log"),
            Server::Epmd => return "it writes no log".to_owned(),
            Server::RabbitMq => "rabbitmq/log/votekit@localhost.log".to_owned(),
            Server::PostgreSql => "postgresql/log".to_owned(),
        };
        let text = fs::read_to_string(self.site().folder.join(&log))
            .unwrap_or_else(|error| format!("{log}: {error}"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.record)?;
        // A concurrent reader finds the old file or the new one.
        let new = self.record_file.with_extension("new");
        fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
        fs::rename(&new, &self.record_file)
            .with_context(|| format!("writing {}", self.record_file.display()))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.guard.is_some()
            && let Err(error) = stop(&self.record_file)
        {
            eprintln!("the servers could not be ended: {error:#}");
        }
    }
}

/// Whether any process of a recorded rig still runs; removes the remains of a stale rig.
pub(crate) fn is_running(record_file: &Path) -> Result<bool> {
    let Some(record) = Record::read(record_file)? else { return Ok(false) };
    // Unrecorded processes do not count: only recorded processes were left running on purpose, and
    // all others are ended.
    if record.processes.values().any(|process| process.runs()) {
        return Ok(true);
    }
    eprintln!("clearing away what was left of servers in {}", record.site.folder.display());
    stop(record_file)?;
    Ok(false)
}

/// Ends all servers recorded in a file, removes their folder, and then the file. Returns how many
/// were still running.
///
/// # Errors
/// When one cannot be ended, or the folder cannot be removed.
pub(crate) fn stop(record_file: &Path) -> Result<usize> {
    let Some(record) = Record::read(record_file)? else { return Ok(0) };
    let running: Vec<_> =
        record.processes.into_iter().filter(|(_, process)| process.runs()).collect();
    // Epmd last: RabbitMQ needs it until it has ended.
    let (last, first): (Vec<_>, Vec<_>) =
        running.iter().copied().partition(|(server, _)| *server == Server::Epmd);
    end(&first);
    end(&last);
    if let Some((server, _)) = running.iter().find(|(_, process)| process.runs()) {
        bail!("{server} cannot be ended");
    }
    let folder = &record.site.folder;
    // A program killed while it started a server could not record it. All servers have their
    // working directory in the folder.
    let unwritten = working_in(folder, &PROGRAMS);
    signal(&unwritten, Signal::KILL);
    ensure!(
        wait_ended(&unwritten, END_TIMEOUT),
        "what runs in {} cannot be ended",
        folder.display()
    );
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    // If it was in the rig's folder, the file is already gone.
    if record_file.exists() {
        fs::remove_file(record_file)
            .with_context(|| format!("removing {}", record_file.display()))?;
    }
    Ok(running.len())
}

/// Asks servers to end in order, and kills those that do not.
fn end(servers: &[(Server, Process)]) {
    let families: Vec<Process> = servers.iter().flat_map(|(_, process)| process.family()).collect();
    for (server, process) in servers {
        // With TERM, PostgreSQL would wait for its clients.
        process.signal(if *server == Server::PostgreSql { Signal::INT } else { Signal::TERM });
    }
    // Stopped processes do not receive the signal until they continue.
    signal(&families, Signal::CONT);
    if !wait_ended(&families, END_TIMEOUT) {
        signal(&families, Signal::KILL);
        wait_ended(&families, END_TIMEOUT);
    }
}

fn signal(processes: &[Process], signal: Signal) {
    for process in processes {
        process.signal(signal);
    }
}

impl Record {
    fn read(file: &Path) -> Result<Option<Self>> {
        match fs::read_to_string(file) {
            Ok(text) => Ok(Some(
                serde_json::from_str(&text)
                    .with_context(|| format!("{} is damaged", file.display()))?,
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }
}
