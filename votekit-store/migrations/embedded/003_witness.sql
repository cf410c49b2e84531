-- Cosignatures of outside witnesses over heads of logs.

-- Lines are signed, and a reader verifies them: other bytes are another row, so a line that no
-- witness signed keeps the true one out in no case.
CREATE TABLE witness_line (
    election INTEGER NOT NULL REFERENCES election (id),
    witness  TEXT NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB NOT NULL,
    height   INTEGER NOT NULL,
    line     BLOB NOT NULL,
    PRIMARY KEY (election, witness, size, root, line)
) STRICT, WITHOUT ROWID;
