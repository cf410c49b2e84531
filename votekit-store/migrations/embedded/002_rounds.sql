-- Several authorities on one ledger: terms that survive a restart, rows of rounds, sealed keys and
-- records of nodes.

-- One row: the highest term that was granted. Who leads, and until when, ends with the process and
-- is kept in memory.
CREATE TABLE leadership (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    term INTEGER NOT NULL
) STRICT;
INSERT INTO leadership (one, term) VALUES (1, 0);

-- What authorities state in rounds. AUTOINCREMENT: the id of a removed row is never given again, so
-- a reader that goes on after it misses nothing.
CREATE TABLE round_row (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    authority TEXT NOT NULL,
    -- Null for a row that is about no block.
    election  INTEGER REFERENCES election (id),
    height    INTEGER NOT NULL,
    term      INTEGER NOT NULL,
    -- The SHA-256 of the length of `bytes` in 8 bytes, of `bytes`, and of `leaves`.
    digest    BLOB NOT NULL,
    bytes     BLOB NOT NULL,
    leaves    BLOB NOT NULL
) STRICT;

-- Readers judge rows by their signatures, so rows of other bytes are other rows: one that no
-- authority signed keeps the true one out in no case, and a second statement of an authority about
-- the same is evidence against it.
CREATE UNIQUE INDEX round_row_key ON round_row (coalesce(election, 0), height, kind, authority, term, digest);

-- The keys of an election, as sealed to the public key of each recipient.
CREATE TABLE sealed_key (
    election  INTEGER NOT NULL REFERENCES election (id),
    recipient BLOB NOT NULL,
    bytes     BLOB NOT NULL,
    PRIMARY KEY (election, recipient)
) STRICT, WITHOUT ROWID;

-- What each node states of itself.
CREATE TABLE node_record (
    name  TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
