CREATE TABLE IF NOT EXISTS architectures (
    name       TEXT PRIMARY KEY,
    prefix     TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    code       TEXT NOT NULL,
    -- what curation says of it, null until then
    kept       INTEGER,
    why        TEXT,
    family     TEXT,
    cluster    TEXT,
    nearest    TEXT,
    similarity REAL
);
-- first epochs; accuracy is on the test split, duration in nanoseconds, prm a JSON object
CREATE TABLE IF NOT EXISTS records (
    id       TEXT PRIMARY KEY,
    uid      TEXT NOT NULL,
    task     TEXT NOT NULL,
    dataset  TEXT NOT NULL,
    metric   TEXT NOT NULL,
    nn       TEXT NOT NULL REFERENCES architectures,
    epoch    INTEGER NOT NULL,
    accuracy REAL NOT NULL,
    duration INTEGER NOT NULL,
    prm      TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_by_nn ON records (nn, task);
