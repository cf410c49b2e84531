//! `votekit pepper`.

mod support;

use support::{TestDir, mode_of};

#[test]
fn a_pepper_is_private_named_and_never_overwritten() {
    let dir = TestDir::new();
    let made = dir.run(&["pepper", "generate", "-o", "p"]);
    let id = made.succeeds().trim().to_owned();
    assert_eq!((id.len(), mode_of(&dir.path("p"))), (16, 0o600));
    let before = dir.read("p");
    let secret = String::from_utf8(before.clone())
        .expect("text")
        .trim()
        .rsplit(' ')
        .next()
        .map(str::to_owned);
    let secret = secret.expect("a word");
    assert!(!made.stdout.contains(&secret) && !made.stderr.contains(&secret));

    dir.run(&["pepper", "generate", "-o", "p"]).fails(4, &["p already exists"]);
    assert_eq!(dir.read("p"), before);
    assert_eq!(dir.run(&["pepper", "show", "p"]).succeeds().trim(), id);
    assert_eq!(dir.run(&["--json", "pepper", "show", "p"]).json()["id"], id);
}

#[test]
fn a_malformed_pepper_file_is_refused_without_its_content() {
    let dir = TestDir::new();
    dir.write("p", "votekit-pepper/1 c0ffee\n");
    let refused = dir.run(&["pepper", "show", "p"]);
    refused.fails(3, &["p: not a pepper file"]);
    assert!(!refused.stderr.contains("c0ffee"));
    dir.run(&["pepper", "show", "absent"]).fails(3, &["cannot read absent: no such file"]);
}

#[test]
fn a_pepper_that_others_can_read_is_warned_of() {
    let dir = TestDir::new();
    dir.run(&["pepper", "generate", "-o", "p"]).succeeds();
    let shown = dir.shell("chmod 644 p && \"$VOTEKIT\" pepper show p");
    shown.succeeds();
    assert!(shown.stderr.starts_with("warning: p is readable by others"), "{}", shown.stderr);
}
