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
fn a_damaged_key_is_told() {
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
        // As the first versions wrote it.
        fs::write(&path, [&line[..64], b"\n"].concat()).expect("written");
        assert!(DataFolder::open(temporary.path(), None).is_ok());
    }
}

/// The vector is made by the text of `docs/formats.md`, section 5, not by this code.
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
    let law_id: LawId = "L1".parse().expect("law id");
    let data = DataFolder::open(temporary.path(), None).expect("new");
    data.make_ballot_key(&law_id).expect("made");
    let path = data.election_key("ballot", &law_id);
    drop(data);
    fs::rename(&path, super::temporary(&path)).expect("put aside");
    // As it is when it is killed before, in and after the overwriting.
    for bytes in [KEY_LINE_BYTES + 1, KEY_LINE_BYTES, 0] {
        fs::write(super::temporary(&path), vec![b'0'; bytes]).expect("written");
        let data = DataFolder::open(temporary.path(), None).expect("opened");
        assert!(data.ballot_key(&law_id).expect("read").is_none());
        assert_eq!(fs::read_dir(temporary.path().join("keys/ballot")).expect("there").count(), 0);
    }
}
