-- Views for operators, computed from the log itself: there is no second copy that could differ.

-- The leaves of a run, each with its index in the log. A leaf that is not JSON is an
-- error: it is damaged.
CREATE FUNCTION leaves_of_run(first_leaf bigint, run bytea, OUT leaf_index bigint, OUT leaf jsonb) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    -- Fetched once, not at each step.
    fetched bytea := run || ''::bytea;
    ends integer := length(run);
    at integer := 0;
    size integer;
BEGIN
    leaf_index := first_leaf;
    WHILE at < ends LOOP
        size := get_byte(fetched, at) * 256 + get_byte(fetched, at + 1);
        leaf := convert_from(substring(fetched FROM at + 3 FOR size), 'UTF8')::jsonb;
        RETURN NEXT;
        at := at + 2 + size;
        leaf_index := leaf_index + 1;
    END LOOP;
END $$;

-- Every decided request. Without the choice, which no decision holds, and without the credential.
CREATE VIEW vote_audit AS
    SELECT election.law_id,
        leaf_index,
        leaf ->> 'request' AS request_id,
        leaf ->> 'decision' AS status,
        leaf ->> 'reason' AS reason,
        (leaf ->> 'attempt')::bigint AS attempt,
        to_timestamp((leaf ->> 'minute')::bigint * 60) AS minute
    FROM election
    JOIN leaves ON leaves.election = election.id
    CROSS JOIN LATERAL leaves_of_run(leaves.first_leaf, leaves.bytes)
    WHERE leaf ->> 'leaf' = 'entry';

-- The credentials that came more than once, by the first 16 digits of their hash: the request that
-- counts, how many attempts there were, when the last one came.
CREATE VIEW duplicate_attempts AS
    SELECT law_id, left(hash, 16) AS hash_prefix,
        max(request_id) FILTER (WHERE status = 'accepted') AS request_id,
        count(*) AS attempts,
        to_timestamp(max(minute) * 60) AS last_minute
    FROM (
        SELECT election.law_id, leaf ->> 'hash' AS hash, leaf ->> 'request' AS request_id, leaf ->> 'decision' AS status, (leaf ->> 'minute')::bigint AS minute
        FROM election
        JOIN leaves ON leaves.election = election.id
        CROSS JOIN LATERAL leaves_of_run(leaves.first_leaf, leaves.bytes)
        WHERE leaf ->> 'leaf' = 'entry' AND leaf ? 'hash'
    ) AS entries
    GROUP BY law_id, hash
    HAVING count(*) > 1;

-- The counts as far as the log has opened them, and so as far as the results policy
-- publishes them: the last opened sums of each log. Before the first of them every count is null.
-- `updated_at` is the time of the block that opened them; turnout is in per cent of the electors
-- registered when the poll opened or closed.
CREATE VIEW vote_results AS
    SELECT election.law_id,
        definition.leaf -> 'definition' ->> 'results' AS results_policy,
        state.leaf ->> 'state' AS state,
        counts.oui_count, counts.non_count, counts.blank_count, counts.spoiled_count, counts.total_votes, counts.counts,
        registered.electors AS registered,
        trunc(100.0 * counts.total_votes / nullif(registered.electors, 0), 2) AS turnout,
        opened.through AS counted_through_block,
        opened.at AS updated_at
    FROM head
    JOIN election ON election.id = head.election
    CROSS JOIN LATERAL (
        SELECT leaf FROM leaves
        CROSS JOIN LATERAL leaves_of_run(leaves.first_leaf, leaves.bytes)
        WHERE leaves.election = head.election AND has_election_leaf AND leaf ->> 'leaf' = 'election' AND leaf ->> 'state' = 'draft'
        ORDER BY leaf_index LIMIT 1
    ) AS definition
    CROSS JOIN LATERAL (
        SELECT leaf FROM leaves
        CROSS JOIN LATERAL leaves_of_run(leaves.first_leaf, leaves.bytes)
        WHERE leaves.election = head.election AND has_election_leaf AND leaf ->> 'leaf' = 'election'
        ORDER BY leaf_index DESC LIMIT 1
    ) AS state
    LEFT JOIN LATERAL (
        SELECT (leaf ->> 'registered')::bigint AS electors FROM leaves
        CROSS JOIN LATERAL leaves_of_run(leaves.first_leaf, leaves.bytes)
        WHERE leaves.election = head.election AND has_election_leaf AND leaf ->> 'leaf' = 'election' AND leaf ? 'registered'
        ORDER BY leaf_index DESC LIMIT 1
    ) AS registered ON true
    LEFT JOIN LATERAL (
        -- Runs that only look as if they held sums hold none: the newest that does is found.
        SELECT (sums.leaf ->> 'through')::bigint AS through, sums.leaf -> 'values' AS values, to_timestamp((block.leaf ->> 'sealed_at')::bigint) AS at
        FROM leaves
        CROSS JOIN LATERAL (
            SELECT leaf_index, leaf FROM leaves_of_run(leaves.first_leaf, leaves.bytes) WHERE leaf ->> 'leaf' = 'totals' ORDER BY leaf_index DESC LIMIT 1
        ) AS sums
        -- The block leaf comes next, in this run or at the beginning of the next one.
        LEFT JOIN LATERAL (
            SELECT after.leaf FROM leaves AS near
            CROSS JOIN LATERAL leaves_of_run(near.first_leaf, near.bytes) AS after
            WHERE near.election = head.election AND near.first_leaf IN (leaves.first_leaf, leaves.first_leaf + leaves.leaf_count)
                AND after.leaf_index > sums.leaf_index AND after.leaf ->> 'leaf' = 'block'
            ORDER BY after.leaf_index LIMIT 1
        ) AS block ON true
        WHERE leaves.election = head.election AND has_totals_leaf
        ORDER BY leaves.first_leaf DESC LIMIT 1
    ) AS opened ON true
    LEFT JOIN LATERAL (
        SELECT
            max(value) FILTER (WHERE id = 'oui') AS oui_count,
            max(value) FILTER (WHERE id = 'non') AS non_count,
            max(value) FILTER (WHERE id = 'blanc') AS blank_count,
            max(value) FILTER (WHERE id IS NULL) AS spoiled_count,
            sum(value)::bigint AS total_votes,
            jsonb_object_agg(id, value) FILTER (WHERE id IS NOT NULL) AS counts
        FROM (
            SELECT definition.leaf -> 'definition' -> 'choices' -> (place - 1)::integer ->> 'id' AS id, number::bigint AS value
            FROM jsonb_array_elements_text(opened.values) WITH ORDINALITY AS sums (number, place)
        ) AS choices
    ) AS counts ON true;
