-- The memory of an authority: what it has promised, accepted, cosigned and certified, its own
-- signed statements, and the blocks and batches that they are about. Every row is durable before
-- the statement that depends on it leaves. Numbers that a row is found by ascend within an
-- election.

-- One row, made when the memory is created. The digest is that of the other columns.
CREATE TABLE authority (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    incarnation    INTEGER NOT NULL,
    promise_term   INTEGER,
    promise_leader TEXT,
    digest         BLOB NOT NULL
) STRICT;

CREATE TABLE election (
    id     INTEGER PRIMARY KEY,
    law_id TEXT NOT NULL UNIQUE
) STRICT;

-- The block that was accepted last and is not certified. The digests of this table and the next
-- three cover the law id and all columns.
CREATE TABLE accepted (
    election INTEGER PRIMARY KEY REFERENCES election (id),
    term     INTEGER NOT NULL,
    height   INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB NOT NULL,
    digest   BLOB NOT NULL
) STRICT;

-- Every position that was ever cosigned; its line is in the table statement.
CREATE TABLE cosigned (
    election INTEGER NOT NULL REFERENCES election (id),
    height   INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB NOT NULL,
    digest   BLOB NOT NULL,
    PRIMARY KEY (election, height)
) STRICT, WITHOUT ROWID;

-- The certificates: signed checkpoints with a quorum of cosignatures.
CREATE TABLE certified (
    id         INTEGER PRIMARY KEY,
    election   INTEGER NOT NULL REFERENCES election (id),
    height     INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    root       BLOB NOT NULL,
    checkpoint BLOB NOT NULL,
    digest     BLOB NOT NULL,
    UNIQUE (election, height)
) STRICT;

-- The block of each height: the certified one, or the one that was accepted last.
CREATE TABLE block (
    id         INTEGER PRIMARY KEY,
    election   INTEGER NOT NULL REFERENCES election (id),
    height     INTEGER NOT NULL,
    first_leaf INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    root       BLOB NOT NULL,
    digest     BLOB NOT NULL,
    leaves     BLOB NOT NULL,
    UNIQUE (election, height)
) STRICT;

-- A row is never deleted: a purge takes its bytes, and what remains keeps a late copy from being
-- stored again.
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

CREATE INDEX batch_unpurged ON batch (election) WHERE bytes IS NOT NULL;

-- Further batches under a number that was taken: evidence against the node that signed both.
CREATE TABLE other_batch (
    id       INTEGER PRIMARY KEY,
    election INTEGER NOT NULL REFERENCES election (id),
    node     BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    bytes    BLOB,
    UNIQUE (election, node, epoch, sequence, digest)
) STRICT;

-- The batches of a block in their order: each in one of the two tables above.
CREATE TABLE block_batch (
    block INTEGER NOT NULL REFERENCES block (id),
    place INTEGER NOT NULL,
    batch INTEGER REFERENCES batch (id),
    other INTEGER REFERENCES other_batch (id),
    PRIMARY KEY (block, place)
) STRICT, WITHOUT ROWID;

-- The batches that were seen in staging, with every digest that was seen.
CREATE TABLE observed (
    election INTEGER NOT NULL REFERENCES election (id),
    node     BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    PRIMARY KEY (election, node, epoch, sequence, digest)
) STRICT, WITHOUT ROWID;

-- Everything that this authority has signed. The election is 0 for a vote and a suspicion, which
-- are about none. The digest is the SHA-256 of the bytes. It stays when the bytes are dropped, so
-- that a statement of another copy of this memory is recognized.
CREATE TABLE statement (
    id       INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    election INTEGER NOT NULL,
    height   INTEGER NOT NULL,
    term     INTEGER NOT NULL,
    digest   BLOB NOT NULL,
    bytes    BLOB,
    UNIQUE (kind, election, height, term, digest)
) STRICT;

CREATE INDEX statement_by_term ON statement (kind, term) WHERE term > 0;

-- Copies of documents that the ledger alone holds, to restore what a ledger restored from an older
-- copy lacks. A digest is the SHA-256 of the bytes. A purge removes the keys of its election.
CREATE TABLE sealed_key (
    election  INTEGER NOT NULL REFERENCES election (id),
    recipient BLOB NOT NULL,
    digest    BLOB NOT NULL,
    bytes     BLOB NOT NULL,
    PRIMARY KEY (election, recipient)
) STRICT, WITHOUT ROWID;

CREATE TABLE node_record (
    name   TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    bytes  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
