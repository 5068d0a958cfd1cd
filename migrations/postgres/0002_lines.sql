-- The ledger: one line per reply, never changed, never removed. Amounts are nano-dollars, times
-- unix milliseconds, similarity basis points. The id is a UUID of version 7 made by the caller, so
-- new lines go to the end of the index.
CREATE TABLE lines (
    id            BYTEA            NOT NULL PRIMARY KEY,
    at            BIGINT           NOT NULL,
    tenant        TEXT COLLATE "C" NOT NULL,
    agent         TEXT COLLATE "C" NOT NULL,
    namespace     TEXT COLLATE "C" NOT NULL,
    model         TEXT COLLATE "C" NOT NULL,
    path          TEXT COLLATE "C" NOT NULL,
    outcome       TEXT COLLATE "C" NOT NULL,
    reason        TEXT COLLATE "C" NOT NULL,
    key           BYTEA,
    status        INTEGER          NOT NULL,
    delivered     BOOLEAN          NOT NULL,
    input         BIGINT           NOT NULL,
    cached_input  BIGINT           NOT NULL,
    output        BIGINT           NOT NULL,
    estimated     BOOLEAN          NOT NULL,
    price_version BIGINT           NOT NULL,
    priced        BOOLEAN          NOT NULL,
    cost          BIGINT           NOT NULL,
    saved         BIGINT           NOT NULL,
    fee           BIGINT           NOT NULL,
    embedding     BIGINT           NOT NULL,
    idempotency   BYTEA,
    similarity_bp INTEGER
);

-- totals and page
CREATE INDEX lines_place ON lines (tenant, at, id);
