//! The hash of a known password, its one form, and the rules.

use super::*;

const EMAIL: &str = "jeanne.tremblay@exemple.ca";

#[test]
fn the_function_is_argon2id_of_the_reference() {
    let hashed = |memory_kib| {
        let costs = Costs { memory_kib, passes: 2, lanes: 1 };
        const_hex::encode(*costs.derive(&Password::typed("password"), b"somesalt").expect("memory"))
    };
    // From `test.c` of the reference implementation.
    assert_eq!(hashed(256), "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe");
    assert_eq!(hashed(65_536), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
}

#[test]
fn a_hash_fits_its_password_alone() {
    let password = Password::typed("correct cheval pile agrafe");
    let stored = password.hash().expect("hashed");
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    assert_ne!(stored, password.hash().expect("hashed"), "each hash has its own salt");
    let verify = |text: &str, stored| Password::typed(text).verify(stored).expect("well formed");
    let right = Verdict::Right { is_outdated: false };
    assert_eq!(verify("correct cheval pile agrafe", Some(&stored)), right);
    assert_eq!(verify("correct cheval pile agraf", Some(&stored)), Verdict::Wrong);
    assert_eq!(verify("", Some(&stored)), Verdict::Wrong);
    assert_eq!(verify("correct cheval pile agrafe", None), Verdict::Wrong);
    let accents = Password::typed("été à Gaspé en vélo").hash().expect("hashed");
    let decomposed = "e\u{301}te\u{301} a\u{300} Gaspe\u{301} en ve\u{301}lo";
    assert_eq!(verify(decomposed, Some(&accents)), right, "one password, typed in two ways");
}

#[test]
fn a_hash_of_lower_costs_fits_and_is_outdated() {
    let password = Password::typed("correct cheval pile agrafe");
    let stored = outdated_hash_for_test("correct cheval pile agrafe");
    let verdict = password.verify(Some(&stored)).expect("well formed");
    assert_eq!(verdict, Verdict::Right { is_outdated: true });
}

#[test]
fn another_form_or_costs_out_of_range_are_an_error_and_no_work() {
    let salt = STANDARD_NO_PAD.encode([1; SALT_BYTES]);
    let hash = STANDARD_NO_PAD.encode([2; HASH_BYTES]);
    let password = Password::typed("correct cheval pile agrafe");
    for stored in [
        String::new(),
        format!("$argon2i$v=19$m=64,t=2,p=1${salt}${hash}"),
        format!("$argon2id$v=16$m=64,t=2,p=1${salt}${hash}"),
        format!("$argon2id$v=19$m=4194304,t=2,p=1${salt}${hash}"),
        format!("$argon2id$v=19$m=64,t=4294967295,p=1${salt}${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=200${salt}${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=1,keyid=a${salt}${hash}"),
        format!("$argon2id$v=19$t=2,m=64,p=1${salt}${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=1${salt}${hash}$"),
        format!("$argon2id$v=19$m=64,t=2,p=1${salt}=${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=1$AAAA${hash}"),
        format!("$argon2id$v=19$m=64,t=2,p=1${salt}$AAAA"),
    ] {
        let refused = password.verify(Some(&stored));
        assert!(matches!(refused, Err(HashError::Malformed)), "{stored}: {refused:?}");
    }
}

#[test]
fn a_new_password_keeps_the_rules() {
    let check = |text: &str| Password::typed(text).check(EMAIL);
    for good in [
        "correct cheval pile agrafe",
        "Zut! mes 3 clés",
        "quatre-mots-sans-lien",
        &"été 12345 ".repeat(12),
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for length in ["", "court", "onze signes", &"abcdefgh9".repeat(15)] {
        assert_eq!(check(length), Err(PasswordFault::Length), "{length}");
    }
    // Characters count, not bytes: eleven letters with accents are too few.
    assert_eq!(check("éàüçôîêâùëï"), Err(PasswordFault::Length));
    for email in [EMAIL, "Jeanne.Tremblay@Exemple.CA"] {
        assert_eq!(check(email), Err(PasswordFault::IsEmail), "{email}");
    }
    for common in [
        "Password-1234!",
        "motdepasse2026",
        "2026-MotDePasse",
        "123456789012",
        "aaaabbbbccccdddd",
        "!!!!!!!!!!!!!!!!",
    ] {
        assert_eq!(check(common), Err(PasswordFault::Common), "{common}");
    }
}

#[test]
fn nothing_of_a_password_prints() {
    assert_eq!(format!("{:?}", Password::typed("secret")), "Password(redacted)");
    for fault in [PasswordFault::Length, PasswordFault::IsEmail, PasswordFault::Common] {
        assert!(!fault.rule().is_empty());
    }
}
