//! The folder, ports and secret of a rig. They are recorded, so that another process can end the
//! rig.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::ports::{HOST, Ports};

/// The location of a rig.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) ports: Ports,
    /// The password of PostgreSQL's superuser and the cookie of RabbitMQ: other users of this
    /// machine can reach the ports too.
    pub(crate) secret: String,
}

impl Site {
    /// Chooses a folder, which must not exist yet, or be empty; by default one among the temporary
    /// files.
    pub(crate) fn make(folder: Option<&Path>, ports: Option<u16>) -> Result<Self> {
        let ports = ports.map_or_else(Ports::free, Ports::at)?;
        let folder = folder.map_or_else(temporary, |folder| Ok(std::path::absolute(folder)?))?;
        if folder.exists() {
            // It must be empty: all of it is removed at the end.
            fs::remove_dir(&folder)
                .with_context(|| format!("{} must be empty, or not there", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self { folder, ports, secret: random_hex()? })
    }

    /// The URL of the registry, as given by an operator: any one node of the cluster.
    pub(crate) fn registry_url(&self) -> String {
        format!("redis://{HOST}:{}", self.ports.redis(1))
    }

    /// The URL of the ballot box.
    pub(crate) fn ballot_box_url(&self) -> String {
        format!("amqp://guest:guest@{HOST}:{}/%2f", self.ports.amqp())
    }

    /// The URL of the ledger.
    pub(crate) fn ledger_url(&self) -> String {
        format!("postgres://postgres:{}@{HOST}:{}/postgres", self.secret, self.ports.postgresql())
    }

    /// The environment variables that tell tests the servers' URLs.
    pub(crate) fn test_variables(&self) -> [(&'static str, String); 3] {
        let [registry, ballot_box, ledger] = TEST_VARIABLES;
        [
            (registry, self.registry_url()),
            (ballot_box, self.ballot_box_url()),
            (ledger, self.ledger_url()),
        ]
    }
}

/// The environment variables in which tests expect Redis, RabbitMQ and PostgreSQL.
pub(crate) const TEST_VARIABLES: [&str; 3] =
    ["VOTEKIT_TEST_REDIS", "VOTEKIT_TEST_AMQP", "VOTEKIT_TEST_POSTGRES"];

fn temporary() -> Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    // The services' users must be able to reach it; the target folder is often in a home directory.
    Ok(std::env::temp_dir().join(format!("votekit-services-{}-{now}", std::process::id())))
}

fn random_hex() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
