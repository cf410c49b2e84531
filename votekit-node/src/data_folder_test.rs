use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

use super::private_file::KEY_LINE_BYTES;
use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn keys_are_made_once_and_private() {
    let temporary = folder();
    let data = DataFolder::open(temporary.path(), None).expect("new");
    let node = data.node_key().expect("made").node_id();
    let token = data.admin_token().expect("made");
    drop(data);
    let data = DataFolder::open(temporary.path(), None).expect("again");
    assert_eq!(data.node_key().expect("read").node_id(), node);
    assert_eq!(*data.admin_token().expect("read"), *token);
    assert_eq!(*read_admin_token(temporary.path()).expect("read"), *token);
    let mode =
        fs::metadata(temporary.path().join("keys/node")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_key_is_reported() {
    let temporary = folder();
    drop(DataFolder::open(temporary.path(), None).expect("new"));
    for name in ["node", "log", "cosigner"] {
        let path = temporary.path().join("keys").join(name);
        let line = fs::read(&path).expect("there");
        assert_eq!(line.len(), KEY_LINE_BYTES + 1);
        for at in 0..KEY_LINE_BYTES {
            let mut damaged = line.clone();
            // A digit stays a digit.
            damaged[at] ^= 1;
            fs::write(&path, damaged).expect("written");
            assert!(
                matches!(
                    DataFolder::open(temporary.path(), None),
                    Err(FolderError::Damaged { .. })
                ),
                "{name}, byte {at}"
            );
        }
        fs::write(&path, [&line[..64], b"\n"].concat()).expect("written");
        assert!(
            matches!(DataFolder::open(temporary.path(), None), Err(FolderError::Damaged { .. })),
            "{name} without its check"
        );
        fs::write(&path, &line).expect("written");
        assert!(DataFolder::open(temporary.path(), None).is_ok());
    }
}

/// The vector follows the text of `docs/formats.md`, section 5, and is not made by this code.
#[test]
fn the_golden_key_file_is_reproduced() {
    let temporary = folder();
    let golden = include_str!("../../fixtures/vectors/ballot.key");
    let mut secret = [0; 32];
    const_hex::decode_to_slice(&golden[..64], &mut secret).expect("hexadecimal");
    let path = temporary.path().join("key");
    write_secret(&path, &secret).expect("written");
    assert_eq!(fs::read_to_string(&path).expect("read"), golden);
    assert_eq!(read_secret(&path).expect("read").as_deref(), Some(&secret));
}

#[test]
fn a_second_holder_is_refused() {
    let temporary = folder();
    let _held = DataFolder::open(temporary.path(), None).expect("new");
    assert!(matches!(DataFolder::open(temporary.path(), None), Err(FolderError::InUse { .. })));
}

#[test]
fn a_newer_format_is_refused() {
    let temporary = folder();
    fs::write(temporary.path().join("votekit.toml"), "format = 2\nsomething = \"new\"\n")
        .expect("written");
    assert!(matches!(
        DataFolder::open(temporary.path(), None),
        Err(FolderError::Newer { found: 2, .. })
    ));
}

#[test]
fn the_base_cannot_change() {
    let temporary = folder();
    let base = "elections.example".parse().expect("a name");
    drop(DataFolder::open(temporary.path(), Some(&base)).expect("new"));
    assert!(DataFolder::open(temporary.path(), Some(&base)).is_ok());
    let other = "other.example".parse().expect("a name");
    assert!(matches!(
        DataFolder::open(temporary.path(), Some(&other)),
        Err(FolderError::OtherBase { .. })
    ));
}

#[test]
fn a_ballot_key_can_be_destroyed() {
    let temporary = folder();
    let data = DataFolder::open(temporary.path(), None).expect("new");
    let law_id = "L1".parse().expect("law id");
    let made = data.make_ballot_key(&law_id).expect("made");
    let read = data.ballot_key(&law_id).expect("read").expect("there");
    assert_eq!(made.public_key(), read.public_key());
    data.destroy_election_keys(&law_id).expect("destroyed");
    assert!(data.ballot_key(&law_id).expect("read").is_none());
    assert_eq!(fs::read_dir(temporary.path().join("keys/ballot")).expect("there").count(), 0);
}

#[test]
fn a_destruction_that_was_cut_off_is_finished_at_the_next_start() {
    let temporary = folder();
    let law_id: ElectionId = "L1".parse().expect("law id");
    let data = DataFolder::open(temporary.path(), None).expect("new");
    data.make_ballot_key(&law_id).expect("made");
    let path = data.election_key("ballot", &law_id);
    drop(data);
    fs::rename(&path, super::private_file::temporary(&path)).expect("put aside");
    // As left by a kill before, during and after the overwriting.
    for bytes in [KEY_LINE_BYTES + 1, KEY_LINE_BYTES, 0] {
        fs::write(super::private_file::temporary(&path), vec![b'0'; bytes]).expect("written");
        let data = DataFolder::open(temporary.path(), None).expect("opened");
        assert!(data.ballot_key(&law_id).expect("read").is_none());
        assert_eq!(fs::read_dir(temporary.path().join("keys/ballot")).expect("there").count(), 0);
    }
}

#[test]
fn an_upload_that_a_kill_cut_off_is_removed_at_the_next_start() {
    let temporary = folder();
    drop(DataFolder::open(temporary.path(), None).expect("new"));
    let upload = temporary.path().join("incoming/L1");
    fs::create_dir_all(&upload).expect("made");
    for name in ["manifest.json", ".votekit-0123456789abcdef"] {
        fs::write(upload.join(name), b"part").expect("written");
    }
    drop(DataFolder::open(temporary.path(), None).expect("again"));
    assert!(upload.join("manifest.json").exists(), "a whole file stays");
    assert_eq!(fs::read_dir(&upload).expect("there").count(), 1);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

#[track_caller]
fn exposed(opened: Result<DataFolder, FolderError>, said: &str) {
    match opened {
        Err(error @ FolderError::Exposed { .. }) => {
            assert!(error.to_string().contains(said), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_that_others_can_reach_are_refused_as_ssh_does() {
    let temporary = folder();
    let path = temporary.path();
    drop(DataFolder::open(path, None).expect("new"));
    for (name, private, open) in [
        ("keys/log", 0o600, 0o604),
        ("keys/node", 0o600, 0o602),
        ("keys/admin-token", 0o600, 0o666),
        ("keys", 0o700, 0o701),
        ("keys/ballot", 0o700, 0o777),
        ("keys/pepper", 0o700, 0o705),
    ] {
        chmod(&path.join(name), open);
        exposed(DataFolder::open(path, None), "accessible to other accounts");
        assert_eq!(fs::metadata(path.join(name)).expect("there").mode() & 0o777, open, "{name}");
        chmod(&path.join(name), private);
    }
    chmod(&path.join("keys/admin-token"), 0o644);
    assert!(matches!(read_admin_token(path), Err(FolderError::Exposed { .. })));
    chmod(&path.join("keys/admin-token"), 0o600);
    assert!(DataFolder::peek(path).is_ok() && read_admin_token(path).is_ok());
    // Only root can give a file away. Nothing that belongs to another account is used.
    if chown(path.join("keys/log"), Some(65534), None).is_ok() {
        exposed(DataFolder::open(path, None), "owned by user id 65534");
        chown(path.join("keys/log"), Some(0), None).expect("back");
        // A group may read files owned by root, but not write them.
        chmod(&path.join("keys/log"), 0o640);
        assert!(DataFolder::open(path, None).is_ok());
        chmod(&path.join("keys/log"), 0o660);
        exposed(DataFolder::open(path, None), "accessible to other accounts");
        chmod(&path.join("keys/log"), 0o600);
        chown(path, Some(65534), None).expect("given away");
        exposed(DataFolder::open(path, None), "owned by user id 65534");
    }
}

#[test]
fn planted_keys_are_not_used() {
    let temporary = folder();
    let path = temporary.path();
    fs::create_dir(path.join("keys")).expect("made");
    fs::write(path.join("keys/admin-token"), format!("{}\n", "0".repeat(64))).expect("planted");
    chmod(&path.join("keys"), 0o777);
    exposed(DataFolder::open(path, None), "accessible to other accounts");
}

#[test]
fn only_an_empty_folder_becomes_a_data_folder() {
    let temporary = folder();
    let path = temporary.path();
    chmod(path, 0o755);
    fs::write(path.join("photo.jpg"), "hello").expect("written");
    for opened in [
        DataFolder::open(path, None),
        DataFolder::open_named(path, None, &"a".parse().expect("a name")),
        DataFolder::open_existing(path),
        DataFolder::peek(path),
    ] {
        match opened {
            Err(FolderError::Occupied { found, .. }) => assert_eq!(found, "photo.jpg"),
            other => assert!(matches!(other, Err(FolderError::NotOne { .. })), "{other:?}"),
        }
    }
    assert!(matches!(read_admin_token(path), Err(FolderError::NotOne { .. })));
    let names: Vec<_> = fs::read_dir(path).expect("there").flatten().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(fs::metadata(path).expect("there").mode() & 0o777, 0o755);
    fs::remove_file(path.join("photo.jpg")).expect("removed");
    // Files that officials put there beforehand are no obstacle.
    fs::write(path.join("officials"), "").expect("written");
    drop(DataFolder::open(path, None).expect("made"));
    assert_eq!(fs::metadata(path).expect("there").mode() & 0o777, 0o700);
    assert!(DataFolder::open_existing(path).is_ok());
}

#[test]
fn no_symbolic_link_is_followed_when_writing() {
    let (temporary, outside) = (folder(), folder());
    let path = temporary.path();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").expect("written");
    let untouched = || assert_eq!(fs::read(&victim).expect("there"), b"untouched");
    symlink(&victim, path.join("votekit.toml~")).expect("planted");
    drop(DataFolder::open(path, None).expect("made"));
    untouched();
    // The paths at which a key is written, and at which a key that was moved aside is destroyed.
    let law_id: ElectionId = "L1".parse().expect("law id");
    let data = DataFolder::open(path, None).expect("opened");
    symlink(&victim, super::private_file::temporary(&data.election_key("ballot", &law_id)))
        .expect("planted");
    data.make_ballot_key(&law_id).expect("made");
    untouched();
    drop(data);
    symlink(&victim, path.join("keys/ballot/L2~")).expect("planted");
    let data = DataFolder::open(path, None).expect("opened");
    untouched();
    assert!(!path.join("keys/ballot/L2~").is_symlink());
    let aside = path.join(format!(".services.{}", std::process::id()));
    symlink(&victim, aside).expect("planted");
    let installation = "a".to_owned();
    data.belong_to(&Belonging::Services { installation }).expect("bound");
    untouched();
    drop(data);
    fs::remove_file(path.join("lock")).expect("removed");
    symlink(outside.path().join("made"), path.join("lock")).expect("planted");
    assert!(matches!(DataFolder::open(path, None), Err(FolderError::Io { .. })));
    assert!(!outside.path().join("made").exists());
}
