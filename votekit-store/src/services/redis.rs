//! The registry on Redis: one server or a cluster, shared by all nodes. It gives hints; the log
//! decides.
//!
//! ```text
//! load, rebuild ─▶ loading.rs, supplement.rs ─┐
//! mark ─▶ marking.rs ─▶ meta.rs (loaded?) ────┼─▶ server.rs: one pipeline for each master ─▶ Redis
//! check ─▶ survey.rs, settings.rs ────────────┘            scripts.rs: run in Redis
//! ```
//!
//! `layout.rs` describes how an election is stored. Redis may forget: a failover loses what was
//! acknowledged shortly before. A lost mark makes a hint optimistic. If a bucket or an election is
//! missing, the registry reports that it is unavailable, never that a credential is unknown.

mod layout;
mod scripts;
mod server;
mod meta;
mod loading;
mod marking;
mod settings;
mod supplement;
mod survey;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use redis::Value;
use tokio::time::Instant;
use votekit_core::credential::RegistryKey;
use votekit_core::electorate::{Changes, KeyList};
use votekit_core::id::ElectionId;

use self::layout::Names;

pub use self::loading::Progress;
pub use self::meta::LawMeta;
use self::server::{Effect, Keyed, Server};
pub use self::settings::{Finding, Severity, refuse as refuse_settings};
pub use self::survey::{Difference, Survey};
use super::url::ServiceAddress;
pub use crate::RollOrigin;
use crate::{EngineError, Hint, KnownElectors, Mark, Registry};

const ENGINE: &str = "the registry on Redis";
const DEFAULT_PREFIX: &str = "votekit";

/// Timeout for a short request: longer than a round trip, shorter than a person waits.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);
/// Timeout for each part of a load: long enough for a failover.
const BULK_TIMEOUT: Duration = Duration::from_secs(60);

/// The registry on Redis.
#[derive(Clone)]
pub struct RedisRegistry {
    inner: Arc<Inner>,
}

struct Inner {
    server: Server,
    names: Names,
    /// The metadata of loaded elections, and when it was read.
    known: Mutex<HashMap<ElectionId, (Instant, LawMeta)>>,
    /// The origin of the credentials that are added next: see [`Registry::prepare`].
    prepared: Mutex<HashMap<ElectionId, RollOrigin>>,
    /// Whether marking failed, and the registry has not answered since.
    away: AtomicBool,
}

