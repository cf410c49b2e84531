//! The ledger on PostgreSQL with a wrong address, a wrong schema, damaged data or a failing server.
//!
//! Long because each kind of damage is a case, and all share a server and its helpers.

mod free_port;
mod postgres_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres_support::server::PrivateServer;
use postgres_support::{
    address, drop_schema, fresh_schema, parsed, run, select, server, with_parameter,
};
use votekit_store::services::postgres::{PostgresLedger, PostgresReadView};
use votekit_store::services::url::ServiceAddress;
use votekit_store::{
    BatchName, Conflict, Documents, EngineError, Hints, LeaderFence, Leadership, Leases, Ledger,
    LogStore, NewRow, Rounds, RowId, RowKind, RowOutcome, Staging, StagingId,
};

mod ledger_samples;

use ledger_samples::{batch, law};

/// Asserts that an address is refused as an operator's mistake, with a reason and a hint that
/// contain these parts, and without the password.
async fn refused(address: &ServiceAddress, reason_part: &str, hint_part: &str) {
    match PostgresLedger::open(address).await {
        Err(EngineError::Misconfigured { reason, hint, .. }) => {
            assert!(reason.contains(reason_part), "{reason}");
            assert!(hint.contains(hint_part), "{hint} ({reason})");
            assert!(!format!("{reason}{hint}").contains("wrong-secret"), "{reason} {hint}");
            assert!(!reason.contains('\n'), "{reason}");
        }
        other => panic!("{address}: expected to be refused for {reason_part:?}, found {other:?}"),
    }
}

fn changed(change: impl Fn(&ServiceAddress) -> String) -> ServiceAddress {
    parsed(&change(&parsed(&server())))
}

#[tokio::test]
async fn each_part_of_an_address_may_be_wrong() {
    let user = |address: &ServiceAddress| address.user();
    let host = changed(|right| {
        format!("postgres://{}@votekit.invalid:{}/{}", user(right), right.port(), right.path())
    });
    refused(&host, "votekit.invalid", "check the host").await;
    let port =
        changed(|right| format!("postgres://{}@{}:1/{}", user(right), right.host(), right.path()));
    refused(&port, ":1/", "check the host and the port").await;
    let database = changed(|right| {
        let password = right.password().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{}{password}@{}:{}/nowhere", user(right), right.host(), right.port())
    });
    refused(&database, "\"nowhere\" does not exist (3D000)", "name of the database").await;
    let wrong_user = changed(|right| {
        format!(
            "postgres://stranger:wrong-secret@{}:{}/{}",
            right.host(),
            right.port(),
            right.path()
        )
    });
    refused(&wrong_user, "stranger", "check the user").await;
    for (parameter, reason, hint) in [
        ("sslmode=verify-everything", "sslmode=verify-everything", "verify-full"),
        ("sslmode=prefer", "sslmode=prefer", "write sslmode=verify-full"),
        ("sslmode=verify-full&ca_file=/nowhere.pem", "/nowhere.pem", "?ca_file="),
        ("schema=Votes", "schema=Votes", "a-z"),
        ("schema=pg_votes", "schema=pg_votes", "pg_"),
        ("schema=a;b", "schema=a;b", "a-z"),
        ("prefix=votes", "parameter prefix", "schema"),
    ] {
        refused(&parsed(&with_parameter(&server(), parameter)), reason, hint).await;
    }
}

