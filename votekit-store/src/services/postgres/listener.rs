//! Listens for changes to the logs: one connection that receives notifications of PostgreSQL.
//!
//! A lost notification costs only time: tasks that wait for changes also poll from time to time.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_fn;
use tokio::sync::watch;
use tokio_postgres::AsyncMessage;

use super::connections::Connector;
use crate::{Changes, essential};

/// Pause before the listener reconnects.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// The payload of a notification about a row of a round. One about a log has none.
const ROWS: &str = "rows";

/// A task that listens for as long as the ledger is open.
#[derive(Debug)]
pub(super) struct Listener {
    changes: watch::Receiver<Changes>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    pub(super) fn start(connector: Arc<Connector>) -> Self {
        let (sender, changes) = watch::channel(Changes::default());
        let task = essential::spawn("the listener of PostgreSQL", async move {
            loop {
                listen(&connector, &sender).await;
                tokio::time::sleep(RECONNECT_INTERVAL).await;
            }
        });
        Self { changes, task }
    }

    pub(super) fn changes(&self) -> watch::Receiver<Changes> {
        self.changes.clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens until the connection ends.
async fn listen(connector: &Connector, changes: &watch::Sender<Changes>) {
    let (client, mut connection) = match connector.connect_raw().await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::debug!(
                event = "postgres_listen_failed",
                %error,
                "notifications of PostgreSQL not received"
            );
            return;
        }
    };
    // Once subscribed, signals all changes: notifications before that were missed.
    let subscribe = async {
        let row = client.query_one("SELECT changes_channel()", &[]).await?;
        client.batch_execute(&format!("LISTEN {}", row.get::<_, &str>(0))).await?;
        changes.send_modify(|Changes { logs, rows }| (*logs, *rows) = (*logs + 1, *rows + 1));
        Ok::<(), tokio_postgres::Error>(())
    };
    tokio::pin!(subscribe);
    let mut subscribed = false;
    // `subscribe` makes progress only while the connection is polled, so one task polls both.
    let ended = poll_fn(|context| {
        loop {
            if !subscribed && let Poll::Ready(done) = subscribe.as_mut().poll(context) {
                if done.is_err() {
                    return Poll::Ready(());
                }
                subscribed = true;
            }
            match connection.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notification(notification)))) => {
                    changes.send_modify(|changes| match notification.payload() {
                        ROWS => changes.rows += 1,
                        _ => changes.logs += 1,
                    });
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    ended.await;
}
