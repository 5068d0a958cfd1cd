-- Answers. The bytes are opaque; the stamp and the last use are columns, because counting,
-- purging, deleting a tenant and eviction need them. Times are unix milliseconds. Names are
-- compared byte by byte, whatever the database's language is.
CREATE TABLE entries (
    key       BYTEA            NOT NULL PRIMARY KEY,
    tenant    TEXT COLLATE "C" NOT NULL,
    agent     TEXT COLLATE "C" NOT NULL,
    model     TEXT COLLATE "C" NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    policy    TEXT COLLATE "C" NOT NULL,
    source    BYTEA            NOT NULL,
    epoch     BIGINT           NOT NULL,
    began     BIGINT           NOT NULL,
    until     BIGINT           NOT NULL,
    last_used BIGINT           NOT NULL,
    bytes     BYTEA            NOT NULL
);

-- Answers do not compress a second time, and are read whole.
ALTER TABLE entries ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Entries come and go all the time: their room is taken back early and in small portions.
ALTER TABLE entries SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);

-- forget_expired
CREATE INDEX entries_until ON entries (until);
-- trim
CREATE INDEX entries_last_used ON entries (policy, tenant, last_used);
-- count and forget
CREATE INDEX entries_scope ON entries (tenant, agent, model, namespace, began);
-- answers promoted from another's: few, so the index is small
CREATE INDEX entries_source ON entries (source) WHERE source <> key;