#[tokio::test]
async fn a_wrong_password_and_missing_tls_are_reported() {
    let server = PrivateServer::start("scram-sha-256");
    let right = server.address("faults");
    PostgresLedger::open(&parsed(&right)).await.expect("the password is right");
    let wrong = right.replace(PrivateServer::PASSWORD, "wrong-secret");
    refused(&parsed(&wrong), "28P01", "check the user and the password").await;
    let none = right.replace(&format!(":{}", PrivateServer::PASSWORD), "");
    refused(&parsed(&none), "password", "password").await;
    let encrypted = with_parameter(&right, "sslmode=verify-full");
    refused(&parsed(&encrypted), "TLS", "check sslmode").await;
    let plain = with_parameter(&right, "sslmode=disable");
    PostgresLedger::open(&parsed(&plain)).await.expect("a server on this machine");
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_confirms_is_refused() {
    let mut server = PrivateServer::start("trust");
    for setting in ["fsync", "full_page_writes"] {
        server.stop();
        server.start_again(&[&format!("{setting}=off")]);
        refused(
            &parsed(&server.address("faults")),
            &format!("{setting} = off"),
            &format!("set {setting} = on"),
        )
        .await;
    }
    server.stop();
    server.make_standby();
    server.start_again(&[]);
    refused(&parsed(&server.address("faults")), "replica", "primary").await;
}

#[tokio::test]
async fn foreign_schemas_and_other_versions_are_reported() {
    let schema = fresh_schema();
    run(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.votes (id int)"));
    refused(&address(&schema), "tables that are not votekit's", "?schema=").await;
    run(&format!("CREATE TABLE {schema}.schema_version (version_num text)"));
    refused(&address(&schema), "tables that are not votekit's", "?schema=").await;
    drop_schema(&schema);
    let nothing = address(&schema);
    let refusal =
        PostgresReadView::open(&nothing).expect_err("there is nothing to read").to_string();
    assert!(refusal.contains("holds no ledger"), "{refusal}");

    PostgresLedger::open(&nothing).await.expect("the schema is made");
    PostgresReadView::open(&nothing).expect("there is a ledger now");
    run(&format!(
        "INSERT INTO {schema}.schema_version (application, version) VALUES ('votekit', 6)"
    ));
    refused(&nothing, "newer version", "newer").await;

    // The version before the views, the accounts and the rounds is migrated, and keeps its data.
    run(&format!("DELETE FROM {schema}.schema_version WHERE version = 6"));
    let ledger = PostgresLedger::open(&nothing).await.expect("as before");
    ledger.stage(&batch(1, 1), &Hints::new()).await.expect("staged");
    run(&format!(
        "SET search_path = {schema}; DELETE FROM schema_version WHERE version > 1; DROP VIEW vote_results, vote_audit, duplicate_attempts;
         DROP TABLE account, account_session, account_token, token_key, election_creator;
         DROP FUNCTION leaves_of_run, add_accounts, update_account, begin_account_session;
         DROP FUNCTION rotate_account_token;
         DROP TABLE round_order, round_row, sealed_key, node_record, witness_line;
         DROP FUNCTION put_round_row, put_witness_line, log_rows_above, discard_log_above"
    ));
    let refusal = PostgresReadView::open(&nothing).expect_err("an older version").to_string();
    assert!(refusal.contains("has version 1"), "{refusal}");
    let both = tokio::join!(PostgresLedger::open(&nothing), PostgresLedger::open(&nothing));
    let ledger = both.0.expect("migrated");
    both.1.expect("migrated beside it");
    assert_eq!(ledger.staged(&law(), StagingId(0), 10).await.expect("staged").len(), 1);
    assert_eq!(
        select(&format!("SELECT max(version) FROM {schema}.schema_version")),
        [[Some("5".to_owned())]]
    );
    let led = ledger.acquire_leadership("first", Duration::from_secs(60), 7).await.expect("led");
    assert_eq!(led, Leadership::Leading { term: 7 });
    drop_schema(&schema);
}

#[tokio::test]
async fn changed_tables_are_reported_as_damage() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let mut log = ledger_samples::Log::new();
    for leaf_count in [300, 20] {
        ledger.commit(&log.block(leaf_count)).await.expect("committed");
    }
    ledger.stage(&batch(1, 1), &Hints::new()).await.expect("staged");
    let read = async || {
        ledger.head(&law()).await?;
        ledger.blocks(&law(), 1, 10).await?;
        ledger.tile(&law(), 0, 0).await?;
        ledger.staged(&law(), StagingId(0), 10).await.map(|_| ())
    };
    read().await.expect("whole");
    // Reported by a read or, where rows are missing, by the next opening.
    for (damage, repair) in [
        ("UPDATE head SET size = size - 1", "UPDATE head SET size = size + 1"),
        (
            "UPDATE head SET takes_votes = NOT takes_votes",
            "UPDATE head SET takes_votes = NOT takes_votes",
        ),
        ("UPDATE leaves SET bytes = set_byte(bytes, 9, 65) WHERE first_leaf = 256", ""),
        (
            "UPDATE tile SET hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1)",
            "UPDATE tile SET hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1)",
        ),
    ] {
        let saved = format!(
            "SET search_path = {schema}; CREATE TABLE saved AS SELECT * FROM leaves; {damage}"
        );
        run(&saved);
        assert!(matches!(read().await, Err(EngineError::Corrupt { .. })), "{damage}");
        run(&format!(
            "SET search_path = {schema}; DELETE FROM leaves; INSERT INTO leaves SELECT * FROM saved; \
             DROP TABLE saved; {repair}"
        ));
        read().await.expect(damage);
    }
    run(&format!("SET search_path = {schema}; UPDATE block SET first_leaf = -1 WHERE height = 2"));
    let negative = ledger.blocks(&law(), 1, 10).await.expect_err("damaged").to_string();
    assert!(negative.contains("table block: column first_leaf holds -1"), "{negative}");
    run(&format!("SET search_path = {schema}; UPDATE block SET first_leaf = 300 WHERE height = 2"));
    // An election is damaged by itself.
    for damage in [
        "DELETE FROM block WHERE height = 1",
        "DELETE FROM leaves WHERE first_leaf = 256",
        "UPDATE leaves SET first_leaf = 257 WHERE first_leaf = 256",
        "DELETE FROM tile",
        "DELETE FROM head",
        "UPDATE staging SET last = -1",
    ] {
        let tables = ["block", "leaves", "tile", "head", "staging"];
        let each = |command: fn(&str) -> String| tables.map(command).join("; ");
        let save = each(|table| format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}"));
        run(&format!("SET search_path = {schema}; {save}; {damage}"));
        let opened = PostgresLedger::open(&address(&schema)).await.expect(damage);
        assert_eq!(opened.elections().await.expect("listed"), [law()], "{damage}");
        let refused = opened.head(&law()).await.expect_err(damage);
        assert!(matches!(refused, EngineError::Corrupt { .. }), "{damage}: {refused}");
        let repair = each(|table| {
            format!(
                "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table}; DROP TABLE saved_{table}"
            )
        });
        run(&format!("SET search_path = {schema}; {repair}"));
    }
    PostgresLedger::open(&address(&schema)).await.expect("whole again");
    drop_schema(&schema);
}

#[tokio::test]
async fn rows_above_the_head_keep_no_certified_block_out() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let mut log = ledger_samples::Log::new();
    let first = log.block(200);
    ledger.commit(&first).await.expect("committed");
    run(&format!("SET search_path = {schema}; CREATE TABLE saved AS SELECT * FROM head"));
    // Its leaves are in three runs, from 200, 256 and 512.
    let second = log.block(400);
    for row in [
        "block SELECT id, 2, 7, 1, 1",
        "leaves SELECT id, 256, 1, ''::bytea, false, false, ''::bytea",
        "leaves SELECT id, 300, 1, ''::bytea, false, false, ''::bytea",
        "tile SELECT id, 0, 1, ''::bytea, ''::bytea",
    ] {
        run(&format!("SET search_path = {schema}; INSERT INTO {row} FROM election"));
        let refused = ledger.commit(&second).await;
        let Err(EngineError::Corrupt { reason, .. }) = refused else {
            panic!("{row}: {refused:?}")
        };
        assert!(reason.contains("above the head"), "{row}: {reason}");
    }
    assert_eq!(ledger.head(&law()).await.expect("read"), Some(first.head.clone()));
    let is_whole = async || {
        assert_eq!(ledger.head(&law()).await.expect("read"), Some(second.head.clone()));
        let blocks = ledger.blocks(&law(), 1, 10).await.expect("read");
        assert_eq!(blocks, [first.block.clone(), second.block.clone()]);
        let opened = PostgresLedger::open(&address(&schema)).await.expect("opened again");
        opened.head(&law()).await.expect("no row contradicts another");
    };
    ledger.append(&second).await.expect("it is certified");
    is_whole().await;
    // The head alone is set back: the rows above it are those of the block.
    run(&format!(
        "SET search_path = {schema};
         DELETE FROM head; INSERT INTO head SELECT * FROM saved; DROP TABLE saved"
    ));
    ledger.append(&second).await.expect("it is certified");
    is_whole().await;
    drop_schema(&schema);
}

