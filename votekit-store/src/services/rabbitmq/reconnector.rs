//! A connection that is reopened when it fails. Callers get the current session, or immediately an
//! error when there is none.
//!
//! On any failure the reconnector drops the whole connection, opens a new connection after a pause,
//! and declares all queues and exchanges again. The publisher of an unconfirmed message publishes
//! it again. A refusal by the broker becomes an error that says what to change.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::ConfirmSelectOptions;
use lapin::tcp::{AsyncTcpStream, RustlsConnectorConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::errors::{misconfigured, too_late, unavailable};
use super::settings::Settings;
use super::topology::{Names, declare};
use crate::EngineError;
use crate::essential;
use crate::retry::Backoff;

/// Timeout for connecting, logging in and declaring together.
pub(super) const OPENING_TIMEOUT: Duration = Duration::from_millis(4_500);

/// Timeout for TCP and TLS together.
const CONNECTING_TIMEOUT: Duration = Duration::from_secs(4);

/// Timeout for an orderly close.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

/// A session that lasted this long is unlikely to have ended for a reason that ends the next
/// session at once; the back-off is then reset.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// The longest pause between attempts to connect: votes wait, and a refused attempt costs little.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// The minimum interval between two log lines about failed attempts.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(2);

/// How often the state of the connection is polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A connection, for as long as it lasts.
pub(super) struct Session {
    pub(super) connection: Arc<Connection>,
    publish_channels: OnceCell<PublishChannels>,
    trouble: watch::Sender<Option<String>>,
}

#[derive(Clone)]
enum State {
    Starting,
    Up(Arc<Session>),
    Down(String),
}

/// Keeps a connection up until it is dropped.
pub(super) struct Reconnector {
    handle: SessionHandle,
    _keeper: AbortOnDrop,
}

/// Observes the state of a connection.
#[derive(Clone)]
pub(super) struct SessionHandle(watch::Receiver<State>);

/// A task that is aborted when this is dropped.
pub(super) struct AbortOnDrop(pub(super) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reconnector {
    /// Keeps a connection up, starting with `first` if there is one.
    pub(super) fn spawn(
        settings: Settings,
        purpose: &'static str,
        first: Option<Connection>,
    ) -> Self {
        let (state, handle) = watch::channel(State::Starting);
        let first = first.map(|connection| {
            let session = Arc::new(Session::new(connection));
            state.send_replace(State::Up(Arc::clone(&session)));
            session
        });
        let keeper = essential::spawn(
            "the connection task of RabbitMQ",
            keep_up(settings, purpose, first, state),
        );
        Self { handle: SessionHandle(handle), _keeper: AbortOnDrop(keeper) }
    }

    pub(super) fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }
}

impl SessionHandle {
    /// The current session.
    pub(super) fn session(&self) -> Result<Arc<Session>, EngineError> {
        match &*self.0.borrow() {
            State::Up(session) => Ok(Arc::clone(session)),
            State::Down(reason) => Err(unavailable(reason.clone())),
            State::Starting => Err(unavailable("connecting")),
        }
    }

    /// Waits for a session other than the one that `ended`; `None` when the reconnector was
    /// dropped. The next session may be up before a caller notices that the previous session has
    /// ended.
    pub(super) async fn up(&mut self, ended: Option<&Arc<Session>>) -> Option<Arc<Session>> {
        let is_next = |state: &State| match state {
            State::Up(session) => ended.is_none_or(|ended| !Arc::ptr_eq(ended, session)),
            State::Starting | State::Down(_) => false,
        };
        match self.0.wait_for(is_next).await.as_deref() {
            Ok(State::Up(session)) => Some(Arc::clone(session)),
            _ => None,
        }
    }
}

/// Closes the connection explicitly. Otherwise it stays open while the process runs if it is
/// dropped during the registration of a consumer, and the broker would keep assigning the queue to
/// that consumer.
impl Drop for Session {
    fn drop(&mut self) {
        let connection = Arc::clone(&self.connection);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = timeout(CLOSING_TIMEOUT, connection.close(200, "dropped".into())).await;
            });
        }
    }
}

impl Session {
    fn new(connection: Connection) -> Self {
        let connection = Arc::new(connection);
        Self { connection, publish_channels: OnceCell::new(), trouble: watch::Sender::new(None) }
    }

    /// Ends the session after a failure. The first reason is kept.
    pub(super) fn give_up(&self, reason: impl Into<String>) {
        self.trouble.send_if_modified(|trouble| {
            let first = trouble.is_none();
            trouble.get_or_insert_with(|| reason.into());
            first
        });
    }

