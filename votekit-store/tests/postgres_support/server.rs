//! A PostgreSQL server of one test, which can be killed and misconfigured.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::free_port::free_port;

/// A server on a separate port, stopped when dropped.
pub(crate) struct PrivateServer {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl PrivateServer {
    pub(crate) const PASSWORD: &'static str = "right-secret";

    /// Creates and starts a server that admits users over TCP by a method of `pg_hba.conf`.
    pub(crate) fn start(method: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { folder, programs: programs(), port: free_port(), process: None };
        std::fs::write(server.folder.path().join("password"), Self::PASSWORD).expect("written");
        // PostgreSQL refuses to run as root, and its user must own the folder.
        if is_root() {
            succeed(Command::new("chown").arg("-R").arg("postgres").arg(server.folder.path()));
        }
        let initdb = format!(
            "{}/initdb -D {data} -U votekit --pwfile={folder}/password -A {method} -E UTF8 --locale=C -N",
            server.programs.display(),
            data = server.data().display(),
            folder = server.folder.path().display(),
        );
        succeed(&mut server.as_owner(&initdb));
        server.start_again(&[]);
        server
    }

    /// The address of a ledger on it.
    pub(crate) fn address(&self, schema: &str) -> String {
        format!(
            "postgres://votekit:{}@127.0.0.1:{}/postgres?schema={schema}",
            Self::PASSWORD,
            self.port
        )
    }

    /// Starts it on its data, and waits until it answers.
    pub(crate) fn start_again(&mut self, settings: &[&str]) {
        let settings: String = settings.iter().map(|setting| format!(" -c {setting}")).collect();
        let command = format!(
            "exec {}/postgres -D {} -p {} -k '' -c listen_addresses=127.0.0.1{settings}",
            self.programs.display(),
            self.data().display(),
            self.port
        );
        let child = childguard::guard(&mut self.as_owner(&command))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        self.process = Some(child);
        let ready =
            format!("{}/pg_isready -q -h 127.0.0.1 -p {}", self.programs.display(), self.port);
        for _ in 0..600 {
            if self.as_owner(&ready).status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL does not answer");
    }

    /// Restarts it so that it accepts only TLS over TCP.
    pub(crate) fn speak_tls_alone(&mut self, certificate: &Path, key: &Path) {
        let access = self.data().join("pg_hba.conf");
        let rules = std::fs::read_to_string(&access).expect("the rules of access");
        std::fs::write(&access, rules.replace("\nhost ", "\nhostssl ")).expect("written");
        for (file, from) in [("server.crt", certificate), ("server.key", key)] {
            // The server refuses a key that other users can read.
            let target = self.data().join(file);
            let install = ["-m", "0600"];
            let owner: &[&str] = if is_root() { &["-o", "postgres"] } else { &[] };
            succeed(Command::new("install").args(install).args(owner).arg(from).arg(target));
        }
        self.start_again(&["ssl=on"]);
    }

    /// Stops it in an orderly way.
    pub(crate) fn stop(&mut self) {
        self.end("INT");
    }

    /// Kills all its processes.
    pub(crate) fn kill(&mut self) {
        self.end("KILL");
    }

    /// Makes it a replica from the next start.
    pub(crate) fn make_standby(&self) {
        std::fs::write(self.data().join("standby.signal"), "").expect("written");
    }

    fn end(&mut self, signal: &str) {
        let Some(mut child) = self.process.take() else { return };
        let first_line = std::fs::read_to_string(self.data().join("postmaster.pid"))
            .expect("the server's process id");
        let postmaster = first_line.lines().next().expect("a line").to_owned();
        let mut processes = vec![postmaster.clone()];
        if signal == "KILL" {
            let children = Command::new("pgrep")
                .args(["-P", &postmaster])
                .output()
                .expect("pgrep runs")
                .stdout;
            processes.extend(String::from_utf8_lossy(&children).lines().map(str::to_owned));
        }
        for process in &processes {
            let _ =
                Command::new("kill").args(["-s", signal, process]).stderr(Stdio::null()).status();
        }
        let _ = child.wait();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn as_owner(&self, command: &str) -> Command {
        let mut process = if is_root() { Command::new("runuser") } else { Command::new("sh") };
        if is_root() {
            process.args(["-u", "postgres", "--", "sh"]);
        }
        process.args(["-c", command]).current_dir(self.folder.path());
        process
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where Debian and most other distributions install the server's programs.
fn programs() -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("Debian's package postgresql is installed");
    let mut folders: Vec<PathBuf> =
        versions.map(|version| version.expect("an entry").path().join("bin")).collect();
    folders.sort();
    folders
        .into_iter()
        .rfind(|folder| folder.join("initdb").exists())
        .expect("PostgreSQL's programs")
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").expect("procfs").uid() == 0
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