#[tokio::test]
async fn a_changed_row_of_a_round_is_damage_that_the_reader_passes_over() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let row = NewRow {
        kind: RowKind::Cosign,
        authority: "a".to_owned(),
        law_id: Some(law()),
        height: 1,
        term: 0,
        bytes: b"line".to_vec(),
        leaves: Vec::new(),
    };
    ledger.put_row(&row, None).await.expect("stored");
    let other = NewRow { authority: "b".to_owned(), ..row.clone() };
    ledger.put_row(&other, None).await.expect("stored");
    let whole = "bytes = 'line', leaves = '', kind = 'cosign', height = 1, term = 0";
    for (change, expected) in [
        ("bytes = '\\x00'", "does not match its digest"),
        ("bytes = convert_to(repeat('x', 1048577), 'UTF8')", "column bytes"),
        ("kind = 'other'", "its kind is unknown"),
        ("kind = repeat('x', 300)", "its kind is unknown"),
        ("height = -1", "column height"),
        ("term = -9223372036854775808", "column term"),
        ("digest = 'short'", "column digest"),
    ] {
        let digest = format!("SELECT digest FROM {schema}.round_row WHERE authority = 'b'");
        run(&format!("UPDATE {schema}.round_row SET {change} WHERE authority = 'a'"));
        let read = ledger.rows_after(RowId(0), 10).await.expect("the row behind it is read");
        // A row is not read behind a large one in the same call.
        let behind = ledger.rows_after(RowId(1), 10).await.expect("read").rows.len();
        let [damaged] = read.damaged.as_slice() else { panic!("{change}: {read:?}") };
        assert!(damaged.reason.contains(expected), "{change}: {}", damaged.reason);
        assert_eq!((damaged.id, behind), (RowId(1), 1), "{change}");
        run(&format!("UPDATE {schema}.round_row SET {whole}, digest = ({digest})"));
    }
    assert_eq!(ledger.rows_after(RowId(0), 10).await.expect("whole").rows.len(), 2);
    run(&format!("UPDATE {schema}.round_row SET bytes = '\\x00' WHERE authority = 'a'"));
    // Sent again, it replaces the damaged one, where a reader of both finds it.
    assert_eq!(ledger.put_row(&row, None).await.expect("stored"), RowOutcome::Stored);
    let read = ledger.rows_after(RowId(2), 10).await.expect("read");
    assert_eq!((read.rows.len(), read.rows[0].authority.as_str()), (1, "a"));
    let read = ledger.rows_after(RowId(0), 10).await.expect("read");
    assert_eq!((read.rows.len(), read.damaged.len()), (2, 0));
    drop_schema(&schema);
}

