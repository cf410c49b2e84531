//! A new second factor as a page shows it: the key in groups, a link, a QR code.
//!
//! The secret is generated for each view of the page, and the form returns it with its first code;
//! until then it is stored nowhere. Sealing it would protect nothing: the sender of the form has
//! the link, and has read the secret on the page. A secret derived from the link alone would be
//! worse: an address remains in histories and in the logs of proxies, and would reveal the second
//! factor as long as the account exists.

use qrcode::{Color, EcLevel, QrCode};
use votekit_store::Account;
use zeroize::Zeroizing;

use crate::accounts::AccountService;
use crate::problem::Problem;

/// The length of a secret in base 32.
const SECRET_CHARS: usize = 32;

/// Characters in a group of the key, as people read it.
const GROUP_CHARS: usize = 4;

/// Light modules around a QR code.
const QUIET_MODULES: usize = 4;

/// A second factor to set up.
pub(super) struct SecondFactor {
    /// The secret, in base 32.
    pub(super) secret: Zeroizing<String>,
    /// The secret in groups.
    pub(super) grouped: Zeroizing<String>,
    /// The address that an authenticator app opens.
    pub(super) uri: Zeroizing<String>,
    pub(super) qr: QrImage,
}

/// A QR code as an SVG path.
pub(super) struct QrImage {
    /// Modules of one side, with the quiet zone.
    pub(super) side: usize,
    /// The dark modules.
    pub(super) path: Zeroizing<String>,
}

impl SecondFactor {
    /// A new second factor; or the one whose secret a form has brought back, so that a wrong code
    /// does not make the holder set up the app again.
    ///
    /// # Errors
    /// [`Problem`], if the system returns no random bytes.
    pub(super) fn offer(
        service: &AccountService,
        account: &Account,
        kept: &str,
    ) -> Result<Self, Problem> {
        let offer = service.offer_second_factor(account)?;
        let (secret, uri) = if is_secret(kept) {
            let uri = offer.uri.replace(offer.secret.as_str(), kept);
            (Zeroizing::new(kept.to_owned()), Zeroizing::new(uri))
        } else {
            (offer.secret, offer.uri)
        };
        let qr = QrImage::new(&uri)?;
        Ok(Self { grouped: grouped(&secret), qr, secret, uri })
    }
}

impl QrImage {
    fn new(text: &str) -> Result<Self, Problem> {
        // An address is far shorter than the capacity of a code.
        let code =
            QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| Problem::Internal)?;
        let width = code.width();
        let mut path = Zeroizing::new(String::new());
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            for (x, color) in row.iter().enumerate() {
                if *color == Color::Dark {
                    let (x, y) = (x + QUIET_MODULES, y + QUIET_MODULES);
                    path.push_str(&format!("M{x} {y}h1v1h-1z"));
                }
            }
        }
        Ok(Self { side: width + 2 * QUIET_MODULES, path })
    }
}

fn is_secret(text: &str) -> bool {
    text.len() == SECRET_CHARS && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

fn grouped(secret: &str) -> Zeroizing<String> {
    let mut grouped = Zeroizing::new(String::with_capacity(2 * secret.len()));
    for (index, character) in secret.chars().enumerate() {
        if index > 0 && index.is_multiple_of(GROUP_CHARS) {
            grouped.push(' ');
        }
        grouped.push(character);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_groups_and_only_a_secret_is_kept() {
        assert_eq!(*grouped("ABCDEFGH"), "ABCD EFGH");
        assert!(is_secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
        for other in ["", "GEZDGNBV", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", &"<".repeat(32)] {
            assert!(!is_secret(other), "{other}");
        }
    }

    #[test]
    fn a_qr_code_is_a_square_of_modules_in_a_quiet_zone() {
        let image = QrImage::new("otpauth://totp/a:b?secret=GEZDGNBV").expect("it fits");
        // The finder pattern of the first corner.
        assert!(image.path.starts_with("M4 4h1v1h-1zM5 4h1v1h-1z"), "{}", *image.path);
        assert!(image.side > 21 + 2 * QUIET_MODULES);
        let allowed = |byte: u8| byte.is_ascii_digit() || b"Mhvz -".contains(&byte);
        assert!(image.path.bytes().all(allowed), "it needs no escape in an attribute");
        assert!(QrImage::new(&"x".repeat(4000)).is_err());
    }
}
