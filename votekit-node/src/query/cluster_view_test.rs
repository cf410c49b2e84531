use votekit_core::authority::{
    Accept, AcceptedBlock, AuthorityMember, ElectionStatus, LogPoint, StatementKey, SuspectReason,
};
use votekit_core::id::Digest;
use votekit_core::log::note::SigningKey;

use super::super::status_view::ElectionStatusView;
use super::*;

/// Three authorities with a quorum of two, and their keys for statements.
struct Installation {
    set: AuthoritySet,
    keys: Vec<StatementKey>,
    rows: Vec<RoundRow>,
}

fn name(text: &str) -> KeyName {
    text.parse().expect("a name")
}

fn law(text: &str) -> ElectionId {
    text.parse().expect("a law id")
}

fn point(height: u64) -> LogPoint {
    LogPoint { height, size: 10 * height, ..LogPoint::empty() }
}

fn led_by(term: u64, leader: &str) -> TermLeader {
    TermLeader { term, leader: name(leader) }
}

fn public(seed: u8) -> [u8; 32] {
    *SigningKey::from_seed(name("any"), &[seed; 32]).verifier().public_key()
}

impl Installation {
    fn new() -> Self {
        let base = name("elections.example");
        let (mut members, mut keys) = (Vec::new(), Vec::new());
        for (index, authority) in (0_u8..).zip(["a", "b", "c"]) {
            let key = StatementKey::from_seed(&base, &name(authority), &[100 + index; 32]);
            members.push(AuthorityMember {
                name: name(authority),
                log: public(10 + index),
                cosigner: public(20 + index),
                statement: key.public(),
                transport: [30 + index; 32],
            });
            keys.push(key);
        }
        let set = AuthoritySet::new(base, 2, members).expect("authorities");
        Self { set, keys, rows: Vec::new() }
    }

    /// Adds a signed statement of the authority with index `index`.
    fn state(&mut self, index: usize, incarnation: u64, body: StatementBody) {
        let key = &self.keys[index];
        let kind = match &body {
            StatementBody::Vote(_) => RowKind::Vote,
            StatementBody::Accept(_) => RowKind::Accept,
            StatementBody::Refuse(_) => RowKind::Refuse,
            _ => RowKind::Suspect,
        };
        let statement = Statement { authority: key.name().clone(), incarnation, body };
        self.rows.push(RoundRow {
            id: RowId(self.rows.len() as u64 + 1),
            kind,
            authority: key.name().as_str().to_owned(),
            law_id: None,
            height: 0,
            term: 1,
            bytes: key.sign_statement(&statement),
            leaves: Vec::new(),
        });
    }

    fn vote(&mut self, index: usize, term: u64, leader: &str, certified: &[(&str, u64)]) {
        let elections = certified
            .iter()
            .map(|(law_id, height)| ElectionVote {
                law_id: law(law_id),
                certified: point(*height),
                accepted: None,
            })
            .collect();
        let vote = Vote { leadership: led_by(term, leader), elections };
        self.state(index, 1, StatementBody::Vote(vote));
    }

    fn view(&self, heads: &[(&str, u64)]) -> ClusterView {
        self.view_of(heads, None, &HeadCosigners::new())
    }

    fn view_of(
        &self,
        heads: &[(&str, u64)],
        leadership: Option<&TermLeader>,
        cosigners: &HeadCosigners,
    ) -> ClusterView {
        let heads: Vec<_> = heads.iter().map(|(law_id, height)| (law(law_id), *height)).collect();
        let mut rows = RowsSeen::default();
        self.rows.iter().for_each(|row| rows.add(&self.set, row));
        from_rows(&self.set, rows, &heads, leadership, cosigners)
    }
}

fn roles(view: &ClusterView) -> Vec<AuthorityRole> {
    view.authorities.iter().map(|authority| authority.role).collect()
}

use AuthorityRole::{Candidate, Follower, Leader, Unknown};

#[test]
fn without_rows_nothing_is_known() {
    let installation = Installation::new();
    let view = installation.view(&[("L1", 4)]);
    assert_eq!(roles(&view), [Unknown; 3]);
    assert_eq!((view.quorum, view.invalid_rows), (2, 0));
    assert_eq!(view.fingerprint, Some(installation.set.fingerprint().to_hex()));
    let a = &view.authorities[0];
    assert_eq!((a.name.as_str(), a.term, a.incarnation), ("a", None, None));
    assert!(a.elections.is_empty() && a.suspects.is_empty());
}

