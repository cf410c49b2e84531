use super::*;

const ADDRESS: &str = "192.0.2.7";

fn nas(number: u32) -> Nas {
    Nas::parse(format!("{number:09}").as_bytes()).expect("nine digits")
}

fn from(throttle: &Throttle, address: &str, number: u32) -> Origin {
    throttle.origin(throttle.prefix(address.parse().expect("address")), &nas(number))
}

fn wrong(throttle: &Arc<Throttle>, origin: Origin, now: Instant) -> Result<(), Duration> {
    match throttle.begin(origin, now, now)? {
        Next::Turn(turn) => turn.record_failure(),
        Next::InTurn(_) => panic!("every earlier attempt has had its hint"),
    }
    Ok(())
}

#[test]
fn a_pair_is_held_up_and_neither_the_nas_nor_the_prefix() {
    let (throttle, now) = (Throttle::new(&ThrottleConfig::default()), Instant::now());
    let guessed = from(&throttle, ADDRESS, 1);
    for _ in 0..6 {
        assert_eq!(wrong(&throttle, guessed, now), Ok(()));
    }
    assert_eq!(wrong(&throttle, guessed, now), Err(Duration::from_secs(1)));
    let elsewhere = from(&throttle, "192.0.2.8", 1);
    assert_eq!(wrong(&throttle, elsewhere, now), Ok(()), "the elector is not locked out");
    let neighbour = from(&throttle, ADDRESS, 2);
    assert_eq!(wrong(&throttle, neighbour, now), Ok(()), "nor are those behind the address");
    assert_eq!(throttle.pairs(), 3);
}

#[test]
fn another_subject_is_held_up_by_its_pair_too() {
    let (throttle, now) = (Throttle::new(&ThrottleConfig::default()), Instant::now());
    let prefix = |address: &str| throttle.prefix(address.parse().expect("address"));
    let guessed = throttle.origin_of(prefix(ADDRESS), b"a@b.example");
    for _ in 0..6 {
        assert_eq!(wrong(&throttle, guessed, now), Ok(()));
    }
    assert_eq!(wrong(&throttle, guessed, now), Err(Duration::from_secs(1)));
    let elsewhere = throttle.origin_of(prefix("192.0.2.8"), b"a@b.example");
    assert_eq!(wrong(&throttle, elsewhere, now), Ok(()), "the account is not locked");
    let neighbour = throttle.origin_of(prefix(ADDRESS), b"c@b.example");
    assert_eq!(wrong(&throttle, neighbour, now), Ok(()));
    assert_eq!(format!("{guessed:?}"), "Origin(redacted)");
}

