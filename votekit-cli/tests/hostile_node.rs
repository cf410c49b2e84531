//! A node's answers are printed without characters that control a terminal, break a line or change
//! the writing direction.
#![cfg(feature = "node")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use support::node::Node;
use support::poll::{self, LAW};

/// In JSON notation: ends the line, sets the clipboard, clears the screen, changes the direction.
const EVIL: &str = r"\nroot\u001b]52;c;ZXZpbA==\u0007\u001b[2J\u202e\u0085";

/// Starts a proxy of a node, which appends [`EVIL`] to titles, labels and details of errors.
fn stand_before(node: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let behind = node.strip_prefix("http://").expect("a URL").to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let behind = behind.clone();
            std::thread::spawn(move || pass_on(stream, &behind));
        }
    });
    url
}

/// Forwards one request, and returns a changed answer.
fn pass_on(mut stream: TcpStream, behind: &str) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
        if !lower.starts_with("connection:") && !lower.starts_with("accept-encoding:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut node = TcpStream::connect(behind).ok()?;
    node.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
    node.write_all(&body).ok()?;
    let mut answer = Vec::new();
    node.read_to_end(&mut answer).ok()?;
    let answer = match String::from_utf8(answer) {
        Ok(answer) if answer.contains("json") => answer,
        Ok(other) => return stream.write_all(other.as_bytes()).ok(),
        Err(other) => return stream.write_all(other.as_bytes()).ok(),
    };
    let (status, _) = answer.split_once("\r\n")?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let mut body = body.to_owned();
    for text in ["Water Act", "Oui", "must be a choice of this election"] {
        body = body.replace(&format!(r#"{text}""#), &format!(r#"{text}{EVIL}""#));
    }
    if let Some(detail) = body.find(r#""detail":""#) {
        body.insert_str(detail + r#""detail":""#.len(), EVIL);
    }
    let head = format!("{status}\r\ncontent-type: application/json\r\nconnection: close");
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()
}

#[test]
fn answers_of_a_node_cannot_control_the_terminal() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let (hostile, admin) = (stand_before(&node.public), stand_before(&node.admin));
    dir.write("votes.csv", poll::votes([(&electors[0], "oui"), (&electors[1], "peut-etre")]));
    let runs = [
        vec!["cast", "--node", &hostile, "--from", "votes.csv"],
        vec!["results", "--node", &hostile],
        vec!["results", "--node", &hostile, "--election", "L9"],
        vec!["election", "list", "--node", &admin, "--data", "node"],
        vec!["election", "show", LAW, "--node", &admin, "--data", "node"],
        vec!["export", "bundle", "bundle", "--node", &hostile, "--election", LAW],
    ];
    let mut met = 0;
    for words in runs {
        let outcome = dir.run(&words);
        let printed = format!("{}{}", outcome.stdout, outcome.stderr);
        // Wherever the hostile text is printed, it is plain text, on its own line.
        met += usize::from(printed.contains("52;c;ZXZpbA=="));
        for forbidden in ['\u{1b}', '\u{7}', '\u{202e}', '\u{85}'] {
            assert!(!printed.contains(forbidden), "{words:?}: {forbidden:?} in {printed:?}");
        }
        assert!(printed.lines().all(|line| !line.starts_with("root")), "{words:?}: {printed:?}");
    }
    assert!(met >= 3, "the hostile text was printed by {met} commands: the test shows too little");
    node.stop();
}
