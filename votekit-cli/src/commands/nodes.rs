//! `votekit nodes`: the authorities and the nodes of an installation.

use std::fmt;

use reqwest::Method;
use serde::Serialize;
use votekit_node::{AuthorityView, ClusterView, StatusView, WitnessView};

use crate::admin_target::{self, RunningNodeArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;

/// Show the authorities of an installation, who leads, and what each has certified
///
/// The table shows what the statements in the ledger prove. CERTIFIED is the highest block of each
/// election that an authority is known to have certified; it may have certified further ones. LAG
/// is how many blocks it may be behind. REFUSALS counts the blocks that it refused: each is listed
/// below the table with its rule, and should be investigated. Further lines show the number of
/// leaves up to which each outside witness has cosigned each log.
///
/// The other columns show what each authority reports of itself every five seconds. HALTED lists
/// the elections that are halted on it because of a fault. SEEN is the age of its last report in
/// seconds: from 15 on it is down, or cut off from the ledger. CLOCK is by how many seconds its
/// clock is ahead of the ledger's. Lines below the table name what is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  votekit nodes --admin http://127.0.0.1:8081 --data node/
  votekit nodes --admin http://127.0.0.1:8081 --token-file admin-token --json")]
pub(crate) struct Args {
    #[command(flatten)]
    target: RunningNodeArgs,
}

/// The view, as printed.
#[derive(Serialize)]
#[serde(transparent)]
struct Shown(ClusterView);

/// The titles of the columns.
const TITLES: [&str; 10] = [
    "NAME",
    "ROLE",
    "TERM",
    "INCARNATION",
    "CERTIFIED",
    "LAG",
    "REFUSALS",
    "HALTED",
    "SEEN",
    "CLOCK",
];

/// From this difference on a clock is reported below the table, in milliseconds.
const CLOCK_OFFSET_MAX: u64 = 1000;

/// With fewer bytes free a disk is reported below the table.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Runs `votekit nodes`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    let view = admin_target::run(async {
        args.target.client()?.call(Method::GET, "/api/v1/admin/nodes", None::<&()>).await
    })?;
    context.output.result(&Shown(view))
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = &self.0;
        let mut rows = vec![TITLES.map(str::to_owned)];
        rows.extend(view.authorities.iter().map(|authority| row(authority, view)));
        write_table(formatter, &rows)?;
        writeln!(formatter)?;
        for authority in &view.authorities {
            write_reports(formatter, authority)?;
            write_status(formatter, authority, view)?;
        }
        for halted in &view.halted {
            let (law_id, reason) = (plain(&halted.law_id), plain(&halted.reason));
            writeln!(formatter, "halted here: {law_id}: {reason}")?;
        }
        for node in &view.nodes {
            let (name, id, key) = (plain(&node.name), plain(&node.node), plain(&node.public_key));
            writeln!(formatter, "node {name}: {id}, key {key}")?;
        }
        for witness in &view.witnesses {
            write_witness(formatter, witness)?;
        }
        if view.rolled_back {
            let own = view.own.as_deref().map_or_else(|| "this node".to_owned(), plain);
            writeln!(
                formatter,
                "{own} signs nothing more: its memory was restored from a copy (votekit authority renew)"
            )?;
        }
        if view.invalid_rows > 0 {
            let rows = view.invalid_rows;
            writeln!(formatter, "statements in the ledger that no authority signed: {rows}")?;
        }
        let (quorum, count) = (view.quorum, view.authorities.len());
        match &view.fingerprint {
            Some(fingerprint) => writeln!(
                formatter,
                "quorum {quorum} of {count}, authorities SHA-256 {}",
                plain(fingerprint)
            ),
            None => writeln!(formatter, "one authority: no file of authorities is installed"),
        }
    }
}

