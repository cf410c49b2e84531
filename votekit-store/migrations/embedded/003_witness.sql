-- Cosignatures of outside witnesses over heads of logs.

-- Lines are signed, and a reader verifies them. A witness has one line over a head: the one that was
-- stored last, so that lines which no witness signed keep the true one out in no case, and their
-- number costs no reader anything.
CREATE TABLE witness_line (
    election INTEGER NOT NULL REFERENCES election (id),
    witness  TEXT NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB NOT NULL,
    height   INTEGER NOT NULL,
    line     BLOB NOT NULL,
    PRIMARY KEY (election, witness, size, root)
) STRICT, WITHOUT ROWID;
