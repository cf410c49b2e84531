-- Cosignatures of outside witnesses over heads of logs.

-- Lines are signed, and a reader verifies them. A witness has one line over a head, the one that was stored last: lines which no witness signed never keep the
-- valid one out, and their number costs readers nothing.
CREATE TABLE witness_line (
    election bigint NOT NULL REFERENCES election (id),
    witness  text NOT NULL,
    size     bigint NOT NULL,
    root     bytea NOT NULL,
    height   bigint NOT NULL,
    line     bytea NOT NULL,
    PRIMARY KEY (election, witness, size, root)
);

-- Stores a line, and removes those over smaller trees except the last ones. Lines over larger trees are not counted: they may be invented.
CREATE FUNCTION put_witness_line(
    wanted text, new_witness text, new_size bigint, new_root bytea, new_height bigint, new_line bytea, kept_count bigint,
    OUT is_stored boolean
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    number bigint;
BEGIN
    number := election_number(wanted);
    INSERT INTO witness_line (election, witness, size, root, height, line)
        VALUES (number, new_witness, new_size, new_root, new_height, new_line)
        ON CONFLICT (election, witness, size, root) DO UPDATE SET height = excluded.height, line = excluded.line;
    is_stored := FOUND;
    DELETE FROM witness_line WHERE election = number AND witness = new_witness AND size < (
        SELECT size FROM witness_line WHERE election = number AND witness = new_witness AND size <= new_size
            ORDER BY size DESC OFFSET kept_count - 1 LIMIT 1
    );
END $$;
