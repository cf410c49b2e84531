//! False blocks of events, and blocks in a false order.

use super::sample::{
    A, B, Forgery, STRANGER, ballot_key, definition, leaf_of, manifest, minute, node_key, sample,
};
use super::{Case, DIFFERS, at, in_texts, leaves, left_to, rewrite, waits_at};
use crate::ballot::{BallotPublicKey, BallotSecretKey};
use crate::batch::NodePublicKey;
use crate::credential::HashScheme;
use crate::election::Definition;
use crate::id::Digest;
use crate::log::leaf::{ElectionEvent, Leaf, NodeEvent, RollEvent};

/// The draft, rolls and supplements.
pub(super) fn drafts_and_rolls() -> Vec<Case> {
    let mut cases = drafts();
    cases.extend(rolls());
    cases.extend(supplements());
    cases
}

fn drafts() -> Vec<Case> {
    vec![
        in_texts("a draft with another title", 0, left_to("the officials"), |texts| {
            rewrite(&mut texts[0], "\"fr\":\"Loi\"", "\"fr\":\"Foi\"");
        }),
        in_texts("a draft with another ballot key", 0, left_to("guard ballot-key"), |texts| {
            rewrite(&mut texts[0], &ballot_key().public_key().to_hex(), &other_key().to_hex());
        }),
        in_texts("a draft that breaks a rule of definitions", 0, at(0, "event"), |texts| {
            rewrite(&mut texts[0], "\"closes\":29400200", "\"closes\":29400099");
        }),
        in_texts("a draft at another minute than its block", 0, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"at\":29400090", "\"at\":29400089");
        }),
        leaves("a first block without a draft", 0, at(0, "draft"), |f| {
            f.leaves = sample().leaves(2);
        }),
        leaves("a draft and an event in one block", 0, at(1, DIFFERS), |f| {
            f.leaves.insert(1, honest(1, 1));
        }),
        leaves("a second draft", 2, at(0, "shape"), |f| f.leaves[0] = honest(0, 0)),
        leaves("an amendment", 2, left_to("the officials"), |f| {
            amend(f, |definition| definition.title.fr = "Foi".to_owned());
        }),
        leaves("an amendment with another ballot key", 2, at(0, "event"), |f| {
            amend(f, |definition| definition.ballot_key = other_key());
        }),
        leaves("an amendment to another law", 2, at(0, "event"), |f| {
            amend(f, |definition| definition.law_id = "L2".parse().expect("law id"));
        }),
        leaves("an amendment of an open poll", 3, at(0, "event"), |f| {
            amend(f, |definition| definition.title.fr = "Foi".to_owned());
        }),
    ]
}

fn rolls() -> Vec<Case> {
    vec![
        leaves("a roll of fewer electors", 1, at(0, DIFFERS), |f| roll(f).loaded = 29),
        leaves("a roll that this authority does not have", 1, waits_at(0, "roll"), |f| {
            roll(f).manifest = manifest(9);
        }),
        leaves("a roll under the digest of another", 1, at(0, DIFFERS), |f| {
            roll(f).manifest = manifest(3);
        }),
        leaves("another roll", 1, left_to("the officials, guard manifest-unsigned"), |f| {
            roll(f).manifest = manifest(3);
            roll(f).loaded = 12;
        }),
        leaves("a roll hashed by another scheme", 1, left_to("guard roll-scheme"), |f| {
            roll(f).scheme = HashScheme::HmacSha256;
        }),
        leaves("a roll with a parent", 1, left_to("guard roll-parent"), |f| {
            roll(f).parent = Some(manifest(3));
        }),
        leaves("a roll that replaces one never loaded", 1, at(0, "event"), |f| {
            roll(f).replaces = Some(manifest(3));
        }),
        leaves("another roll for an open poll", 3, at(0, "event"), |f| {
            f.events(vec![honest(1, 0)], 101);
        }),
    ]
}

fn supplements() -> Vec<Case> {
    vec![
        leaves("a spent credential replaced: two live ones", 4, at(0, DIFFERS), |f| {
            let roll = roll(f);
            (roll.added, roll.revoked, roll.refused) = (3, 3, 0);
        }),
        leaves("a refused revocation left out", 4, at(0, DIFFERS), |f| roll(f).refused = 0),
        leaves("a supplement to another roll", 4, at(0, "event"), |f| {
            roll(f).parent = Some(manifest(3));
        }),
        leaves("a supplement hashed by another scheme", 4, at(0, "event"), |f| {
            roll(f).scheme = HashScheme::HmacSha256;
        }),
        leaves("a supplement twice", 5, at(0, "event"), |f| f.events(vec![honest(4, 0)], 131)),
    ]
}

