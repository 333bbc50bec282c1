CREATE TABLE jobs (number INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, id VARCHAR(63) NOT NULL UNIQUE,
    kind VARCHAR(16) NOT NULL, state VARCHAR(16) NOT NULL, avatar_id VARCHAR(63) NOT NULL,
    params JSON NOT NULL, frames_done INTEGER NOT NULL, frames_total INTEGER NOT NULL,
    fps FLOAT NOT NULL,
    attempts INTEGER NOT NULL, error JSON, cancel_requested_at DATETIME,
    created_at DATETIME NOT NULL, started_at DATETIME, finished_at DATETIME, revision INTEGER NOT NULL);
CREATE TABLE schema_version (version INTEGER PRIMARY KEY);
INSERT INTO schema_version VALUES (1);
INSERT INTO jobs VALUES (7, 'old', 'render', 'running', 'anna', '{}', 3, 9, 1.0, 1, NULL, NULL,
    '2026-01-02 03:04:05.000000', '2026-01-02 03:04:06.000000', NULL, 4);
