//! The Redis Cluster that tests share, each under a separate prefix.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};

/// Address of one node of a cluster of three masters and three replicas.
fn cluster() -> String {
    super::services::address("VOTEKIT_TEST_REDIS")
}

/// A registry that no other test or earlier run uses: its address and its prefix.
pub(crate) fn registry() -> (String, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let prefix =
        format!("c{}-{now:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    (format!("{}?prefix={prefix}", cluster().trim_end_matches('/')), prefix)
}

/// Runs a command on the node that has its key, following `MOVED`. Answers other than lists are
/// returned as text.
pub(crate) fn redis(command: &[&str]) -> String {
    let mut address = cluster().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    loop {
        let answer = query(&address, command);
        match answer.strip_prefix("-MOVED ") {
            Some(moved) => moved.rsplit(' ').next().expect("an address").clone_into(&mut address),
            None => return answer,
        }
    }
}

fn query(address: &str, command: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).expect("a node of the cluster");
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    stream.write_all(&bytes).expect("sent");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    let line = line.trim_end();
    match line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => {
            let mut text = vec![0; length];
            reader.read_exact(&mut text).expect("the rest");
            String::from_utf8_lossy(&text).into_owned()
        }
        None => line.to_owned(),
    }
}