/// The row of a vote in a term.
fn vote(term: u64) -> NewRow {
    NewRow {
        kind: RowKind::Vote,
        authority: "a".to_owned(),
        law_id: None,
        height: 0,
        term,
        bytes: format!("vote {term}").into_bytes(),
        leaves: Vec::new(),
    }
}

#[tokio::test]
async fn rows_at_positions_to_come_are_not_read_and_keep_no_row_out() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    ledger.put_row(&vote(1), None).await.expect("stored");
    // At the next places, and at the last of all.
    run(&format!(
        "INSERT INTO {schema}.round_row (id, kind, authority, height, term, digest, bytes, leaves)
         SELECT id, 'garbage', 'x', 0, id, ''::bytea, ''::bytea, ''::bytea
             FROM unnest(ARRAY[2, 3, 9223372036854775807]) AS id"
    ));
    let read = ledger.rows_after(RowId(0), 10).await.expect("read");
    assert_eq!((read.rows.len(), read.damaged.len(), read.last), (1, 0, RowId(1)));
    ledger.put_row(&vote(2), None).await.expect("the next free position");
    let read = ledger.rows_after(RowId(1), 10).await.expect("read");
    assert_eq!((read.rows.len(), read.damaged.len(), read.last), (1, 2, RowId(4)));
    assert_eq!(read.rows[0].term, 2);
    // A counter at its end: nothing can be written, and the process need not stop for that.
    run(&format!("UPDATE {schema}.round_order SET last = 9223372036854775807"));
    let full = ledger.put_row(&vote(3), None).await;
    assert!(matches!(full, Err(EngineError::Unavailable { .. })), "{full:?}");
    run(&format!("DELETE FROM {schema}.round_order"));
    let empty = ledger.put_row(&vote(3), None).await;
    assert!(matches!(empty, Err(EngineError::Unavailable { .. })), "{empty:?}");
    drop_schema(&schema);
}

#[tokio::test]
async fn rows_that_no_installation_has_hide_no_election_and_no_node() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let mut log = ledger_samples::Log::new();
    ledger.commit(&log.block(3)).await.expect("committed");
    ledger.put_node_record("ingest-1", b"a record").await.expect("stored");
    run(&format!(
        "SET search_path = {schema};
         INSERT INTO election (law_id) VALUES ('../garbage'), (repeat('x', 2000));
         INSERT INTO head (election, created, size, height, root, fence, checkpoint,
             sealed_through, takes_votes, digest)
         SELECT id, -id, -1, -1, ''::bytea, -1, ''::bytea, -1, true, ''::bytea
             FROM election WHERE law_id <> '{}';
         INSERT INTO node_record SELECT '0' || n, decode(repeat('ff', 65537), 'hex')
             FROM generate_series(1, 20) AS n",
        law()
    ));
    assert_eq!(ledger.elections().await.expect("listed"), [law()]);
    let positions = ledger.positions().await.expect("listed");
    assert_eq!(
        positions.iter().map(|of| (&of.law_id, of.height)).collect::<Vec<_>>(),
        [(&law(), 1)]
    );
    let records = ledger.node_records().await.expect("listed");
    assert_eq!(records, [("ingest-1".to_owned(), b"a record".to_vec())]);
    let opened = PostgresLedger::open(&address(&schema)).await.expect("opened beside them");
    assert_eq!(opened.head(&law()).await.expect("read").expect("a head").height, 1);
    // A checkpoint that is longer than a note is not read.
    run(&format!(
        "UPDATE {schema}.head SET checkpoint = convert_to(repeat('x', 1048577), 'UTF8')
         WHERE height = 1"
    ));
    let long = ledger.head(&law()).await;
    assert!(matches!(long, Err(EngineError::Corrupt { .. })), "{long:?}");
    drop_schema(&schema);
}

