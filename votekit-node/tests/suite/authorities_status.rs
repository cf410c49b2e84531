//! The status of several authorities that an operator sees: which of them is down, is stuck, or has
//! a wrong clock.

use std::time::{Duration, Instant};

use votekit_node::{Node, StatusView};

use crate::installation::{Installation, WAIT, wait_until};
use crate::support::law;

/// Waits until the status of the authority with index `index`, as `node` shows it, is as expected.
async fn wait_for(node: &Node, index: usize, is_expected: impl Fn(&StatusView) -> bool) {
    let until = Instant::now() + WAIT;
    loop {
        let view = node.cluster_view().await.expect("the ledger answers");
        let status = &view.authorities[index].status;
        if status.as_ref().is_some_and(&is_expected) {
            return;
        }
        assert!(Instant::now() < until, "authority {index}: {status:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn down_stuck_and_out_of_time_are_seen_on_every_authority() {
    let mut installation = Installation::start_with_vote().await;
    installation.authority(1).panic_in_task(Some(&law()));
    installation.authority(2).step_clock(-75_250);
    let halted = |status: &StatusView| {
        !status.is_silent && status.elections.iter().any(|election| election.halted)
    };
    wait_for(installation.authority(0), 1, halted).await;
    let is_behind = |status: &StatusView| {
        !status.is_silent && (-76_000..-74_000).contains(&status.clock_offset_milliseconds)
    };
    wait_for(installation.authority(0), 2, is_behind).await;
    wait_for(installation.authority(1), 2, is_behind).await;
    let right = |status: &StatusView| {
        status.clock_offset_milliseconds.abs() < 500
            && status.signs
            && status.elections.iter().all(|election| !election.halted && election.lag == 0)
    };
    wait_for(installation.authority(1), 0, right).await;
    let until = Instant::now() + WAIT;
    loop {
        let gauges = installation.authority(0).gauges().authorities;
        let names: Vec<&str> = gauges.iter().map(|gauges| gauges.name.as_str()).collect();
        assert_eq!(names, ["a1", "a2", "a3"]);
        if gauges.iter().all(|gauges| gauges.is_up) {
            break;
        }
        assert!(Instant::now() < until, "{gauges:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The authority with the wrong clock is killed: it cannot report any more, and counts as
    // silent.
    installation.kill(2);
    wait_for(installation.authority(0), 2, |status| status.is_silent).await;
    wait_for(installation.authority(0), 1, |status| !status.is_silent).await;
    wait_until("the gauge says that it is up", async || {
        !installation.authority(0).gauges().authorities[2].is_up
    })
    .await;
    installation.stop().await;
}
