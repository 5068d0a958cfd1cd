-- What the questions of some answers mean: a direction, eight bits a dimension and one scale, as one
-- revision of one model sees it, in a space. A point lives no longer than its answer and has no
-- stamp of its own. It is found in memory; this table is read at the start, the latest first.
CREATE TABLE points (
    id             INTEGER NOT NULL PRIMARY KEY,
    key            BLOB    NOT NULL UNIQUE,
    space          BLOB    NOT NULL,
    model_name     TEXT    NOT NULL,
    model_revision TEXT    NOT NULL,
    dimensions     INTEGER NOT NULL,
    scale          REAL    NOT NULL,
    vector         BLOB    NOT NULL,
    fingerprint    BLOB    NOT NULL,
    message        TEXT    NOT NULL
) STRICT;

-- A purged, expired or trimmed answer takes its point along, whoever deletes it.
CREATE TRIGGER entries_gone AFTER DELETE ON entries BEGIN
    DELETE FROM points WHERE key = old.key;
END;

-- So does an answer that is replaced; the new one brings its own point, or none.
CREATE TRIGGER entries_replaced AFTER UPDATE OF bytes ON entries BEGIN
    DELETE FROM points WHERE key = old.key;
END;
