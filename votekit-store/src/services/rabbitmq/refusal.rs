//! A refused connection: the reason as an error that says what to change.

use lapin::ErrorKind;

use super::settings::Settings;
use super::trouble::misconfigured;
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
                    format!("{shown}: the user {user} may not set up what is needed ({text})"),
                    format!(
                        "rabbitmqctl set_permissions -p {} {user} {}",
                        settings.uri.vhost,
                        settings.names.permissions()
                    ),
                ),
                403 => misconfigured(
                    format!("{shown}: the broker refuses the user {user} or the password"),
                    "see rabbitmqctl list_users, and give the password with ?password_file=FILE; the user guest may come from the broker's own machine alone",
                ),
                530 => misconfigured(
                    format!(
                        "{shown}: the virtual host {} is not there, or not for the user {user}",
                        settings.uri.vhost
                    ),
                    "the part behind the slash names it: see rabbitmqctl list_vhosts and list_permissions",
                ),
                406 => misconfigured(
                    format!(
                        "{shown}: a queue or an exchange of this name was declared with other arguments ({text})"
                    ),
                    "another program or another version made it: give this ballot box names of its own with ?prefix=NAME, or delete the queue once it is empty",
                ),
                _ => misconfigured(
                    format!("{shown}: the broker refuses ({text})"),
                    "see the log of the broker",
                ),
            }
        }
        ErrorKind::IOError(error)
            if error.kind() == std::io::ErrorKind::InvalidData || is_tls(error) =>
        {
            misconfigured(
                format!("{shown}: no TLS could be agreed on ({error})"),
                "is it a port for TLS (usually 5671), does ?ca_file=FILE name the authority of its certificate, and does that name the host?",
            )
        }
        ErrorKind::IOError(error) if tls => misconfigured(
            format!("{shown}: nobody answers in TLS ({error})"),
            "check host and port, and that RabbitMQ runs there with TLS; amqp:// is without TLS",
        ),
        _ => misconfigured(
            format!("{shown}: nobody answers ({error})"),
            "check host and port, and that RabbitMQ runs there; a port for TLS wants amqps://",
        ),
    }
}

fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
