//! The generator of the rate rows: wrk, the same for both sides, sending prepared requests from a
//! file.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use wait4::Wait4;

use crate::project;

/// A file of requests of equal length.
pub(crate) struct Requests {
    file: PathBuf,
    script: PathBuf,
    record_bytes: usize,
    /// Number of requests.
    pub(crate) count: u64,
}

/// Shares of votes that are not first votes of registered electors, in percent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mix {
    pub(crate) duplicate_percent: u64,
    pub(crate) unknown_percent: u64,
}

impl Requests {
    /// Writes the requests of `count` votes on the roll's law: first votes in the roll's order,
    /// with duplicates of earlier votes and invented credentials spread evenly between them.
    pub(crate) fn write(roll: &Path, count: u64, mix: Mix, folder: &Path) -> Result<Self> {
        let mut lines = BufReader::new(File::open(roll)?).lines().skip(1);
        let file = folder.join("requests");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&file)?);
        let (mut record_bytes, mut voted): (usize, Vec<String>) = (0, Vec::new());
        for number in 0..count {
            let row = match 99 - number % 100 {
                index if index < mix.unknown_percent => {
                    format!(
                        "{:09},ZZZZ{:04},{}",
                        999_999_999 - number,
                        number % 10_000,
                        law(&voted)
                    )
                }
                index
                    if index < mix.unknown_percent + mix.duplicate_percent && !voted.is_empty() =>
                {
                    voted[(number.wrapping_mul(0x9e37_79b9) % voted.len() as u64) as usize].clone()
                }
                _ => {
                    let row = lines
                        .next()
                        .context("the roll has too few electors for so many votes")??;
                    // Duplicates repeat one of the first ten thousand votes: keeping all votes
                    // would need as much memory as the roll.
                    if voted.len() < 10_000 {
                        voted.push(row.clone());
                    }
                    row
                }
            };
            let request = request(&row, number)?;
            ensure!(
                record_bytes == 0 || record_bytes == request.len(),
                "the rows of the roll are not of one length: {row}"
            );
            record_bytes = request.len();
            out.write_all(request.as_bytes())?;
        }
        out.flush()?;
        let script = folder.join("votes.lua");
        std::fs::write(&script, include_str!("votes.lua"))?;
        Ok(Self { file, script, record_bytes, count })
    }
}

/// The law of the first row: another id might have a different length.
fn law(voted: &[String]) -> &str {
    voted.first().and_then(|row| row.rsplit(',').next()).unwrap_or("L1")
}

fn request(row: &str, number: u64) -> Result<String> {
    let fields: Vec<&str> = row.trim_end().split(',').collect();
    let [nas, code, law] = fields[..] else {
        bail!("a row of a sample roll is nas,code,law_id, not '{row}'")
    };
    let choice = if number.is_multiple_of(3) { "non" } else { "oui" };
    let body = format!(r#"{{"nas":"{nas}","code":"{code}","law_id":"{law}","vote":"{choice}"}}"#);
    let head = "POST /api/v1/vote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length:";
    Ok(format!("{head} {}\r\n\r\n{body}", body.len()))
}

/// The results of wrk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    /// Answers that were not 2xx.
    pub(crate) refused: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Processor time of wrk itself.
    pub(crate) processor_seconds: f64,
}

/// A running wrk.
pub(crate) struct Load {
    child: Child,
    begun: Instant,
}

impl Load {
    /// Starts to send requests over `connections` connections for `seconds` seconds.
    ///
    /// # Errors
    /// When wrk is not installed.
    pub(crate) fn start(
        requests: &Requests,
        url: &str,
        connections: u32,
        seconds: u32,
    ) -> Result<Self> {
        let mut command = Command::new("wrk");
        command.args([
            "-t1",
            "--latency",
            &format!("-c{connections}"),
            &format!("-d{seconds}s"),
            "-s",
        ]);
        command
            .arg(&requests.script)
            .arg(format!("{url}/api/v1/vote"))
            .arg("--")
            .arg(&requests.file);
        command.arg(requests.record_bytes.to_string()).stdout(Stdio::piped()).stdin(Stdio::null());
        let child = command.spawn().context("wrk is needed to offer load: apt-get install wrk")?;
        Ok(Self { child, begun: Instant::now() })
    }