#[tokio::test]
async fn batches_at_places_to_come_keep_no_batch_out() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let first = ledger.stage(&batch(1, 1), &Hints::new()).await.expect("staged");
    run(&format!(
        "INSERT INTO {schema}.batch (id, election, node, epoch, sequence, digest)
         SELECT place, id, 'stranger'::bytea, 1, place, ''::bytea
             FROM {schema}.election, unnest(ARRAY[2, 3]) AS place"
    ));
    let second = ledger.stage(&batch(1, 2), &Hints::new()).await.expect("the next free place");
    assert_eq!((first, second), (StagingId(1), StagingId(4)));
    // More rows than one call may search.
    run(&format!(
        "INSERT INTO {schema}.batch (id, election, node, epoch, sequence, digest)
         SELECT place, id, 'stranger'::bytea, 1, place, ''::bytea
             FROM {schema}.election, generate_series(5, 3000) AS place"
    ));
    let third = ledger.stage(&batch(1, 3), &Hints::new()).await.expect("a free place");
    assert!(third > StagingId(3000), "{third:?}");
    let fourth = ledger.stage(&batch(1, 4), &Hints::new()).await.expect("the next free place");
    assert!(fourth > third, "{fourth:?} after {third:?}");
    drop_schema(&schema);
}

#[tokio::test]
async fn a_batch_above_the_given_places_is_not_read_and_hides_no_later_one() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let stranger = batch(9, 1);
    for batch in [batch(1, 1), batch(1, 2), Arc::clone(&stranger)] {
        ledger.stage(&batch, &Hints::new()).await.expect("staged");
    }
    run(&format!(
        "SET search_path = {schema};
         UPDATE batch SET id = 9223372036854775807 WHERE id = 3;
         UPDATE batch SET id = 1000 WHERE id = 2;
         UPDATE staging SET last = 2"
    ));
    let ids = async |ledger: &PostgresLedger| {
        let staged = ledger.staged(&law(), StagingId(0), 10).await.expect("read");
        staged.iter().map(|staged| staged.id.0).collect::<Vec<_>>()
    };
    assert_eq!(ids(&ledger).await, [1]);
    let places = ledger.staged_places(&law(), StagingId(0), 10).await.expect("read");
    let with_batch: Vec<_> = places.iter().map(|place| place.has_batch).collect();
    assert_eq!(with_batch, [true, false, false]);
    let names = [1, 2].map(|sequence| BatchName::from(&*batch(1, sequence)));
    assert_eq!(ledger.are_staged(&names).await.expect("read"), [true, false]);
    let mut commit = (*ledger_samples::Log::new().block(1)).clone();
    commit.head.sealed_through = StagingId(9_223_372_036_854_775_807);
    commit.sealed_batch = Some(stranger.digest());
    let refused = ledger.commit(&Arc::new(commit)).await;
    let is_unstaged = matches!(refused, Err(EngineError::Conflict(Conflict::NotStaged { .. })));
    assert!(is_unstaged, "{refused:?}");
    // A node has the batch that was moved. No node is kept from starting.
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened again");
    for sequence in [2, 3] {
        ledger.stage(&batch(1, sequence), &Hints::new()).await.expect("staged");
    }
    assert_eq!(ids(&ledger).await, [1, 3, 4]);
    run(&format!("UPDATE {schema}.batch SET id = -1 WHERE id = 3"));
    assert_eq!(ledger.are_staged(&names).await.expect("read"), [true, false]);
    ledger.stage(&batch(1, 2), &Hints::new()).await.expect("staged");
    assert_eq!(ids(&ledger).await, [1, 4, 5]);
    drop_schema(&schema);
}

