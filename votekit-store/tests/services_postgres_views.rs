//! What the views show to operators: the log's decisions, and results as far as the log has opened
//! them.

mod free_port;
mod ledger_samples;
mod postgres_support;

use ledger_samples::Log;
use postgres_support::{address, drop_schema, fresh_schema, select};
use votekit_store::services::postgres::{PostgresLedger, PostgresReadView};
use votekit_store::{LogReader, LogStore, Staging};

fn rows(schema: &str, sql: &str) -> Vec<String> {
    let rows = select(&format!("SET search_path = {schema}; {sql}"));
    rows.into_iter()
        .map(|row| {
            row.into_iter()
                .map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

/// Four decisions: a credential used twice, one used once, one on no roll.
fn decisions() -> Vec<String> {
    let hash = |letter: &str| letter.repeat(64);
    [
        format!(
            r#"{{"leaf":"entry","request":"{}","decision":"accepted","hash":"{}","minute":29000000}}"#,
            "1".repeat(32),
            hash("a")
        ),
        format!(
            r#"{{"leaf":"entry","request":"{}","decision":"accepted","hash":"{}","minute":29000000}}"#,
            "2".repeat(32),
            hash("b")
        ),
        format!(
            r#"{{"leaf":"entry","request":"{}","decision":"duplicate","hash":"{}","attempt":2,"minute":29000001}}"#,
            "3".repeat(32),
            hash("a")
        ),
        format!(r#"{{"leaf":"entry","request":"{}","decision":"invalid","reason":"unknown","minute":29000002}}"#, "4".repeat(32)),
    ]
    .into()
}

fn draft(policy: &str) -> String {
    format!(
        r#"{{"leaf":"election","state":"draft","at":1,"definition":{{"law_id":"L2025-001","choices":[{{"id":"oui"}},{{"id":"non"}}],"results":"{policy}","title":"{{\"leaf\":\"totals\","}}}}"#
    )
}

const OPEN: &str = r#"{"leaf":"election","state":"open","at":2,"registered":9}"#;

fn totals(through: u64, oui: u64, non: u64) -> String {
    format!(r#"{{"leaf":"totals","through":{through},"values":[{oui},{non},1],"blindings":[]}}"#)
}

fn block_leaf(height: u64) -> String {
    format!(
        r#"{{"leaf":"block","height":{height},"term":1,"leader":"node","sealed_at":{}}}"#,
        1_700_000_000 + height
    )
}

/// Commits the opening of a poll and its decisions, in two blocks. Returns the log.
async fn commit_decisions(ledger: &PostgresLedger, policy: &str) -> Log {
    let mut log = Log::new();
    let opening = vec![draft(policy), OPEN.to_owned(), block_leaf(1)];
    for leaves in [opening, [decisions(), vec![block_leaf(2)]].concat()] {
        ledger.commit(&log.block_of(&leaves)).await.expect("committed");
    }
    log
}

#[tokio::test]
async fn results_are_seen_when_the_log_has_opened_them() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let sql = "SELECT law_id, results_policy, state, oui_count, non_count, blank_count, spoiled_count, total_votes, registered, turnout, extract(epoch FROM updated_at)::bigint FROM vote_results";
    assert!(rows(&schema, sql).is_empty());
    let mut log = commit_decisions(&ledger, "after_close").await;
    // Decided but not opened: the views show no count.
    assert_eq!(rows(&schema, sql), ["L2025-001 after_close open - - - - - 9 - -"]);
    // The totals are the last leaf of a run of 256, the block's leaf is in the next run.
    let filler: Vec<String> = (0..247)
        .map(|number| format!(r#"{{"leaf":"entry","request":"{number:032}","decision":"invalid","reason":"late","minute":1}}"#))
        .collect();
    ledger
        .commit(&log.block_of(&[filler, vec![totals(3, 2, 1), block_leaf(3)]].concat()))
        .await
        .expect("committed");
    assert_eq!(rows(&schema, sql), ["L2025-001 after_close open 2 1 - 1 4 9 44.44 1700000003"]);
    ledger.commit(&log.block_of(&[totals(4, 5, 3), block_leaf(4)])).await.expect("committed");
    assert_eq!(rows(&schema, sql), ["L2025-001 after_close open 5 3 - 1 9 9 100.00 1700000004"]);
    drop_schema(&schema);
}

#[tokio::test]
async fn every_decision_is_audited_without_a_choice() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    commit_decisions(&ledger, "live").await;
    let audit = "SELECT left(request_id, 2), leaf_index, status, reason, attempt, extract(epoch FROM minute)::bigint FROM vote_audit WHERE law_id = 'L2025-001' ORDER BY leaf_index";
    assert_eq!(
        rows(&schema, audit),
        [
            "11 3 accepted - - 1740000000",
            "22 4 accepted - - 1740000000",
            "33 5 duplicate - 2 1740000060",
            "44 6 invalid unknown - 1740000120"
        ]
    );
    let columns = format!(
        "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = '{schema}' AND table_name = 'vote_audit'"
    );
    assert_eq!(
        rows(&schema, &columns),
        ["law_id leaf_index request_id status reason attempt minute"]
    );
    let attempts = "SELECT hash_prefix, left(request_id, 2), attempts, extract(epoch FROM last_minute)::bigint FROM duplicate_attempts";
    assert_eq!(rows(&schema, attempts), ["aaaaaaaaaaaaaaaa 11 2 1740000060"]);
    // The views work without the schema in the search path.
    assert_eq!(
        select(&format!("SELECT count(*) FROM {schema}.vote_audit")),
        [[Some("4".to_owned())]]
    );
    drop_schema(&schema);
}

/// Auditors read the views. No view leads to an account, and nothing lets others read the tables.
#[tokio::test]
async fn no_view_reads_the_accounts() {
    let schema = fresh_schema();
    PostgresLedger::open(&address(&schema)).await.expect("opened");
    let read = format!(
        "SELECT DISTINCT table_name::text FROM information_schema.view_table_usage WHERE view_schema = '{schema}' ORDER BY 1"
    );
    assert_eq!(rows(&schema, &read), ["election", "head", "leaves"]);
    let readers = format!(
        "SELECT table_name::text, grantee::text FROM information_schema.table_privileges
         WHERE table_schema = '{schema}' AND grantee <> current_user"
    );
    assert_eq!(rows(&schema, &readers), [""; 0]);
    drop_schema(&schema);
}

#[tokio::test]
async fn a_snapshot_shows_one_moment_from_within_a_runtime_too() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let mut log = Log::new();
    let batch = ledger_samples::batch(1, 1);
    ledger.stage(&batch, &votekit_store::Hints::new()).await.expect("staged");
    let first = log.block(300);
    ledger.commit(&first).await.expect("committed");
    let snapshot = PostgresReadView::open(&address(&schema)).expect("a snapshot");
    ledger.commit(&log.block(5)).await.expect("committed");
    let law_id = ledger_samples::law();
    assert_eq!(snapshot.elections().expect("read"), std::slice::from_ref(&law_id));
    assert_eq!(snapshot.head(&law_id).expect("read").as_ref(), Some(&first.head));
    assert_eq!(snapshot.blocks(&law_id, 1, 10).expect("read"), std::slice::from_ref(&first.block));
    assert_eq!(snapshot.batch(&law_id, batch.number()).expect("read").as_ref(), Some(&*batch));
    assert!(snapshot.review_notes(&law_id).expect("read").is_empty());
    drop(snapshot);
    drop_schema(&schema);
}
