//! HTTP/1.1 with the two operations, a thread for each connection.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::witness::{Answer, Witness};

/// Maximum length of a request's head.
const HEAD_MAX: u64 = 16 << 10;

/// Maximum length of a body: 63 lines of a proof, and a note with a hundred signatures.
const BODY_MAX: u64 = 64 << 10;

/// An idle connection is closed after this time.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves connections as long as they can be accepted.
///
/// # Errors
/// Those of accepting.
pub fn serve(listener: &TcpListener, witness: &Arc<Witness>) -> io::Result<()> {
    for stream in listener.incoming() {
        let (stream, witness) = (stream?, Arc::clone(witness));
        // A client that breaks off or sends what is not HTTP loses only its own connection.
        thread::spawn(move || connection(&stream, &witness));
    }
    Ok(())
}

fn connection(stream: &TcpStream, witness: &Witness) -> io::Result<()> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let mut reader = BufReader::new(stream);
    while let Some(head) = Head::read(&mut reader)? {
        let (answer, is_last) = match head.length {
            Some(length) if length <= BODY_MAX => {
                let mut body = Vec::new();
                reader.by_ref().take(length).read_to_end(&mut body)?;
                if (body.len() as u64) < length {
                    return Ok(());
                }
                (answer(witness, &head, &body), head.is_last)
            }
            Some(_) => (Answer::refusal(413, "the body is too long"), true),
            None => (Answer::refusal(411, "the body needs a length"), true),
        };
        respond(stream, &answer, is_last)?;
        if is_last {
            break;
        }
    }
    Ok(())
}

fn answer(witness: &Witness, head: &Head, body: &[u8]) -> Answer {
    let checkpoint = head.path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
    match (head.method.as_str(), head.path.as_str(), checkpoint) {
        ("POST", "/add-checkpoint", _) => {
            // Before 1970 no cosignature can be made: the time may not be zero.
            let Ok(time) = SystemTime::now().duration_since(UNIX_EPOCH) else {
                return Answer::refusal(500, "the clock of the witness is wrong");
            };
            witness.add_checkpoint(body, time.as_secs())
        }
        ("GET", _, Some(hash)) => witness.checkpoint(hash),
        (_, "/add-checkpoint", _) => Answer::refusal(405, "add-checkpoint is a POST"),
        _ => Answer::refusal(404, "there is nothing here"),
    }
}

fn respond(mut stream: &TcpStream, answer: &Answer, is_last: bool) -> io::Result<()> {
    let Answer { status, content_type, body } = answer;
    let connection = if is_last { "close" } else { "keep-alive" };
    let length = body.len();
    let message = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n{body}",
        reason(*status)
    );
    stream.write_all(message.as_bytes())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        _ => "Internal Server Error",
    }
}

/// The part of a request before its body.
struct Head {
    method: String,
    path: String,
    /// The length of the body; `None` for one in chunks.
    length: Option<u64>,
    /// Whether the connection ends after the answer.
    is_last: bool,
}

impl Head {
    /// Reads a head; `None` at the end of the connection, or after what is not HTTP/1.1.
    fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Self>> {
        let mut reader = reader.take(HEAD_MAX);
        let Some(first) = line(&mut reader)? else { return Ok(None) };
        let mut words = first.split(' ');
        let (Some(method), Some(path), Some("HTTP/1.1")) =
            (words.next(), words.next(), words.next())
        else {
            return Ok(None);
        };
        let mut head = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            length: Some(0),
            is_last: false,
        };
        loop {
            let Some(field) = line(&mut reader)? else { return Ok(None) };
            if field.is_empty() {
                return Ok(Some(head));
            }
            let Some((name, value)) = field.split_once(':') else { return Ok(None) };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => match value.parse() {
                    Ok(length) => head.length = head.length.map(|_| length),
                    Err(_) => return Ok(None),
                },
                "transfer-encoding" => head.length = None,
                "connection" if value.eq_ignore_ascii_case("close") => head.is_last = true,
                _ => {}
            }
        }
    }
}

/// A line without its end; `None` at the end of the input.
fn line(reader: &mut io::Take<&mut BufReader<&TcpStream>>) -> io::Result<Option<String>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.strip_suffix('\n').map(|line| line.trim_end_matches('\r').to_owned()))
}
