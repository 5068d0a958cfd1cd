-- What belongs to the installation as a whole: written once, by whoever comes first.
CREATE TABLE installation (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA            NOT NULL
);
