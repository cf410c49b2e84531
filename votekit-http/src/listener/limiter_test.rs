use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use votekit_node::limits::address_prefix::DigestKey;

use super::*;

fn rules(slots_max: u32) -> LimiterRules {
    LimiterRules {
        slots_max,
        reserved: 0,
        per_address_max: 0,
        waiting_max: 16,
        stay_min_ms: 1000,
        wait_max_ms: 10_000,
    }
}

/// A limiter, with the activity of each connection.
struct Listener {
    limiter: ConnectionLimiter,
    key: DigestKey,
    activities: BTreeMap<ConnectionId, Arc<Activity>>,
}

impl Listener {
    fn new(rules: LimiterRules) -> Self {
        Self {
            limiter: ConnectionLimiter::new(rules),
            key: DigestKey::random(),
            activities: BTreeMap::new(),
        }
    }

    fn arrive_at(&mut self, address: impl Into<IpAddr>, now_ms: u64) -> Arrival {
        let shares = self.key.shares(address.into(), false);
        let activity = Arc::new(Activity::waiting(now_ms));
        let (arrival, _) = self.limiter.arrive(Some(shares), &activity, now_ms);
        if let Arrival::Held(id) | Arrival::Waiting(id) = arrival {
            self.activities.insert(id, activity);
        }
        arrival
    }

    /// A newcomer from a separate network: 10.N.0.1.
    fn arrive(&mut self, network: u8) -> Arrival {
        self.arrive_at(Ipv4Addr::new(10, network, 0, 1), 1)
    }

