//! A session in the clear, and its encoding.
//!
//! ```text
//! version 1 ‖ expiry 8 ‖ id 16 ‖ person 2
//!   ‖ n 1 ‖ n × (length 1 ‖ law ‖ H 32) ‖ m 1 ‖ m × (length 1 ‖ law ‖ request 16) ‖ 0…
//! ```
//!
//! A household votes on one device. The mark of the person is eight bits of a digest of the NAS,
//! under the secret id: enough to notice that another person signs in, 255 times of 256, and far
//! too little to find a NAS.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use votekit_core::credential::{CredentialHash, Nas};
use votekit_core::id::{ElectionId, RequestId};
use votekit_core::instant::UnixSeconds;
use zeroize::Zeroizing;

use super::SessionError;

/// The size of every session: the number of its elections does not show in the cookie.
pub(super) const PLAIN_BYTES: usize = 1024;

const VERSION: u8 = 2;

/// The id of a session: secret, and the same for as long as the session is renewed.
pub(super) type SessionId = Zeroizing<[u8; 16]>;

/// The length of a retry key: 16 bytes in hexadecimal digits.
pub(crate) const RETRY_KEY_CHARS: usize = 32;

/// The session of a voter.
pub(crate) struct Session {
    id: SessionId,
    expires: UnixSeconds,
    /// The mark of the person who signed in, once it is known.
    person: Option<u8>,
    open: Vec<(ElectionId, Zeroizing<[u8; CredentialHash::LENGTH]>)>,
    cast: Vec<(ElectionId, RequestId)>,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Session(redacted)")
    }
}

impl Session {
    /// A session without elections. Valid once it is sealed.
    ///
    /// # Errors
    /// [`SessionError::Random`].
    pub(crate) fn begin() -> Result<Self, SessionError> {
        let mut id = Zeroizing::new([0; 16]);
        getrandom::fill(id.as_mut_slice())?;
        let (expires, open, cast) = (UnixSeconds(0), Vec::new(), Vec::new());
        Ok(Self { id, expires, person: None, open, cast })
    }

