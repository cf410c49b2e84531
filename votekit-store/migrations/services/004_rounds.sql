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
-- A second proposal of a leader is evidence against it, and is kept.
CREATE UNIQUE INDEX round_row_proposal ON round_row (election, height, term, digest) WHERE kind = 'proposal';
CREATE UNIQUE INDEX round_row_statement ON round_row (coalesce(election, 0), height, kind, authority, term) WHERE kind <> 'proposal';
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
--   stored, present; other: the stored bytes are in `kept`;
--   late: the present term is in `present_term`.
CREATE FUNCTION put_round_row(
    new_kind text, new_authority text, wanted text, new_height bigint, new_term bigint, new_digest bytea, new_bytes bytea, new_leaves bytea, holder text,
    OUT outcome text, OUT kept bytea, OUT present_term bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    lead leadership;
    number bigint;
    new_id bigint;
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
    IF new_kind = 'proposal' THEN
        SELECT bytes INTO kept FROM round_row
            WHERE kind = 'proposal' AND (election, height, term, digest) = (number, new_height, new_term, new_digest);
    ELSE
        SELECT bytes INTO kept FROM round_row
            WHERE kind <> 'proposal' AND kind = new_kind AND authority = new_authority AND coalesce(election, 0) = coalesce(number, 0)
                AND height = new_height AND term = new_term;
    END IF;
    IF kept IS NOT NULL THEN
        outcome := CASE WHEN kept = new_bytes THEN 'present' ELSE 'other' END;
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

    INSERT INTO round_row (id, kind, authority, election, height, term, digest, bytes, leaves)
        VALUES (new_id, new_kind, new_authority, number, new_height, new_term, new_digest, new_bytes, new_leaves);
    UPDATE round_order SET last = new_id;
    PERFORM pg_notify(changes_channel(), NULL);
END $$;