fn row(authority: &AuthorityView, view: &ClusterView) -> [String; TITLES.len()] {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let number = |number: Option<u64>| or_dash(number.map(|n| n.to_string()).unwrap_or_default());
    let elections = &authority.elections;
    let certified =
        elections.iter().map(|of| format!("{}:{}", plain(&of.law_id), of.certified_height));
    let status = authority.status.as_ref();
    // A recent report contains more than the statements prove.
    let reported = status.filter(|status| !status.is_silent && !status.elections.is_empty());
    let lag = match reported {
        Some(status) => number(status.elections.iter().map(|of| of.lag).max()),
        None => match elections.iter().map(|of| of.lag).max() {
            // It may have certified more than its statements show.
            Some(lag) if lag > 0 => format!("<={lag}"),
            lag => number(lag),
        },
    };
    let refusals: usize = elections.iter().map(|of| of.refusals.len()).sum();
    let halted = halted(authority, view).map_or_else(
        || "?".to_owned(),
        |law_ids| or_dash(law_ids.iter().map(|law_id| plain(law_id)).collect::<Vec<_>>().join(" ")),
    );
    let seen = status.map(|status| status.age_seconds.to_string());
    let clock = status.map(|status| offset(status.clock_offset_milliseconds));
    [
        plain(&authority.name),
        authority.role.as_str().to_owned(),
        number(authority.term),
        number(authority.incarnation),
        or_dash(certified.collect::<Vec<_>>().join(" ")),
        lag,
        refusals.to_string(),
        halted,
        or_dash(seen.unwrap_or_default()),
        or_dash(clock.unwrap_or_default()),
    ]
}

/// The elections that are halted on an authority, as far as that is known.
fn halted<'view>(
    authority: &'view AuthorityView,
    view: &'view ClusterView,
) -> Option<Vec<&'view str>> {
    if view.own.as_ref() == Some(&authority.name) {
        return Some(view.halted.iter().map(|of| of.law_id.as_str()).collect());
    }
    let status = authority.status.as_ref()?;
    let halted = status.elections.iter().filter(|of| of.halted);
    Some(halted.map(|of| of.law_id.as_str()).collect())
}

/// An offset in seconds, with its sign.
fn offset(milliseconds: i64) -> String {
    format!("{:+.3}", milliseconds as f64 / 1000.0)
}

/// Writes the faults of an authority according to its own report, or the lack of a report.
fn write_status(
    formatter: &mut fmt::Formatter<'_>,
    authority: &AuthorityView,
    view: &ClusterView,
) -> fmt::Result {
    let name = plain(&authority.name);
    let Some(status) = &authority.status else {
        // The only authority reports nothing: it is the node that answers.
        return match view.fingerprint {
            Some(_) => writeln!(formatter, "{name} has never reported"),
            None => Ok(()),
        };
    };
    let StatusView { age_seconds, is_silent, clock_offset_milliseconds, .. } = status;
    if *is_silent {
        return writeln!(
            formatter,
            "{name} has not reported for {age_seconds} s: it is down, or cut off from the ledger"
        );
    }
    if clock_offset_milliseconds.unsigned_abs() > CLOCK_OFFSET_MAX {
        let offset = offset(*clock_offset_milliseconds);
        writeln!(formatter, "{name} has a clock that differs from the ledger's by {offset} s")?;
    }
    if let Some(free) = status.free_bytes.filter(|free| *free < FREE_BYTES_MIN) {
        writeln!(formatter, "{name} has {} MiB free on its disk", free >> 20)?;
    }
    if !status.signs {
        writeln!(
            formatter,
            "{name} reports that it signs nothing more: its memory was restored from a copy"
        )?;
    }
    if view.own.as_ref() != Some(&authority.name) {
        for election in status.elections.iter().filter(|of| of.halted) {
            writeln!(formatter, "halted on {name}: {}", plain(&election.law_id))?;
        }
    }
    Ok(())
}

