//! TLS to the server: a verified certificate, or none at all on this machine.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode as Negotiation;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::misconfigured;
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// How a connection is negotiated, and the connector that makes it.
pub(super) fn connector(
    address: &ServiceAddress,
) -> Result<(Negotiation, MakeRustlsConnect), EngineError> {
    let (negotiation, roots) = if is_encrypted(address)? {
        (Negotiation::Require, authorities(address.ca_file())?)
    } else {
        // Never used: the client does not ask for TLS.
        (Negotiation::Disable, RootCertStore::empty())
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            misconfigured(format!("cannot set up TLS: {error}"), "report this as a bug in votekit")
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((negotiation, MakeRustlsConnect::new(config)))
}

/// Reads `sslmode`. Without it a connection is encrypted unless it stays on this machine.
fn is_encrypted(address: &ServiceAddress) -> Result<bool, EngineError> {
    let is_local = is_loopback(address.host());
    match address.parameter("sslmode").as_deref() {
        None => Ok(!is_local || address.ca_file().is_some()),
        Some("verify-full") => Ok(true),
        Some("disable") if is_local => Ok(false),
        Some("disable") => Err(misconfigured(
            format!(
                "sslmode=disable of {address} would send passwords and votes to another machine \
                 unencrypted"
            ),
            "write sslmode=verify-full, with ca_file= unless the system trusts the authority",
        )),
        Some(mode) => Err(misconfigured(
            format!("sslmode={mode} of {address} is not supported"),
            "write sslmode=verify-full, or sslmode=disable for a server on this machine",
        )),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// The certificate authorities of a PEM file, or the system's.
fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, EngineError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates =
                certificates.map_err(|error| no_authority(ca_file, &error.to_string()))?;
            for certificate in certificates {
                roots
                    .add(certificate)
                    .map_err(|error| no_authority(ca_file, &error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        Err(no_authority(ca_file, "it contains no certificate"))
    } else {
        Ok(roots)
    }
}

fn no_authority(ca_file: Option<&Path>, rule: &str) -> EngineError {
    let source = ca_file.map_or_else(
        || "the system's store of certificate authorities".to_owned(),
        |path| format!("ca_file {}", path.display()),
    );
    misconfigured(
        format!("cannot read {source}: {rule}"),
        "give ?ca_file= with a PEM file of the authority that signed the server's certificate",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::url::Service;

    fn encrypted(host: &str, query: &str) -> Result<bool, EngineError> {
        let text = format!("postgres://votekit@{host}/votekit{query}");
        is_encrypted(&ServiceAddress::parse(Service::PostgreSql, &text).expect("an address"))
    }

    #[test]
    fn a_connection_is_encrypted_unless_it_stays_on_this_machine() {
        for host in ["127.0.0.1", "127.8.8.8:5433", "[::1]", "localhost"] {
            assert_eq!(encrypted(host, "").ok(), Some(false), "{host}");
            assert_eq!(encrypted(host, "?sslmode=disable").ok(), Some(false), "{host}");
            assert_eq!(encrypted(host, "?ca_file=ca.pem").ok(), Some(true), "{host}");
            assert_eq!(encrypted(host, "?sslmode=verify-full").ok(), Some(true), "{host}");
        }
        for host in ["db.example.ca", "10.0.0.5", "[2001:db8::1]", "localhost.example.ca"] {
            assert_eq!(encrypted(host, "").ok(), Some(true), "{host}");
            assert_eq!(encrypted(host, "?sslmode=verify-full").ok(), Some(true), "{host}");
            assert!(encrypted(host, "?sslmode=disable").is_err(), "{host}");
        }
    }

    #[test]
    fn a_mode_that_does_not_verify_is_refused_with_one_that_does() {
        for mode in ["allow", "prefer", "require", "verify-ca"] {
            for host in ["127.0.0.1", "db.example.ca"] {
                match encrypted(host, &format!("?sslmode={mode}")) {
                    Err(EngineError::Misconfigured { reason, hint, .. }) => {
                        assert!(reason.contains(&format!("sslmode={mode}")), "{reason}");
                        assert!(hint.contains("write sslmode=verify-full"), "{hint}");
                    }
                    other => panic!("{mode} at {host}: {other:?}"),
                }
            }
        }
    }
}
