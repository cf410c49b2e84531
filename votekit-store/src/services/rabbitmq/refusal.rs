//! A refused connection: the reason as an error that says what to change.

use lapin::ErrorKind;

use super::errors::misconfigured;
use super::settings::Settings;
use crate::EngineError;

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