#[tokio::test]
async fn a_row_that_is_no_batch_is_passed_over_and_replaced() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let staged = [1, 2, 3].map(|sequence| batch(1, sequence));
    for batch in &staged {
        ledger.stage(batch, &Hints::new()).await.expect("staged");
    }
    let name = [BatchName::from(&*staged[1])];
    let count = async || {
        let read = ledger.read_staging(&law(), StagingId(0), 10).await.expect("read");
        (read.batches.len(), read.unreadable.len())
    };
    for change in [
        "bytes = 'garbage'",
        "bytes = (SELECT bytes FROM batch WHERE sequence = 1)",
        "bytes = decode(repeat('00', 16777217), 'hex')",
        "digest = 'short'",
        "digest = decode(repeat('00', 32), 'hex')",
    ] {
        run(&format!("SET search_path = {schema}; UPDATE batch SET {change} WHERE sequence = 2"));
        assert_eq!(count().await, (2, 1), "{change}");
        assert_eq!(ledger.are_staged(&name).await.expect("read"), [false], "{change}");
        let again = ledger.restage(&staged[1], &Hints::new(), StagingId(0)).await.expect("staged");
        assert!(again.is_new, "{change}: {again:?}");
        assert_eq!(count().await, (3, 0), "{change}");
        assert_eq!(ledger.are_staged(&name).await.expect("read"), [true], "{change}");
        let unmoved = ledger.restage(&staged[1], &Hints::new(), StagingId(0)).await;
        assert_eq!(unmoved.expect("there").id, again.id, "{change}");
    }
    // Hints that are none hide no batch, and a row without a digest is not where a reader was.
    run(&format!(
        "SET search_path = {schema}; UPDATE batch SET hints = '\\xff' WHERE sequence = 2;
         UPDATE batch SET digest = 'short' WHERE sequence = 1"
    ));
    assert_eq!(count().await, (2, 1));
    assert_eq!(ledger.batch_at(&law(), StagingId(1)).await.expect("read"), None);
    // A row of another number: the batch is staged beside it.
    run(&format!("UPDATE {schema}.batch SET epoch = 9 WHERE sequence = 3"));
    assert_eq!(count().await, (1, 2));
    ledger.stage(&staged[2], &Hints::new()).await.expect("staged");
    assert_eq!(count().await, (2, 2));
    // Moved to where readers have passed; and the same bytes, but for the signature.
    run(&format!("SET search_path = {schema}; UPDATE batch SET id = 2 WHERE sequence = 2"));
    let above = ledger.restage(&staged[1], &Hints::new(), StagingId(3)).await.expect("staged");
    assert!(above.is_new && above.id > StagingId(3), "{above:?}");
    run(&format!(
        "SET search_path = {schema}; UPDATE batch SET bytes = set_byte(bytes, octet_length(bytes) - 1,
             get_byte(bytes, octet_length(bytes) - 1) # 1) WHERE sequence = 2"
    ));
    // Both signatures may be valid: a caller that knows replaces the row, not the ledger.
    let unsure = ledger.stage(&staged[1], &Hints::new()).await;
    assert!(matches!(unsure, Err(EngineError::Corrupt { .. })), "{unsure:?}");
    let whole = ledger.restage(&staged[1], &Hints::new(), StagingId(0)).await.expect("staged");
    assert!(whole.is_new && whole.id > above.id, "{whole:?}");
    assert_eq!(ledger.stage(&staged[1], &Hints::new()).await.expect("staged"), whole.id);
    // The last place was set back below the sealed ones, and theirs are free: later ones are above.
    run(&format!("SET search_path = {schema}; UPDATE staging SET last = 2"));
    for (sequence, above) in [(2, 1000), (4, 2000)] {
        let restaged = ledger.restage(&batch(1, sequence), &Hints::new(), StagingId(above)).await;
        let restaged = restaged.expect("staged");
        assert!(restaged.is_new && restaged.id > StagingId(above), "{restaged:?}");
    }
    let later = ledger.stage(&batch(1, 5), &Hints::new()).await.expect("staged");
    assert_eq!(later, StagingId(2002));
    let beyond = StagingId(9_223_372_036_854_775_807);
    ledger.restage(&staged[1], &Hints::new(), beyond).await.expect("staged");
    drop_schema(&schema);
}

#[tokio::test]
async fn a_batch_whose_row_was_emptied_is_stored_again_at_a_new_place() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let staged: Vec<_> = (1..=3).map(|sequence| batch(1, sequence)).collect();
    for batch in &staged {
        ledger.stage(batch, &Hints::new()).await.expect("staged");
    }
    for (emptied, after) in [("NULL", 4), ("''", 5)] {
        let place = after - 1;
        run(&format!("UPDATE {schema}.batch SET bytes = {emptied} WHERE sequence = 2"));
        // Passed over as if it were not there, and listed.
        assert_eq!(ledger.staged(&law(), StagingId(0), 10).await.expect("read").len(), 2);
        let name = [BatchName::from(&*staged[1])];
        assert_eq!(ledger.are_staged(&name).await.expect("read"), [false]);
        let number = staged[1].number();
        assert_eq!(ledger.staged_batch(&law(), number).await.expect("read"), None);
        let places = ledger.staged_places(&law(), StagingId(0), 10).await.expect("read");
        let without: Vec<_> = places.iter().filter(|place| !place.has_batch).collect();
        assert_eq!((places.len(), without.len(), without[0].number), (3, 1, number));
        let again = ledger.stage(&staged[1], &Hints::new()).await.expect("staged again");
        assert_eq!(again, StagingId(after), "behind {place}");
        let last = ledger.staged(&law(), StagingId(place), 10).await.expect("read");
        assert_eq!((last.len(), last[0].batch.digest()), (1, staged[1].digest()));
        assert_eq!(ledger.are_staged(&name).await.expect("read"), [true]);
    }
    drop_schema(&schema);
}