    fn held(&mut self, network: u8) -> ConnectionId {
        match self.arrive(network) {
            Arrival::Held(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn waiting(&mut self, network: u8) -> ConnectionId {
        match self.arrive(network) {
            Arrival::Waiting(id) => id,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_prefix_over_its_share_is_refused_and_another_is_not() {
    let mut listener = Listener::new(LimiterRules { per_address_max: 2, ..rules(10) });
    let first = listener.held(1);
    listener.held(1);
    assert_eq!(listener.arrive(1), Arrival::Refused);
    listener.held(2);
    listener.limiter.release(first);
    listener.held(1);
}

#[test]
fn networks_around_an_address_have_larger_shares_of_their_own() {
    let mut listener = Listener::new(LimiterRules { per_address_max: 3, ..rules(100) });
    let held = |listener: &mut Listener, addresses: &mut dyn Iterator<Item = IpAddr>| {
        addresses.filter(|address| listener.arrive_at(*address, 1) != Arrival::Refused).count()
    };
    let ipv4 = &mut (1..=50).map(|host| IpAddr::from([192, 0, 2, host]));
    assert_eq!(held(&mut listener, ipv4), 6, "a /24: two shares");
    let site = 0x2001_0db8_0001 << 80;
    let network = |number: u128| IpAddr::V6((site | number << 64).into());
    assert_eq!(held(&mut listener, &mut (0..256).map(network)), 6, "a /56: two shares");
    assert_eq!(held(&mut listener, &mut (256..9000).map(network)), 6, "a /48: four in all");
    assert_eq!(listener.arrive_at([198, 51, 100, 1], 1), Arrival::Held(ConnectionId(18)));
}

#[test]
fn an_answered_connection_makes_room_while_newcomers_wait() {
    let mut listener = Listener::new(rules(2));
    let (one, other) = (listener.held(1), listener.held(1));
    assert!(!listener.limiter.answered(one), "nobody waits");
    let voter = listener.waiting(2);
    assert!(listener.limiter.answered(one));
    assert!(!listener.limiter.answered(other), "one is enough for one");
    assert!(listener.limiter.answered(one), "it has to go");
    assert_eq!(listener.limiter.grant(), [], "it has not gone yet");
    listener.limiter.release(one);
    assert_eq!(listener.limiter.grant(), [voter]);
    assert_eq!(listener.limiter.waiting(), 0);
}

#[test]
fn addresses_with_fewest_slots_keep_them_and_are_served_first() {
    let mut listener = Listener::new(rules(6));
    let attackers: Vec<_> = (0..5).map(|_| listener.held(1)).collect();
    let voter = listener.held(2);
    let again = listener.waiting(1);
    assert!(!listener.limiter.answered(voter), "it holds one, and the newcomer's prefix five");
    let other_voter = listener.waiting(3);
    listener.waiting(1);
    for attacker in attackers {
        listener.limiter.answered(attacker);
        listener.limiter.release(attacker);
        if let Some(first) = listener.limiter.grant().first() {
            assert_eq!(*first, other_voter, "though the attacker came before");
            break;
        }
    }
    assert!(listener.activities.contains_key(&again));
    assert_eq!(listener.limiter.waiting(), 2);
}

#[test]
fn connections_of_one_address_are_served_in_order() {
    let mut listener = Listener::new(rules(1));
    let mut held = listener.held(1);
    let mut waiting: Vec<_> = (0..5).map(|_| listener.waiting(1)).collect();
    for round in 0..20 {
        assert!(listener.limiter.answered(held), "its own address waits");
        listener.limiter.release(held);
        held = waiting.remove(0);
        assert_eq!(listener.limiter.grant(), [held], "{round}");
        waiting.push(listener.waiting(1));
    }
}

#[test]
fn longest_idle_connection_is_evicted_first_and_busy_or_recent_ones_stay() {
    let mut listener = Listener::new(rules(4));
    let held: Vec<_> = (1..=4).map(|network| listener.held(network)).collect();
    for (id, since_ms) in held.iter().zip([5, 3, 4, 9500]) {
        listener.activities[id].wait(since_ms);
    }
    assert!(listener.activities[&held[1]].work(), "the longest idle begins to work");
    assert_eq!(listener.limiter.tick(10_000), (vec![], vec![]), "nobody waits");
    let now_ms = 10_000;
    listener.arrive_at([10, 5, 0, 1], now_ms);
    assert_eq!(listener.limiter.tick(now_ms), (vec![held[2]], vec![]));
    assert_eq!(listener.limiter.tick(now_ms), (vec![], vec![]), "one is enough for one");
    for network in 6..10 {
        listener.arrive_at([10, network, 0, 1], now_ms);
    }
    assert_eq!(listener.limiter.tick(now_ms), (vec![held[0]], vec![]), "the others stay");
    assert!(!listener.activities[&held[0]].work(), "it may begin nothing any more");
    let (_, expired) = listener.limiter.tick(now_ms + 10_000);
    assert_eq!((expired.len(), listener.limiter.waiting()), (5, 0), "they waited too long");
}

#[test]
fn a_full_waiting_room_refuses_the_prefix_that_holds_most() {
    let mut listener = Listener::new(LimiterRules { waiting_max: 3, ..rules(1) });
    listener.held(1);
    let crowd: Vec<_> = (0..3).map(|_| listener.waiting(1)).collect();
    assert_eq!(listener.arrive(1), Arrival::Refused);
    let shares = listener.key.shares([10, 2, 0, 1].into(), false);
    let activity = Arc::new(Activity::waiting(1));
    let (arrival, refused) = listener.limiter.arrive(Some(shares), &activity, 1);
    assert!(matches!(arrival, Arrival::Waiting(_)));
    assert_eq!(refused, Some(crowd[2]));
}

#[test]
fn reserve_is_kept_for_callers_with_a_token() {
    let mut listener = Listener::new(LimiterRules { reserved: 2, ..rules(5) });
    let held: Vec<_> = (0..3).map(|_| listener.held(1)).collect();
    let administrator = listener.waiting(1);
    assert!(listener.limiter.answered(held[0]));
    listener.limiter.release(held[0]);
    assert_eq!(listener.limiter.grant(), [administrator]);
    listener.limiter.trust(administrator);
    // From now on it occupies a slot of the reserve.
    let newcomer = listener.held(1);
    listener.waiting(1);
    assert!(!listener.limiter.answered(administrator), "it makes no room");
    assert!(listener.limiter.tick(5000).0.iter().all(|id| *id != administrator));
    listener.limiter.release(newcomer);
    listener.limiter.release(administrator);
    assert_eq!(listener.limiter.grant().len(), 1);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Arrive(u8),
    Work(usize),
    Answer(usize),
    Trust(usize),
    End(usize),
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6_u8).prop_map(Step::Arrive),
        2 => (0..64_usize).prop_map(Step::Work),
        3 => (0..64_usize).prop_map(Step::Answer),
        1 => (0..64_usize).prop_map(Step::Trust),
        2 => (0..64_usize).prop_map(Step::End),
        1 => Just(Step::Tick),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// After any sequence of steps the limits are not exceeded, the counts add up, and no newcomer
    /// waits while a slot is free.
    #[test]
    fn limits_hold_and_accounts_add_up(steps in steps()) {
        let limits = LimiterRules { reserved: 2, per_address_max: 5, waiting_max: 6, ..rules(8) };
        let mut listener = Listener::new(limits);
        for (now_ms, step) in (1_u64..).step_by(400).zip(steps) {
            let ids: Vec<_> = listener.activities.keys().copied().collect();
            let pick = |at: usize| ids.get(at % ids.len().max(1)).copied();
            let mut ended = Vec::new();
            match step {
                Step::Arrive(host) => {
                    // Two hosts in each of three networks.
                    let shares = listener.key.shares([10, 0, host / 2, host].into(), false);
                    let activity = Arc::new(Activity::waiting(now_ms));
                    let arrived = listener.limiter.arrive(Some(shares), &activity, now_ms);
                    if let Arrival::Held(id) | Arrival::Waiting(id) = arrived.0 {
                        listener.activities.insert(id, activity);
                    }
                    ended.extend(arrived.1);
                }
                Step::Work(at) => drop(pick(at).map(|id| listener.activities[&id].work())),
                Step::Answer(at) => if let Some(id) = pick(at) {
                    listener.activities[&id].wait(now_ms);
                    ended.extend(listener.limiter.answered(id).then_some(id));
                },
                Step::Trust(at) => drop(pick(at).map(|id| listener.limiter.trust(id))),
                Step::End(at) => ended.extend(pick(at)),
                Step::Tick => {
                    let (dismissed, expired) = listener.limiter.tick(now_ms);
                    ended.extend(dismissed.into_iter().chain(expired));
                }
            }
            for id in ended {
                listener.limiter.release(id);
                listener.activities.remove(&id);
            }
            listener.limiter.grant();
            check(&listener.limiter, &limits)?;
        }
        for id in std::mem::take(&mut listener.activities).into_keys() {
            listener.limiter.release(id);
            listener.limiter.grant();
        }
        let limiter = &listener.limiter;
        prop_assert_eq!((limiter.held.len(), limiter.waiting.len()), (0, 0));
        prop_assert_eq!((limiter.by_prefix.len(), limiter.untrusted, limiter.evicted), (0, 0, 0));
    }
}

fn check(limiter: &ConnectionLimiter, limits: &LimiterRules) -> Result<(), TestCaseError> {
    prop_assert!(limiter.held.len() <= limits.slots_max as usize);
    let untrusted = limiter.held.values().filter(|holder| !holder.trusted).count();
    let evicted = limiter.held.values().filter(|holder| holder.evicted).count();
    prop_assert_eq!((limiter.untrusted, limiter.evicted), (untrusted as u32, evicted as u32));
    prop_assert!(limiter.untrusted <= limits.slots_max - limits.reserved);
    prop_assert!(limiter.waiting.len() <= limits.waiting_max as usize);
    prop_assert!(limiter.waiting.is_empty() || !limiter.has_room(), "a free slot is withheld");
    let mut counted: BTreeMap<Prefix, (u32, u32)> = BTreeMap::new();
    for (prefix, factor) in limiter
        .held
        .values()
        .filter_map(|holder| holder.shares)
        .flat_map(|shares| shares.iter().collect::<Vec<_>>())
    {
        let (held, most) = counted.entry(prefix).or_default();
        (*held, *most) = (*held + 1, limits.per_address_max * factor);
        prop_assert!(*held <= *most);
    }
    for (prefix, count) in &limiter.by_prefix {
        prop_assert_eq!(counted.get(prefix).map_or(0, |counted| counted.0), count.held);
    }
    Ok(())
}
