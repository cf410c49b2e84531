//! `cargo xtask api-fuzz`: Schemathesis makes requests from the OpenAPI document of a real node,
//! and requests that the document forbids. No answer may be a server error, or an answer that the
//! document does not list. `cargo xtask test` runs it too.
//!
//! ```text
//! runs ─┬─ site           a node with an open election, its callers and its document
//!       └─ schemathesis   the program, in its own Python environment, and its report
//! ```

mod schemathesis;
mod site;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use self::schemathesis::{Report, Schemathesis, Target};
use self::site::Site;
use crate::project;

/// Send requests made from the OpenAPI document to a node, and compare its answers with it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of random requests for each operation, in addition to those at the limits of each
    /// field.
    #[arg(long, default_value_t = EXAMPLES, value_parser = clap::value_parser!(u32).range(1..))]
    examples: u32,
    /// The seed of the random requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run this votekit instead of building one.
    #[arg(long, value_name = "FILE")]
    votekit: Option<PathBuf>,
}

impl Arguments {
    /// The run as part of all checks.
    pub(crate) fn short() -> Self {
        Self { examples: EXAMPLES, seed: 1, votekit: None }
    }
}

/// Operations that Schemathesis cannot call, each with the reason.
const EXCLUDED: [(&str, &str); 2] = [
    ("resultEvents", "its answer is an event stream, which does not end"),
    ("liveSocket", "it is a WebSocket, and Schemathesis sends no frames"),
];

/// Paths that the public listener does not serve.
const OTHER_LISTENERS: &str = "^/(api/v1/admin/|metrics$)";

/// The run that calls every operation of the public listener.
const ANYONE: &str = "anyone";

/// Operations whose answers depend on the cookie of a voter, or on a token if there is one.
const OF_VOTERS: [&str; 8] = [
    "putVote",
    "votedElections",
    "election",
    "elections",
    "results",
    "allResults",
    "voterSignIn",
    "voterSignOut",
];

/// The default number of random requests for each operation.
const EXAMPLES: u32 = 30;

/// The time for all runs with so few requests, several times what they need.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Makes all runs.
///
/// # Errors
/// When something is missing, an answer is wrong, an operation is in no run, or the node reports an
/// error.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let votekit = program(arguments)?;
    let schemathesis = Schemathesis::find_or_install()?;
    let folder = project::scratch("api-fuzz")?;
    let deadline = Instant::now() + TIMEOUT * arguments.examples.div_ceil(EXAMPLES);
    let fuzz = Fuzz { arguments, schemathesis, deadline };
    // Officials and operators close and annul what they find: both have an open election.
    type Targets = fn(&Site) -> Vec<Target>;
    let sites: [(&str, Targets); 2] = [("public", public), ("admin", admin)];
    let (mut total, mut tested, mut failures) = (0, 0, 0);
    for (name, targets) in sites {
        let site = Site::open(&votekit, &folder.join(name), fuzz.schemathesis.python())?;
        for target in targets(&site) {
            let report = fuzz.send(&site, &target)?;
            total = report.operations.total;
            failures += u64::from(report.failed());
            if target.counts {
                tested += report.operations.selected;
            }
        }
        site.close()?;
    }
    ensure!(failures == 0, "the answers of {failures} runs differ from the document");
    for (operation, reason) in EXCLUDED {
        println!("not called: {operation}: {reason}");
    }
    let excluded = EXCLUDED.len() as u64;
    ensure!(
        tested + excluded == total,
        "the document has {total} operations; {tested} were called and {excluded} are excluded"
    );
    Ok(())
}

/// The program under test. Unless a path is given, it is built in the configuration of all other
/// checks.
fn program(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(votekit) = &arguments.votekit {
        return std::path::absolute(votekit).context("--votekit");
    }
    let build = ["build", "--quiet", "--workspace", "--bins", "--examples"];
    project::succeed(&mut project::cargo(build))?;
    Ok(project::target_dir()?.join("debug/votekit"))
}

/// The runs on the public listener.
fn public(site: &Site) -> Vec<Target> {
    let callers = &site.callers;
    let bearer = |token: &str| vec![format!("Authorization: Bearer {token}")];
    // Calls with a cookie are accepted only from pages of the node.
    let of_page = vec![format!("Cookie: {}", callers.cookie), format!("Origin: {}", site.node.url)];
    let mut of_listener = filters("--exclude-operation-id", EXCLUDED.map(|(id, _)| id));
    of_listener.extend(filters("--exclude-path-regex", [OTHER_LISTENERS]));
    let of_voters = filters("--include-operation-id", OF_VOTERS);
    let accounts = site.account_operations.iter().map(String::as_str);
    let of_officials = filters("--include-operation-id", accounts.chain(OF_VOTERS));
    let target = |name: &'static str, headers: Vec<String>, filters: Vec<String>| {
        let (url, counts) = (site.node.url.clone(), name == ANYONE);
        Target { name, url, headers, filters, counts }
    };
    vec![
        target(ANYONE, Vec::new(), of_listener),
        target("voter", of_page, of_voters.clone()),
        target("member", bearer(&callers.member), of_voters),
        // Last, as it closes the polls.
        target("official", bearer(&callers.official), of_officials),
    ]
}

/// The runs on the other listeners.
fn admin(site: &Site) -> Vec<Target> {
    vec![
        Target {
            name: "operator",
            url: site.node.admin_url.clone(),
            headers: vec![format!("Authorization: Bearer {}", site.admin_token)],
            filters: filters("--include-path-regex", ["^/api/v1/admin/"]),
            counts: true,
        },
        Target {
            name: "monitoring",
            url: site.metrics_url().to_owned(),
            headers: Vec::new(),
            filters: filters("--include-path", ["/metrics"]),
            counts: true,
        },
    ]
}

/// One option for each value.
fn filters<'a>(option: &str, values: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    values.into_iter().flat_map(|value| [option.to_owned(), value.to_owned()]).collect()
}

/// The parameters shared by all runs.
struct Fuzz<'a> {
    arguments: &'a Arguments,
    schemathesis: Schemathesis,
    deadline: Instant,
}

impl Fuzz<'_> {
    /// Makes one run, and prints its result.
    fn send(&self, site: &Site, target: &Target) -> Result<Report> {
        let begun = Instant::now();
        let Arguments { examples, seed, .. } = *self.arguments;
        let report = self
            .schemathesis
            .send(target, &site.document, (examples, seed), self.deadline)
            .with_context(|| log_hint(&site.node.log))?;
        // A node that has panicked or hangs does not answer.
        site.node.get("/api/v1/health").with_context(|| log_hint(&site.node.log))?;
        println!(
            "{:<10} {:>3} operations, {:>5} requests, {:.1} s",
            target.name,
            report.operations.selected,
            report.test_cases.generated,
            begun.elapsed().as_secs_f64()
        );
        if report.failed() {
            println!("{}\n{}", report.text, log_hint(&site.node.log));
        }
        Ok(report)
    }
}

fn log_hint(log: &Path) -> String {
    format!("the node's log is {}", log.display())
}
