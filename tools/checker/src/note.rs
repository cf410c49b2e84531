//! Signed notes: parses the keys and the quorum of a policy, and verifies the signatures of a
//! checkpoint.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

/// The algorithm bytes of the keys of logs and of cosigners.
const LOG: u8 = 1;
const COSIGNER: u8 = 4;

/// A policy: which signatures a checkpoint needs.
#[derive(Debug)]
pub(crate) struct Policy {
    logs: Vec<Key>,
    /// Each with its name in the policy.
    cosigners: Vec<(String, Key)>,
    /// Every group is defined after its members.
    groups: Vec<Group>,
    /// The cosigner or the group that must have cosigned; `None` when none must.
    quorum: Option<String>,
}

/// A group is satisfied when at least `threshold` of its members have signed or are satisfied.
#[derive(Debug)]
struct Group {
    name: String,
    threshold: usize,
    members: Vec<String>,
}

/// A key. The name of a log's key is the log's origin.
#[derive(Debug)]
struct Key {
    name: String,
    algorithm: u8,
    key: VerifyingKey,
    public: [u8; 32],
}

/// A checkpoint with a valid signature of a log.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) size: usize,
    pub(crate) root: Hash,
    /// Whether the quorum of the policy has cosigned it.
    pub(crate) has_quorum: bool,
    /// Whether the authorities in the policy have cosigned it. Outside witnesses cosign later, and
    /// not every head.
    pub(crate) has_authorities: bool,
}

/// The group of the authorities in a policy.
const AUTHORITIES: &str = "authorities";

impl Policy {
    /// Parses a policy. `None` when it names no log, or a line cannot be parsed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut policy =
            Self { logs: Vec::new(), cosigners: Vec::new(), groups: Vec::new(), quorum: None };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["log", key, ..] => policy.logs.push(Key::parse(key, LOG)?),
                ["witness", name, key, ..] => {
                    policy.cosigners.push((name.to_owned(), Key::parse(key, COSIGNER)?));
                }
                ["group", name, threshold, ref members @ ..] => {
                    policy.groups.push(Group::parse(name, threshold, members)?);
                }
                ["quorum", "none"] => {}
                ["quorum", name] => policy.quorum = Some(name.to_owned()),
                _ => {}
            }
        }
        (!policy.logs.is_empty()).then_some(policy)
    }

    /// Parses a checkpoint and verifies that one of the logs signed it.
    ///
    /// # Errors
    /// A description of the fault.
    pub(crate) fn checkpoint(&self, note: &str) -> Result<Checkpoint, &'static str> {
        let (text, signatures) = note.split_once("\n\n").ok_or("it has no signature")?;
        let text = format!("{text}\n");
        let mut lines = text.lines();
        let origin = lines.next().unwrap_or_default();
        let key = self.logs.iter().find(|key| key.name == origin && key.signed(&text, signatures));
        if key.is_none() {
            return Err("no log key of the policy signed it");
        }
        let size = lines
            .next()
            .and_then(|size| size.parse().ok())
            .ok_or("its second line is not a size")?;
        let root = lines
            .next()
            .and_then(|root| STANDARD.decode(root).ok())
            .and_then(|root| root.try_into().ok())
            .ok_or("its third line is not a root")?;
        let holding = self.holding(&text, signatures);
        let has_quorum =
            self.quorum.as_ref().is_none_or(|quorum| holding.contains(quorum.as_str()));
        let is_named = self.groups.iter().any(|group| group.name == AUTHORITIES);
        let has_authorities = if is_named { holding.contains(AUTHORITIES) } else { has_quorum };
        Ok(Checkpoint { size, root, has_quorum, has_authorities })
    }

    /// The cosigners that signed, and the groups that are satisfied.
    fn holding(&self, text: &str, signatures: &str) -> BTreeSet<&str> {
        let signed = self.cosigners.iter().filter(|(_, key)| key.cosigned(text, signatures));
        let mut holding: BTreeSet<&str> = signed.map(|(name, _)| name.as_str()).collect();
        for group in &self.groups {
            let members = group.members.iter().filter(|name| holding.contains(name.as_str()));
            if members.count() >= group.threshold {
                holding.insert(&group.name);
            }
        }
        holding
    }
}

impl Group {
    fn parse(name: &str, threshold: &str, members: &[&str]) -> Option<Self> {
        let threshold = match threshold {
            "all" => members.len(),
            "any" => 1,
            number => number.parse().ok()?,
        };
        let members = members.iter().map(|&member| member.to_owned()).collect();
        Some(Self { name: name.to_owned(), threshold, members })
    }
}

impl Key {
    /// Parses `<name>+<key hash, 8 hexadecimal digits>+<base64 of the algorithm byte and the key>`.
    fn parse(text: &str, algorithm: u8) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (hash, encoded) = rest.split_once('+')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let public: [u8; 32] = bytes.strip_prefix(&[algorithm])?.try_into().ok()?;
        let key = VerifyingKey::from_bytes(&public).ok()?;
        let key = Self { name: name.to_owned(), algorithm, key, public };
        (const_hex::encode(key.hash()) == hash).then_some(key)
    }

    fn hash(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.algorithm])
            .chain_update(self.public)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Whether this key of a log signed the text.
    fn signed(&self, text: &str, signatures: &str) -> bool {
        self.any_signature(signatures, |bytes| {
            let signature = Signature::from_slice(bytes).ok();
            signature.is_some_and(|made| self.key.verify_strict(text.as_bytes(), &made).is_ok())
        })
    }

    /// Whether this key of a cosigner signed the text: at a time, which stands before the signature
    /// as 8 bytes, big end first.
    fn cosigned(&self, text: &str, signatures: &str) -> bool {
        self.any_signature(signatures, |bytes| {
            let Some((time, signature)) = bytes.split_first_chunk::<8>() else { return false };
            let time = u64::from_be_bytes(*time);
            let message = format!("cosignature/v1\ntime {time}\n{text}");
            let signature = Signature::from_slice(signature).ok();
            signature.is_some_and(|made| self.key.verify_strict(message.as_bytes(), &made).is_ok())
        })
    }

    /// Whether any signature of this key verifies. A signature line is `— <name> <base64 of key
    /// hash and signature>`.
    fn any_signature(&self, signatures: &str, verifies: impl Fn(&[u8]) -> bool) -> bool {
        let prefix = format!("— {} ", self.name);
        signatures.lines().filter_map(|line| line.strip_prefix(&prefix)).any(|encoded| {
            let bytes = STANDARD.decode(encoded).unwrap_or_default();
            bytes.strip_prefix(&self.hash()).is_some_and(&verifies)
        })
    }
}
