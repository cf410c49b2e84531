-- Cosignatures of outside witnesses over heads of logs.

-- Lines are signed, and a reader verifies them. A witness has one line over a head, the one that was
-- stored last: lines which no witness signed never keep the valid one out, and their number costs
-- readers nothing.
CREATE TABLE witness_line (
    election INTEGER NOT NULL REFERENCES election (id),
    witness  TEXT NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB NOT NULL,
    height   INTEGER NOT NULL,
    line     BLOB NOT NULL,
    PRIMARY KEY (election, witness, size, root)
) STRICT, WITHOUT ROWID;
