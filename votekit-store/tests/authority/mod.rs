//! A certificate authority of one test, and a certificate for servers at 127.0.0.1, made by
//! openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Extensions of the certificates. The server's names an address and no host, so that a host name
/// can be wrong.
const EXTENSIONS: &str = "[req]\ndistinguished_name=name\n[name]\n\
    [authority]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n\
    [server]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1\n\
    extendedKeyUsage=serverAuth\n";

pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        std::fs::write(authority.path("openssl.cnf"), EXTENSIONS).expect("written");
        authority.make("authority", &[]);
        authority.make("server", &["-CA", "authority.pem", "-CAkey", "authority.key"]);
        authority
    }

    /// The certificate that clients trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("authority.pem")
    }

    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.path("server.key")
    }

    fn make(&self, name: &str, signed_by: &[&str]) {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-config",
            "openssl.cnf",
            "-extensions",
            name,
            "-subj",
            &format!("/CN={name}"),
        ]);
        openssl.args([
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-noenc",
            "-days",
            "2",
        ]);
        openssl
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .args(signed_by);
        let made =
            openssl.current_dir(self.folder.path()).output().expect("openssl is not installed");
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}