/// Writes rows of equal columns, each as wide as its widest text.
fn write_table(formatter: &mut fmt::Formatter<'_>, rows: &[[String; TITLES.len()]]) -> fmt::Result {
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..TITLES.len()).map(|column| widest(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
        writeln!(formatter, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Writes how far an outside witness has cosigned.
fn write_witness(formatter: &mut fmt::Formatter<'_>, witness: &WitnessView) -> fmt::Result {
    let heads = witness.elections.iter().map(|head| {
        let behind =
            if head.behind > 0 { format!(", {} behind", head.behind) } else { String::new() };
        format!("{} at {} leaves{behind}", plain(&head.law_id), head.cosigned_size)
    });
    let heads: Vec<String> = heads.collect();
    let heads = if heads.is_empty() { "no log".to_owned() } else { heads.join("; ") };
    let (name, fed_by) = (plain(&witness.name), plain(&witness.fed_by));
    writeln!(formatter, "witness {name}, fed by {fed_by}: {heads}")
}

/// Writes the report of an authority about blocks and leaders.
fn write_reports(formatter: &mut fmt::Formatter<'_>, authority: &AuthorityView) -> fmt::Result {
    let name = plain(&authority.name);
    for election in &authority.elections {
        for refusal in &election.refusals {
            writeln!(
                formatter,
                "{name} refused block {} of {}, proposed by {}: {} at leaf {}",
                refusal.height,
                plain(&election.law_id),
                plain(&refusal.leader),
                plain(&refusal.rule),
                refusal.leaf
            )?;
        }
    }
    for suspect in &authority.suspects {
        let (leader, reason) = (plain(&suspect.leader), plain(&suspect.reason));
        writeln!(formatter, "{name} suspects {leader} in term {}: {reason}", suspect.term)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use votekit_node::{AuthorityRole, ElectionStatusView, HaltedElection};

    use super::*;

    fn authority(name: &str, status: Option<StatusView>) -> AuthorityView {
        AuthorityView {
            name: name.to_owned(),
            role: AuthorityRole::Follower,
            term: Some(3),
            incarnation: Some(1),
            elections: Vec::new(),
            suspects: Vec::new(),
            status,
        }
    }

    fn status(age_seconds: u64, clock_offset_milliseconds: i64, halted: bool) -> StatusView {
        let law_id = "L1".to_owned();
        StatusView {
            age_seconds,
            is_silent: age_seconds >= 15,
            clock_offset_milliseconds,
            free_bytes: Some(5 << 20),
            signs: true,
            elections: vec![ElectionStatusView { law_id, height: 7, lag: 2, halted }],
        }
    }

    #[test]
    fn problems_of_each_authority_are_listed_below_the_table() {
        let view = ClusterView {
            own: Some("a".to_owned()),
            fingerprint: Some("00".to_owned()),
            quorum: 3,
            authorities: vec![
                authority("a", Some(status(1, -2, false))),
                authority("b", Some(status(40, 0, false))),
                authority("c", Some(status(2, 75_250, true))),
                authority("d", None),
            ],
            halted: vec![HaltedElection { law_id: "L2".to_owned(), reason: "forked".to_owned() }],
            ..ClusterView::default()
        };
        let text = Shown(view).to_string();
        let lines: Vec<&str> = text.lines().collect();
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cells(lines[0]), TITLES);
        assert_eq!(cells(lines[1])[4..], ["-", "2", "0", "L2", "1", "-0.002"]);
        assert_eq!(cells(lines[2])[4..], ["-", "-", "0", "-", "40", "+0.000"]);
        assert_eq!(cells(lines[3])[4..], ["-", "2", "0", "L1", "2", "+75.250"]);
        assert_eq!(cells(lines[4])[4..], ["-", "-", "0", "?", "-", "-"]);
        for line in [
            "b has not reported for 40 s: it is down, or cut off from the ledger",
            "c has a clock that differs from the ledger's by +75.250 s",
            "c has 5 MiB free on its disk",
            "halted on c: L1",
            "d has never reported",
            "halted here: L2: forked",
        ] {
            assert!(lines.contains(&line), "{line}\n{text}");
        }
    }
}
