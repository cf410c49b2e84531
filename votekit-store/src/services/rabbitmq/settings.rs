//! The settings of a ballot box in its address: broker, names, number of queues.

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};

use super::errors::misconfigured;
use super::topology::Names;
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// Default number of validation queues.
const QUEUES: usize = 4;

/// Maximum number of validation queues: each costs a channel in every process, and a consensus
/// group in the broker.
const QUEUES_MAX: usize = 64;

/// Maximum length of a prefix, in bytes: names in the broker have at most 255 bytes.
const PREFIX_BYTES_MAX: usize = 100;

/// AMQP heartbeat, in seconds: a connection is probed after this silence, and closed after twice as
/// long.
const HEARTBEAT_SECONDS: u16 = 5;

/// The broker and the names of its queues. Not `Debug`: the URI contains the password.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) uri: AMQPUri,
    /// PEM of the certificate authorities trusted instead of the system's.
    pub(super) authorities: Option<Vec<u8>>,
    pub(super) names: Names,
    /// The address without its password.
    pub(super) shown: String,
}

impl Settings {
    /// Reads the settings from an address.
    pub(super) fn read(address: &ServiceAddress) -> Result<Self, EngineError> {
        let fault =
            |reason: String, hint: &str| misconfigured(format!("{address}: {reason}"), hint);
        let (mut prefix, mut queues) = (String::new(), QUEUES);
        for (name, value) in address.parameters() {
            match name.as_str() {
                "prefix" if is_prefix(&value) => prefix = value,
                "prefix" => {
                    return Err(fault(
                        "the prefix is not 1 to 100 letters, digits, dots, hyphens and underscores"
                            .to_owned(),
                        "a prefix separates installations that share a broker, such as \
                         ?prefix=test",
                    ));
                }
                "queues" => {
                    queues = value
                        .parse()
                        .ok()
                        .filter(|queues| (1..=QUEUES_MAX).contains(queues))
                        .ok_or_else(|| {
                            fault(
                                format!("queues is not a number from 1 to {QUEUES_MAX}"),
                                "give a number, such as ?queues=8, or omit it for 4",
                            )
                        })?;
                }
                _ => {
                    return Err(fault(
                        format!("unknown parameter {name}"),
                        "the parameters are prefix, queues, password_file and ca_file",
                    ));
                }
            }
        }
        let authorities = match address.ca_file() {
            None => None,
            Some(_) if !address.is_tls() => {
                return Err(fault(
                    "ca_file requires TLS, and amqp:// connects without TLS".to_owned(),
                    "use amqps://, or omit ca_file",
                ));
            }
            Some(path) => Some(std::fs::read(path).map_err(|error| {
                fault(
                    format!("cannot read ca_file {} ({error})", path.display()),
                    "name a PEM file with the certificates of the trusted authorities",
                )
            })?),
        };
        Ok(Self {
            uri: uri(address),
            authorities,
            names: Names::new(&prefix, queues),
            shown: address.to_string(),
        })
    }
}

fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=PREFIX_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn uri(address: &ServiceAddress) -> AMQPUri {
    // The broker's default account, for trials on one machine.
    let username =
        Some(address.user()).filter(|user| !user.is_empty()).unwrap_or_else(|| "guest".to_owned());
    let password = address.password().map_or_else(
        || if username == "guest" { "guest".to_owned() } else { String::new() },
        str::to_owned,
    );
    AMQPUri {
        scheme: if address.is_tls() { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username, password },
            host: address.host().to_owned(),
            port: address.port(),
        },
        vhost: Some(address.path())
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| "/".to_owned()),
        query: AMQPQueryString { heartbeat: Some(HEARTBEAT_SECONDS), ..AMQPQueryString::default() },
    }
}
