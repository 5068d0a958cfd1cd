-- Answers. The bytes are opaque; the stamp and the last use are columns, because counting,
-- purging, deleting a tenant and eviction need them. Times are unix milliseconds. The bytes come
-- last, so that reading a stamp never reads the pages an answer overflows into.
CREATE TABLE entries (
    key       BLOB    NOT NULL PRIMARY KEY,
    tenant    TEXT    NOT NULL,
    agent     TEXT    NOT NULL,
    model     TEXT    NOT NULL,
    namespace TEXT    NOT NULL,
    policy    TEXT    NOT NULL,
    source    BLOB    NOT NULL,
    epoch     INTEGER NOT NULL,
    began     INTEGER NOT NULL,
    until     INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    bytes     BLOB    NOT NULL
) STRICT;

-- forget_expired
CREATE INDEX entries_until ON entries (until);
-- trim
CREATE INDEX entries_last_used ON entries (policy, tenant, last_used);
-- count and forget
CREATE INDEX entries_scope ON entries (tenant, agent, model, namespace, began);
-- answers promoted from another's: few, so the index is small
CREATE INDEX entries_source ON entries (source) WHERE source <> key;
