//! The tables of the data layer itself, which every service's database has.

use crate::migration::{History, Migration};

/// Our own history; a service's follows it under the component `service`.
pub(crate) const HISTORY: History<'static> = History { component: "database", migrations: &[FOUNDATION] };

const FOUNDATION: Migration = Migration {
    version: 1,
    name: "foundation",
    postgres: r#"
        CREATE TABLE flotilla_leases (
            name   TEXT COLLATE "C" PRIMARY KEY,
            holder TEXT             NOT NULL,
            until  BIGINT           NOT NULL,
            fence  BIGINT           NOT NULL
        );

        -- The last transaction of each connection: who finds its row after a lost connection knows that it
        -- committed, and who inserts the row first, as not committed, keeps it from ever committing.
        CREATE TABLE flotilla_receipts (
            id        UUID    PRIMARY KEY,
            committed BOOLEAN NOT NULL
        );

        -- Raises inside the transaction, so that a wrong row count needs no round trip of its own.
        CREATE FUNCTION flotilla_expect(actual BIGINT, expected BIGINT) RETURNS VOID
        LANGUAGE plpgsql AS $body$
        BEGIN
            IF actual <> expected THEN
                RAISE EXCEPTION 'touched % rows instead of %', actual, expected
                    USING ERRCODE = 'FL001', DETAIL = actual;
            END IF;
        END
        $body$;
    "#,
    sqlite: r"
        CREATE TABLE flotilla_leases (
            name   TEXT    NOT NULL PRIMARY KEY,
            holder TEXT    NOT NULL,
            until  INTEGER NOT NULL,
            fence  INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
    oldest_binary: 1,
};
