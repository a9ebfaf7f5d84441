-- What happened to accounts that concerns their sessions and tokens, in the same batch as the change itself. A row
-- waits here until whoever issues tokens has made its consequences durable.
CREATE TABLE account_changes (
    id           UUID   NOT NULL CONSTRAINT account_changes_pkey PRIMARY KEY,
    -- References nothing: a deleted account is gone when this is read.
    account_id   UUID   NOT NULL,
    kind         TEXT   NOT NULL CONSTRAINT account_changes_kind_check CHECK (kind IN ('password', 'role', 'deleted')),
    -- The account's since the change.
    version      BIGINT NOT NULL,
    -- The session that goes on after a change of password.
    kept_session UUID
);
