use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(value: u16) -> RegistryKey {
    crate::credential::HashScheme::HmacSha256.registry_key(
        &crate::credential::CredentialHash::from_bytes(
            [(value & 0xff) as u8; 32].map(|byte| byte ^ (value >> 8) as u8),
        ),
    )
}

fn sorted(values: impl IntoIterator<Item = u16>) -> Vec<RegistryKey> {
    let mut keys: Vec<_> = values.into_iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

proptest! {
    /// Compared with a plain map: registered, revoked, attempts.
    #[test]
    fn agrees_with_a_map(
        roll in prop::collection::btree_set(0_u16..200, 0..150),
        steps in prop::collection::vec((0_u8..4, 0_u16..260), 0..300),
    ) {
        let mut electorate = Electorate::default();
        let keys = KeyList::new(sorted(roll.iter().copied())).expect("sorted");
        electorate.add_roll(Arc::new(keys)).expect("few");
        let mut model: BTreeMap<RegistryKey, (u32, bool)> =
            sorted(roll).into_iter().map(|key| (key, (0, false))).collect();
        for (kind, value) in steps {
            let target = key(value);
            if kind < 2 {
                let expected = match model.get_mut(&target) {
                    None => CredentialStatus::Unknown,
                    Some((_, true)) => CredentialStatus::Revoked,
                    Some((attempts, _)) => {
                        *attempts += 1;
                        match *attempts {
                            1 => CredentialStatus::First,
                            attempt => CredentialStatus::Again { attempt },
                        }
                    }
                };
                prop_assert_eq!(electorate.look_up(&target), expected);
                prop_assert_eq!(electorate.attempt(&target), expected);
            } else if kind == 2 {
                let changes = Changes { revoke: vec![target], ..Changes::default() };
                let applied = electorate.apply(&changes);
                let can = model
                    .get(&target)
                    .is_some_and(|(attempts, revoked)| *attempts == 0 && !revoked);
                prop_assert_eq!(applied.revoked == 1, can);
                if can { model.insert(target, (0, true)); }
            } else {
                let changes = Changes { add: vec![target], ..Changes::default() };
                let applied = electorate.apply(&changes);
                let can = model.get(&target).is_none_or(|(_, revoked)| *revoked);
                prop_assert_eq!(applied.added == 1, can);
                if can { model.insert(target, (0, false)); }
            }
            let registered = model.values().filter(|(_, revoked)| !revoked).count() as u64;
            let voted = model.values().filter(|(attempts, _)| *attempts > 0).count() as u64;
            prop_assert_eq!((electorate.registered(), electorate.voted()), (registered, voted));
        }
    }
}

#[test]
fn a_spent_credential_is_not_replaced() {
    let mut electorate = Electorate::default();
    electorate.add_roll(Arc::new(KeyList::new(sorted([1, 2])).expect("sorted"))).expect("few");
    assert_eq!(electorate.attempt(&key(1)), CredentialStatus::First);
    let changes =
        Changes { replace: vec![(key(1), key(11)), (key(2), key(12))], ..Changes::default() };
    assert_eq!(electorate.apply(&changes), ChangesApplied { added: 1, revoked: 1, refused: 1 });
    assert_eq!(electorate.look_up(&key(11)), CredentialStatus::Unknown);
    assert_eq!(electorate.look_up(&key(12)), CredentialStatus::First);
    assert_eq!(electorate.look_up(&key(2)), CredentialStatus::Revoked);
    assert_eq!(electorate.registered(), 2);
    // An elector whose key was revoked before gets another key; not if the old key was used, or was
    // never registered.
    let changes = Changes {
        readmit: vec![(key(1), key(21)), (key(2), key(22)), (key(77), key(23))],
        ..Changes::default()
    };
    assert_eq!(electorate.apply(&changes), ChangesApplied { added: 1, revoked: 0, refused: 0 });
    assert_eq!(electorate.look_up(&key(22)), CredentialStatus::First);
    assert_eq!(electorate.look_up(&key(21)), CredentialStatus::Unknown);
    assert_eq!(electorate.look_up(&key(23)), CredentialStatus::Unknown);
}

#[test]
fn unsorted_keys_are_refused() {
    let mut keys = sorted([1, 2, 3]);
    keys.swap(0, 1);
    assert_eq!(KeyList::new(keys).unwrap_err(), ElectorateError::Order { position: 1 });
}

#[test]
fn attempts_stop_at_their_limit_in_looking_up_as_in_counting() {
    let mut electorate = Electorate::default();
    electorate.add_roll(Arc::new(KeyList::new(sorted([1])).expect("sorted"))).expect("few");
    electorate.states[0] = ACCEPTED | (ATTEMPTS - 2);
    for attempt in [ATTEMPTS_MAX - 1, ATTEMPTS_MAX, ATTEMPTS_MAX] {
        assert_eq!(electorate.look_up(&key(1)), CredentialStatus::Again { attempt });
        assert_eq!(electorate.attempt(&key(1)), CredentialStatus::Again { attempt });
    }
}
