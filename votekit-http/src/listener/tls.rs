//! TLS from a certificate chain and a key in PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use votekit_node::data_folder::check_private;

use super::ServeError;

/// The identity of the public listener. It can be reloaded while connections are served.
pub(super) struct TlsIdentity {
    cert: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

impl TlsIdentity {
    /// Reads the files.
    ///
    /// # Errors
    /// As [`acceptor`].
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, ServeError> {
        let acceptor = RwLock::new(acceptor(cert, key)?);
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), acceptor })
    }

    /// Reloads the files. On an error the earlier identity stays.
    ///
    /// # Errors
    /// As [`acceptor`].
    pub(super) fn reload(&self) -> Result<(), ServeError> {
        let read = acceptor(&self.cert, &self.key)?;
        *self.acceptor.write() = read;
        Ok(())
    }

    /// An acceptor with the current identity.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.read().clone()
    }
}

/// Builds an acceptor for TLS 1.2 and 1.3 connections with this identity, for HTTP/1.1.
///
/// # Errors
/// [`ServeError::TlsFile`] naming the file, [`ServeError::TlsKey`] if others can reach the key,
/// [`ServeError::TlsIdentity`] if the two do not belong together.
fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, ServeError> {
    let wrong = |path: &Path, rule: String| ServeError::TlsFile { path: path.to_owned(), rule };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(cert, "it contains no PEM certificate".to_owned()));
    }
    check_private(key).map_err(ServeError::TlsKey)?;
    let private_key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    let identity = |error: rustls::Error| ServeError::TlsIdentity {
        cert: cert.to_owned(),
        key: key.to_owned(),
        reason: error.to_string(),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(identity)?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(identity)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
