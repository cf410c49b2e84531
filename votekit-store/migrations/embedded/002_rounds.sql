-- Rounds between several authorities. Ids are never given twice: a reader that has read up to one never finds a lower one later.
CREATE TABLE round_row (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    authority TEXT NOT NULL,
    law_id    TEXT NOT NULL,
    height    INTEGER NOT NULL,
    term      INTEGER NOT NULL,
    -- The SHA-256 of a proposal, so that two under one key are both kept; empty for other rows.
    variant   BLOB NOT NULL,
    bytes     BLOB NOT NULL,
    leaves    BLOB NOT NULL,
    UNIQUE (kind, authority, law_id, height, term, variant)
) STRICT;
CREATE INDEX round_row_by_height ON round_row (law_id, height);

-- Keys of elections, sealed to authorities and ingest nodes.
CREATE TABLE sealed_key (
    law_id    TEXT NOT NULL,
    recipient BLOB NOT NULL,
    sealed    BLOB NOT NULL,
    PRIMARY KEY (law_id, recipient)
) STRICT;

-- Admitted ingest nodes.
CREATE TABLE node_record (
    name   TEXT PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;
