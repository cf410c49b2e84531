"""What `votekit hashgen` does at its heart, in DuckDB: SHA-256 of each row of a roll, written as CSV.

Usage: duckdb_hash.py ROLL.csv OUTPUT.csv THREADS

No row is checked, nothing is sorted and no duplicate is looked for: votekit does that besides.
"""

import sys

import duckdb

roll, output, threads = sys.argv[1:]
connection = duckdb.connect()
connection.execute(f"SET threads = {int(threads)}")
# As text: numbers would lose their leading zeros.
connection.execute(
    """
    COPY (
        SELECT sha256(nas || '|' || code || '|' || law_id) AS hash
        FROM read_csv($roll, header = true, all_varchar = true)
    ) TO '%s' (FORMAT csv, HEADER false)
    """
    % output.replace("'", "''"),
    {"roll": roll},
)
