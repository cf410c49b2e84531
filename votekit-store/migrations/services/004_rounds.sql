-- Several authorities on one ledger: rows of rounds, sealed keys and records of nodes.
--
-- Locks are taken in the order of 001_ledger.sql, and the order of the rows of rounds last.

-- One row: the last id given to a row of a round. A function that gives one holds this row until
-- the id is committed, so ids ascend in the order of the commits, and a reader of all ids up to one
-- never finds a lower one later. An id whose row was removed is not given again.
CREATE TABLE round_order (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO round_order (last) VALUES (0);

-- What authorities state in rounds.
CREATE TABLE round_row (
    id        bigint PRIMARY KEY,
    kind      text NOT NULL,
    authority text NOT NULL,
    -- Null for a row that is about no block.
    election  bigint REFERENCES election (id),
    height    bigint NOT NULL,
    term      bigint NOT NULL,
    -- The SHA-256 of the length of `bytes` in 8 bytes, of `bytes`, and of `leaves`.
    digest    bytea NOT NULL,
    bytes     bytea NOT NULL,
    leaves    bytea NOT NULL
);
-- Readers judge rows by their signatures, so rows of other bytes are other rows: one that no authority signed keeps the true one out in no case, and a second
-- statement of an authority about the same is evidence against it.
CREATE UNIQUE INDEX round_row_key ON round_row (coalesce(election, 0), height, kind, authority, term, digest);
ALTER TABLE round_row ALTER COLUMN leaves SET STORAGE EXTERNAL;

-- The keys of an election, as sealed to the public key of each recipient.
CREATE TABLE sealed_key (
    election  bigint NOT NULL REFERENCES election (id),
    recipient bytea NOT NULL,
    bytes     bytea NOT NULL,
    PRIMARY KEY (election, recipient)
);

-- What each node states of itself.
CREATE TABLE node_record (
    name  text PRIMARY KEY,
    bytes bytea NOT NULL
);

-- Stores a row of a round. Returns the outcome:
--   stored, present;
--   late: the present term is in `present_term`;
--   far: its term is more than `step_max` above the present one.
CREATE FUNCTION put_round_row(
    new_kind text, new_authority text, wanted text, new_height bigint, new_term bigint, new_digest bytea, new_bytes bytea, new_leaves bytea, holder text,
    step_max bigint,
    OUT outcome text, OUT present_term bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    lead leadership;
    number bigint;
    new_id bigint;
    is_whole boolean;
BEGIN
    IF new_kind IN ('proposal', 'accept') THEN
        -- Waits for a term that is beginning; none begins until this has ended.
        SELECT * INTO STRICT lead FROM leadership FOR SHARE;
    END IF;
    IF wanted IS NOT NULL THEN
        number := election_number(wanted);
    END IF;
    SELECT last + 1 INTO STRICT new_id FROM round_order FOR UPDATE;

    -- What is stored comes before the term: repeating a call must find the row that it stored, also
    -- in a later term.
    SELECT bytes = new_bytes AND leaves = new_leaves INTO is_whole FROM round_row
        WHERE coalesce(election, 0) = coalesce(number, 0) AND height = new_height AND kind = new_kind AND authority = new_authority AND term = new_term
            AND digest = new_digest;
    IF is_whole THEN
        outcome := 'present';
        RETURN;
    END IF;

    -- A vote is a promise: one of a term far ahead would use up the terms below it. The term may
    -- rise meanwhile, and never falls.
    IF new_kind NOT IN ('proposal', 'accept')
        AND new_term - (SELECT greatest(leadership.term, (SELECT max(fence) FROM head)) FROM leadership) > step_max
    THEN
        outcome := 'far';
        RETURN;
    END IF;
    outcome := CASE
        WHEN new_kind = 'accept' AND new_term <> lead.term THEN 'late'
        WHEN new_kind = 'proposal' AND new_term > lead.term THEN 'late'
        WHEN new_kind = 'proposal' AND holder IS NOT NULL
            AND (new_term < lead.term OR lead.leader IS DISTINCT FROM holder OR coalesce(lead.until <= clock_timestamp(), true)) THEN 'late'
        ELSE 'stored'
    END;
    IF outcome = 'late' THEN
        present_term := lead.term;
        RETURN;
    END IF;

    -- A row with this digest and other bytes is damaged, and no reader uses it. This one takes its key, at a position that every reader has yet to read.
    IF NOT is_whole THEN
        DELETE FROM round_row
            WHERE coalesce(election, 0) = coalesce(number, 0) AND height = new_height AND kind = new_kind AND authority = new_authority AND term = new_term
                AND digest = new_digest;
    END IF;
    -- Another program may have taken the position: then the next one that is free.
    IF EXISTS (SELECT FROM round_row WHERE id = new_id) THEN
        SELECT taken.id + 1 INTO STRICT new_id FROM round_row AS taken
            WHERE taken.id >= new_id AND NOT EXISTS (SELECT FROM round_row AS follower WHERE follower.id = taken.id + 1)
            ORDER BY taken.id LIMIT 1;
    END IF;
    INSERT INTO round_row (id, kind, authority, election, height, term, digest, bytes, leaves)
        VALUES (new_id, new_kind, new_authority, number, new_height, new_term, new_digest, new_bytes, new_leaves);
    UPDATE round_order SET last = new_id;
    PERFORM pg_notify(changes_channel(), 'rows');
END $$;

-- The head of a log, and its rows above a position, as they are: for an operator who takes the log
-- back to a certified head.
CREATE FUNCTION log_rows_above(wanted text, kept_height bigint, kept_size bigint) RETURNS TABLE (source text, content text)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH found AS (SELECT id FROM election WHERE law_id = wanted)
    SELECT 'head', row_to_json(head)::text FROM head, found WHERE head.election = found.id
    UNION ALL
    SELECT 'block', row_to_json(block)::text FROM block, found WHERE block.election = found.id AND block.height > kept_height
    UNION ALL
    SELECT 'leaves', row_to_json(leaves)::text FROM leaves, found WHERE leaves.election = found.id AND leaves.first_leaf >= kept_size
    UNION ALL
    -- A tile stays if all leaves below it do.
    SELECT 'tile', row_to_json(tile)::text FROM tile, found
        WHERE tile.election = found.id AND tile.idx >= (kept_size >> (8 * (tile.level + 1))::integer)
$$;

-- Removes the rows of a log above a position, and makes that the head. Returns whether it did:
-- `seen` is the SHA-256 of what log_rows_above returned, each text followed by LF, in order; nothing
-- is changed if that is no longer what is stored.
CREATE FUNCTION discard_log_above(
    wanted text, kept_height bigint, kept_size bigint, new_root bytea, new_checkpoint bytea, new_digest bytea, seen bytea
) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    number bigint;
BEGIN
    SELECT id INTO number FROM election WHERE law_id = wanted FOR NO KEY UPDATE;
    PERFORM FROM head WHERE election = number FOR UPDATE;
    IF NOT FOUND OR seen <> (
        SELECT sha256(convert_to(string_agg(source || E'\n' || content || E'\n', '' ORDER BY source, content), 'UTF8'))
        FROM log_rows_above(wanted, kept_height, kept_size)
    ) THEN
        RETURN false;
    END IF;
    DELETE FROM block WHERE election = number AND height > kept_height;
    DELETE FROM leaves WHERE election = number AND first_leaf >= kept_size;
    DELETE FROM tile WHERE election = number AND idx >= (kept_size >> (8 * (level + 1))::integer);
    UPDATE head SET size = kept_size, height = kept_height, root = new_root, fence = 0, checkpoint = new_checkpoint, sealed_through = 0, takes_votes = false,
        digest = new_digest
        WHERE election = number;
    PERFORM pg_notify(changes_channel(), NULL);
    RETURN true;
END $$;
