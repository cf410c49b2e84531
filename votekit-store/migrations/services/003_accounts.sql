-- Accounts of officials and members, their sessions and the keys of tokens. No view reads them, and
-- no row joins an account and a vote.

CREATE TABLE account (
    id                 bytea PRIMARY KEY,
    -- In lower case; compared byte by byte.
    email              text COLLATE "C" NOT NULL UNIQUE,
    role               text NOT NULL,
    state              text NOT NULL,
    password           text,
    totp               bytea,
    totp_step          bigint NOT NULL,
    -- The SHA-256 of each code, one after the other.
    recovery_codes     bytea NOT NULL,
    -- The SHA-256 of the token in the one-time link.
    invitation         bytea,
    invitation_expires bigint,
    created            bigint NOT NULL,
    version            bigint NOT NULL
);
CREATE INDEX account_by_invitation ON account (invitation) WHERE invitation IS NOT NULL;

CREATE TABLE account_session (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    bytea NOT NULL,
    kind       text NOT NULL,
    expires    bigint NOT NULL,
    idle_until bigint NOT NULL
);
CREATE INDEX account_session_by_account ON account_session (account);

-- The tokens of a session by their SHA-256: the current one, and those that it replaced, which end
-- the session when they come again.
CREATE TABLE account_token (
    token       bytea PRIMARY KEY,
    session     bigint NOT NULL REFERENCES account_session (id) ON DELETE CASCADE,
    replaced_by bytea
);
CREATE INDEX account_token_by_session ON account_token (session);

CREATE TABLE token_key (
    id      text COLLATE "C" PRIMARY KEY,
    public  bytea NOT NULL,
    expires bigint NOT NULL
);

CREATE TABLE election_creator (
    law_id  text COLLATE "C" PRIMARY KEY,
    account bytea NOT NULL
);

-- Default privileges of the database may let others read new tables.
REVOKE ALL ON account, account_session, account_token, token_key, election_creator FROM PUBLIC;

-- Adds accounts, given as arrays of one length, all of them or none. Returns: added, exists.
CREATE FUNCTION add_accounts(
    ids bytea[], emails text[], roles text[], states text[], passwords text[], totps bytea[], totp_steps bigint[], all_recovery_codes bytea[],
    invitations bytea[], invitation_ends bigint[], times bigint[], versions bigint[]
) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO account (id, email, role, state, password, totp, totp_step, recovery_codes, invitation, invitation_expires, created, version)
        SELECT * FROM unnest(ids, emails, roles, states, passwords, totps, totp_steps, all_recovery_codes, invitations, invitation_ends, times, versions);
    RETURN 'added';
EXCEPTION WHEN unique_violation THEN
    RETURN 'exists';
END $$;

-- Replaces an account that still has the version that its reader saw. Returns: updated, changed,
-- exists.
CREATE FUNCTION update_account(
    wanted bytea, new_email text, new_role text, new_state text, new_password text, new_totp bytea, new_totp_step bigint, new_recovery_codes bytea,
    new_invitation bytea, new_invitation_expires bigint, new_created bigint, seen_version bigint
) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE account SET email = new_email, role = new_role, state = new_state, password = new_password, totp = new_totp, totp_step = new_totp_step,
        recovery_codes = new_recovery_codes, invitation = new_invitation, invitation_expires = new_invitation_expires, created = new_created,
        version = version + 1
        WHERE id = wanted AND version = seen_version;
    RETURN CASE WHEN FOUND THEN 'updated' ELSE 'changed' END;
EXCEPTION WHEN unique_violation THEN
    RETURN 'exists';
END $$;

-- Begins a session. Returns: begun; repeated, when its token begins one already.
CREATE FUNCTION begin_account_session(presented bytea, holder bytea, wanted_kind text, ends bigint, idle_ends bigint)
RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO account_session (account, kind, expires, idle_until) VALUES (holder, wanted_kind, ends, idle_ends) RETURNING id INTO STRICT made;
    INSERT INTO account_token (token, session) VALUES (presented, made);
    RETURN 'begun';
EXCEPTION WHEN unique_violation THEN
    RETURN 'repeated';
END $$;

-- Replaces a refresh token by the next one of its session. Returns: rotated, reused, unknown; and
-- whose session it is.
CREATE FUNCTION rotate_account_token(presented bytea, successor bytea, moment bigint, idle_ends bigint, OUT outcome text, OUT holder bytea)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    of_session bigint;
    replaced account_token;
BEGIN
    -- Of several calls for one session one continues at a time.
    SELECT account_session.id, account INTO of_session, holder FROM account_session
        WHERE id = (SELECT session FROM account_token WHERE token = presented) AND kind = 'refresh' AND expires > moment AND idle_until > moment
        FOR UPDATE;
    -- Read when the session is locked: another call may have replaced it meanwhile.
    SELECT * INTO replaced FROM account_token WHERE token = presented AND session = of_session;
    IF NOT FOUND THEN
        outcome := 'unknown';
        holder := NULL;
    ELSIF replaced.replaced_by IS NULL THEN
        UPDATE account_token SET replaced_by = successor WHERE token = presented;
        INSERT INTO account_token (token, session) VALUES (successor, of_session);
        UPDATE account_session SET idle_until = greatest(idle_until, idle_ends) WHERE id = of_session;
        outcome := 'rotated';
    ELSIF replaced.replaced_by = successor AND EXISTS (SELECT FROM account_token WHERE token = successor AND replaced_by IS NULL) THEN
        -- The same call again.
        outcome := 'rotated';
    ELSE
        DELETE FROM account_session WHERE id = of_session;
        outcome := 'reused';
    END IF;
END $$;