#[test]
fn a_quorum_of_votes_makes_a_leader() {
    let mut installation = Installation::new();
    installation.vote(0, 3, "a", &[("L1", 5)]);
    assert_eq!(roles(&installation.view(&[])), [Candidate, Unknown, Unknown]);
    installation.vote(1, 3, "a", &[("L1", 4)]);
    let view = installation.view(&[("L1", 6)]);
    assert_eq!(roles(&view), [Leader, Follower, Unknown]);
    let certified = |index: usize| {
        let election = &view.authorities[index].elections[0];
        (election.law_id.as_str(), election.certified_height, election.lag)
    };
    assert_eq!((certified(0), certified(1)), (("L1", 5, 1), ("L1", 4, 2)));
    // A vote of an earlier term is not one for the present leader.
    installation.vote(2, 4, "c", &[]);
    assert_eq!(roles(&installation.view(&[])), [Unknown, Unknown, Candidate]);
    assert_eq!(installation.view(&[]).authorities[0].term, Some(3));
}

#[test]
fn the_lease_may_be_of_a_later_term_than_every_vote() {
    let mut installation = Installation::new();
    installation.vote(0, 3, "a", &[]);
    installation.vote(1, 3, "a", &[]);
    let lease = led_by(4, "b");
    let view = installation.view_of(&[], Some(&lease), &HeadCosigners::new());
    assert_eq!(roles(&view), [Unknown, Candidate, Unknown]);
    let lease = led_by(2, "b");
    let view = installation.view_of(&[], Some(&lease), &HeadCosigners::new());
    assert_eq!(roles(&view), [Leader, Follower, Unknown]);
}

#[test]
fn accepts_and_cosignatures_show_the_certified_height() {
    let mut installation = Installation::new();
    let accept = |height| {
        let leadership = led_by(3, "a");
        StatementBody::Accept(Accept { law_id: law("L1"), leadership, point: point(height) })
    };
    installation.state(0, 1, accept(7));
    installation.state(0, 2, accept(6));
    let accepted = AcceptedBlock { term: 2, point: point(9) };
    let carried = ElectionVote { law_id: law("L2"), certified: point(1), accepted: Some(accepted) };
    let vote = Vote { leadership: led_by(3, "a"), elections: vec![carried] };
    installation.state(1, 5, StatementBody::Vote(vote));
    let cosigners = HeadCosigners::from([(law("L1"), vec![name("c")])]);
    let view = installation.view_of(&[("L1", 8), ("L2", 8)], None, &cosigners);
    let elections = |index: usize| {
        let elections = view.authorities[index].elections.iter();
        elections
            .map(|of| (of.law_id.as_str(), of.certified_height, of.accepted_height, of.lag))
            .collect::<Vec<_>>()
    };
    assert_eq!(elections(0), [("L1", 6, Some(7), 2)]);
    assert_eq!(elections(1), [("L2", 8, Some(9), 0)]);
    assert_eq!(elections(2), [("L1", 8, None, 0)]);
    assert_eq!(view.authorities[0].incarnation, Some(2));
    assert_eq!(view.authorities[1].incarnation, Some(5));
}

#[test]
fn refusals_and_suspicions_are_shown() {
    let mut installation = Installation::new();
    let refuse = Refuse {
        law_id: law("L1"),
        leadership: led_by(3, "a"),
        height: 8,
        digest: Digest::compute(b"block"),
        leaf: 77,
        rule: "other-bytes".to_owned(),
        own: None,
        theirs: None,
    };
    installation.state(1, 1, StatementBody::Refuse(refuse));
    for (term, reason) in [(3, SuspectReason::Stepdown), (2, SuspectReason::Idle)] {
        let suspect = Suspect { leadership: led_by(term, "a"), reason };
        installation.state(1, 1, StatementBody::Suspect(suspect));
    }
    let view = installation.view(&[("L1", 7)]);
    let b = &view.authorities[1];
    let refusal =
        RefusalView { height: 8, leaf: 77, rule: "other-bytes".to_owned(), leader: "a".to_owned() };
    assert_eq!(b.elections[0].refusals, [refusal]);
    let suspects: Vec<_> = b.suspects.iter().map(|of| (of.term, of.reason.as_str())).collect();
    assert_eq!(suspects, [(2, "idle"), (3, "step-down")]);
}

