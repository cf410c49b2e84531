//! Addresses of services: parsed and checked once, printed without their password.
//!
//! `redis://`, `rediss://`, `amqp://`, `amqps://`, `postgres://`, `postgresql://`. Each accepts
//! `?password_file=FILE`, instead of a password that would be visible in the process list, and,
//! where it uses TLS, `?ca_file=FILE`: a PEM file of the certificate authorities trusted instead of
//! the system's.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

/// The service that an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The registry: Redis, one server or a cluster.
    Redis,
    /// The ballot box: RabbitMQ.
    RabbitMq,
    /// The ledger: PostgreSQL.
    PostgreSql,
}

impl Service {
    /// The name used in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::RabbitMq => "RabbitMQ",
            Self::PostgreSql => "PostgreSQL",
        }
    }

    fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &["redis", "rediss"],
            Self::RabbitMq => &["amqp", "amqps"],
            Self::PostgreSql => &["postgres", "postgresql"],
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Redis => "redis://redis.example.ca:6379",
            Self::RabbitMq => {
                "amqp://votekit@rabbitmq.example.ca:5672/votekit?password_file=amqp.password"
            }
            Self::PostgreSql => {
                "postgres://votekit@postgres.example.ca:5432/votekit?password_file=postgres.password"
            }
        }
    }

    fn default_port(self, tls: bool) -> u16 {
        match self {
            Self::Redis => 6379,
            Self::RabbitMq if tls => 5671,
            Self::RabbitMq => 5672,
            Self::PostgreSql => 5432,
        }
    }
}

/// Why a text is not the address of a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {rule}, such as {example}", example = service.example())]
pub struct AddressError {
    service: Service,
    /// Names the service instead of quoting the text, which may contain a password.
    what: String,
    rule: String,
}

/// The address of a service.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    service: Service,
    url: Url,
    password: Option<Zeroizing<String>>,
    ca_file: Option<PathBuf>,
}

impl ServiceAddress {
    /// Parses an address and reads its password file.
    ///
    /// # Errors
    /// [`AddressError`] with the broken rule. It never contains the password.
    ///
    /// ```
    /// use votekit_store::services::url::{Service, ServiceAddress};
    /// let address = ServiceAddress::parse(Service::RabbitMq, "amqp://votes:secret@localhost/votekit")?;
    /// assert_eq!(address.host(), "localhost");
    /// assert_eq!(address.port(), 5672);
    /// assert_eq!(address.path(), "votekit");
    /// assert_eq!(address.to_string(), "amqp://votes@localhost:5672/votekit");
    /// assert!(ServiceAddress::parse(Service::RabbitMq, "redis://localhost").is_err());
    /// # Ok::<(), votekit_store::services::url::AddressError>(())
    /// ```
    pub fn parse(service: Service, text: &str) -> Result<Self, AddressError> {
        // Errors do not quote the text: the position of the password in it is not known yet.
        let fault = |rule: String| AddressError {
            service,
            what: format!("the address of {}", service.name()),
            rule,
        };
        let mut url: Url =
            text.trim().parse().map_err(|error| fault(format!("it is not a URL ({error})")))?;
        if !service.schemes().contains(&url.scheme()) {
            return Err(fault(format!(
                "it begins with {}://, expected {}://",
                url.scheme(),
                service.schemes().join(":// or ")
            )));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(fault("it names no host".to_owned()));
        }
        let mut password = url.password().map(|password| Zeroizing::new(percent_decoded(password)));
        let mut ca_file = None;
        let mut rest = Vec::new();
        for (name, value) in url.query_pairs() {
            match &*name {
                "password_file" => {
                    if password.is_some() {
                        return Err(fault(
                            "it has both a password and a password_file: omit one".to_owned(),
                        ));
                    }
                    let read = read_password(Path::new(&*value));
                    password = Some(read.map_err(|error| {
                        fault(format!("cannot read password_file {value} ({error})"))
                    })?);
                }
                "ca_file" => ca_file = Some(PathBuf::from(&*value)),
                _ => rest.push((name.into_owned(), value.into_owned())),
            }
        }
        // Fails only for a URL without a host, which is refused above.
        let _ = url.set_password(None);
        url.set_query(None);
        if !rest.is_empty() {
            url.query_pairs_mut().extend_pairs(rest);
        }
        Ok(Self { service, url, password, ca_file })
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service
    }

    /// The scheme: `redis`, `rediss`, `amqp`, `amqps`, `postgres` or `postgresql`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// Whether the scheme implies TLS. For PostgreSQL, `sslmode` decides.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.url.scheme(), "rediss" | "amqps")
    }

    /// The host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port, or the service's default port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port().unwrap_or_else(|| self.service.default_port(self.is_tls()))
    }

    /// The user, or an empty string.
    #[must_use]
    pub fn user(&self) -> String {
        percent_decoded(self.url.username())
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.as_str())
    }

    /// The decoded path behind the first slash: a database or a virtual host. Empty when there is
    /// none.
    #[must_use]
    pub fn path(&self) -> String {
        percent_decoded(self.url.path().trim_start_matches('/'))
    }

    /// The value of a query parameter, other than `password_file` and `ca_file`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// All query parameters, other than `password_file` and `ca_file`.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String)> {
        self.url
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    /// The PEM file of the certificate authorities trusted instead of the system's.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }
}

/// Omits the password and the query.
impl fmt::Display for ServiceAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.url.scheme())?;
        if !self.url.username().is_empty() {
            write!(formatter, "{}@", self.url.username())?;
        }
        write!(formatter, "{}:{}", self.url.host_str().unwrap_or_default(), self.port())?;
        let path = self.url.path();
        if path == "/" { Ok(()) } else { formatter.write_str(path) }
    }
}

impl fmt::Debug for ServiceAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServiceAddress({self}, password redacted)")
    }
}

fn read_password(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let text = Zeroizing::new(std::fs::read_to_string(path)?);
    Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "geheim%41\n").expect("written");
        let text = format!(
            "postgres://votes@db.example/votekit?password_file={}&sslmode=verify-full",
            file.display()
        );
        let address = ServiceAddress::parse(Service::PostgreSql, &text).expect("an address");
        assert_eq!(address.password(), Some("geheim%41"));
        assert_eq!(address.parameter("sslmode").as_deref(), Some("verify-full"));
        assert_eq!(address.to_string(), "postgres://votes@db.example:5432/votekit");
        let address = ServiceAddress::parse(Service::Redis, "rediss://:p%40ss@[::1]:7000")
            .expect("an address");
        assert_eq!(
            (address.host(), address.password(), address.is_tls()),
            ("::1", Some("p@ss"), true)
        );
        assert!(!format!("{address:?} {address}").contains("p@ss"));
    }

    #[test]
    fn errors_are_reported_without_the_password() {
        for (service, text, reason) in [
            (Service::Redis, "http://:secret@localhost", "begins with http://"),
            (Service::Redis, "localhost:6379", "begins with localhost://"),
            (Service::RabbitMq, "amqp://", "it names no host"),
            (Service::RabbitMq, "amqp://a:secret@host:notaport/", "it is not a URL"),
            (Service::PostgreSql, "postgres://a:secret@h/d?password_file=/nowhere", "omit one"),
            (
                Service::PostgreSql,
                "postgres://a@h/d?password_file=/nowhere",
                "cannot read password_file",
            ),
        ] {
            let error = ServiceAddress::parse(service, text).expect_err(text).to_string();
            assert!(
                error.contains(reason) && error.contains("such as") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
