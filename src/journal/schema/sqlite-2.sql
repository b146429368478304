-- Version 2: what became of dead letters that were replayed. A letter itself stays as it came: its row is in the audit.
CREATE TABLE replays (
    letter   INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL
) STRICT;