    /// Whether the session was given up or the connection is lost.
    pub(super) fn is_over(&self) -> bool {
        self.trouble.borrow().is_some() || !self.connection.status().connected()
    }

    /// Waits for the end of the session, and returns the reason.
    pub(super) async fn over(&self) -> String {
        let mut events = Box::pin(self.connection.events_listener());
        let mut trouble = self.trouble.subscribe();
        loop {
            tokio::select! {
                reason = trouble.wait_for(Option::is_some) => {
                    return reason.ok().and_then(|reason| reason.clone()).unwrap_or_default();
                }
                event = events.next() => match event {
                    // A soft error ends only a channel. The channel's user sees it too, and knows
                    // whether the session can continue without the channel.
                    Some(Event::Error(error)) if error.is_amqp_soft_error() => tracing::debug!(
                        event = "broker_channel_closed",
                        %error,
                        "channel closed by the broker"
                    ),
                    Some(Event::Error(error)) => return error.to_string(),
                    Some(Event::ConnectionBlocked(reason)) => tracing::warn!(
                        event = "broker_blocked",
                        reason,
                        "broker accepts no messages"
                    ),
                    Some(Event::ConnectionUnblocked) => tracing::info!(
                        event = "broker_unblocked",
                        "broker accepts messages again"
                    ),
                    Some(_) => {}
                    None => return "the connection ended".to_owned(),
                },
                () = tokio::time::sleep(POLL_INTERVAL) => {
                    if !self.connection.status().connected() {
                        return "the connection is lost".to_owned();
                    }
                }
            }
        }
    }

    /// The channels to publish through, opened by the first call.
    pub(super) async fn publish_channels(
        &self,
        settings: &Settings,
    ) -> Result<&PublishChannels, EngineError> {
        let opening = self
            .publish_channels
            .get_or_try_init(|| PublishChannels::open(&self.connection, &settings.names));
        match timeout(OPENING_TIMEOUT, opening).await.unwrap_or_else(|_| Err(too_late())) {
            Ok(publish_channels) => Ok(publish_channels),
            Err(error) => {
                self.give_up(error.to_string());
                Err(unavailable(error.to_string()))
            }
        }
    }
}

/// One channel per queue.
///
/// lapin attaches a returned message to the next confirm that resolves on the channel. With a
/// channel per queue that can only be a message to the same queue, which is then missing for both.
pub(super) struct PublishChannels {
    pub(super) validation: Vec<Channel>,
    pub(super) aggregation: Channel,
    pub(super) review: Channel,
    pub(super) rejected: Channel,
    pub(super) dead_letters: Channel,
    pub(super) control: Channel,
}

impl PublishChannels {
    async fn open(connection: &Connection, names: &Names) -> lapin::Result<Self> {
        let mut validation = Vec::with_capacity(names.validation.len());
        for _ in &names.validation {
            validation.push(confirming(connection).await?);
        }
        Ok(Self {
            validation,
            aggregation: confirming(connection).await?,
            review: confirming(connection).await?,
            rejected: confirming(connection).await?,
            dead_letters: confirming(connection).await?,
            control: connection.create_channel().await?,
        })
    }
}

