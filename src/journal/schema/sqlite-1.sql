-- Version 1 of the store. Moments are nanoseconds since 1970 in UTC; bodies of rows are the shapes of record.rs.
-- Nothing here has more indexes than its readers need: deliveries are inserted at full speed, in order of their id.

-- The store itself. epoch counts the processes that opened it: it is their fence. cursor: every delivery up to it
-- is decided.
CREATE TABLE store (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    id      TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    cursor  INTEGER NOT NULL
) STRICT;

-- Everything that was answered with a 2xx.
CREATE TABLE deliveries (
    id          INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    key         BLOB    NOT NULL,
    dead        TEXT,
    body        BLOB    NOT NULL
) STRICT;
CREATE INDEX dead_letters ON deliveries (id) WHERE dead IS NOT NULL;

-- What became of each.
CREATE TABLE dispositions (
    delivery INTEGER PRIMARY KEY,
    height   INTEGER NOT NULL,
    body     TEXT    NOT NULL
) STRICT;

-- What happened. Appended, never changed. No service: it happened to the standing.
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    service TEXT,
    case_id TEXT,
    body    TEXT NOT NULL,
    kind    TEXT GENERATED ALWAYS AS (coalesce(body ->> '$.is.event.kind', body ->> '$.is.kind')) VIRTUAL
) STRICT;
CREATE INDEX events_of_case ON events (case_id, seq) WHERE case_id IS NOT NULL;

-- The memory: one row for each service, written whole under (fence, seq).
CREATE TABLE dossiers (
    service TEXT    PRIMARY KEY,
    fence   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    height  INTEGER NOT NULL,
    body    TEXT    NOT NULL
) STRICT;

-- Every case in its last shape, for readers.
CREATE TABLE cases (
    number    INTEGER PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    service   TEXT    NOT NULL,
    phase     TEXT    NOT NULL,
    outcome   TEXT,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    height    INTEGER NOT NULL,
    body      TEXT    NOT NULL
) STRICT;
CREATE INDEX cases_of_service ON cases (service, number);
CREATE INDEX open_cases ON cases (number) WHERE closed_at IS NULL;

-- What is global.
CREATE TABLE standing (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    height INTEGER NOT NULL,
    body   TEXT    NOT NULL
) STRICT;

-- Every attempt that passed the gate. The indexes are the promise: one attempt once, and for each service and
-- suspect one automatic act for ever.
CREATE TABLE acts (
    id        INTEGER PRIMARY KEY,
    height    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    service   TEXT    NOT NULL,
    suspect   TEXT,
    case_id   TEXT    NOT NULL,
    step      INTEGER NOT NULL,
    attempt   INTEGER NOT NULL,
    class     TEXT    NOT NULL,
    automatic INTEGER NOT NULL,
    mark      TEXT    NOT NULL,
    UNIQUE (case_id, step, attempt)
) STRICT;
CREATE UNIQUE INDEX one_automatic_act ON acts (service, suspect)
    WHERE automatic = 1 AND step = 0 AND attempt = 1;

-- Rule tables by digest: decisions name them.
CREATE TABLE rules (
    digest TEXT    PRIMARY KEY,
    at     INTEGER NOT NULL,
    text   TEXT    NOT NULL
) STRICT;

-- One entry for each commit: what it holds, by digests, chained.
CREATE TABLE audit (
    height   INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    contents TEXT    NOT NULL,
    prev     TEXT    NOT NULL,
    hash     TEXT    NOT NULL
) STRICT;
