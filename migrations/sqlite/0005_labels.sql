-- What was said of answers: whether one served for another question was right. No text of any kind.
-- One for each reply that was judged; a later word replaces an earlier one.
CREATE TABLE labels (
    id            BLOB    NOT NULL PRIMARY KEY,
    at            INTEGER NOT NULL,
    tenant        TEXT    NOT NULL,
    namespace     TEXT    NOT NULL,
    policy        TEXT    NOT NULL,
    entry         BLOB,
    similarity_bp INTEGER,
    verdict       TEXT    NOT NULL,
    judge         TEXT    NOT NULL,
    weight        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- the latest of a tenant, and those beyond its bound
CREATE INDEX labels_place ON labels (tenant, at, id);