/// Nodes, the opening and the closing.
pub(super) fn polls() -> Vec<Case> {
    let mut cases = nodes();
    cases.extend(openings());
    cases.extend(closings());
    cases
}

fn nodes() -> Vec<Case> {
    vec![
        leaves("a node under the id of another", 1, at(1, DIFFERS), |f| {
            let key = node_key(A).public_key();
            f.leaves[1] = Leaf::Node(NodeEvent::Admitted { node: node_key(B).node_id(), key });
        }),
        leaves("a node whose key signs everything", 1, at(1, "event"), |f| {
            // The neutral element of the curve.
            let mut key = [0; 32];
            key[0] = 1;
            f.leaves[1] = admitted(NodePublicKey::from_bytes(key));
        }),
        leaves("a node of the forger", 1, left_to("the officials"), |f| {
            f.leaves[1] = admitted(node_key(STRANGER).public_key());
        }),
        leaves("a node admitted after the closing", 7, at(0, "event"), |f| {
            f.events(vec![honest(1, 1)], 200);
        }),
        in_texts("a retirement above what is sealed", 8, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"through\":0", "\"through\":1");
        }),
        in_texts("a retirement of an ended epoch", 8, at(0, "event"), |texts| {
            rewrite(&mut texts[0], "\"epoch\":2", "\"epoch\":1");
        }),
        in_texts("a retirement of a node that is not admitted", 8, at(0, "event"), |texts| {
            let stranger = node_key(STRANGER).node_id().to_hex();
            rewrite(&mut texts[0], &node_key(A).node_id().to_hex(), &stranger);
        }),
        in_texts(
            "a retirement of an epoch to come",
            8,
            left_to("guard retired-not-given"),
            |texts| rewrite(&mut texts[0], "\"epoch\":2", "\"epoch\":3"),
        ),
        leaves("a retirement before the opening", 2, at(0, "event"), |f| {
            f.events(vec![honest(8, 0)], 92);
        }),
    ]
}

fn openings() -> Vec<Case> {
    vec![
        in_texts("a poll that opens before its plan", 2, at(0, "event"), |texts| {
            rewrite(&mut texts[0], "\"opens\":29400100", "\"opens\":29400099");
        }),
        in_texts(
            "a poll that opens shortly before its end",
            2,
            left_to("guard opening-ahead"),
            |texts| rewrite(&mut texts[0], "\"opens\":29400100", "\"opens\":29400199"),
        ),
        in_texts("a poll that opens with more electors", 2, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"registered\":30", "\"registered\":31");
        }),
        in_texts("a zero report with a vote", 2, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"received\":0", "\"received\":1");
        }),
        in_texts("a poll that opens with another end", 2, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"closes\":29400200", "\"closes\":29400300");
        }),
        leaves("a poll opened without a roll", 1, at(0, "event"), |f| {
            f.events(vec![honest(2, 0)], 100);
        }),
        leaves("a poll opened twice", 3, at(0, "event"), |f| f.events(vec![honest(2, 0)], 101)),
    ]
}

fn closings() -> Vec<Case> {
    vec![
        leaves("a closing before the opening", 2, at(0, "event"), |f| {
            f.events(vec![honest(6, 0)], 199);
        }),
        in_texts("a closing before the plan, without a reason", 6, at(0, "event"), |texts| {
            rewrite(&mut texts[0], "\"closes\":29400200", "\"closes\":29400199");
        }),
        leaves("a closing before the plan, with a reason", 6, left_to("the officials"), |f| {
            f.leaves[0] = closing(199, 199, Some("panne"));
        }),
        leaves(
            "a closing before votes that were answered",
            6,
            left_to("guards closing-past, closing-stamp"),
            |f| f.leaves[0] = closing(199, 110, Some("panne")),
        ),
        in_texts("a closing after the plan", 6, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"closes\":29400200", "\"closes\":29400201");
        }),
        leaves("a closing long before it takes effect", 5, at(0, "event"), |f| {
            f.events(vec![closing(131, 200, None)], 131);
        }),
        leaves("a reason that is not needed", 6, at(0, DIFFERS), |f| {
            f.leaves[0] = closing(199, 200, Some("panne"));
        }),
        leaves("an event at another minute than its block", 6, at(0, DIFFERS), |f| {
            f.leaves[0] = closing(198, 200, None);
        }),
        leaves("a second closing", 7, at(0, "event"), |f| f.events(vec![honest(6, 0)], 200)),
        leaves("an event twice in a block", 6, at(1, "event"), |f| {
            f.leaves.insert(1, honest(6, 0));
        }),
    ]
}

