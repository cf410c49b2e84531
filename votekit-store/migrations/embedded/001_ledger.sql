-- The embedded ledger. Numbers that a row is found by ascend within an election, so every index
-- grows at its right edge.

CREATE TABLE election (
    id     INTEGER PRIMARY KEY,
    law_id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE epoch (
    election INTEGER NOT NULL REFERENCES election (id),
    node     BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    PRIMARY KEY (election, node, epoch)
) STRICT, WITHOUT ROWID;

-- Staging and evidence in one: what stands at or below its head's sealed_through is in the log or
-- was refused. A row is never deleted: a purge takes its bytes, and what remains keeps an id from
-- being given twice.
CREATE TABLE batch (
    id       INTEGER PRIMARY KEY,
    election INTEGER NOT NULL REFERENCES election (id),
    node     BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    bytes    BLOB,
    UNIQUE (election, node, epoch, sequence)
) STRICT;

CREATE INDEX batch_in_order ON batch (election) WHERE bytes IS NOT NULL;

CREATE TABLE block (
    id         INTEGER PRIMARY KEY,
    election   INTEGER NOT NULL REFERENCES election (id),
    height     INTEGER NOT NULL,
    first_leaf INTEGER NOT NULL,
    leaf_count INTEGER NOT NULL,
    UNIQUE (election, height)
) STRICT;

-- The leaves of the blocks, in runs: one ends where a block ends, and where a tile of the tree is
-- full (256 leaves). So a status, a receipt or an entry bundle costs a run or a few, however large
-- the block. The digest is the SHA-256 of the bytes.
CREATE TABLE leaves (
    id         INTEGER PRIMARY KEY,
    election   INTEGER NOT NULL REFERENCES election (id),
    first_leaf INTEGER NOT NULL,
    leaf_count INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    bytes      BLOB NOT NULL,
    UNIQUE (election, first_leaf)
) STRICT;

CREATE TABLE tile (
    election INTEGER NOT NULL REFERENCES election (id),
    level    INTEGER NOT NULL,
    idx      INTEGER NOT NULL,
    -- The SHA-256 of the hashes.
    digest   BLOB NOT NULL,
    hashes   BLOB NOT NULL,
    UNIQUE (election, level, idx)
) STRICT;

CREATE TABLE head (
    election       INTEGER PRIMARY KEY REFERENCES election (id),
    -- The place of the log among all logs, in the order of their first blocks.
    created        INTEGER NOT NULL UNIQUE,
    size           INTEGER NOT NULL,
    height         INTEGER NOT NULL,
    root           BLOB NOT NULL,
    -- The highest term in which a block was appended. Leaves state the term in which theirs was
    -- made first.
    fence          INTEGER NOT NULL,
    checkpoint     BLOB NOT NULL,
    sealed_through INTEGER NOT NULL,
    takes_votes    INTEGER NOT NULL,
    -- The SHA-256 of the columns above but the first two.
    digest         BLOB NOT NULL
) STRICT;

-- What reviewers remarked on requests.
CREATE TABLE review_note (
    id       INTEGER PRIMARY KEY,
    election INTEGER NOT NULL REFERENCES election (id),
    request  BLOB NOT NULL,
    at       INTEGER NOT NULL,
    by       TEXT NOT NULL,
    text     TEXT NOT NULL,
    UNIQUE (election, request, at, by, text)
) STRICT;

CREATE TABLE manifest (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    bytes  BLOB NOT NULL
) STRICT;
