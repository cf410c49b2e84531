//! The second factor: codes of an authenticator app (RFC 6238 with SHA-1, six digits and steps of
//! 30 seconds, which is all that the apps in use have in common). Own code, with the RFC's vectors:
//! the function is one HMAC and ten lines.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use votekit_core::instant::UnixSeconds;
use zeroize::Zeroizing;

/// The length of one time step.
const STEP_SECONDS: u64 = 30;

const DIGITS: usize = 6;

/// The steps before and after the present one whose codes are accepted: for clocks that differ, and
/// for the time that typing takes.
const STEPS_AROUND: u64 = 1;

const SECRET_BYTES: usize = 20;

/// RFC 4648, section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The characters that are not encoded in a URI: those that RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secret that an app and the account share.
pub(crate) struct TotpSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TotpSecret(redacted)")
    }
}

impl TotpSecret {
    /// Draws a secret.
    ///
    /// # Errors
    /// The system returned no random bytes.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(secret.as_mut_slice())?;
        Ok(Self(secret))
    }

    /// Parses the text of [`TotpSecret::to_base32`].
    pub(crate) fn from_base32(text: &str) -> Option<Self> {
        if text.len() != SECRET_BYTES * 8 / 5 {
            return None;
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        // Eight characters are five bytes.
        for (bytes, characters) in secret.chunks_exact_mut(5).zip(text.as_bytes().chunks_exact(8)) {
            let mut bits = 0_u64;
            for character in characters {
                let value = BASE32.iter().position(|known| known == character)?;
                bits = bits << 5 | value as u64;
            }
            bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Some(Self(secret))
    }

    /// The secret as a person types it into an app.
    pub(crate) fn to_base32(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES * 8 / 5));
        for bytes in self.0.chunks_exact(5) {
            let bits = bytes.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for index in (0..8).rev() {
                text.push(char::from(BASE32[(bits >> (5 * index)) as usize & 31]));
            }
        }
        text
    }

    /// The address that an app on the same device opens.
    pub(crate) fn uri(&self, issuer: &str, email: &str) -> Zeroizing<String> {
        let (issuer, email) =
            (utf8_percent_encode(issuer, ENCODED), utf8_percent_encode(email, ENCODED));
        let secret = self.to_base32();
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{email}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6\
             &period=30",
            *secret
        ))
    }

    /// The bytes of the secret.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// The step whose code this is, if it is the code of a step around the present one and after
/// `last`: each step is used once. Takes the same time for every code of six digits.
pub(crate) fn accepted_step(secret: &[u8], code: &str, now: UnixSeconds, last: u64) -> Option<u64> {
    let code: [u8; DIGITS] = code.as_bytes().try_into().ok()?;
    let present = now.0 / STEP_SECONDS;
    let steps = present.saturating_sub(STEPS_AROUND)..=present + STEPS_AROUND;
    steps.fold(None, |accepted, step| {
        let fits = bool::from(code_at(secret, step).ct_eq(&code));
        if fits & (step > last) { Some(step) } else { accepted }
    })
}

/// The code of a step (RFC 4226, section 5.3).
fn code_at(secret: &[u8], step: u64) -> [u8; DIGITS] {
    let mac = Hmac::<Sha1>::new_from_slice(secret).expect("any length of key");
    let mac = mac.chain_update(step.to_be_bytes()).finalize().into_bytes();
    let mac = mac.as_slice();
    let offset = usize::from(mac[mac.len() - 1] & 15);
    let mut word = [0; 4];
    word.copy_from_slice(&mac[offset..offset + 4]);
    let mut number = u32::from_be_bytes(word) & 0x7fff_ffff;
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// The code of a step, for tests that need an authenticator app.
#[cfg(test)]
pub(super) fn code_for_test(secret: &[u8], step: u64) -> String {
    code_at(secret, step).map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    fn at(now: u64, code: &str, last: u64) -> Option<u64> {
        accepted_step(SECRET, code, UnixSeconds(now), last)
    }

    #[test]
    fn codes_are_those_of_rfc_6238_and_rfc_4226() {
        // The last six of the eight digits in the appendix.
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(at(now, code, 0), Some(now / 30), "{now}");
        }
        let counters: Vec<_> = (0..4).map(|step| code_at(SECRET, step)).collect();
        assert_eq!(counters, [b"755224", b"287082", b"359152", b"969429"].map(|code| *code));
    }

    #[test]
    fn a_code_is_accepted_a_step_early_and_a_step_late_and_once() {
        let (now, step) = (1_111_111_111, 1_111_111_111 / 30);
        for near in step - 1..=step + 1 {
            let code = code_for_test(SECRET, near);
            assert_eq!(at(now, &code, 0), Some(near));
            assert_eq!(at(now, &code, near - 1), Some(near));
            assert_eq!(at(now, &code, near), None, "used");
            assert_eq!(at(now, &code, step + 1), None, "a later one was used");
        }
        for far in [step - 2, step + 2] {
            let code = code_for_test(SECRET, far);
            assert_eq!(at(now, &code, 0), None);
        }
        for wrong in ["", "05047", "0504711", "050472", "O50471", "05047１"] {
            assert_eq!(at(now, wrong, 0), None, "{wrong}");
        }
        assert_eq!(at(0, "755224", 0), None, "step 0 counts as used");
    }

    #[test]
    fn a_secret_is_written_and_read_in_base_32() {
        let secret = TotpSecret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").expect("base 32");
        assert_eq!(secret.as_bytes(), SECRET);
        assert_eq!(*secret.to_base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for wrong in ["", "GEZDGNBV", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", &"1".repeat(32)] {
            assert!(TotpSecret::from_base32(wrong).is_none(), "{wrong}");
        }
        let random = TotpSecret::random().expect("random bytes");
        let read = TotpSecret::from_base32(&random.to_base32()).expect("base 32");
        assert_eq!(read.as_bytes(), random.as_bytes());
        assert_eq!(format!("{random:?}"), "TotpSecret(redacted)");
        assert_eq!(
            *secret.uri("vote.example", "a+b@c.example"),
            "otpauth://totp/vote.example:a%2Bb%40c.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=vote.example&algorithm=SHA1&digits=6&period=30"
        );
    }
}