#[test]
fn rows_that_their_authority_did_not_sign_are_counted_and_not_shown() {
    let mut installation = Installation::new();
    installation.vote(0, 3, "a", &[("L1", 5)]);
    installation.vote(1, 3, "a", &[("L1", 5)]);
    // A vote under another authority's name, and one whose bytes were changed.
    installation.rows[0].authority = "c".to_owned();
    let text = String::from_utf8(installation.rows[1].bytes.clone()).expect("text");
    installation.rows[1].bytes = text.replace("certified 5", "certified 6").into_bytes();
    let view = installation.view(&[("L1", 5)]);
    assert_eq!((roles(&view), view.invalid_rows), (vec![Unknown; 3], 2));
    assert!(view.authorities.iter().all(|authority| authority.elections.is_empty()));
}

#[test]
fn the_only_authority_has_certified_its_log() {
    let heads = [(law("L1"), 4), (law("L2"), 1)];
    let view = sole_authority_view(&name("authority-1"), Some(2), &heads);
    assert_eq!((roles(&view), view.quorum, view.fingerprint), (vec![Leader], 1, None));
    let heights: Vec<_> =
        view.authorities[0].elections.iter().map(|of| (of.certified_height, of.lag)).collect();
    assert_eq!(heights, [(4, 0), (1, 0)]);
    assert_eq!(roles(&sole_authority_view(&name("authority-1"), None, &[])), [Follower]);
}

#[test]
fn a_view_is_read_from_its_json() {
    let mut installation = Installation::new();
    installation.vote(0, 3, "a", &[("L1", 5)]);
    let view = installation.view(&[("L1", 5)]);
    let json = toml::Value::try_from(&view.authorities[0]).expect("a table");
    assert_eq!(json["role"].as_str(), Some("candidate"));
    assert_eq!(json.try_into::<AuthorityView>().expect("the same"), view.authorities[0]);
}

#[test]
fn status_distinguishes_down_stuck_and_clock_errors() {
    let installation = Installation::new();
    let status = |authority: &str, at, clock_offset, height, is_halted| AuthorityStatus {
        authority: name(authority),
        incarnation: 1,
        at: UnixSeconds(at),
        clock_offset,
        free_bytes: Some(4096),
        signs: true,
        elections: vec![ElectionStatus { law_id: law("L1"), height, is_halted }],
    };
    let mut view = installation.view(&[]);
    let heads = [(law("L1"), 9)];
    let statuses = [status("a", 1000, -75_250, 9, false), status("b", 1041, 3, 4, true)];
    add_statuses(&mut view, &statuses, &heads, UnixSeconds(1042));
    let shown = |index: usize| view.authorities[index].status.as_ref().expect("a status");
    assert_eq!((shown(0).age_seconds, shown(0).is_silent), (42, true));
    assert_eq!(shown(0).clock_offset_milliseconds, -75_250);
    assert_eq!((shown(1).age_seconds, shown(1).is_silent), (1, false));
    let halted = ElectionStatusView { law_id: "L1".to_owned(), height: 4, lag: 5, halted: true };
    assert_eq!(shown(1).elections, [halted]);
    assert_eq!(view.authorities[2].status, None);
}

#[test]
fn refusals_and_suspicions_of_a_liar_are_bounded() {
    let mut installation = Installation::new();
    for term in 1..=250 {
        let leadership = led_by(term, "a");
        let suspect = Suspect { leadership: leadership.clone(), reason: SuspectReason::Idle };
        installation.state(1, 1, StatementBody::Suspect(suspect));
        let refuse = Refuse {
            law_id: law("L1"),
            leadership,
            height: term,
            digest: Digest::compute(b"leaves"),
            leaf: 1,
            rule: "order".to_owned(),
            own: None,
            theirs: None,
        };
        installation.state(1, 1, StatementBody::Refuse(refuse));
    }
    let view = installation.view(&[]);
    let b = &view.authorities[1];
    let refusals = &b.elections[0].refusals;
    assert_eq!((b.suspects.len(), refusals.len()), (SHOWN_MAX, SHOWN_MAX));
    assert_eq!((b.suspects[99].term, refusals[99].height), (250, 250));
}
