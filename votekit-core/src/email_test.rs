use super::*;

fn parsed(text: &str) -> Result<String, EmailError> {
    text.parse().map(|address: EmailAddress| address.0)
}

#[test]
fn one_mailbox_has_one_text() {
    for (text, address) in [
        ("a@example.org", "a@example.org"),
        ("\t A.B+c@EXAMPLE.org\n", "a.b+c@example.org"),
        ("=1@example.org", "=1@example.org"),
        ("root@localhost", "root@localhost"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        // The letter with a combining accent, and the composed one.
        ("ame\u{301}lie@example.org", "am\u{e9}lie@example.org"),
        ("am\u{e9}lie@example.org", "am\u{e9}lie@example.org"),
        ("a@b\u{fc}cher.example", "a@b\u{fc}cher.example"),
    ] {
        assert_eq!(parsed(text).as_deref(), Ok(address), "{text:?}");
        assert_eq!(parsed(address).as_deref(), Ok(address), "the same again");
    }
}

#[test]
fn invalid_addresses_are_refused_with_their_rule() {
    for (text, error) in [
        ("", EmailError::Missing),
        (" \t", EmailError::Missing),
        ("example.org", EmailError::NotOneAt),
        ("a@b@example.org", EmailError::NotOneAt),
        ("a b@example.org", EmailError::Invisible),
        ("a@exa\u{a0}mple.org", EmailError::Invisible),
        ("a\u{0}@example.org", EmailError::Invisible),
        ("a\u{200b}@example.org", EmailError::Invisible),
        ("a\u{202e}@example.org", EmailError::Invisible),
        ("a,b@example.org", EmailError::Special),
        ("<a@example.org>", EmailError::Special),
        ("\"a\"@example.org", EmailError::Special),
        ("@example.org", EmailError::Local),
        (".a@example.org", EmailError::Local),
        ("a..b@example.org", EmailError::Local),
        ("a.@example.org", EmailError::Local),
        ("a@", EmailError::Domain),
        ("a@example", EmailError::Domain),
        ("a@.org", EmailError::Domain),
        ("a@example.", EmailError::Domain),
        ("a@-example.org", EmailError::Domain),
        ("a@exam_ple.org", EmailError::Domain),
        ("a@localhost.", EmailError::Domain),
    ] {
        assert_eq!(parsed(text), Err(error), "{text:?}");
    }
}

#[test]
fn the_length_is_bounded_in_bytes() {
    let of_length = |length: usize| format!("{}@example.org", "a".repeat(length - 12));
    assert!(parsed(&of_length(254)).is_ok());
    assert_eq!(parsed(&of_length(255)), Err(EmailError::TooLong));
    assert_eq!(parsed(&"\u{e9}".repeat(1_000_000)), Err(EmailError::TooLong));
    let label = "a".repeat(63);
    assert!(parsed(&format!("a@{label}.org")).is_ok());
    assert_eq!(parsed(&format!("a@{label}a.org")), Err(EmailError::Domain));
}
