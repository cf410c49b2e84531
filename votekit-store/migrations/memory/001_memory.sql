-- The own memory of an authority.
CREATE TABLE incarnation (count INTEGER NOT NULL) STRICT;
INSERT INTO incarnation (count) VALUES (0);
CREATE TABLE promise (term INTEGER NOT NULL, leader TEXT NOT NULL) STRICT;
CREATE TABLE election (
    law_id           TEXT PRIMARY KEY,
    certified_height INTEGER, certified_size INTEGER, certified_root BLOB,
    accepted_term    INTEGER, accepted_height INTEGER, accepted_size INTEGER, accepted_root BLOB,
    cosigned_height  INTEGER, cosigned_size INTEGER, cosigned_root BLOB
) STRICT;
-- Own statements, byte for byte.
CREATE TABLE statement (
    kind TEXT NOT NULL, law_id TEXT NOT NULL, height INTEGER NOT NULL, term INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (kind, law_id, height, term)
) STRICT;
-- Every block ever cosigned: one root a height.
CREATE TABLE cosigned (
    law_id TEXT NOT NULL, height INTEGER NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, line BLOB NOT NULL,
    PRIMARY KEY (law_id, height)
) STRICT;
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    law_id TEXT NOT NULL, height INTEGER NOT NULL, root BLOB NOT NULL, first_leaf INTEGER NOT NULL, leaf_count INTEGER NOT NULL,
    leaves BLOB NOT NULL,
    -- The digests of its batches, in order, each followed by a space.
    numbers TEXT NOT NULL,
    checkpoint BLOB,
    UNIQUE (law_id, height, root)
) STRICT;
CREATE TABLE batch (
    id INTEGER PRIMARY KEY, law_id TEXT NOT NULL, digest TEXT NOT NULL, bytes BLOB,
    UNIQUE (law_id, digest)
) STRICT;
-- The highest batch number seen in staging, by epoch.
CREATE TABLE observed (
    law_id TEXT NOT NULL, node BLOB NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (law_id, node, epoch)
) STRICT;