impl RedisRegistry {
    /// Connects to the server, or to the cluster that it belongs to.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] within 5 seconds, with a hint on what to correct;
    /// [`EngineError::Unavailable`] while it is starting or failing over.
    pub async fn open(address: &ServiceAddress) -> Result<Self, EngineError> {
        let prefix = address.parameter("prefix").unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
        let refused = |reason: String, hint: String| EngineError::Misconfigured {
            engine: ENGINE,
            reason: format!("{address}: {reason}"),
            hint,
        };
        if let Some((name, _)) = address.parameters().into_iter().find(|(name, _)| name != "prefix")
        {
            return Err(refused(
                format!("the parameter '{name}' is unknown"),
                "the parameters are password_file, ca_file and prefix".to_owned(),
            ));
        }
        let names = Names::new(&prefix).ok_or_else(|| {
            let hint = format!("1 to {} letters, digits, '-', '_' or '.'", Names::PREFIX_BYTES_MAX);
            refused(format!("the prefix '{prefix}' is not valid"), hint)
        })?;
        let server = Server::open(address).await?;
        let inner = Inner {
            server,
            names,
            known: Mutex::default(),
            prepared: Mutex::default(),
            away: AtomicBool::new(false),
        };
        let layout = inner
            .server
            .one(Keyed::with_key("GET", &inner.names.layout()), Effect::Reads, QUERY_TIMEOUT)
            .await;
        let other =
            || "does another program store data there? Choose another ?prefix=NAME".to_owned();
        match layout {
            Ok(Value::Nil) => {}
            Ok(Value::BulkString(found)) if found == layout::VERSION.as_bytes() => {}
            Ok(Value::BulkString(found))
                if found.iter().all(u8::is_ascii_digit) && !found.is_empty() =>
            {
                let found = String::from_utf8_lossy(&found).into_owned();
                return Err(refused(
                    format!(
                        "it holds a registry of layout {found}, expected layout {}",
                        layout::VERSION
                    ),
                    "use the version of votekit that wrote it, or load into another ?prefix=NAME"
                        .to_owned(),
                ));
            }
            Ok(_) => {
                return Err(refused(
                    format!("the key {} is not votekit's", inner.names.layout()),
                    other(),
                ));
            }
            Err(EngineError::Corrupt { reason, .. }) => return Err(refused(reason, other())),
            Err(EngineError::Misconfigured { reason, hint, .. }) => {
                return Err(refused(reason, hint));
            }
            Err(error) => return Err(error),
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Checks whether a roll or supplement of `electors` electors can be added to what the registry
    /// holds of an election. Changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] when the registry holds credentials of another pepper or an
    /// unfinished roll, or when Redis lost a part of what was loaded.
    pub async fn check_load(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
        electors: u64,
    ) -> Result<(), EngineError> {
        self.inner.check_load(law_id, Some(origin), electors).await
    }

    /// Whether the registry is on a cluster.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.inner.server.is_cluster()
    }
}

impl Inner {
    fn prepared(&self, law_id: &ElectionId) -> Option<RollOrigin> {
        self.prepared.lock().get(law_id).cloned()
    }
}

#[async_trait]
impl Registry for RedisRegistry {
    async fn check_origin(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
    ) -> Result<(), EngineError> {
        self.meta(law_id).await?.map_or(Ok(()), |meta| meta.refuse_other_scheme(law_id, origin))
    }

    async fn prepare(
        &self,
        law_id: &ElectionId,
        origin: &RollOrigin,
        electors: u64,
    ) -> Result<(), EngineError> {
        self.check_load(law_id, origin, electors).await?;
        settings::refuse(&self.check_settings(electors).await?)?;
        self.inner.prepared.lock().insert(law_id.clone(), origin.clone());
        Ok(())
    }

    async fn add_roll(&self, law_id: &ElectionId, keys: &Arc<KeyList>) -> Result<(), EngineError> {
        self.load_roll(law_id, keys, self.inner.prepared(law_id).as_ref(), &|_| {}).await.map(drop)
    }

    async fn apply(&self, law_id: &ElectionId, changes: &Changes) -> Result<(), EngineError> {
        self.load_supplement(law_id, changes, self.inner.prepared(law_id).as_ref()).await.map(drop)
    }

    async fn mark(&self, law_id: &ElectionId, marks: &[Mark]) -> Result<Vec<Hint>, EngineError> {
        self.inner.mark_all(law_id, marks).await
    }

    async fn is_registered(
        &self,
        law_id: &ElectionId,
        key: &RegistryKey,
    ) -> Result<bool, EngineError> {
        self.inner.is_registered(law_id, key).await
    }

    /// Replaces the election bucket by bucket, while votes are being marked.
    async fn restore_all(
        &self,
        law_id: &ElectionId,
        electors: Vec<KnownElectors>,
        origin: Option<&RollOrigin>,
    ) -> Result<(), EngineError> {
        self.rebuild(law_id, &electors, origin.map(std::slice::from_ref), &|_| {}).await
    }

    async fn registered(&self, law_id: &ElectionId) -> Result<u64, EngineError> {
        Ok(self.meta(law_id).await?.map_or(0, |meta| meta.registered))
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.inner.server.on_each(&redis::cmd("PING"), QUERY_TIMEOUT).await.map(drop)
    }
}

impl fmt::Debug for RedisRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "RedisRegistry({})",
            if self.is_cluster() { "cluster" } else { "one server" }
        )
    }
}
