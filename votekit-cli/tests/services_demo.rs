//! `votekit demo --engine services`, on real servers: the same referendum and the same report as
//! with the embedded engine.
#![cfg(feature = "services")]

mod support;

use serde_json::Value;
use support::{TestDir, services};

#[test]
fn the_report_is_that_of_the_embedded_engine() {
    let dir = TestDir::new();
    let demo = ["demo", "--electors", "60", "--json"];
    let embedded = dir.run(&[&demo[..], &["--dir", "embedded"]].concat()).json();
    let options = services::options();
    let options: Vec<&str> =
        ["--engine", "services"].into_iter().chain(options.iter().map(String::as_str)).collect();
    let services = dir.run(&[&demo[..], &["--dir", "services"], &options[..]].concat()).json();
    // Except for the size of the log: votes are batched differently, and each batch is a leaf.
    for part in ["electors", "outcomes", "results", "turnout", "node"] {
        assert_eq!(services[part], embedded[part], "{part}");
    }
    let names = |report: &Value| -> Vec<Value> {
        report["files"].as_array().into_iter().flatten().map(|file| file[0].clone()).collect()
    };
    assert_eq!(names(&services), names(&embedded));
    dir.run(&["verify", "bundle", "services/bundle", "--policy", "services/policy"]).succeeds();
}
