//! TLS to the server as `sslmode` requests it, with libpq's meaning of each mode.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres::config::SslMode as Negotiation;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::misconfigured;
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// What is verified of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Nothing: the connection is encrypted, the server is not authenticated.
    Nothing,
    /// A trusted authority signed it.
    Authority,
    /// And it names the host.
    AuthorityAndHost,
}

/// How a connection is negotiated, and the connector that makes it.
pub(super) fn connector(
    address: &ServiceAddress,
) -> Result<(Negotiation, MakeRustlsConnect), EngineError> {
    let mode = address.parameter("sslmode").unwrap_or_else(|| "prefer".to_owned());
    let ca_file = address.ca_file();
    let (negotiation, check) = match mode.as_str() {
        "disable" => (Negotiation::Disable, Check::Nothing),
        "prefer" => (Negotiation::Prefer, Check::Nothing),
        "require" if ca_file.is_none() => (Negotiation::Require, Check::Nothing),
        "require" | "verify-ca" => (Negotiation::Require, Check::Authority),
        "verify-full" => (Negotiation::Require, Check::AuthorityAndHost),
        other => {
            return Err(misconfigured(
                format!("sslmode={other} of {address} is not known"),
                "sslmode is disable, prefer, require, verify-ca or verify-full",
            ));
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            misconfigured(
                format!("TLS cannot be set up: {error}"),
                "report this as a fault of votekit",
            )
        })?;
    let builder = match check {
        Check::AuthorityAndHost => builder.with_root_certificates(authorities(ca_file)?),
        Check::Authority => {
            let roots = Arc::new(authorities(ca_file)?);
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            let verifier = verifier.map_err(|error| no_authority(ca_file, &error.to_string()))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyHost(verifier)))
        }
        Check::Nothing => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        }
    };
    Ok((negotiation, MakeRustlsConnect::new(builder.with_no_client_auth())))
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
        Err(no_authority(ca_file, "there is no certificate in it"))
    } else {
        Ok(roots)
    }
}

fn no_authority(ca_file: Option<&Path>, rule: &str) -> EngineError {
    let place = ca_file.map_or_else(
        || "the system's store of certificate authorities".to_owned(),
        |path| format!("ca_file {}", path.display()),
    );
    misconfigured(
        format!("{place} does not read: {rule}"),
        "give ?ca_file= with a PEM file of the authority that signed the server's certificate",
    )
}

/// Accepts any certificate: `prefer`, and `require` without `ca_file`.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts a certificate of a trusted authority for any host: `verify-ca`.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // The name is checked last, after everything else.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
