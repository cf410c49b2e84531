//! A node with the pages: the folder that `votekit demo --web` makes, with further elections.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::accounts::Invited;
use crate::elections;
use crate::process::Process;
use crate::voters::Voters;

/// The electors of each roll: each state of a vote needs another one.
pub(crate) const ELECTORS: &str = "60";

/// The data folder, below the folder of the site.
const DATA: &str = "demo/node";

/// Addresses of services of the person who runs the tests: the node is to use none.
const SERVICES: [&str; 3] = ["VOTEKIT_REGISTRY", "VOTEKIT_BALLOT_BOX", "VOTEKIT_LEDGER"];

const CONFIGURATION: &str = r#"
[pages]
organisation_fr = "Ville de Sainte-Exemple-de-la-Rivière"
organisation_en = "Town of Sainte-Exemple-de-la-Rivière"
contact = "scrutin@exemple.quebec, 418 555-0100"
privacy_fr = "Le NAS et le code d’accès ne servent qu’à vérifier le droit de vote."
privacy_en = "SIN and access code are used only to verify the right to vote."
"#;

const TLS: &str = "tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n";
const CERTIFICATE: &str = include_str!("../../../../votekit-http/tests/tls/cert.pem");
const KEY: &str = include_str!("../../../../votekit-http/tests/tls/key.pem");

/// A folder with a node.
pub(crate) struct Site {
    folder: TempDir,
    node: Option<Process>,
    /// The address of the pages, without a slash at the end. It stays the same across restarts.
    pub(crate) url: String,
    pub(crate) voters: Rc<Voters>,
    /// The accounts that the demo has made.
    pub(crate) accounts: Vec<Invited>,
}

/// The line of `votekit demo --web --json`.
#[derive(Deserialize)]
struct DemoReport {
    electors: u32,
    accounts: Vec<Invited>,
}

/// The line of `votekit serve --json`.
#[derive(Deserialize)]
struct Listening {
    public: String,
}

impl Site {
    /// Makes the folder and starts its node.
    pub(crate) fn open() -> Result<Self> {
        Self::configured(CONFIGURATION.to_owned())
    }

    /// The same over TLS, with a certificate that no browser trusts.
    pub(crate) fn open_with_tls() -> Result<Self> {
        Self::configured([TLS, CONFIGURATION].concat())
    }

    fn configured(configuration: String) -> Result<Self> {
        let mut site = Self {
            folder: TempDir::new()?,
            node: None,
            url: format!("http://127.0.0.1:{}", free_port()?),
            voters: Rc::default(),
            accounts: Vec::new(),
        };
        site.accounts = site.run_demo()?;
        elections::prepare(&site, DATA)?;
        for roll in ["demo/roll.csv", elections::ROLL] {
            site.voters.add(&fs::read_to_string(site.path(roll))?)?;
        }
        fs::write(site.path("node.toml"), configuration)?;
        fs::write(site.path("cert.pem"), CERTIFICATE)?;
        fs::write(site.path("key.pem"), KEY)?;
        fs::set_permissions(site.path("key.pem"), fs::Permissions::from_mode(0o600))?;
        site.start()?;
        Ok(site)
    }

    /// Starts the node, at the address that it had before.
    pub(crate) fn start(&mut self) -> Result<()> {
        let (_, address) = self.url.split_once("://").context("no address")?;
        let data = ["serve", "--json", "--data", DATA, "--config", "node.toml"];
        let listeners = ["--admin-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let arguments = [&data[..], &listeners, &["--listen", address]].concat();
        let mut node = Process::start(&mut self.command(&arguments)?)?;
        let line = node.read_line().with_context(|| self.log())?;
        let listening: Listening = serde_json::from_str(&line)?;
        self.url = listening.public;
        self.node = Some(node);
        Ok(())
    }

    /// Stops the node.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let node = self.node.take().context("no node runs")?;
        node.stop().with_context(|| self.log())
    }

    /// Runs a verb of votekit in the folder to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let ended = childguard::guard(&mut command).status()?;
        ensure!(ended.success(), "votekit {}: {ended}\n{}", arguments.join(" "), self.log());
        Ok(())
    }

    fn run_demo(&self) -> Result<Vec<Invited>> {
        let arguments = ["demo", "--web", "--json", "--electors", ELECTORS, "--dir", "demo"];
        let mut demo = Process::start(&mut self.command(&arguments)?)?;
        let line = demo.read_line().with_context(|| self.log())?;
        let report: DemoReport = serde_json::from_str(&line)?;
        ensure!(report.electors.to_string() == ELECTORS, "the demo reports {line}");
        demo.stop().with_context(|| self.log())?;
        Ok(report.accounts)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let log = OpenOptions::new().create(true).append(true).open(self.path("log"))?;
        let mut command = Command::new(votekit()?);
        command.args(arguments).current_dir(self.folder.path()).stderr(log);
        for variable in SERVICES {
            command.env_remove(variable);
        }
        Ok(command)
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The output of the programs on standard error.
    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// A port below the range for outgoing connections: a port in that range could be taken while the
/// node is down.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 700) as u16;
    let free = (0..700).find_map(|_| {
        let port = 32_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 700;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    });
    free.context("no free port")
}

/// The program built beside this one, which is `<target>/debug/deps/browser-…`.
fn votekit() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let built = own.ancestors().nth(2).map(|folder| folder.join("votekit"));
    let built = built.filter(|file| file.exists());
    built.context("votekit is not built: run these tests by `cargo xtask browser`")
}