/// Blocks out of order, and the end of an election.
pub(super) fn order() -> Vec<Case> {
    let mut cases = vec![
        leaves("votes before the opening", 2, at(0, "votes"), |f| f.leaves = sample().leaves(3)),
        leaves("votes after the close", 10, at(0, "votes"), |f| f.leaves = sample().leaves(7)),
        leaves("a close before the closing", 6, at(0, "event"), |f| {
            f.leaves = sample().leaves(9);
        }),
        leaves("a close while an epoch has not ended", 7, at(0, "event"), |f| {
            f.leaves = sample().leaves(9);
        }),
        leaves("an event among votes", 5, at(7, DIFFERS), |f| {
            f.leaves.insert(7, admitted(node_key(STRANGER).public_key()));
        }),
        leaves("a batch among events", 6, at(1, "shape"), |f| f.leaves.insert(1, leaf_of(A, 4))),
        leaves("a close among events", 6, at(1, "shape"), |f| f.leaves.insert(1, honest(9, 0))),
        leaves("a block within a block", 6, at(1, "shape"), |f| {
            f.leaves.insert(1, honest(6, 1));
        }),
        leaves("an entry before its batch", 3, at(0, "shape"), |f| f.leaves.swap(0, 1)),
    ];
    cases.extend(ends());
    cases
}

fn ends() -> Vec<Case> {
    vec![
        in_texts("a close with another report", 9, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"accepted\":9", "\"accepted\":8");
            rewrite(&mut texts[0], "\"invalid\":5", "\"invalid\":6");
        }),
        in_texts("a close with more electors", 9, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"registered\":30", "\"registered\":31");
        }),
        leaves("a certification before the close", 9, at(0, "event"), |f| {
            f.events(vec![honest(10, 0)], 205);
        }),
        leaves("a certification of another result", 10, at(0, DIFFERS), |f| {
            let results = Digest::from_bytes([7; 32]);
            let (at, witness_waiver) = (minute(210), None);
            f.leaves[0] = Leaf::Election(ElectionEvent::Certified { at, results, witness_waiver });
        }),
        in_texts("a certification before the last block", 10, at(0, DIFFERS), |texts| {
            rewrite(&mut texts[0], "\"at\":29400210", "\"at\":29400204");
            rewrite(&mut texts[1], "\"sealed_at\":29400210", "\"sealed_at\":29400204");
        }),
        leaves("a second certification", 11, at(0, "event"), |f| {
            f.events(vec![honest(10, 0)], 211);
        }),
        leaves("an annulment before the close", 9, at(0, "event"), |f| annul(f, "jugement", 205)),
        leaves("an annulment without a reason", 11, at(0, "event"), |f| annul(f, "", 211)),
        leaves("an annulment", 11, left_to("the officials"), |f| annul(f, "jugement", 211)),
        leaves("a purge before the certification", 10, at(0, "event"), |f| {
            f.events(vec![honest(11, 0)], 206);
        }),
        leaves("a second purge", 12, at(0, "event"), |f| f.events(vec![honest(11, 0)], 212)),
    ]
}

/// A leaf of the honest log.
fn honest(block: usize, place: usize) -> Leaf {
    sample().leaves(block).swap_remove(place)
}

fn roll(forgery: &mut Forgery) -> &mut RollEvent {
    match &mut forgery.leaves[0] {
        Leaf::Roll(roll) => roll,
        other => panic!("no roll: {other:?}"),
    }
}

fn amend(forgery: &mut Forgery, change: fn(&mut Definition)) {
    let mut amended = definition();
    change(&mut amended);
    let event = ElectionEvent::Amended { at: minute(101), definition: amended };
    forgery.events(vec![Leaf::Election(event)], 101);
}

fn closing(at: u64, closes: u64, reason: Option<&str>) -> Leaf {
    let reason = reason.map(str::to_owned);
    Leaf::Election(ElectionEvent::Closing { at: minute(at), closes: minute(closes), reason })
}

fn annul(forgery: &mut Forgery, reason: &str, at: u64) {
    let event = ElectionEvent::Annulled { at: minute(at), reason: reason.to_owned() };
    forgery.events(vec![Leaf::Election(event)], at);
}

fn admitted(key: NodePublicKey) -> Leaf {
    Leaf::Node(NodeEvent::Admitted { node: key.node_id(), key })
}

fn other_key() -> BallotPublicKey {
    BallotSecretKey::from_seed(&[9; 32]).public_key()
}
