//! One RabbitMQ node, and the epmd it needs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::account::Account;
use super::install::Programs;
use super::ports::{HOST, Ports};
use super::site::Site;

/// The shipped settings; folders and addresses are set in the environment.
const SETTINGS: &str = include_str!("../../../../deploy/rabbitmq/rabbitmq.conf");

/// Its Erlang node name. The separate epmd keeps it apart from other nodes of this name.
const NODE: &str = "votekit@localhost";

/// Creates its folder.
pub(super) fn prepare(site: &Site) -> Result<()> {
    let account = Account::named("rabbitmq")?;
    let folder = site.folder.join("rabbitmq");
    account.make_folder(&folder)?;
    account.write(&folder.join("rabbitmq.conf"), SETTINGS)?;
    account.write(&folder.join("enabled_plugins"), "[].\n")?;
    account.write(&folder.join(".erlang.cookie"), &site.secret)
}

/// The command that starts epmd. RabbitMQ would start one itself, for the whole machine and on
/// every address.
pub(super) fn epmd_command(site: &Site, programs: &Programs) -> Result<Command> {
    let mut command =
        Account::named("rabbitmq")?.command(&programs.epmd, &site.folder.join("rabbitmq"));
    command.args(["-address", &HOST.to_string(), "-port", &site.ports.epmd().to_string()]);
    Ok(command)
}

/// The command that starts the node.
pub(super) fn command(site: &Site, programs: &Programs) -> Result<Command> {
    let folder = site.folder.join("rabbitmq");
    let mut command = Account::named("rabbitmq")?.command(&programs.rabbitmq_server, &folder);
    // As under systemd the script execs the server: no shell remains in between.
    command.env("RUNNING_UNDER_SYSTEMD", "true");
    // Ignore the settings of an installation on this machine.
    command
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("no-advanced"));
    command.env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"));
    command.env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"));
    for (variable, name) in [
        ("RABBITMQ_MNESIA_BASE", "data"),
        ("RABBITMQ_LOG_BASE", "log"),
        ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
        ("RABBITMQ_PID_FILE", "pid"),
    ] {
        command.env(variable, folder.join(name));
    }
    let ports = site.ports;
    command.env("RABBITMQ_NODENAME", NODE).env("RABBITMQ_NODE_IP_ADDRESS", HOST.to_string());
    command
        .env("RABBITMQ_NODE_PORT", ports.amqp().to_string())
        .env("RABBITMQ_DIST_PORT", ports.erlang().to_string());
    command
        .env("ERL_EPMD_PORT", ports.epmd().to_string())
        .env("ERL_EPMD_ADDRESS", HOST.to_string());
    command
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
    Ok(command)
}

/// A command line for manual queries to RabbitMQ.
pub(super) fn control_line(site: &Site) -> String {
    format!(
        "HOME={}/rabbitmq ERL_EPMD_PORT={} /usr/lib/rabbitmq/bin/rabbitmqctl -n {NODE} list_queues",
        site.folder.display(),
        site.ports.epmd()
    )
}

/// Whether epmd accepts connections.
pub(super) fn epmd_answers(ports: Ports) -> bool {
    TcpStream::connect((HOST, ports.epmd())).is_ok()
}

/// Whether the node starts the AMQP 0-9-1 handshake with `connection.start`.
pub(super) fn answers(ports: Ports) -> bool {
    let greet = || -> Result<[u8; 1]> {
        let timeout = Duration::from_secs(1);
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::from((HOST, ports.amqp())), timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind)
    };
    // A method frame.
    greet().is_ok_and(|kind| kind == [1])
}
