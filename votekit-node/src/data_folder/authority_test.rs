use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::data_folder::read_admin_token;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn name(text: &str) -> KeyName {
    text.parse().expect("a name")
}

fn create(path: &Path, authority: &str) -> DataFolder {
    DataFolder::create_authority(path, &name("elections.example"), &name(authority)).expect("new")
}

fn set_of(members: Vec<AuthorityMember>) -> AuthoritySet {
    AuthoritySet::new(name("elections.example"), members.len(), members).expect("authorities")
}

#[test]
fn an_authority_has_all_its_keys_and_an_empty_memory() {
    let temporary = folder();
    let path = temporary.path().join("data");
    let made = create(&path, "authority-a");
    let member = made.authority_member().expect("its keys");
    assert_eq!(member.name, name("authority-a"));
    drop(made);
    for key in [&KEYS[..], &["node", TOKEN]].concat() {
        let mode = fs::metadata(path.join("keys").join(key)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let opened = DataFolder::open_existing(&path).expect("opened");
    assert_eq!(opened.base().expect("a name"), name("elections.example"));
    assert!(opened.is_authority() && opened.memory_path().exists());
    assert_eq!(opened.authority_member().expect("the same"), member);
    assert!(opened.node_key().is_ok() && read_admin_token(&path).is_ok());
    assert_eq!(opened.authorities().expect("none"), None);
}

#[test]
fn an_authority_is_created_in_no_folder_that_holds_anything() {
    let temporary = folder();
    let path = temporary.path();
    let (base, own) = (name("elections.example"), name("a"));
    let refused = |path: &Path| DataFolder::create_authority(path, &base, &own);
    fs::write(path.join("officials"), "").expect("written");
    drop(create(path, "a"));
    let before = fs::read(path.join("keys/log")).expect("there");
    assert!(matches!(refused(path), Err(FolderError::Present { .. })));
    // Keys without their identity file may belong to an authority whose memory knows more.
    fs::remove_file(path.join("votekit.toml")).expect("removed");
    assert!(matches!(refused(path), Err(FolderError::Occupied { .. })));
    assert_eq!(fs::read(path.join("keys/log")).expect("kept"), before);
    let other = folder();
    fs::create_dir(other.path().join(MEMORY)).expect("made");
    assert!(matches!(refused(other.path()), Err(FolderError::Occupied { .. })));
    let ordinary = folder();
    drop(DataFolder::open(ordinary.path(), None).expect("new"));
    assert!(matches!(refused(ordinary.path()), Err(FolderError::Present { .. })));
}

#[test]
fn keys_of_an_authority_are_never_regenerated() {
    for key in [STATEMENT, TRANSPORT] {
        let temporary = folder();
        let path = temporary.path().join("data");
        drop(create(&path, "a"));
        fs::remove_file(path.join("keys").join(key)).expect("removed");
        if key == STATEMENT {
            let opened = DataFolder::open_existing(&path).expect("opened");
            assert!(!opened.is_authority());
            assert!(matches!(opened.statement_seed(), Err(FolderError::Damaged { .. })));
        } else {
            let opened = DataFolder::open_existing(&path).expect("opened");
            assert!(matches!(opened.transport_key(), Err(FolderError::Damaged { .. })));
        }
        assert!(!path.join("keys").join(key).exists(), "{key}");
    }
}

#[test]
fn damaged_and_exposed_keys_of_an_authority_are_refused() {
    let temporary = folder();
    let path = temporary.path().join("data");
    drop(create(&path, "a"));
    for key in [STATEMENT, TRANSPORT] {
        let file = path.join("keys").join(key);
        let line = fs::read(&file).expect("there");
        let mut damaged = line.clone();
        damaged[0] ^= 1;
        fs::write(&file, damaged).expect("written");
        let opened = DataFolder::open_existing(&path);
        assert!(matches!(opened, Err(FolderError::Damaged { .. })), "{key}");
        fs::write(&file, line).expect("written");
        let set_mode = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("changed");
        };
        set_mode(0o644);
        let opened = DataFolder::open_existing(&path);
        assert!(matches!(opened, Err(FolderError::Exposed { .. })), "{key}");
        set_mode(0o600);
    }
    assert!(DataFolder::open_existing(&path).is_ok());
}

#[test]
fn an_ordinary_folder_has_a_transport_key_alone() {
    let temporary = folder();
    let path = temporary.path();
    let opened = DataFolder::open(path, None).expect("new");
    let transport = opened.transport_key().expect("made").public_key();
    assert!(!opened.is_authority() && opened.authority_member().is_err());
    let ingest = "ingest-1".parse().expect("a name");
    let record = opened.node_record(&ingest).expect("keys");
    assert_eq!((record.name, record.transport), (ingest.clone(), transport));
    assert_eq!(record.key, opened.node_key().expect("read").public_key());
    drop(opened);
    // The record of a named node has that node's key.
    let named = DataFolder::open_named(path, None, &ingest).expect("shared");
    let record = named.node_record(&ingest).expect("keys");
    assert_eq!(record.key, named.node_key().expect("read").public_key());
    assert_eq!(record.transport, transport, "it is made once");
    drop(named);
    // A folder whose ledger is older than the key gets one, unlike the keys that sign.
    fs::remove_file(path.join("keys/transport")).expect("removed");
    fs::write(path.join("ledger.sqlite"), "").expect("written");
    assert!(DataFolder::open(path, None).expect("opened").transport_key().is_ok());
}

#[test]
fn the_file_of_the_authorities_is_compared_key_by_key() {
    let temporary = folder();
    let path = temporary.path().join("data");
    let own = create(&path, "a");
    let member = own.authority_member().expect("its keys");
    let other_folder = folder();
    let other = create(&other_folder.path().join("data"), "b");
    let other = other.authority_member().expect("its keys");
    let set = set_of(vec![member.clone(), other.clone()]);
    fs::write(own.authorities_path(), set.as_bytes()).expect("installed");
    let read = own.authorities().expect("read").expect("there");
    assert_eq!(read, set);
    assert_eq!(own.own_authority(&read).expect("the same keys"), Some(&member));
    assert_eq!(own.own_authority(&set_of(vec![other.clone()])).expect("not named"), None);

    type Set = fn(&mut AuthorityMember, [u8; 32]);
    let exchanged: [(&str, [u8; 32], Set); 4] = [
        ("log", other.log, |member, key| member.log = key),
        ("cosigner", other.cosigner, |member, key| member.cosigner = key),
        (STATEMENT, other.statement, |member, key| member.statement = key),
        (TRANSPORT, other.transport, |member, key| member.transport = key),
    ];
    for (key, foreign, set_key) in exchanged {
        let mut changed = member.clone();
        set_key(&mut changed, foreign);
        let refused = own.own_authority(&set_of(vec![changed])).map(|_| ());
        let text = refused.expect_err("another key").to_string();
        assert!(text.contains(&format!("{key} key of a differs")), "{text}");
    }
    let elsewhere = AuthoritySet::new(name("other.example"), 1, vec![member]).expect("authorities");
    let text = own.own_authority(&elsewhere).map(|_| ()).expect_err("another base").to_string();
    assert!(text.contains("base other.example"), "{text}");
}

#[test]
fn a_damaged_file_of_the_authorities_is_reported_with_its_line() {
    let temporary = folder();
    let own = create(&temporary.path().join("data"), "a");
    let set = set_of(vec![own.authority_member().expect("its keys")]);
    let text = String::from_utf8(set.as_bytes().to_vec()).expect("text");
    for (damaged, line) in [
        (text.replace("votekit-authorities/1", "votekit-authorities/2"), 1),
        (text.replace("quorum 1", "quorum 01"), 3),
        (text.replace("authority a", "authority  a"), 4),
        (text.trim_end().to_owned(), 4),
    ] {
        fs::write(own.authorities_path(), damaged).expect("written");
        match own.authorities() {
            Err(FolderError::Damaged { damage: FileDamage::Authorities(error), .. }) => {
                assert!(error.to_string().starts_with(&format!("line {line}: ")), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_renewed_authority_keeps_what_it_had_apart() {
    let temporary = folder();
    let path = temporary.path().join("data");
    let made = create(&path, "a");
    let before = made.authority_member().expect("its keys");
    let kept = [
        ("node", fs::read(path.join("keys/node"))),
        (TOKEN, fs::read(path.join("keys").join(TOKEN))),
    ]
    .map(|(key, bytes)| (key, bytes.expect("there")));
    assert!(matches!(DataFolder::renew_authority(&path), Err(FolderError::InUse { .. })));
    drop(made);
    let old_log = fs::read(path.join("keys/log")).expect("there");
    let (renewed, retired) = DataFolder::renew_authority(&path).expect("renewed");
    let after = renewed.authority_member().expect("new keys");
    assert_eq!(after.name, before.name);
    assert!(after.log != before.log && after.cosigner != before.cosigner);
    assert!(after.statement != before.statement && after.transport != before.transport);
    assert_eq!(fs::read(retired.join("keys/log")).expect("kept"), old_log);
    assert!(retired.join(MEMORY).exists() && renewed.memory_path().exists());
    for (key, bytes) in kept {
        assert_eq!(fs::read(path.join("keys").join(key)).expect("there"), bytes, "{key}");
    }
    drop(renewed);
    assert!(DataFolder::open_existing(&path).is_ok());
    let (renewed, again) = DataFolder::renew_authority(&path).expect("renewed");
    assert_ne!(again, retired);
    drop(renewed);
    // An interrupted renewal has moved some of it.
    fs::remove_file(path.join("keys/statement")).expect("removed");
    fs::remove_dir_all(path.join(MEMORY)).expect("removed");
    let (renewed, _) = DataFolder::renew_authority(&path).expect("completed");
    assert!(renewed.authority_member().is_ok() && renewed.memory_path().exists());
}

#[test]
fn only_an_authority_is_renewed() {
    let temporary = folder();
    let path = temporary.path();
    let renewed = |path: &Path| DataFolder::renew_authority(path).map(|_| ());
    assert!(matches!(renewed(path), Err(FolderError::NotOne { .. })));
    drop(DataFolder::open(path, None).expect("new"));
    let log = fs::read(path.join("keys/log")).expect("there");
    assert!(matches!(renewed(path), Err(FolderError::NotAuthority { .. })));
    assert_eq!(fs::read(path.join("keys/log")).expect("there"), log);
}
