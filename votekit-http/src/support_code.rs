//! Support codes: short, random, without identity. A page shows a support code with a problem, and
//! the log has it with the code of the problem, so that support knows which problem the reader saw.

use std::time::Instant;

use axum::http::StatusCode;
use votekit_node::limits::rate_limit::RateLimit;

/// The most lines a second: readers can provoke problems, and the log may be on the disk that is
/// full. Beyond it a page has no code.
const LINES_PER_SECOND: u32 = 20;

/// The support codes of a node.
#[derive(Debug)]
pub(crate) struct SupportCodes(RateLimit);

impl SupportCodes {
    pub(crate) fn new() -> Self {
        Self(RateLimit::new(LINES_PER_SECOND, LINES_PER_SECOND))
    }

    /// A code for a problem that a page shows; empty if it gets none. The line has neither an
    /// address nor an election, so it does not say who saw the problem.
    pub(crate) fn issue(&self, problem: &'static str, status: StatusCode) -> String {
        // A wrong address is nothing that support could look up.
        let is_wrong_address =
            status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED;
        let mut bytes = [0; 4];
        if is_wrong_address
            || getrandom::fill(&mut bytes).is_err()
            || self.0.take(Instant::now()).is_err()
        {
            return String::new();
        }
        let support = format!("E-{}", const_hex::encode_upper(bytes));
        tracing::info!(event = "problem_shown", support, problem, "problem shown on a page");
        support
    }
}

/// The code of a request: the first digits of its number, which the public log has.
pub(crate) fn from_request(request: &str) -> String {
    let first = request.get(..8).unwrap_or(request);
    first.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_short_and_differ_and_a_flood_gets_none() {
        let codes = SupportCodes::new();
        let mut issued = Vec::new();
        for _ in 0..1000 {
            issued.push(codes.issue("back-off", StatusCode::TOO_MANY_REQUESTS));
        }
        issued.retain(|code| !code.is_empty());
        assert!((20..100).contains(&issued.len()), "{}", issued.len());
        for code in &issued {
            let digits = code.strip_prefix("E-").expect("the prefix");
            assert!(digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        issued.sort();
        issued.dedup();
        assert!(issued.len() >= 20, "random");
    }

    #[test]
    fn a_wrong_address_gets_no_code_and_a_request_always_the_same() {
        let codes = SupportCodes::new();
        assert_eq!(codes.issue("unknown-route", StatusCode::NOT_FOUND), "");
        assert_eq!(codes.issue("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED), "");
        assert_eq!(from_request("00a1b2c3d4e5f60708090a0b0c0d0e0f"), "00A1B2C3");
        assert_eq!(from_request("short"), "SHORT");
    }
}
