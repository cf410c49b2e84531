//! The keys of the last hours, kept in memory only: a restart ends every session.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, Key, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use votekit_core::instant::UnixSeconds;
use zeroize::Zeroizing;

use super::session::PLAIN_BYTES;

const HOUR_SECONDS: u64 = 3600;

/// The hours whose keys for sessions are kept, the present one included.
const SEAL_HOURS: u64 = 3;

/// The hours whose keys for forms are kept: a voter who extends the session repeatedly still sends
/// the form of the first page. Such a key opens no session.
const FORM_HOURS: u64 = 12;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const SEALED_BYTES: usize = NONCE_BYTES + PLAIN_BYTES + TAG_BYTES;

/// The length of a sealed session as text.
pub(super) const SEALED_CHARS: usize = (SEALED_BYTES * 4).div_ceil(3);

/// Names format and purpose in the associated data.
const CONTEXT: &[u8] = b"votekit-session/1 voter\n";

/// A secret key.
pub(super) type SecretKey = Zeroizing<[u8; 32]>;

/// The keys of one hour.
struct HourKeys {
    hour: u64,
    /// `None` once it is retired.
    seal: Option<SecretKey>,
    form: SecretKey,
}

impl HourKeys {
    fn random(hour: u64) -> Result<Self, getrandom::Error> {
        let (mut seal, mut form) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        getrandom::fill(seal.as_mut_slice())?;
        getrandom::fill(form.as_mut_slice())?;
        Ok(Self { hour, seal: Some(seal), form })
    }

    fn cipher(&self) -> Option<XChaCha20Poly1305> {
        self.seal.as_ref().map(|seal| XChaCha20Poly1305::new(&Key::from(**seal)))
    }
}

/// The keys, the newest first.
pub(super) struct KeyRing(VecDeque<HourKeys>);

impl KeyRing {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Drops the keys that are no longer kept.
    pub(super) fn retire(&mut self, now: UnixSeconds) {
        let hour = now.0 / HOUR_SECONDS;
        self.0.retain(|keys| keys.hour.saturating_add(FORM_HOURS) > hour);
        for keys in &mut self.0 {
            if keys.hour.saturating_add(SEAL_HOURS) <= hour {
                keys.seal = None;
            }
        }
    }

    /// The keys of this hour. After a clock that went back, the newest that there are: a key of a
    /// later hour serves as well.
    fn present(&mut self, now: UnixSeconds) -> Result<&HourKeys, getrandom::Error> {
        self.retire(now);
        let hour = now.0 / HOUR_SECONDS;
        if self.0.front().is_none_or(|newest| newest.hour < hour) {
            self.0.push_front(HourKeys::random(hour)?);
        }
        Ok(&self.0[0])
    }

    /// Encrypts a session under this hour's key and a random nonce.
    pub(super) fn seal(
        &mut self,
        plain: &[u8; PLAIN_BYTES],
        base: &str,
        now: UnixSeconds,
    ) -> Result<String, getrandom::Error> {
        let keys = self.present(now)?;
        let mut sealed = [0; SEALED_BYTES];
        let (nonce, rest) = sealed.split_at_mut(NONCE_BYTES);
        let (body, tag) = rest.split_at_mut(PLAIN_BYTES);
        getrandom::fill(nonce)?;
        body.copy_from_slice(plain);
        let made = keys
            .cipher()
            .expect("the newest key is not retired")
            .encrypt_inout_detached(&nonce_of(nonce), &associated(base), InOutBuf::from(body))
            .expect("a session is far below the limit of the cipher");
        tag.copy_from_slice(&made);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Decrypts a session. `None` for a text that no kept key has sealed for this base.
    pub(super) fn open(&self, text: &[u8], base: &str) -> Option<Zeroizing<[u8; PLAIN_BYTES]>> {
        // Three bytes more: the decoder writes whole groups.
        let mut sealed = [0; SEALED_BYTES + 3];
        if text.len() != SEALED_CHARS
            || URL_SAFE_NO_PAD.decode_slice(text, &mut sealed).ok()? != SEALED_BYTES
        {
            return None;
        }
        let (nonce, rest) = sealed[..SEALED_BYTES].split_at(NONCE_BYTES);
        let (body, tag) = rest.split_at(PLAIN_BYTES);
        let tag = Tag::from(<[u8; TAG_BYTES]>::try_from(tag).ok()?);
        self.0.iter().find_map(|keys| {
            let cipher = keys.cipher()?;
            let mut plain = Zeroizing::new([0; PLAIN_BYTES]);
            plain.copy_from_slice(body);
            let buffer = InOutBuf::from(plain.as_mut_slice());
            cipher
                .decrypt_inout_detached(&nonce_of(nonce), &associated(base), buffer, &tag)
                .ok()
                .map(|()| plain)
        })
    }

    /// The key of this hour for forms.
    pub(super) fn form_key(&mut self, now: UnixSeconds) -> Result<&SecretKey, getrandom::Error> {
        self.present(now).map(|keys| &keys.form)
    }

    /// Every key for forms that is kept.
    pub(super) fn form_keys(&self) -> impl Iterator<Item = &SecretKey> {
        self.0.iter().map(|keys| &keys.form)
    }
}

fn nonce_of(bytes: &[u8]) -> XNonce {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(bytes);
    XNonce::from(nonce)
}

fn associated(base: &str) -> Vec<u8> {
    [CONTEXT, base.as_bytes()].concat()
}
