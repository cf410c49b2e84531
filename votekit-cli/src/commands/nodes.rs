//! `votekit nodes`: the authorities and the nodes of an installation.

use std::fmt;

use reqwest::Method;
use serde::Serialize;
use votekit_node::{AuthorityView, ClusterView, WitnessView};

use crate::admin_target::{self, RunningNodeArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::output::plain;

/// Show the authorities of an installation, who leads, and what each has certified
///
/// The table shows what the statements in the ledger prove. CERTIFIED is the highest block of each
/// election that an authority is known to have certified, perhaps fewer than it has; LAG is how
/// many blocks it may be behind. Below the table stands how far each outside witness has cosigned
/// each log, in leaves. REFUSALS counts the blocks that it refused: each is listed below
/// the table with its rule, and is a reason to look. HALTED lists the elections that a fault halted
/// on the node that answers; the others are asked themselves.
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
const TITLES: [&str; 8] =
    ["NAME", "ROLE", "TERM", "INCARNATION", "CERTIFIED", "LAG", "REFUSALS", "HALTED"];

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
                "{own} signs nothing more: its memory was put back (votekit authority renew)"
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
    let lag = elections.iter().map(|of| of.lag).max();
    let lag = match lag {
        // It may have certified more than its statements show.
        Some(lag) if lag > 0 => format!("<={lag}"),
        lag => number(lag),
    };
    let refusals: usize = elections.iter().map(|of| of.refusals.len()).sum();
    let halted = if view.own.as_ref() == Some(&authority.name) {
        let halted = view.halted.iter().map(|of| plain(&of.law_id));
        or_dash(halted.collect::<Vec<_>>().join(" "))
    } else {
        "?".to_owned()
    };
    [
        plain(&authority.name),
        authority.role.as_str().to_owned(),
        number(authority.term),
        number(authority.incarnation),
        or_dash(certified.collect::<Vec<_>>().join(" ")),
        lag,
        refusals.to_string(),
        halted,
    ]
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

/// Writes what an authority reports about blocks and leaders.
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
