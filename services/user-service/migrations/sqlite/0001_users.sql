-- The accounts of customers and operators.
CREATE TABLE users (
    id            BLOB    NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
    -- Folded by the program, never by the database, whose idea of lower case ends with ASCII.
    email         TEXT    NOT NULL CONSTRAINT users_email_key UNIQUE,
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL CONSTRAINT users_role_check CHECK (role IN ('customer', 'operator')),
    -- Argon2id as a PHC string, which names its own parameters and salt.
    password_hash TEXT    NOT NULL,
    -- Microseconds since 1970-01-01T00:00:00Z.
    created_at    INTEGER NOT NULL,
    -- 1 for a new account, one more with each change: the optimistic lock, and the ETag.
    version       INTEGER NOT NULL CONSTRAINT users_version_check CHECK (version >= 1)
) STRICT, WITHOUT ROWID;