#[test]
fn a_turn_that_is_dropped_leaves_no_trace() {
    let (throttle, now) = (Throttle::new(&ThrottleConfig::default()), Instant::now());
    let origin = from(&throttle, ADDRESS, 1);
    for _ in 0..100 {
        let turn = throttle.begin(origin, now, now).expect("not held up");
        assert!(matches!(turn, Next::Turn(_)));
        assert!(matches!(throttle.begin(origin, now, now), Ok(Next::InTurn(_))));
    }
    assert_eq!(throttle.pairs(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_in_parallel_are_judged_in_turn() {
    let throttle = Throttle::new(&ThrottleConfig::default());
    let origin = from(&throttle, ADDRESS, 1);
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let throttle = Arc::clone(&throttle);
        guesses.spawn(async move { throttle.turn(origin).await.map(Turn::record_failure).is_ok() });
    }
    let looked_at = guesses.join_all().await.into_iter().filter(|looked_at| *looked_at).count();
    assert_eq!(looked_at, 6, "five, and the one that begins the waits");
}

#[tokio::test]
async fn next_attempt_continues_once_the_previous_one_has_its_hint() {
    let throttle = Throttle::new(&ThrottleConfig::default());
    let origin = from(&throttle, ADDRESS, 1);
    let first = throttle.turn(origin).await.expect("free");
    let next = tokio::spawn({
        let throttle = Arc::clone(&throttle);
        async move { throttle.turn(origin).await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop(first);
    assert_eq!(next.await.expect("no panic"), Ok(()));
}

#[test]
fn origins_are_digests_under_a_key_of_the_process() {
    let throttle = Throttle::new(&ThrottleConfig::default());
    assert_eq!(from(&throttle, "2001:db8::1", 1), from(&throttle, "2001:db8::ffff:1", 1));
    assert_ne!(from(&throttle, "2001:db8::1", 1), from(&throttle, "2001:db8:0:1::1", 1));
    assert_ne!(from(&throttle, ADDRESS, 1), from(&throttle, ADDRESS, 2));
    let other = Throttle::new(&ThrottleConfig::default());
    assert_ne!(from(&throttle, ADDRESS, 1), from(&other, ADDRESS, 1));
    let printed = format!("{:?} {throttle:?}", from(&throttle, ADDRESS, 123_456_789));
    assert_eq!(printed, "Origin(redacted) Throttle(0 pairs)");
}

#[test]
fn switched_off_nothing_waits_and_everything_is_stored() {
    let config = ThrottleConfig { enabled: false, ..ThrottleConfig::default() };
    let (throttle, now) = (Throttle::new(&config), Instant::now());
    let origin = from(&throttle, ADDRESS, 1);
    assert!((0..1000).all(|_| wrong(&throttle, origin, now).is_ok()));
    assert!((0..1000).all(|_| throttle.store_wrong(&origin, now).is_ok()));
}

#[test]
fn wrong_codes_by_nas_are_counted_for_a_metric() {
    let mut by_nas = WrongByNas::default();
    let counts: Vec<u32> = [1 << 16, 1 << 16, 2 << 16, 1 << 16].map(|nas| by_nas.count(nas)).into();
    assert_eq!(counts, [1, 2, 1, 3]);
}

#[test]
fn nothing_of_an_origin_prints() {
    let (throttle, now) = (Throttle::new(&ThrottleConfig::default()), Instant::now());
    let origin = from(&throttle, ADDRESS, 123_456_789);
    let prefix = throttle.prefix(ADDRESS.parse().expect("address"));
    let Ok(Next::Turn(turn)) = throttle.begin(origin, now, now) else { panic!("the first one") };
    let printed = format!("{origin:?} {prefix:?} {turn:?}");
    assert_eq!(printed, "Origin(redacted) Prefix(redacted) Turn(redacted)");
    turn.record_failure();
    assert_eq!(format!("{throttle:?}"), "Throttle(1 pairs)");
}

#[test]
fn one_prefix_takes_its_part_and_all_together_take_the_budget() {
    let (key, mut budget) = (DigestKey::random(), WrongBudget::new(20, 2));
    let prefix = |host: u8| key.prefix([192, 0, 2, host].into());
    let mut taken =
        |host, now| (0..30).filter(|_| budget.take(prefix(host), Millis(now)).is_ok()).count();
    assert_eq!((taken(1, 5), taken(1, 5), taken(2, 5)), (2, 0, 2));
    let others: usize = (3..30).map(|host| taken(host, 5)).sum();
    assert_eq!(others, 16, "20 in all");
    assert_eq!(taken(30, 55), 1, "one is earned in a twentieth of a second");
    assert_eq!((taken(1, 2000), taken(2, 2000)), (2, 2));
    assert!(budget.by_prefix.len() <= 2, "what has been earned again is dropped");
}

#[test]
fn zero_lifts_a_limit() {
    let (key, mut budget) = (DigestKey::random(), WrongBudget::new(0, 0));
    let prefix = key.prefix([192, 0, 2, 1].into());
    assert!((0..1000).all(|_| budget.take(prefix, Millis(0)).is_ok()));
    assert!(budget.by_prefix.is_empty());
}
