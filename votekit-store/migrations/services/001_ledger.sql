-- The ledger on PostgreSQL: the tables, and the functions that write them.
--
-- Every write is one call of one function, and so one statement and one transaction: a suspended
-- client never holds a lock. Locks are taken in the order staging, leadership, election, head,
-- epoch. Rows that are read by an ascending number have an index that grows at its right edge.
-- Names are resolved in the first schema of the session's search path; nothing here names it.

-- One row: the identity of this ledger.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  text NOT NULL DEFAULT gen_random_uuid()::text
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE election (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    law_id text NOT NULL UNIQUE
);

-- An epoch of a node, and its lease. A fenced epoch gets no lease any more.
CREATE TABLE epoch (
    election    bigint NOT NULL REFERENCES election (id),
    node        bytea NOT NULL,
    epoch       bigint NOT NULL,
    fenced      boolean NOT NULL DEFAULT false,
    lease_until timestamptz,
    PRIMARY KEY (election, node, epoch)
);

-- One row: who leads all elections, until when, in which term. No leader yet: `leader` is null.
CREATE TABLE leadership (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    term   bigint NOT NULL,
    leader text,
    until  timestamptz
);
INSERT INTO leadership (term) VALUES (0);

-- One row: the last place given in staging. A function that gives places holds this row until they
-- are committed, so places ascend in the order of the commits, and a reader of all places up to one
-- never finds a lower one later. A row above is another program's, or was moved there by one: it is
-- not read, and nothing is sealed through it.
CREATE TABLE staging (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO staging (last) VALUES (0);

-- Staging and evidence in one: a batch at or below its head's sealed_through is in the log or was
-- refused. A row is never deleted: a purge removes its bytes, and the rest keeps a place from being
-- given twice.
CREATE TABLE batch (
    id       bigint PRIMARY KEY,
    election bigint NOT NULL REFERENCES election (id),
    node     bytea NOT NULL,
    epoch    bigint NOT NULL,
    sequence bigint NOT NULL,
    digest   bytea NOT NULL,
    hints   bytea,
    bytes    bytea,
    UNIQUE (election, node, epoch, sequence)
);
CREATE INDEX batch_in_order ON batch (election, id) WHERE bytes IS NOT NULL;
-- The rest: purged batches, and those whose bytes another program has removed.
CREATE INDEX batch_without_bytes ON batch (election, id) WHERE bytes IS NULL;
-- Encrypted votes do not compress.
ALTER TABLE batch ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE block (
    election   bigint NOT NULL REFERENCES election (id),
    height     bigint NOT NULL,
    first_leaf bigint NOT NULL,
    leaf_count bigint NOT NULL,
    -- Bytes of its leaves, each with the length before it.
    size_bytes bigint NOT NULL,
    PRIMARY KEY (election, height)
);

-- The leaves of the blocks, in runs: one ends where a block ends, and where a tile of the tree is
-- full (256 leaves). So a status, a receipt or an entry bundle costs a run or a few, however large
-- the block. A leaf is behind its length in 2 bytes. The digest is the SHA-256 of the bytes.
CREATE TABLE leaves (
    election   bigint NOT NULL REFERENCES election (id),
    first_leaf bigint NOT NULL,
    leaf_count bigint NOT NULL,
    digest     bytea NOT NULL,
    -- Whether the run holds a change of the election's state, and opened sums: results are read from
    -- these. Found in the bytes; may be true of a run without one.
    has_election_leaf boolean NOT NULL,
    has_totals_leaf   boolean NOT NULL,
    bytes      bytea NOT NULL,
    PRIMARY KEY (election, first_leaf)
);
CREATE INDEX leaves_with_election_leaf ON leaves (election, first_leaf) WHERE has_election_leaf;
CREATE INDEX leaves_with_totals_leaf ON leaves (election, first_leaf) WHERE has_totals_leaf;
ALTER TABLE leaves ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE tile (
    election bigint NOT NULL REFERENCES election (id),
    level    bigint NOT NULL,
    idx      bigint NOT NULL,
    -- The SHA-256 of the hashes.
    digest   bytea NOT NULL,
    hashes   bytea NOT NULL,
    PRIMARY KEY (election, level, idx)
);
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE head (
    election       bigint PRIMARY KEY REFERENCES election (id),
    -- The place of the log among all logs, in the order of their first blocks.
    created        bigint NOT NULL UNIQUE,
    size           bigint NOT NULL,
    height         bigint NOT NULL,
    root           bytea NOT NULL,
    -- The highest term in which a block was appended. Leaves state the term in which theirs was
    -- made first.
    fence          bigint NOT NULL,
    checkpoint     bytea NOT NULL,
    sealed_through bigint NOT NULL,
    takes_votes    boolean NOT NULL,
    -- The SHA-256 of the columns above, except the first two.
    digest         bytea NOT NULL
) WITH (fillfactor = 50);

-- Remarks of reviewers on requests.
CREATE TABLE review_note (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    election bigint NOT NULL REFERENCES election (id),
    request  bytea NOT NULL,
    at       bigint NOT NULL,
    by       text NOT NULL,
    text     text NOT NULL,
    -- The SHA-256 of the columns above, except the first two, each after its length: a remark is too
    -- long for an index.
    digest   bytea NOT NULL,
    UNIQUE (election, digest)
);

CREATE TABLE manifest (
    digest bytea PRIMARY KEY,
    bytes  bytea NOT NULL
);

-- The number of an election in the other tables; allocated at the first call.
CREATE FUNCTION election_number(wanted text) RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    found bigint;
BEGIN
    SELECT id INTO found FROM election WHERE law_id = wanted;
    IF found IS NULL THEN
        INSERT INTO election (law_id) VALUES (wanted) ON CONFLICT DO NOTHING;
        SELECT id INTO STRICT found FROM election WHERE law_id = wanted;
    END IF;
    RETURN found;
END $$;

-- The channel on which changes are notified: one for each schema.
CREATE FUNCTION changes_channel() RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT 'votekit_' || md5(current_schema())
$$;

-- The clock by which leases are counted.
CREATE FUNCTION unix_milliseconds() RETURNS bigint LANGUAGE sql AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- A free place after the last one that was given: the first one, unless another program has taken
-- a thousand. It may have taken any number more, and a search through them would end in a timeout,
-- each time; so one is drawn that no program can foresee.
CREATE FUNCTION free_place(last_place bigint) RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    found bigint := last_place + 1;
BEGIN
    IF EXISTS (SELECT FROM batch WHERE id = found) THEN
        SELECT taken.id + 1 INTO found FROM batch AS taken
            WHERE taken.id BETWEEN last_place + 1 AND last_place + 1000
                AND NOT EXISTS (SELECT FROM batch AS follower WHERE follower.id = taken.id + 1)
            ORDER BY taken.id LIMIT 1;
        WHILE found IS NULL OR EXISTS (SELECT FROM batch WHERE id = found) LOOP
            found := last_place + 1001 + floor(random() * 1000000000)::bigint;
        END LOOP;
    END IF;
    RETURN found;
END $$;

-- Stages batches, given as arrays of one length. Returns for each the place and the digest that are
-- stored under its number, and whether its row had lost its bytes, or had others, or had been moved out
-- of the places that were given: it is stored again, at a new place that no reader has passed. A row
-- that differs in the signature alone stays as it is, and an empty digest is returned: its batch may
-- be in the log, which names that signature, and a key can sign a batch twice. One at a time, each by
-- its number: a join would be planned while the table is small, and keep reading all of it.
CREATE FUNCTION stage(
    law_ids text[], nodes bytea[], epochs bigint[], sequences bigint[], digests bytea[], all_hints bytea[], all_bytes bytea[],
    OUT places bigint[], OUT stored bytea[], OUT restored boolean[]
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    last_place bigint;
    new_place bigint;
    number bigint;
    offered record;
    found_place bigint;
    found_digest bytea;
    is_whole boolean;
    is_signed_otherwise boolean;
    is_emptied boolean;
BEGIN
    SELECT last INTO STRICT last_place FROM staging FOR UPDATE;
    new_place := last_place;
    FOR offered IN
        SELECT * FROM unnest(law_ids, nodes, epochs, sequences, digests, all_hints, all_bytes)
            WITH ORDINALITY AS batches (law_id, node, epoch, sequence, digest, hints, bytes, place) ORDER BY place
    LOOP
        number := election_number(offered.law_id);
        -- All are null where no row is found.
        SELECT id, digest, bytes = offered.bytes,
                -- The last 64 bytes are the signature, which the digest does not cover.
                digest = offered.digest AND bytes <> offered.bytes AND octet_length(bytes) = octet_length(offered.bytes)
                    AND substr(bytes, 1, greatest(octet_length(offered.bytes) - 64, 0)) = substr(offered.bytes, 1, greatest(octet_length(offered.bytes) - 64, 0))
            INTO found_place, found_digest, is_whole, is_signed_otherwise FROM batch
            WHERE (election, node, epoch, sequence) = (number, offered.node, offered.epoch, offered.sequence);
        is_emptied := found_digest IS NOT DISTINCT FROM offered.digest AND is_signed_otherwise IS NOT TRUE
            AND (is_whole IS NOT TRUE OR found_place NOT BETWEEN 1 AND new_place);
        IF is_signed_otherwise THEN
            found_digest := ''::bytea;
        ELSIF found_place IS NULL OR is_emptied THEN
            -- Only the first batch after idle is notified: the leader seals on while there are more.
            -- A batch that is staged while the last one is being sealed may be missed; listeners
            -- poll from time to time too.
            -- By the highest place, which an index has at its end. Of `EXISTS` the planner expects
            -- that one of the first rows will do, and reads the whole table. It makes the plan while
            -- the table is small, and then reads the whole index for `max` of a range too.
            IF ((SELECT id FROM batch WHERE election = number AND bytes IS NOT NULL AND id <= new_place
                    ORDER BY id DESC LIMIT 1)
                > (SELECT sealed_through FROM head WHERE election = number)) IS NOT TRUE
            THEN
                PERFORM pg_notify(changes_channel(), NULL);
            END IF;
            new_place := free_place(new_place);
            IF is_emptied THEN
                UPDATE batch SET id = new_place, hints = offered.hints, bytes = offered.bytes WHERE id = found_place;
            ELSE
                INSERT INTO batch (id, election, node, epoch, sequence, digest, hints, bytes)
                    VALUES (new_place, number, offered.node, offered.epoch, offered.sequence, offered.digest, offered.hints, offered.bytes);
            END IF;
            found_place := new_place;
            found_digest := offered.digest;
        END IF;
        places := places || found_place;
        stored := stored || found_digest;
        restored := restored || is_emptied;
    END LOOP;
    IF new_place > last_place THEN
        UPDATE staging SET last = new_place;
    END IF;
END $$;

-- Stages a batch again above a place, in place of whatever row has its number, unless it is whole
-- there. Returns its place, whether this call has given it, and whether there was a row.
CREATE FUNCTION restage(
    wanted text, owner bytea, in_epoch bigint, in_sequence bigint, offered_digest bytea, offered_hints bytea, offered_bytes bytea,
    above bigint,
    OUT place bigint, OUT is_new boolean, OUT was_there boolean
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    last_place bigint;
    new_place bigint;
    number bigint;
    is_whole boolean;
BEGIN
    SELECT last INTO STRICT last_place FROM staging FOR UPDATE;
    number := election_number(wanted);
    -- All are null where no row is found.
    SELECT id, digest = offered_digest AND bytes = offered_bytes INTO place, is_whole FROM batch
        WHERE (election, node, epoch, sequence) = (number, owner, in_epoch, in_sequence);
    was_there := place IS NOT NULL;
    is_new := (is_whole AND place > above AND place BETWEEN 1 AND last_place) IS NOT TRUE;
    IF NOT is_new THEN
        RETURN;
    END IF;
    -- Another program may have set the last place below those that are sealed. One that is beyond all
    -- places to come is no place of a log.
    new_place := free_place(greatest(last_place, least(above, 4611686018427387903)));
    IF was_there THEN
        -- Who stages a batch again has rarely its hints.
        UPDATE batch SET id = new_place, digest = offered_digest, bytes = offered_bytes,
                hints = CASE WHEN octet_length(offered_hints) > 0 THEN offered_hints ELSE hints END
            WHERE id = place;
    ELSE
        INSERT INTO batch (id, election, node, epoch, sequence, digest, hints, bytes)
            VALUES (new_place, number, owner, in_epoch, in_sequence, offered_digest, offered_hints, offered_bytes);
    END IF;
    place := new_place;
    UPDATE staging SET last = new_place;
    PERFORM pg_notify(changes_channel(), NULL);
END $$;

-- Appends a block and moves the head. Returns the outcome:
--   committed, repeated; late; term, head: the term or the size found is in `present`;
--   height, unsealed: the rule that is broken;
--   unstaged: the batch up to which it seals is not staged at its place;
--   replaced: committed, in place of rows above the head;
--   occupied: such rows are in the place of a block that is not certified.
-- With `in_any_term` the block is certified and its term does not decide; the head keeps the
-- highest fence.
CREATE FUNCTION commit_block(
    wanted text, new_height bigint, new_first_leaf bigint, new_leaf_count bigint, new_size_bytes bigint,
    run_first_leaves bigint[], run_leaf_counts bigint[], run_digests bytea[], run_bytes bytea[],
    tile_levels bigint[], tile_indexes bigint[], tile_digests bytea[], tile_hashes bytea[],
    new_size bigint, new_root bytea, new_fence bigint, new_checkpoint bytea, new_sealed_through bigint, sealed_batch bytea,
    new_takes_votes boolean, in_any_term boolean, not_after bigint,
    OUT outcome text, OUT present bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    leader_term bigint;
    number bigint;
    old head;
    is_new boolean;
    found_term bigint;
    kept_fence bigint;
    new_digest bytea;
BEGIN
    -- Waits for a term that is beginning; none begins until this has ended.
    SELECT term INTO STRICT leader_term FROM leadership FOR SHARE;
    SELECT id INTO number FROM election WHERE law_id = wanted FOR NO KEY UPDATE;
    SELECT * INTO old FROM head WHERE election = number FOR UPDATE;
    is_new := NOT FOUND;
    -- A missing head's fence is null, which `greatest` leaves out.
    found_term := greatest(old.fence, leader_term);

    IF NOT is_new
        -- By size and root alone: another copy of the block may bear other signatures.
        AND (old.size, old.height, old.root) = (new_size, new_height, new_root)
        AND EXISTS (SELECT FROM block WHERE (election, height, first_leaf, leaf_count) = (number, new_height, new_first_leaf, new_leaf_count))
        AND run_digests = (SELECT array_agg(digest ORDER BY first_leaf) FROM leaves WHERE election = number AND first_leaf >= new_first_leaf AND first_leaf < new_size)
    THEN
        outcome := 'repeated';
        RETURN;
    END IF;

    outcome := CASE
        WHEN unix_milliseconds() > not_after THEN 'late'
        WHEN new_fence < found_term AND NOT in_any_term THEN 'term'
        WHEN new_first_leaf <> coalesce(old.size, 0) THEN 'head'
        WHEN new_height <> coalesce(old.height, 0) + 1 THEN 'height'
        WHEN new_sealed_through < coalesce(old.sealed_through, 0) THEN 'unsealed'
        -- A place that was read before the ledger was rolled back to an older copy may be given to a
        -- later batch, which must never be taken for sealed. One above those that were given would
        -- hide all batches that are staged later.
        WHEN new_sealed_through > coalesce(old.sealed_through, 0)
            AND NOT EXISTS (
                SELECT FROM batch WHERE id = new_sealed_through AND election = number AND digest = sealed_batch
                    AND id <= (SELECT last FROM staging)
            ) THEN 'unstaged'
        ELSE 'committed'
    END;
    present := CASE outcome WHEN 'term' THEN found_term WHEN 'head' THEN coalesce(old.size, 0) END;
    IF outcome <> 'committed' THEN
        RETURN;
    END IF;

    IF is_new THEN
        number := election_number(wanted);
        -- Of two first blocks one waits; and two logs do not begin at the same place.
        LOCK TABLE head IN SHARE ROW EXCLUSIVE MODE;
        IF EXISTS (SELECT FROM head WHERE election = number) THEN
            RAISE EXCEPTION 'another first block was committed meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    LOOP
        BEGIN
            INSERT INTO block (election, height, first_leaf, leaf_count, size_bytes)
                VALUES (number, new_height, new_first_leaf, new_leaf_count, new_size_bytes);
            INSERT INTO leaves (election, first_leaf, leaf_count, digest, has_election_leaf, has_totals_leaf, bytes)
                SELECT number, first_leaf, leaf_count, digest,
                    position('{"leaf":"election",'::bytea IN bytes) > 0, position('{"leaf":"totals",'::bytea IN bytes) > 0, bytes
                FROM unnest(run_first_leaves, run_leaf_counts, run_digests, run_bytes) AS runs (first_leaf, leaf_count, digest, bytes);
            INSERT INTO tile (election, level, idx, digest, hashes)
                SELECT number, tiles.* FROM unnest(tile_levels, tile_indexes, tile_digests, tile_hashes) AS tiles;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            -- Not by another leader: the head is locked, or the table of heads for a first block, so
            -- the head that was read says where the log ends. A row above it is another program's,
            -- or that program has set the head back. A certified block replaces it.
            IF outcome = 'replaced' THEN
                RAISE;
            END IF;
            outcome := CASE WHEN in_any_term THEN 'replaced' ELSE 'occupied' END;
            IF outcome = 'occupied' THEN
                RETURN;
            END IF;
            -- Only its own range: rows above may be blocks that a later call restores, and may be many.
            DELETE FROM block WHERE election = number AND height = new_height;
            DELETE FROM leaves WHERE election = number AND first_leaf >= new_first_leaf AND first_leaf < new_size;
            DELETE FROM tile USING unnest(tile_levels, tile_indexes) AS filled (level, idx)
                WHERE tile.election = number AND (tile.level, tile.idx) = (filled.level, filled.idx);
        END;
    END LOOP;
    -- A block in any term may be appended by an authority that lies: it raises the term no further than a request for the lease could.
    kept_fence := greatest(least(new_fence, found_term + 1000), found_term);
    -- As clients compute it. They do not know the fence that is kept.
    new_digest := sha256(
        int8send(new_size) || int8send(new_height) || int8send(kept_fence) || int8send(new_sealed_through)
            || int8send(new_takes_votes::integer::bigint) || new_root || new_checkpoint
    );
    IF is_new THEN
        INSERT INTO head (election, created, size, height, root, fence, checkpoint, sealed_through, takes_votes, digest)
            SELECT number, coalesce(max(created), 0) + 1, new_size, new_height, new_root, kept_fence, new_checkpoint, new_sealed_through, new_takes_votes, new_digest
            FROM head;
    ELSE
        UPDATE head SET size = new_size, height = new_height, root = new_root, fence = kept_fence, checkpoint = new_checkpoint, sealed_through = new_sealed_through,
            takes_votes = new_takes_votes, digest = new_digest
            WHERE election = number;
    END IF;
    PERFORM pg_notify(changes_channel(), NULL);
END $$;

-- Allocates the next epoch of a node.
CREATE FUNCTION allocate_epoch(wanted text, owner bytea, above bigint) RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    number bigint := election_number(wanted);
    given bigint := above + 1;
BEGIN
    PERFORM FROM election WHERE id = number FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM epoch AS taken WHERE taken.election = number AND taken.node = owner AND taken.epoch = given) THEN
        SELECT taken.epoch + 1 INTO STRICT given FROM epoch AS taken
            WHERE taken.election = number AND taken.node = owner AND taken.epoch BETWEEN given AND 4294967295
                AND NOT EXISTS (
                    SELECT FROM epoch AS follower
                    WHERE follower.election = number AND follower.node = owner AND follower.epoch = taken.epoch + 1
                )
            ORDER BY taken.epoch LIMIT 1;
    END IF;
    IF given <= 4294967295 THEN
        INSERT INTO epoch (election, node, epoch) VALUES (number, owner, given);
    END IF;
    RETURN given;
END $$;

-- Gives or extends a lease. Returns: given, no epoch, takes no votes, fenced.
CREATE FUNCTION hold_lease(wanted text, owner bytea, held bigint, length interval) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    number bigint;
    takes boolean;
    is_fenced boolean;
BEGIN
    SELECT id INTO number FROM election WHERE law_id = wanted;
    -- A head that moves waits for this lease, and this lease for a head that is moving: no lease is
    -- given after the head that ends the voting.
    SELECT takes_votes INTO takes FROM head WHERE election = number FOR SHARE;
    SELECT fenced INTO is_fenced FROM epoch WHERE (election, node, epoch) = (number, owner, held) FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'no epoch';
    ELSIF takes IS NOT TRUE THEN
        RETURN 'takes no votes';
    ELSIF is_fenced THEN
        RETURN 'fenced';
    END IF;
    UPDATE epoch SET lease_until = greatest(lease_until, clock_timestamp() + length) WHERE (election, node, epoch) = (number, owner, held);
    RETURN 'given';
END $$;

-- Makes a holder the leader unless another one's lease lasts. Returns who leads, in which term, for
-- how many more seconds; null when `at_least` is too far above the present term. A term below
-- `at_least` is not continued, and the lease of the term `passed_over` does not last.
CREATE FUNCTION take_lead(
    holder text, length interval, at_least bigint, step_max bigint, passed_over bigint, OUT who text, OUT in_term bigint, OUT remaining_seconds double precision
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    old leadership;
    present_term bigint;
BEGIN
    SELECT * INTO STRICT old FROM leadership FOR UPDATE;
    present_term := greatest(old.term, (SELECT max(fence) FROM head));
    IF at_least - present_term > step_max THEN
        RETURN;
    END IF;
    IF passed_over = old.term THEN
        -- The name goes too: its holder has no term to continue.
        old.leader := NULL;
    END IF;
    -- A lease that ends later than any that could be given now is of a server whose clock was ahead
    -- of this one's.
    old.until := least(old.until, clock_timestamp() + length);
    IF old.leader <> holder AND old.until > clock_timestamp() THEN
        UPDATE leadership SET until = old.until WHERE until > old.until;
        who := old.leader;
        in_term := old.term;
        remaining_seconds := extract(epoch FROM old.until - clock_timestamp());
        RETURN;
    END IF;
    who := holder;
    in_term := old.term;
    IF old.leader IS DISTINCT FROM holder OR old.term < at_least THEN
        in_term := greatest(present_term + 1, at_least);
    END IF;
    UPDATE leadership SET leader = holder, term = in_term, until = clock_timestamp() + length;
    IF in_term > old.term THEN
        PERFORM pg_notify(changes_channel(), NULL);
    END IF;
    remaining_seconds := extract(epoch FROM length);
END $$;

-- The first contradiction in the rows of each election. No row when there is none. Cheap at any
-- size: leaves and evidence are not read. A batch above the places that were given is none: anyone
-- who can write one row would keep all nodes from starting.
CREATE FUNCTION inspect() RETURNS TABLE (of_law text, damage text) LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT law_id, first.what FROM election
    LEFT JOIN head ON head.election = election.id
    CROSS JOIN LATERAL (SELECT found.what FROM (
        SELECT format('%s: the head is at block %s with %s leaves, the blocks are %s, up to height %s, with %s, and do not follow one another or end there',
            law_id, head.height, head.size, blocks, highest, leaves)
        FROM (
            SELECT count(*) AS blocks, coalesce(max(height), 0) AS highest, coalesce(sum(leaf_count), 0) AS leaves, coalesce(bool_and(follows), true) AS follow
            FROM (
                SELECT height, leaf_count,
                    first_leaf = coalesce(sum(leaf_count) OVER (ORDER BY height ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS follows
                FROM block WHERE block.election = election.id
            ) AS each
        ) AS found
        WHERE NOT follow OR (blocks, highest, leaves) <> (coalesce(head.height, 0), coalesce(head.height, 0), coalesce(head.size, 0))
        UNION ALL
        SELECT format('%s: the head is at %s leaves, %s are stored, or have a gap', law_id, coalesce(head.size, 0), stored)
        FROM (
            SELECT coalesce(sum(leaf_count), 0) AS stored, coalesce(bool_and(follows), true) AS follow
            FROM (
                SELECT leaf_count,
                    first_leaf = coalesce(sum(leaf_count) OVER (ORDER BY first_leaf ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS follows
                FROM leaves WHERE leaves.election = election.id
            ) AS each
        ) AS found
        WHERE NOT follow OR stored <> coalesce(head.size, 0)
        UNION ALL
        SELECT format('%s: %s leaves fill %s tiles of level %s, %s are stored', law_id, coalesce(head.size, 0), expected, level, stored)
        FROM (
            SELECT level, coalesce(head.size, 0) >> (8 * (level + 1)) AS expected,
                (SELECT count(*) FROM tile WHERE tile.election = election.id AND tile.level = levels.level) AS stored,
                (SELECT coalesce(max(idx), -1) + 1 FROM tile WHERE tile.election = election.id AND tile.level = levels.level) AS ends
            FROM generate_series(0, 6) AS levels (level)
        ) AS found
        WHERE (stored, ends) <> (expected, expected)
        UNION ALL
        SELECT format('%s: batches are sealed through %s, staging ends at %s', law_id, head.sealed_through, last)
        FROM staging WHERE head.sealed_through > last
    ) AS found (what) LIMIT 1) AS first
$$;
