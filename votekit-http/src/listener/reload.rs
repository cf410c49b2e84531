//! Reloading the TLS identity and the administrator's token while a node runs.

use std::fmt;
use std::sync::Arc;

use votekit_node::Node;

use super::tls::TlsIdentity;
use crate::context::Api;

/// Reloads the TLS identity and the administrator's token while a node runs.
#[derive(Clone)]
pub struct Reloader {
    pub(super) tls: Option<Arc<TlsIdentity>>,
    pub(super) api: Arc<Api>,
    pub(super) node: Node,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reloader(tls: {})", self.tls.is_some())
    }
}

impl Reloader {
    /// Reloads the TLS identity and the token. If one cannot be read, its previous value stays in
    /// use and an error is logged.
    pub async fn reload(&self) {
        let tls = self.tls.clone();
        let tls = move || tls.map_or(Ok(()), |tls| tls.reload()).map_err(|error| error.to_string());
        let this = self.clone();
        let token = move || match this.node.admin_token() {
            Ok(token) => {
                this.api.set_admin_token(token.as_bytes());
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        };
        let (tls, token) = tokio::join!(read(tls), read(token));
        if let Err(error) = &tls {
            tracing::error!(
                event = "certificate_reload_failed",
                error,
                "certificate not reloaded, the previous one stays in use"
            );
        }
        if let Err(error) = &token {
            tracing::error!(
                event = "admin_token_reload_failed",
                error,
                "administrator token not reloaded, the previous one stays in use"
            );
        }
        if tls.is_ok() && token.is_ok() {
            tracing::info!(
                event = "certificate_and_token_reloaded",
                tls = self.tls.is_some(),
                "certificate and administrator token reloaded"
            );
        }
    }
}

/// Reads files on a thread that may block, one call for each kind: a panic is then reported for the
/// kind that it concerns.
async fn read(files: impl FnOnce() -> Result<(), String> + Send + 'static) -> Result<(), String> {
    tokio::task::spawn_blocking(files).await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_file_that_was_read() {
        let (tls, token) = tokio::join!(read(|| Ok(())), read(|| panic!("a test panics")));
        assert_eq!(tls, Ok(()));
        assert!(token.expect_err("it panicked").contains("panicked"));
    }
}
