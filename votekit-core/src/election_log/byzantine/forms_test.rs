//! False blocks that are not in the form of a block, or not in its one canonical form.

use super::sample::{YES, accepted, decided};
use super::{Case, at, in_bytes, in_texts, leaves, rewrite};

/// Blocks cut short, extended, empty, and leaves in another form.
pub(super) fn forms() -> Vec<Case> {
    let mut cases = vec![
        in_bytes("a byte behind the block", 3, at(12, "truncated"), |bytes| bytes.push(0)),
        in_bytes("an empty leaf behind the block", 3, at(12, "malformed"), |bytes| {
            bytes.extend([0, 0]);
        }),
        leaves("a leaf behind the block leaf", 3, at(12, "shape"), |f| {
            f.leaves.push(decided(YES, accepted(YES.1)));
        }),
        in_bytes("a block cut within its last leaf", 3, at(11, "truncated"), |bytes| {
            bytes.truncate(bytes.len() - 1);
        }),
        leaves("a block without its last leaf", 3, at(10, "shape"), |f| drop(f.leaves.pop())),
        in_bytes("a leaf with a length too high", 3, at(0, "malformed"), |bytes| {
            bytes[1] = bytes[1].wrapping_add(1);
        }),
        in_bytes("an empty block", 3, at(0, "shape"), Vec::clear),
        leaves("a block leaf alone", 3, at(0, "shape"), |f| drop(f.leaves.drain(..11))),
    ];
    cases.extend(texts());
    cases
}

/// One leaf, in another form than its canonical one.
fn texts() -> Vec<Case> {
    vec![
        in_texts("white space in an event", 6, at(0, "malformed"), |texts| {
            rewrite(&mut texts[0], ":", ": ");
        }),
        in_texts("white space in an entry", 3, at(2, "malformed"), |texts| {
            rewrite(&mut texts[2], ",", ", ");
        }),
        in_texts("white space behind a leaf", 6, at(1, "malformed"), |texts| texts[1].push(' ')),
        in_texts("a hash in capitals", 5, at(9, "malformed"), |texts| {
            rewrite(&mut texts[9], "\"hash\":\"0a", "\"hash\":\"0A");
        }),
        in_texts("the fields of a leaf in another order", 6, at(1, "malformed"), |texts| {
            rewrite(&mut texts[1], "\"height\":7,\"term\":1", "\"term\":1,\"height\":7");
        }),
        in_texts("a field twice", 6, at(1, "malformed"), |texts| {
            rewrite(&mut texts[1], "\"term\":1", "\"term\":1,\"term\":1");
        }),
        in_texts("a field that no leaf has", 6, at(1, "malformed"), |texts| {
            rewrite(&mut texts[1], "\"term\":1", "\"term\":1,\"note\":1");
        }),
        in_texts("an escaped letter", 6, at(1, "malformed"), |texts| {
            rewrite(&mut texts[1], "authority-1", "\\u0061uthority-1");
        }),
        in_texts("a number with a fraction", 6, at(1, "malformed"), |texts| {
            rewrite(&mut texts[1], "\"term\":1", "\"term\":1.0");
        }),
        in_texts("a number that JSON readers round", 6, at(1, "malformed"), |texts| {
            rewrite(&mut texts[1], "\"term\":1", "\"term\":9007199254740993");
        }),
        in_texts("a minute of another age", 6, at(1, "malformed"), |texts| {
            rewrite(&mut texts[1], "\"sealed_at\":29400199", "\"sealed_at\":1");
        }),
        in_texts("a kind of leaf that no log has", 6, at(0, "malformed"), |texts| {
            rewrite(&mut texts[0], "\"leaf\":\"election\"", "\"leaf\":\"note\"");
        }),
    ]
}
