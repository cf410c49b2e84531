-- Rounds between several authorities.

-- One row: the last id given to a row of a round. Held until the rows are committed, so ids ascend in the order of the commits.
CREATE TABLE round_row_last (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO round_row_last (last) VALUES (0);

CREATE TABLE round_row (
    id        bigint PRIMARY KEY,
    kind      text NOT NULL,
    authority text COLLATE "C" NOT NULL,
    law_id    text COLLATE "C" NOT NULL,
    height    bigint NOT NULL,
    term      bigint NOT NULL,
    -- The SHA-256 of a proposal, so that two under one key are both kept; empty for other rows.
    variant   bytea NOT NULL,
    bytes     bytea NOT NULL,
    leaves    bytea NOT NULL,
    UNIQUE (kind, authority, law_id, height, term, variant)
);
CREATE INDEX round_row_by_height ON round_row (law_id, height);

-- Keys of elections, sealed to authorities and ingest nodes.
CREATE TABLE sealed_key (
    law_id    text COLLATE "C" NOT NULL,
    recipient bytea NOT NULL,
    sealed    bytea NOT NULL,
    PRIMARY KEY (law_id, recipient)
);

-- Admitted ingest nodes.
CREATE TABLE node_record (
    name   text COLLATE "C" PRIMARY KEY,
    record bytea NOT NULL
);

REVOKE ALL ON sealed_key FROM PUBLIC;

-- Stores a row. Returns: stored, present, other (with the stored bytes), late (with the present term).
CREATE FUNCTION put_round_row(
    new_kind text, new_authority text, new_law_id text, new_height bigint, new_term bigint, new_variant bytea, new_bytes bytea, new_leaves bytea, holder text,
    OUT outcome text, OUT found_bytes bytea, OUT found_term bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    old leadership;
    given bigint;
BEGIN
    SELECT bytes INTO found_bytes FROM round_row
        WHERE (kind, authority, law_id, height, term, variant) = (new_kind, new_authority, new_law_id, new_height, new_term, new_variant);
    IF FOUND THEN
        outcome := CASE WHEN found_bytes = new_bytes THEN 'present' ELSE 'other' END;
        RETURN;
    END IF;
    -- Waits for a term that is beginning; none begins until this has ended.
    SELECT * INTO STRICT old FROM leadership FOR SHARE;
    found_term := old.term;
    IF new_kind = 'accept' AND new_term <> old.term
        OR new_kind = 'proposal' AND (
            new_term > old.term OR holder IS NOT NULL AND (new_term <> old.term OR old.leader IS DISTINCT FROM holder))
    THEN
        outcome := 'late';
        RETURN;
    END IF;
    UPDATE round_row_last SET last = last + 1 RETURNING last INTO STRICT given;
    INSERT INTO round_row (id, kind, authority, law_id, height, term, variant, bytes, leaves)
        VALUES (given, new_kind, new_authority, new_law_id, new_height, new_term, new_variant, new_bytes, new_leaves)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        -- Stored by another call meanwhile.
        SELECT bytes INTO found_bytes FROM round_row
            WHERE (kind, authority, law_id, height, term, variant) = (new_kind, new_authority, new_law_id, new_height, new_term, new_variant);
        outcome := CASE WHEN found_bytes = new_bytes THEN 'present' ELSE 'other' END;
        RETURN;
    END IF;
    PERFORM pg_notify(changes_channel(), NULL);
    outcome := 'stored';
END $$;

-- Makes the holder the leader unless another one's lease lasts; a new term is at least `at_least`. Returns who leads, in which term, for how many more seconds; `refused` when
-- the term would lie more than 1,000 above the present one.
CREATE FUNCTION acquire_leadership(holder text, length interval, at_least bigint, OUT who text, OUT in_term bigint, OUT remaining_seconds double precision, OUT refused boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    old leadership;
    stored bigint;
BEGIN
    refused := false;
    SELECT * INTO STRICT old FROM leadership FOR UPDATE;
    -- A lease that ends later than any that could be given now is of a server whose clock was ahead of this one's.
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
    stored := greatest(old.term, (SELECT max(fence) FROM head));
    IF old.leader IS DISTINCT FROM holder THEN
        in_term := stored + 1;
    END IF;
    IF at_least > in_term THEN
        IF at_least > stored + 1000 THEN
            refused := true;
            RETURN;
        END IF;
        in_term := at_least;
    END IF;
    UPDATE leadership SET leader = holder, term = in_term, until = clock_timestamp() + length;
    remaining_seconds := extract(epoch FROM length);
    IF in_term <> old.term THEN
        PERFORM pg_notify(changes_channel(), NULL);
    END IF;
END $$;
