//! A RabbitMQ server of one test, which can be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::free_port::free_port;

/// Where Debian and the vendor's packages install the script that starts the server as the calling
/// user.
const SCRIPTS: [&str; 2] =
    ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server"];

pub(crate) struct Server {
    folder: TempDir,
    scheme: &'static str,
    port: u16,
    distribution_port: u16,
    process: Child,
}

impl Server {
    /// Starts a server on a free port of this machine, and waits until it answers.
    pub(crate) fn start() -> Self {
        let port = free_port();
        Self::make("amqp", port, &format!("listeners.tcp.1 = 127.0.0.1:{port}\n"))
    }

    /// Starts a server that accepts only TLS.
    pub(crate) fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        let port = free_port();
        let settings = format!(
            "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{port}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
            certificate.display(),
            key.display()
        );
        Self::make("amqps", port, &settings)
    }

    fn make(scheme: &'static str, port: u16, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("plugins"), "[].").expect("written");
        std::fs::write(folder.path().join("rabbitmq.conf"), settings).expect("written");
        let distribution_port = free_port();
        let process = Self::run(&folder, port, distribution_port);
        Self { folder, scheme, port, distribution_port, process }
    }

    pub(crate) fn address(&self) -> String {
        format!("{}://guest:guest@127.0.0.1:{}", self.scheme, self.port)
    }

    /// Kills the server, and restarts it on its data.
    pub(crate) fn kill_and_start_again(mut self) -> Self {
        self.kill();
        self.process = Self::run(&self.folder, self.port, self.distribution_port);
        self
    }

    fn run(folder: &TempDir, port: u16, distribution_port: u16) -> Child {
        let script = SCRIPTS.iter().map(PathBuf::from).find(|script| script.exists());
        let script = script.expect("rabbitmq-server is not installed: `cargo xtask test` says how");
        let path = folder.path();
        let log = std::fs::File::create(path.join("log")).expect("a log");
        let mut process = childguard::guard(&mut Command::new(script))
            .env("HOME", path)
            .env("RABBITMQ_NODENAME", format!("votekit-{port}@localhost"))
            .env("RABBITMQ_CONFIG_FILE", path.join("rabbitmq.conf"))
            .env("RABBITMQ_DIST_PORT", distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", path.join("data"))
            .env("RABBITMQ_LOG_BASE", path.join("logs"))
            .env("RABBITMQ_PID_FILE", path.join("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path.join("plugins"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("started");
        let deadline = Instant::now() + Duration::from_secs(120);
        while !speaks(port) {
            assert!(
                process.try_wait().expect("asked").is_none(),
                "it ended: {:?}",
                std::fs::read_to_string(path.join("log"))
            );
            assert!(
                Instant::now() < deadline,
                "it does not answer: {:?}",
                std::fs::read_to_string(path.join("log"))
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        process
    }

    fn kill(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.folder.path().join("pid")) {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(self.folder.path().join("pid"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn speaks(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}