    /// The session after a sign-in for an election, which NAS and code opened with others: the one
    /// before it with the elections added. A new one begins if another person signs in, if the
    /// session is a member's, if it knows the election already (then, too, it is another person's,
    /// at the same browser), or if it is full. Elections beyond the room of a session are left out.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) fn after_sign_in(
        before: Option<Self>,
        nas: &Nas,
        law: &ElectionId,
        recognised: &[(ElectionId, CredentialHash)],
    ) -> Result<Self, SessionError> {
        let is_opened = recognised.iter().any(|(opened, _)| opened == law);
        let is_kept = |session: &Self| {
            // Without a mark it is a member's: the ballot in it may be another person's.
            session.person.is_some_and(|person| person == session.mark_of(nas))
                && !(is_opened && session.knows(law))
        };
        if let Some(mut session) = before.filter(is_kept)
            && session.admit_all(nas, law, recognised).is_ok()
        {
            return Ok(session);
        }
        let mut session = Self::begin()?;
        session.admit_all(nas, law, recognised)?;
        Ok(session)
    }

    fn admit_all(
        &mut self,
        nas: &Nas,
        law: &ElectionId,
        recognised: &[(ElectionId, CredentialHash)],
    ) -> Result<(), SessionError> {
        self.person = Some(self.mark_of(nas));
        for (opened, hash) in recognised {
            // H of a vote that was cast is not added again.
            if self.request_for(opened).is_none()
                && let Err(refused) = self.admit(opened, hash)
                && opened == law
            {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Adds an election that the voter may vote in.
    ///
    /// # Errors
    /// [`SessionError::Full`].
    pub(crate) fn admit(
        &mut self,
        law: &ElectionId,
        hash: &CredentialHash,
    ) -> Result<(), SessionError> {
        self.open.retain(|(open, _)| open != law);
        self.open.push((law.clone(), Zeroizing::new(*hash.as_bytes())));
        if self.length() > PLAIN_BYTES {
            self.open.pop();
            return Err(SessionError::Full);
        }
        Ok(())
    }

    /// H of an election that the voter has not voted in yet.
    pub(crate) fn hash_for(&self, law: &ElectionId) -> Option<CredentialHash> {
        let (_, hash) = self.open.iter().find(|(open, _)| open == law)?;
        Some(CredentialHash::from_bytes(**hash))
    }

    /// Replaces H of an election by the request that cast its vote.
    pub(crate) fn record_cast(&mut self, law: &ElectionId, request: RequestId) {
        self.open.retain(|(open, _)| open != law);
        self.cast.retain(|(cast, _)| cast != law);
        // It fits, because it is shorter than the entry that it replaces.
        self.cast.push((law.clone(), request));
    }

    /// The request that cast the vote of an election in this session.
    pub(crate) fn request_for(&self, law: &ElectionId) -> Option<RequestId> {
        self.cast.iter().find(|(cast, _)| cast == law).map(|(_, request)| *request)
    }

    /// The election of a request of this session.
    pub(crate) fn law_of(&self, request: &RequestId) -> Option<&ElectionId> {
        self.cast.iter().find(|(_, cast)| cast == request).map(|(law, _)| law)
    }

    /// Whether the session knows the election, cast or not.
    pub(crate) fn knows(&self, law: &ElectionId) -> bool {
        self.hash_for(law).is_some() || self.request_for(law).is_some()
    }

    /// The elections that the voter signed in for and has not voted in.
    pub(crate) fn laws_left(&self) -> impl Iterator<Item = &ElectionId> {
        self.open.iter().map(|(law, _)| law)
    }

    /// The votes that this session cast: each election with its request.
    pub(crate) fn votes_cast(&self) -> impl Iterator<Item = (&ElectionId, RequestId)> {
        self.cast.iter().map(|(law, request)| (law, *request))
    }

    /// The idempotency key of a choice: the same for as long as the session is renewed, so that a
    /// page loaded again does not turn a repetition into a second vote. Others cannot guess it.
    pub(crate) fn retry_key(&self, law: &ElectionId, choice: &str) -> String {
        let text = format!("votekit-retry/1\n{law}\n{choice}");
        let digest = self.mac(text.as_bytes()).finalize().into_bytes();
        const_hex::encode(&digest[..RETRY_KEY_CHARS / 2])
    }

    fn mark_of(&self, nas: &Nas) -> u8 {
        let mac = self.mac(b"votekit-person/1\n").chain_update(nas.as_bytes());
        mac.finalize().into_bytes()[0]
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.id.as_slice()).expect("any length of key");
        mac.chain_update(text)
    }

    pub(super) fn id(&self) -> &SessionId {
        &self.id
    }

    pub(super) fn is_valid_at(&self, now: UnixSeconds) -> bool {
        now < self.expires
    }

    pub(super) fn renew(&mut self, expires: UnixSeconds) {
        self.expires = expires;
    }

    fn length(&self) -> usize {
        let entry = |law: &ElectionId, bytes: usize| 1 + law.as_str().len() + bytes;
        let open = self.open.iter().map(|(law, _)| entry(law, CredentialHash::LENGTH));
        let cast = self.cast.iter().map(|(law, _)| entry(law, RequestId::LENGTH));
        1 + 8 + 16 + 2 + 1 + open.sum::<usize>() + 1 + cast.sum::<usize>()
    }

    pub(super) fn encode(&self) -> Result<Zeroizing<[u8; PLAIN_BYTES]>, SessionError> {
        if self.length() > PLAIN_BYTES {
            return Err(SessionError::Full);
        }
        let mut plain = Zeroizing::new([0; PLAIN_BYTES]);
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            plain[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        // At most a few dozen entries fit, and a law has at most 50 bytes.
        let byte = |count: usize| [u8::try_from(count).unwrap_or(u8::MAX)];
        put(&[VERSION]);
        put(&self.expires.0.to_be_bytes());
        put(self.id.as_slice());
        put(&[u8::from(self.person.is_some()), self.person.unwrap_or(0)]);
        put(&byte(self.open.len()));
        for (law, hash) in &self.open {
            put(&byte(law.as_str().len()));
            put(law.as_str().as_bytes());
            put(hash.as_slice());
        }
        put(&byte(self.cast.len()));
        for (law, request) in &self.cast {
            put(&byte(law.as_str().len()));
            put(law.as_str().as_bytes());
            put(request.as_bytes());
        }
        Ok(plain)
    }

    pub(super) fn decode(plain: &[u8; PLAIN_BYTES]) -> Option<Self> {
        let mut rest = Reader(plain);
        if rest.array::<1>()? != [VERSION] {
            return None;
        }
        let expires = UnixSeconds(u64::from_be_bytes(rest.array()?));
        let id = Zeroizing::new(rest.array()?);
        let [is_known, mark] = rest.array()?;
        let person = (is_known == 1).then_some(mark);
        let mut open = Vec::new();
        for _ in 0..rest.byte()? {
            open.push((rest.law()?, Zeroizing::new(rest.array()?)));
        }
        let mut cast = Vec::new();
        for _ in 0..rest.byte()? {
            cast.push((rest.law()?, RequestId::from_bytes(rest.array()?)));
        }
        Some(Self { id, expires, person, open, cast })
    }
}

/// Takes fields from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn law(&mut self) -> Option<ElectionId> {
        let length = usize::from(self.byte()?);
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()?.parse().ok()
    }
}
