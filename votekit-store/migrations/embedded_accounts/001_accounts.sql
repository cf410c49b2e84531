-- Accounts, their sessions and the keys of tokens. In a file of its own: a copy of the ledger holds
-- no password, and the command line may write here while a node runs.

CREATE TABLE account (
    id                 BLOB PRIMARY KEY,
    -- In lower case; compared byte by byte.
    email              TEXT NOT NULL UNIQUE,
    role               TEXT NOT NULL,
    state              TEXT NOT NULL,
    password           TEXT,
    totp               BLOB,
    totp_step          INTEGER NOT NULL,
    -- The SHA-256 of each code, one after the other.
    recovery_codes     BLOB NOT NULL,
    -- The SHA-256 of the token in the one-time link.
    invitation         BLOB,
    invitation_expires INTEGER,
    created            INTEGER NOT NULL,
    version            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX account_by_invitation ON account (invitation) WHERE invitation IS NOT NULL;

CREATE TABLE account_session (
    id         INTEGER PRIMARY KEY,
    account    BLOB NOT NULL,
    kind       TEXT NOT NULL,
    expires    INTEGER NOT NULL,
    idle_until INTEGER NOT NULL
) STRICT;

CREATE INDEX account_session_by_account ON account_session (account);

-- The tokens of a session by their SHA-256: the current one, and those that it replaced, which end
-- the session when they come again.
CREATE TABLE account_token (
    token       BLOB PRIMARY KEY,
    session     INTEGER NOT NULL REFERENCES account_session (id) ON DELETE CASCADE,
    replaced_by BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX account_token_by_session ON account_token (session);

CREATE TABLE token_key (
    id      TEXT PRIMARY KEY,
    public  BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE election_creator (
    law_id  TEXT PRIMARY KEY,
    account BLOB NOT NULL
) STRICT, WITHOUT ROWID;