    /// Ends the load early. wrk itself never notices that all requests are sent.
    pub(crate) fn interrupt(&self) -> Result<()> {
        project::succeed(Command::new("kill").args(["-INT", &self.child.id().to_string()]))
    }

    /// Waits for the end and parses the output.
    ///
    /// # Errors
    /// When wrk fails, or its output cannot be parsed.
    pub(crate) fn finish(mut self) -> Result<Seen> {
        let text = std::io::read_to_string(self.child.stdout.take().context("wrk's output")?)?;
        let used = self.child.wait4()?;
        ensure!(used.status.success(), "wrk failed: {}\n{text}", used.status);
        let seconds = self.begun.elapsed().as_secs_f64();
        let processor_seconds = (used.rusage.utime + used.rusage.stime).as_secs_f64();
        parse(&text, seconds, processor_seconds).with_context(|| format!("wrk said:\n{text}"))
    }
}

fn parse(text: &str, seconds: f64, processor_seconds: f64) -> Result<Seen> {
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.and_then(|rest| rest.split_whitespace().next())
    };
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .context("no line of requests")?
        .0;
    Ok(Seen {
        requests: requests.parse()?,
        refused: after("Non-2xx or 3xx responses:").map_or(Ok(0), str::parse)?,
        seconds,
        p50_ms: milliseconds(after("50%").context("no median")?)?,
        p99_ms: milliseconds(after("99%").context("no 99th percentile")?)?,
        processor_seconds,
    })
}

/// Parses a time as wrk prints it: `512.00us`, `3.42ms`, `1.20s`.
fn milliseconds(text: &str) -> Result<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)] {
        if let Some(number) = text.strip_suffix(unit)
            && let Ok(number) = number.parse::<f64>()
        {
            return Ok(number * factor);
        }
    }
    bail!("'{text}' is not a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 6s test @ http://127.0.0.1:1/api/v1/vote\n  1 threads and 64 connections\n  Latency Distribution\n     50%  522.00us\n     99%    4.24ms\n  465198 requests in 6.00s, 80.74MB read\n  Non-2xx or 3xx responses: 7\nRequests/sec:  77498.89\n";

    #[test]
    fn a_report_is_read() -> Result<()> {
        let seen = parse(REPORT, 6.0, 1.0)?;
        assert_eq!((seen.requests, seen.refused), (465_198, 7));
        assert!((seen.p50_ms - 0.522).abs() < 1e-9 && (seen.p99_ms - 4.24).abs() < 1e-9);
        assert!((milliseconds("1.20s")? - 1200.0).abs() < 1e-9);
        assert!(milliseconds("soon").is_err() && parse("", 1.0, 1.0).is_err());
        Ok(())
    }

    #[test]
    fn requests_are_of_one_length_and_of_the_mix_asked_for() -> Result<()> {
        let folder = crate::project::scratch("requests-test")?;
        let roll = folder.join("roll.csv");
        let rows: String =
            (0..1000).map(|row| format!("{:09},ABCD{row:04},L1\n", 100_000_000 + row)).collect();
        std::fs::write(&roll, format!("nas,code,law_id\n{rows}"))?;
        let mix = Mix { duplicate_percent: 5, unknown_percent: 1 };
        let requests = Requests::write(&roll, 1000, mix, &folder)?;
        let bytes = std::fs::read(&requests.file)?;
        assert_eq!(bytes.len(), 1000 * requests.record_bytes);
        let bodies: Vec<&[u8]> = bytes
            .chunks(requests.record_bytes)
            .map(|record| &record[record.len() - 60..])
            .collect();
        let credentials: std::collections::HashSet<Vec<u8>> =
            bodies.iter().map(|body| body[..40].to_vec()).collect();
        assert_eq!(credentials.len(), 1000 - 50, "a twentieth repeats an earlier one");
        Ok(())
    }
}
