-- Cosignatures of outside witnesses over heads of logs.

-- The first line of a witness over one head stays. Lines are signed: a reader verifies them.
CREATE TABLE witness_line (
    election INTEGER NOT NULL REFERENCES election (id),
    witness  TEXT NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB NOT NULL,
    height   INTEGER NOT NULL,
    line     BLOB NOT NULL,
    PRIMARY KEY (election, witness, size, root)
) STRICT, WITHOUT ROWID;