#[tokio::test]
async fn rows_of_epochs_and_places_that_no_program_wrote_are_passed_over() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    let staged = batch(1, 1);
    ledger.stage(&staged, &Hints::new()).await.expect("staged");
    let node = staged.number().node;
    let epoch = ledger.allocate_epoch(&law(), node).await.expect("allocated");
    run(&format!(
        "SET search_path = {schema};
         INSERT INTO epoch (election, node, epoch, lease_until)
         SELECT id, node, epoch, now() + interval '1 hour' FROM election, (VALUES
             ('short'::bytea, 1), ('stranger'::bytea, -1), ('stranger'::bytea, 4294967296)
         ) AS given (node, epoch);
         INSERT INTO batch (id, election, node, epoch, sequence, digest)
         SELECT 7 + n, id, 'short'::bytea, -n, -n, ''::bytea
             FROM election, generate_series(1, 20) AS n"
    ));
    assert_eq!(ledger.epochs(&law()).await.expect("read"), [(node, epoch)]);
    assert!(ledger.leases(&law()).await.expect("read").is_empty());
    let places = ledger.staged_places(&law(), StagingId(0), 2).await.expect("read");
    assert_eq!((places.len(), places[0].digest), (1, staged.digest()));
    drop_schema(&schema);
}

#[tokio::test]
async fn a_row_behind_a_leap_and_a_flood_is_among_the_newest() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    ledger.put_row(&vote(1), None).await.expect("stored");
    let far = 1_u64 << 40;
    run(&format!(
        "SET search_path = {schema};
         INSERT INTO round_row (id, kind, authority, height, term, digest, bytes, leaves)
         SELECT id, 'garbage', 'x', 0, id, ''::bytea, ''::bytea, ''::bytea
             FROM generate_series(2, 2000) AS id;
         UPDATE round_order SET last = {far}"
    ));
    ledger.put_row(&vote(2), None).await.expect("stored");
    let in_order = ledger.rows_after(RowId(1), 100).await.expect("read");
    assert_eq!((in_order.rows.len(), in_order.damaged.len()), (0, 100));
    let newest = ledger.newest_rows(100).await.expect("read");
    assert_eq!((newest.rows.len(), newest.damaged.len()), (1, 99));
    assert_eq!((newest.rows[0].term, newest.last), (2, RowId(far + 1)));
    drop_schema(&schema);
}

#[tokio::test]
async fn staging_does_not_read_the_batches_that_are_sealed() {
    const SEALED: u64 = 5000;
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    ledger.stage(&batch(1, 1), &Hints::new()).await.expect("staged");
    run(&format!(
        "INSERT INTO {schema}.batch (id, election, node, epoch, sequence, digest, bytes)
         SELECT place, id, 'stranger'::bytea, 1, place, ''::bytea, 'evidence'::bytea
             FROM {schema}.election, generate_series(2, {SEALED}) AS place;
         UPDATE {schema}.staging SET last = {SEALED};
         INSERT INTO {schema}.head (election, created, size, height, root, fence, checkpoint,
                 sealed_through, takes_votes, digest)
             SELECT id, 1, 1, 1, ''::bytea, 1, ''::bytea, {SEALED}, true, ''::bytea
             FROM {schema}.election;"
    ));
    let rows_read = || {
        let of_schema = format!("WHERE relname = 'batch' AND schemaname = '{schema}'");
        let count = select(&format!(
            "SELECT (SELECT seq_tup_read FROM pg_stat_user_tables {of_schema})
                + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes {of_schema})"
        ))[0][0]
            .clone();
        count.expect("a count").parse::<u64>().expect("a number")
    };
    let before = rows_read();
    for sequence in 2..=50 {
        let batch = batch(1, sequence);
        ledger.stage(&batch, &Hints::new()).await.expect("staged");
        let (law_id, read_through) = (&batch.header().law_id, StagingId(SEALED + sequence - 2));
        assert_eq!(ledger.staged(law_id, read_through, 100).await.expect("read").len(), 1);
        let places = ledger.staged_places(law_id, read_through, 100).await.expect("read");
        assert_eq!(places.len(), 1);
        assert_eq!(ledger.positions().await.expect("read")[0].staged, places[0].id);
        assert_eq!(ledger.are_staged(&[BatchName::from(&*batch)]).await.expect("read"), [true]);
    }
    // The server counts what a connection did a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ledger.stage(&batch(1, 51), &Hints::new()).await.expect("staged");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let read = rows_read() - before;
    assert!(read < SEALED, "50 batches were staged, and {read} rows read");
    drop_schema(&schema);
}

