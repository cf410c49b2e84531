use super::*;

const ADDRESS: &str = "192.0.2.7";

fn small() -> ThrottleConfig {
    ThrottleConfig { prefix_free: 3, nas_free: 2, ..ThrottleConfig::default() }
}

fn nas(number: u32) -> Nas {
    Nas::parse(format!("{number:09}").as_bytes()).expect("nine digits")
}

fn from(throttle: &Throttle, address: &str, number: u32) -> Origin {
    throttle.origin(throttle.prefix(address.parse().expect("address")), &nas(number))
}

/// Guesses at other people's NAS: each attempt names another, so that only the prefix is at stake.
fn guess(throttle: &Throttle, number: u32, now: Instant) -> Result<(), Duration> {
    let origin = from(throttle, ADDRESS, number);
    throttle.check(&origin, now)?;
    throttle.wrong(&origin, now);
    Ok(())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn free_attempts_pass_and_then_each_wait_doubles() {
    let (throttle, mut now) = (Throttle::new(small()), Instant::now());
    for number in 0..4 {
        assert_eq!(guess(&throttle, number, now), Ok(()), "{number}");
    }
    for (number, wait) in [
        (10, 1),
        (11, 2),
        (12, 4),
        (13, 8),
        (14, 16),
        (15, 32),
        (16, 64),
        (17, 128),
        (18, 256),
        (19, 300),
        (20, 300),
    ] {
        assert_eq!(guess(&throttle, number, now), Err(seconds(wait)));
        now += seconds(wait);
        assert_eq!(guess(&throttle, number, now), Ok(()));
    }
}

#[test]
fn a_nas_is_guarded_whatever_the_prefix() {
    let (throttle, now) = (Throttle::new(small()), Instant::now());
    for host in 1..=3 {
        let origin = from(&throttle, &format!("198.51.100.{host}"), 7);
        assert_eq!(throttle.check(&origin, now), Ok(()));
        throttle.wrong(&origin, now);
    }
    assert_eq!(throttle.check(&from(&throttle, "203.0.113.9", 7), now), Err(seconds(1)));
    assert_eq!(throttle.check(&from(&throttle, "203.0.113.9", 8), now), Ok(()));
}

#[test]
fn guessing_in_parallel_gains_nothing_once_the_free_attempts_are_spent() {
    let (throttle, mut now) = (Throttle::new(small()), Instant::now());
    for number in 0..4 {
        assert_eq!(guess(&throttle, number, now), Ok(()));
    }
    now += seconds(1);
    let passed = (10..110)
        .filter(|number| throttle.check(&from(&throttle, ADDRESS, *number), now).is_ok())
        .count();
    assert_eq!(passed, 1);
}

#[test]
fn a_right_attempt_lifts_the_block_and_four_earn_a_wrong_one() {
    let (throttle, mut now) = (Throttle::new(small()), Instant::now());
    for number in 0..4 {
        assert_eq!(guess(&throttle, number, now), Ok(()));
    }
    now += seconds(1);
    for number in 100..104 {
        let origin = from(&throttle, ADDRESS, number);
        assert_eq!(throttle.check(&origin, now), Ok(()), "the one before was right");
        throttle.right(&origin, now);
    }
    assert_eq!(guess(&throttle, 200, now), Ok(()), "earned");
    assert_eq!(guess(&throttle, 201, now), Ok(()), "nothing has blocked it yet");
    assert_eq!(guess(&throttle, 202, now), Err(seconds(2)));
}

#[test]
fn a_blocked_prefix_is_known_without_an_attempt() {
    let (throttle, now) = (Throttle::new(small()), Instant::now());
    let prefix = |address: &str| throttle.prefix(address.parse().expect("address"));
    for number in 0..4 {
        assert_eq!(throttle.check_prefix(&prefix(ADDRESS), now), Ok(()), "{number}");
        assert_eq!(guess(&throttle, number, now), Ok(()));
    }
    assert_eq!(throttle.check_prefix(&prefix(ADDRESS), now), Err(seconds(1)));
    assert_eq!(throttle.check_prefix(&prefix("192.0.2.8"), now), Ok(()));
    assert_eq!(
        throttle.check_prefix(&prefix(ADDRESS), now + seconds(1)),
        Ok(()),
        "asking has blocked nothing"
    );
    assert_eq!(format!("{:?}", prefix(ADDRESS)), "Prefix(redacted)");
}

#[test]
fn repeating_one_right_request_earns_nothing() {
    let (throttle, now) = (Throttle::new(small()), Instant::now());
    let own = from(&throttle, ADDRESS, 1);
    for _ in 0..400 {
        throttle.right(&own, now);
    }
    let passed = (100..200).filter(|number| guess(&throttle, *number, now).is_ok()).count();
    assert_eq!(passed, 4, "the free ones, and the one that spends what is left");
}

#[test]
fn a_block_that_was_let_go_quiet_is_forgotten() {
    let (throttle, now) = (Throttle::new(small()), Instant::now());
    while guess(&throttle, 1, now).is_ok() {}
    assert_eq!(guess(&throttle, 1, now + seconds(3600)), Ok(()));
    assert_eq!(guess(&throttle, 2, now + seconds(3600)), Ok(()));
}

#[test]
fn an_ipv6_network_is_one_prefix_and_a_mapped_address_is_ipv4() {
    let throttle = Throttle::new(small());
    assert_eq!(from(&throttle, "2001:db8::1", 1), from(&throttle, "2001:db8::ffff:1", 1));
    assert_ne!(from(&throttle, "2001:db8::1", 1), from(&throttle, "2001:db8:0:1::1", 1));
    assert_eq!(from(&throttle, "::ffff:192.0.2.7", 1), from(&throttle, ADDRESS, 1));
    assert_ne!(
        from(&throttle, ADDRESS, 1),
        from(&Throttle::new(small()), ADDRESS, 1),
        "each process has its own key"
    );
}

#[test]
fn memory_has_a_bound_and_the_newest_stay() {
    let config = ThrottleConfig { entries_max: 64 * 16, ..small() };
    let (throttle, start) = (Throttle::new(config), Instant::now());
    for number in 0..20_000_u32 {
        let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let origin = throttle.origin(throttle.prefix(address), &nas(number));
        throttle.wrong(&origin, start + Duration::from_millis(u64::from(number)));
    }
    for table in [&throttle.prefixes, &throttle.nas] {
        assert!(table.shards.iter().all(|shard| lock(shard).entries.len() <= 16));
    }
}

#[test]
fn switched_off_nothing_waits() {
    let (throttle, now) =
        (Throttle::new(ThrottleConfig { enabled: false, ..small() }), Instant::now());
    assert!((0..1000).all(|_| guess(&throttle, 1, now).is_ok()));
}

#[test]
fn nothing_of_an_origin_prints() {
    let throttle = Throttle::new(small());
    let printed = format!("{:?} {throttle:?}", from(&throttle, ADDRESS, 123_456_789));
    assert_eq!(printed, "Origin(redacted) Throttle(0 prefixes, 0 NAS)");
}