async fn confirming(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn keep_up(
    settings: Settings,
    purpose: &'static str,
    first: Option<Arc<Session>>,
    state: watch::Sender<State>,
) {
    let mut session = match first {
        Some(session) => session,
        None => reconnect(&settings, purpose, &state).await,
    };
    let mut backoff = Backoff::new();
    loop {
        state.send_replace(State::Up(Arc::clone(&session)));
        let begun = Instant::now();
        let reason = session.over().await;
        tracing::warn!(event = "broker_lost", purpose, reason, "connection to the broker lost");
        state.send_replace(State::Down(reason.clone()));
        session.give_up(reason);
        // If the connection is still alive, closing it makes the broker redeliver its messages
        // elsewhere at once.
        let _ = timeout(CLOSING_TIMEOUT, session.connection.close(200, "given up".into())).await;
        // When a session ends, the broker requeues its unacknowledged messages, and dead-letters a
        // message that is requeued too often. So the back-off delays the session that follows a
        // short session.
        if begun.elapsed() >= STABLE_AFTER {
            backoff = Backoff::new();
        } else {
            backoff.pause().await;
        }
        session = reconnect(&settings, purpose, &state).await;
        tracing::info!(event = "broker_reconnected", purpose, "connection to the broker restored");
    }
}

async fn reconnect(
    settings: &Settings,
    purpose: &'static str,
    state: &watch::Sender<State>,
) -> Arc<Session> {
    let mut backoff = Backoff::up_to(RECONNECT_PAUSE_MAX);
    let mut logged: Option<Instant> = None;
    loop {
        match timeout(OPENING_TIMEOUT, open(settings)).await.unwrap_or_else(|_| Err(too_late())) {
            Ok(connection) => return Arc::new(Session::new(connection)),
            Err(error) => {
                let reason = explain(settings, &error).to_string();
                if logged.is_none_or(|at| at.elapsed() >= FAILURE_LOG_INTERVAL) {
                    logged = Some(Instant::now());
                    tracing::warn!(
                        event = "broker_reconnect_failed",
                        purpose,
                        reason,
                        "broker not reachable, retrying"
                    );
                }
                state.send_replace(State::Down(reason));
            }
        }
        backoff.pause().await;
    }
}

/// Connects, logs in and declares.
async fn open(settings: &Settings) -> lapin::Result<Connection> {
    let connection = connect(settings).await?;
    declare(&connection, &settings.names).await?;
    Ok(connection)
}

/// Connects and logs in. lapin's own recovery stays off.
pub(super) async fn connect(settings: &Settings) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name("votekit".into());
    let authorities = settings.authorities.clone();
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        settings.uri.clone(),
        runtime,
        async move |uri: AMQPUri, runtime| {
            let reached = async {
                let addresses =
                    runtime.to_socket_addrs((uri.authority.host.clone(), uri.authority.port));
                let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                match uri.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => {
                        let connector =
                            trusted(authorities.as_deref())?.connector_with_no_client_auth()?;
                        stream.into_rustls(&connector, &uri.authority.host).await
                    }
                }
            };
            let reached: std::io::Result<_> = timeout(CONNECTING_TIMEOUT, reached)
                .await
                .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            Ok(reached?)
        },
        properties,
    )
    .await
}

/// The trusted certificate authorities: those of the file, or the system's.
fn trusted(authorities: Option<&[u8]>) -> std::io::Result<RustlsConnectorConfig> {
    let Some(authorities) = authorities else {
        return RustlsConnectorConfig::new_with_native_certs();
    };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(authorities).collect::<Result<_, _>>().map_err(|error| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("ca_file: {error}"))
        })?;
    let mut config = RustlsConnectorConfig::default();
    config.add_parsable_certificates(certificates);
    Ok(config)
}

/// Explains why the broker could not be opened.
pub(super) fn explain(settings: &Settings, error: &lapin::Error) -> EngineError {
    let shown = &settings.shown;
    let user = &settings.uri.authority.userinfo.username;
    let tls = settings.authorities.is_some() || shown.starts_with("amqps");
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => {
            let text = refusal.get_message().to_string();
            match refusal.get_id() {
                403 if text.contains("access to") => misconfigured(
                    format!("{shown}: the user {user} lacks permissions ({text})"),
                    format!(
                        "rabbitmqctl set_permissions -p {} {user} {}",
                        settings.uri.vhost,
                        settings.names.permissions()
                    ),
                ),
                403 => misconfigured(
                    format!("{shown}: the broker refuses the user {user} or the password"),
                    "see rabbitmqctl list_users, and give the password with ?password_file=FILE; \
                     the user guest can connect from the broker's own machine only",
                ),
                530 => misconfigured(
                    format!(
                        "{shown}: the virtual host {} does not exist, or the user {user} has no \
                         access to it",
                        settings.uri.vhost
                    ),
                    "the part after the slash names it: see rabbitmqctl list_vhosts and \
                     list_permissions",
                ),
                406 => misconfigured(
                    format!(
                        "{shown}: a queue or an exchange of this name was declared with other arguments ({text})"
                    ),
                    "another program or version declared it: choose another ?prefix=NAME, or \
                     delete the queue once it is empty",
                ),
                _ => misconfigured(
                    format!("{shown}: refused by the broker ({text})"),
                    "see the broker's log",
                ),
            }
        }
        ErrorKind::IOError(error)
            if error.kind() == std::io::ErrorKind::InvalidData || is_tls(error) =>
        {
            misconfigured(
                format!("{shown}: the TLS handshake failed ({error})"),
                "is it a TLS port (usually 5671), does ?ca_file=FILE name the authority of its \
                 certificate, and is the certificate for this host?",
            )
        }
        ErrorKind::IOError(error) if tls => misconfigured(
            format!("{shown}: no answer over TLS ({error})"),
            "check host and port, and that RabbitMQ runs there with TLS; amqp:// connects without \
             TLS",
        ),
        _ => misconfigured(
            format!("{shown}: cannot connect ({error})"),
            "check host and port, and that RabbitMQ runs there; a TLS port requires amqps://",
        ),
    }
}

fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
