CREATE TABLE IF NOT EXISTS runs (
    run_id   TEXT PRIMARY KEY,
    spec     TEXT NOT NULL,
    created  REAL NOT NULL,
    finished REAL,
    reason   TEXT
);
CREATE TABLE IF NOT EXISTS cycles (
    run_id  TEXT NOT NULL REFERENCES runs,
    cycle   INTEGER NOT NULL,
    adapter TEXT,
    opened  REAL NOT NULL,
    closed  REAL,
    settled INTEGER NOT NULL DEFAULT 0,
    steered TEXT,
    PRIMARY KEY (run_id, cycle)
);
-- What people did to runs, in the order of recording.
CREATE TABLE IF NOT EXISTS acts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL REFERENCES runs,
    act_id TEXT NOT NULL,
    act    TEXT NOT NULL,
    UNIQUE (run_id, act_id)
);
-- How many were asked for, in the order of their indices; the scope is a cycle or a trial.
CREATE TABLE IF NOT EXISTS asked (
    run_uid TEXT NOT NULL,
    scope   TEXT NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (run_uid, scope)
);
CREATE TABLE IF NOT EXISTS lease (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    holder TEXT NOT NULL,
    beat   INTEGER NOT NULL
);
-- cycle and idx are null for submissions of other systems, which stand outside every run.
CREATE TABLE IF NOT EXISTS candidates (
    candidate_id TEXT PRIMARY KEY,
    run_id       TEXT NOT NULL,
    cycle        INTEGER,
    idx          INTEGER,
    submission   TEXT,
    code_sha256  TEXT,
    code         TEXT,
    prompt       TEXT,
    adapter      TEXT,
    parent       TEXT,
    problem      TEXT NOT NULL DEFAULT '',
    submitter    TEXT NOT NULL DEFAULT '',
    usage        TEXT,
    generated    REAL,
    settled      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run_id, cycle, idx),
    UNIQUE (run_id, submission),
    FOREIGN KEY (run_id, cycle) REFERENCES cycles
);
CREATE TABLE IF NOT EXISTS evaluations (
    candidate_id    TEXT PRIMARY KEY REFERENCES candidates,
    outcome         TEXT NOT NULL,
    accuracy        REAL,
    code_sha256     TEXT NOT NULL,
    protocol_sha256 TEXT NOT NULL,
    evaluation      TEXT NOT NULL,
    evaluated       REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS evaluations_by_code ON evaluations (code_sha256, protocol_sha256, evaluated);
CREATE TABLE IF NOT EXISTS verdicts (
    candidate_id TEXT PRIMARY KEY REFERENCES candidates,
    verdict      TEXT NOT NULL,
    family       TEXT NOT NULL,
    similarity   REAL NOT NULL,
    judgement    TEXT NOT NULL,
    judged       REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS lost (
    candidate_id TEXT PRIMARY KEY REFERENCES candidates,
    lost         TEXT NOT NULL,
    given_up     REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS architectures (
    candidate_id TEXT PRIMARY KEY REFERENCES candidates,
    admitted     REAL NOT NULL
);
-- The cycle is -1 for the adapter that was tuned on the bootstrap pairs.
CREATE TABLE IF NOT EXISTS adapters (
    run_id  TEXT NOT NULL REFERENCES runs,
    cycle   INTEGER NOT NULL,
    trained REAL NOT NULL,
    data    TEXT NOT NULL,
    PRIMARY KEY (run_id, cycle)
);
CREATE TABLE IF NOT EXISTS events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT NOT NULL UNIQUE,
    type   TEXT NOT NULL,
    run_id TEXT NOT NULL,
    time   REAL NOT NULL,
    data   TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_run ON events (run_id, seq);
CREATE VIEW IF NOT EXISTS run_rows AS
    SELECT r.*, (SELECT json_group_array(json(act)) FROM
                 (SELECT act FROM acts WHERE acts.run_id = r.run_id ORDER BY number)) AS acts FROM runs r;
-- What candidates are looked for by, a row for each; its number is that of their words.
CREATE TABLE IF NOT EXISTS found (
    number       INTEGER PRIMARY KEY,
    candidate_id TEXT NOT NULL UNIQUE,
    run_id       TEXT NOT NULL,
    cycle        INTEGER,
    idx          INTEGER,
    parent       TEXT,
    outcome      TEXT,
    accuracy     REAL,
    verdict      TEXT,
    family       TEXT,
    similarity   REAL
);
CREATE INDEX IF NOT EXISTS found_by_place ON found (run_id, cycle, idx);
CREATE INDEX IF NOT EXISTS found_by_parent ON found (parent) WHERE parent IS NOT NULL;
CREATE VIRTUAL TABLE IF NOT EXISTS code_words
    USING fts5 (words, content = '', detail = none, tokenize = "unicode61 remove_diacritics 0 tokenchars '_'");
CREATE VIRTUAL TABLE IF NOT EXISTS error_words
    USING fts5 (words, content = '', detail = none, tokenize = "unicode61 remove_diacritics 0 tokenchars '_'");
CREATE TRIGGER IF NOT EXISTS found_candidate AFTER INSERT ON candidates BEGIN
    INSERT INTO found (candidate_id, run_id, cycle, idx, parent)
    VALUES (new.candidate_id, new.run_id, new.cycle, new.idx, new.parent);
END;
CREATE TRIGGER IF NOT EXISTS found_parent AFTER UPDATE OF parent ON candidates WHEN new.parent IS NOT NULL BEGIN
    UPDATE found SET parent = new.parent WHERE candidate_id = new.candidate_id;
END;
CREATE TRIGGER IF NOT EXISTS found_code AFTER UPDATE OF code ON candidates WHEN old.code IS NULL BEGIN
    INSERT INTO code_words (rowid, words)
    SELECT number, new.code ->> 'text' FROM found WHERE candidate_id = new.candidate_id;
END;
CREATE TRIGGER IF NOT EXISTS found_evaluation AFTER INSERT ON evaluations BEGIN
    UPDATE found SET outcome = new.outcome, accuracy = new.accuracy WHERE candidate_id = new.candidate_id;
    INSERT INTO error_words (rowid, words)
    SELECT number, new.evaluation ->> 'detail' FROM found
    WHERE candidate_id = new.candidate_id AND new.evaluation ->> 'detail' <> '';
END;
CREATE TRIGGER IF NOT EXISTS found_verdict AFTER INSERT ON verdicts BEGIN
    UPDATE found SET verdict = new.verdict, family = new.family, similarity = new.similarity
    WHERE candidate_id = new.candidate_id;
END;
CREATE INDEX IF NOT EXISTS events_by_type ON events (run_id, type, seq);
CREATE VIEW IF NOT EXISTS candidate_rows AS
    SELECT c.*, e.outcome, e.accuracy, e.evaluation, e.evaluated, v.verdict, v.family, v.similarity, v.judgement,
           v.judged, l.lost, a.admitted
    FROM candidates c
    LEFT JOIN evaluations e USING (candidate_id)
    LEFT JOIN verdicts v USING (candidate_id)
    LEFT JOIN lost l USING (candidate_id)
    LEFT JOIN architectures a USING (candidate_id);
