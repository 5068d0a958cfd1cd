-- What the questions of some answers mean: a direction, two bytes a dimension, as one revision of one
-- model sees it, in a space. A point lives no longer than its answer and has no stamp of its own.

-- By which models. Each has a partition of `points` and a graph of its own there, made when its first
-- point comes: vectors of two models never meet, and differ in length.
CREATE TABLE models (
    id         INTEGER          NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    revision   TEXT COLLATE "C" NOT NULL,
    dimensions INTEGER          NOT NULL,
    UNIQUE (name, revision, dimensions)
);

CREATE TABLE points (
    model       INTEGER NOT NULL,
    key         BYTEA   NOT NULL REFERENCES entries (key) ON DELETE CASCADE,
    space       BYTEA   NOT NULL,
    direction   halfvec NOT NULL,
    fingerprint BYTEA   NOT NULL,
    -- bytes, since a text here cannot hold every character of a prompt
    message     BYTEA   NOT NULL,
    PRIMARY KEY (key, model)
) PARTITION BY LIST (model);
