-- What was said of answers: whether one served for another question was right. No text of any kind.
-- One for each reply that was judged; a later word replaces an earlier one.
CREATE TABLE labels (
    id            BYTEA            NOT NULL PRIMARY KEY,
    at            BIGINT           NOT NULL,
    tenant        TEXT COLLATE "C" NOT NULL,
    namespace     TEXT COLLATE "C" NOT NULL,
    policy        TEXT COLLATE "C" NOT NULL,
    entry         BYTEA,
    similarity_bp INTEGER,
    verdict       TEXT COLLATE "C" NOT NULL,
    judge         TEXT COLLATE "C" NOT NULL,
    weight        INTEGER          NOT NULL
);

-- the latest of a tenant, and those beyond its bound
CREATE INDEX labels_place ON labels (tenant, at, id);