#[tokio::test]
async fn a_server_rolled_back_shows_other_rows_at_the_same_positions() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    ledger.put_row(&vote(1), None).await.expect("stored");
    ledger.put_row(&vote(2), None).await.expect("stored");
    let known = ledger.rows_after(RowId(0), 10).await.expect("read").rows;
    let first = known[0].id.0;
    run(&format!("DELETE FROM {schema}.round_row WHERE id > {first}"));
    run(&format!("UPDATE {schema}.round_order SET last = {first}"));
    assert_eq!(ledger.rows_after(known[1].id, 10).await.expect("read").after, None);
    ledger.put_row(&vote(3), None).await.expect("stored");
    let read = ledger.rows_after(known[1].id, 10).await.expect("read");
    assert_eq!((read.rows.len(), read.last), (0, known[1].id), "nothing seems to be new");
    assert!(read.after.is_some() && read.after != Some(known[1].digest()));
    run(&format!("UPDATE {schema}.round_row SET digest = 'short' WHERE id > {first}"));
    let damaged = ledger.rows_after(known[1].id, 10).await.expect("read");
    assert_eq!(damaged.after, None, "a digest that is none is not compared");
    drop_schema(&schema);
}

#[tokio::test]
async fn the_space_of_purged_evidence_is_free_at_once() {
    let schema = fresh_schema();
    let ledger = PostgresLedger::open(&address(&schema)).await.expect("opened");
    for sequence in 1..=50 {
        ledger.stage(&batch(1, sequence), &Hints::new()).await.expect("staged");
    }
    let vacuums = || {
        let sql = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'batch'";
        select(&format!("{sql} AND schemaname = '{schema}'"))[0][0].clone().expect("a count")
    };
    assert_eq!(vacuums(), "0");
    assert_eq!(ledger.purge_evidence(&law()).await.expect("purged"), 50);
    // The server may report it a moment later.
    let begin = Instant::now();
    while vacuums() != "1" {
        assert!(begin.elapsed() < Duration::from_secs(30), "the table was not vacuumed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nothing was purged the second time, so nothing is freed.
    assert_eq!(ledger.purge_evidence(&law()).await.expect("purged"), 0);
    assert_eq!(vacuums(), "1");
    drop_schema(&schema);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_loses_nothing_it_confirmed() {
    let mut server = PrivateServer::start("trust");
    let ledger = std::sync::Arc::new(
        PostgresLedger::open(&parsed(&server.address("faults"))).await.expect("opened"),
    );
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for by in 1..=8_u8 {
        let (ledger, stop) = (std::sync::Arc::clone(&ledger), std::sync::Arc::clone(&stop));
        tasks.spawn(async move {
            let (mut confirmed, mut failures) = (Vec::new(), 0_u32);
            for sequence in 1.. {
                let batch = batch(by, sequence);
                // Retries until the answer is definite, as a node does.
                loop {
                    match ledger.stage(&batch, &Hints::new()).await {
                        Ok(place) => break confirmed.push((place, batch.digest())),
                        Err(
                            EngineError::Unavailable { .. } | EngineError::OutcomeUnknown { .. },
                        ) => failures += 1,
                        Err(other) => panic!("{other}"),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
            (confirmed, failures)
        });
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.kill();
        assert!(
            matches!(ledger.ping().await, Err(EngineError::Unavailable { .. })),
            "reported at once"
        );
        server.start_again(&[]);
        let begin = Instant::now();
        while let Err(error) = ledger.ping().await {
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not recover: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let (mut confirmed, mut failures) = (Vec::new(), 0);
    for (places, failed) in tasks.join_all().await {
        confirmed.extend(places);
        failures += failed;
    }
    confirmed.sort_unstable_by_key(|(place, _)| *place);
    let mut stored = Vec::new();
    let mut after = StagingId(0);
    loop {
        let part = ledger.staged(&law(), after, 1000).await.expect("read");
        let Some(last) = part.last() else { break };
        after = last.id;
        stored.extend(part.into_iter().map(|staged| (staged.id, staged.batch.digest())));
    }
    assert!(failures > 0, "the server was killed and no call failed");
    assert_eq!(stored, confirmed, "what is stored is what was confirmed, each once, at its place");
}
