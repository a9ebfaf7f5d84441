-- What has to be remembered of an account as long as it is somewhere: whoever begins, renews or ends its sessions locks
-- this row first.
CREATE TABLE accounts (
    id            UUID   NOT NULL CONSTRAINT accounts_pkey PRIMARY KEY,
    -- Raised with each change that ends older sessions or tokens. What was proven for an older version of the account
    -- begins nothing any more, however late it comes.
    least_version BIGINT NOT NULL
);

-- The logins.
CREATE TABLE sessions (
    id         UUID             NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
    user_id    UUID             NOT NULL CONSTRAINT sessions_user_id_fkey REFERENCES accounts (id),
    -- Of the account, when the password was proven.
    version    BIGINT           NOT NULL,
    -- Microseconds since 1970-01-01T00:00:00Z, like every moment here.
    created_at BIGINT           NOT NULL,
    used_at    BIGINT           NOT NULL,
    -- When it ends unless it is used before; when it was ended, if it was.
    expires_at BIGINT           NOT NULL,
    ended      BOOLEAN          NOT NULL,
    -- SHA-256 of the folded address that was logged in with.
    login      BYTEA            NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    -- Of the address: what somebody keeps where addresses change.
    network    TEXT COLLATE "C" NOT NULL,
    user_agent TEXT             NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id) WHERE NOT ended;
CREATE INDEX sessions_by_login ON sessions (login, network);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- The refresh tokens, spent ones included: whoever presents one of those again may have stolen it.
CREATE TABLE refresh_tokens (
    -- SHA-256 of the token, which is nowhere.
    hash       BYTEA   NOT NULL CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
    -- Not declared as a reference, which would want an index of its own: tokens are swept before their sessions.
    session_id UUID    NOT NULL,
    issued_at  BIGINT  NOT NULL,
    spent_at   BIGINT,
    -- The token that took its place. One that is spent without is void.
    successor  BYTEA,
    -- Whether another has taken its place since, because the answer with the first may have been lost.
    again      BOOLEAN NOT NULL
);
CREATE INDEX refresh_tokens_by_issue ON refresh_tokens (issued_at);

-- Access tokens that are not to be taken any more: those of a session, or those of a user that were made for an older
-- version of the account.
CREATE TABLE revocations (
    -- Of the session, or of the change of the account that brought it about.
    id            UUID   NOT NULL CONSTRAINT revocations_pkey PRIMARY KEY,
    recorded_at   BIGINT NOT NULL,
    session_id    UUID,
    user_id       UUID,
    below_version BIGINT,
    -- When the last of the tokens has expired.
    until         BIGINT NOT NULL,
    CONSTRAINT revocations_subject_check
        CHECK ((session_id IS NULL) <> (user_id IS NULL) AND (user_id IS NULL) = (below_version IS NULL))
);
CREATE INDEX revocations_by_record ON revocations (recorded_at, id);
CREATE INDEX revocations_by_end ON revocations (until);

-- The keys that sign access tokens.
CREATE TABLE signing_keys (
    -- From 1 without a gap, so that of two who make the next one at the same moment one does not.
    generation BIGINT NOT NULL CONSTRAINT signing_keys_pkey PRIMARY KEY,
    -- The thumbprint of the public key.
    kid        TEXT   NOT NULL CONSTRAINT signing_keys_kid_key UNIQUE,
    -- The nonce, then the seed under AES-256-GCM with the key from the configuration, bound to `kid`.
    sealed     BYTEA  NOT NULL,
    signs_from BIGINT NOT NULL
);
