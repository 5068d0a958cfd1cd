-- The ledger: one line per reply, never changed, never removed. Amounts are nano-dollars, times
-- unix milliseconds, similarity basis points. The id is a UUID of version 7 made by the caller, so
-- new lines go to the end of the table.
CREATE TABLE lines (
    id            BLOB    NOT NULL PRIMARY KEY,
    at            INTEGER NOT NULL,
    tenant        TEXT    NOT NULL,
    agent         TEXT    NOT NULL,
    namespace     TEXT    NOT NULL,
    model         TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    key           BLOB,
    status        INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    input         INTEGER NOT NULL,
    cached_input  INTEGER NOT NULL,
    output        INTEGER NOT NULL,
    estimated     INTEGER NOT NULL,
    price_version INTEGER NOT NULL,
    priced        INTEGER NOT NULL,
    cost          INTEGER NOT NULL,
    saved         INTEGER NOT NULL,
    fee           INTEGER NOT NULL,
    embedding     INTEGER NOT NULL,
    idempotency   BLOB,
    similarity_bp INTEGER
) STRICT, WITHOUT ROWID;

-- totals and page
CREATE INDEX lines_place ON lines (tenant, at, id);
