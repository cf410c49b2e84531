//! `votekit-witness-test`: runs the witness until it is killed.
//!
//! Its first line on standard output is a JSON object with `url` and `vkey`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to the person who runs it"
)]

use std::error::Error;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use votekit_witness_test::{Witness, serve};

const USAGE: &str = "usage: votekit-witness-test --name NAME --key FILE --state DIR \
                     [--listen ADDRESS] [--log ORIGIN VKEY]…\n\
                     FILE has the 64 hexadecimal digits of the cosigner's secret seed; several \
                     --log with one ORIGIN give it several keys";

struct Arguments {
    name: String,
    key: PathBuf,
    state: PathBuf,
    listen: String,
    logs: Vec<(String, String)>,
}

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Arguments> {
    let (mut name, mut key, mut state, mut logs) = (None, None, None, Vec::new());
    let mut listen = "127.0.0.1:0".to_owned();
    while let Some(argument) = arguments.next() {
        match argument.to_str()? {
            "--name" => name = Some(arguments.next()?.into_string().ok()?),
            "--key" => key = Some(arguments.next()?.into()),
            "--state" => state = Some(arguments.next()?.into()),
            "--listen" => listen = arguments.next()?.into_string().ok()?,
            "--log" => {
                let origin = arguments.next()?.into_string().ok()?;
                logs.push((origin, arguments.next()?.into_string().ok()?));
            }
            _ => return None,
        }
    }
    Some(Arguments { name: name?, key: key?, state: state?, listen, logs })
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(&arguments.key)?;
    let seed: [u8; 32] = const_hex::decode_to_array(text.trim())?;
    let mut witness = Witness::new(&arguments.name, &seed, &arguments.state)?;
    for (origin, vkey) in &arguments.logs {
        witness.trust(origin, vkey)?;
    }
    let listener = TcpListener::bind(&arguments.listen)?;
    let url = format!("http://{}/", listener.local_addr()?);
    println!("{}", serde_json::json!({ "url": url, "vkey": witness.vkey() }));
    serve(&listener, &Arc::new(witness))?;
    Ok(())
}
