BEGIN TRANSACTION;
CREATE TABLE jobs (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	id VARCHAR(63) NOT NULL,
	kind VARCHAR(16) NOT NULL,
	state VARCHAR(16) NOT NULL,
	avatar_id VARCHAR(63) NOT NULL,
	params JSON NOT NULL,
	frames_done INTEGER NOT NULL,
	frames_total INTEGER NOT NULL,
	fps FLOAT NOT NULL,
	attempts INTEGER NOT NULL,
	deaths INTEGER DEFAULT '0' NOT NULL,
	owner VARCHAR(64),
	waited_for BOOLEAN DEFAULT 0 NOT NULL,
	error JSON,
	warnings JSON DEFAULT '[]' NOT NULL,
	cancel_requested_at DATETIME,
	created_at DATETIME NOT NULL,
	started_at DATETIME,
	finished_at DATETIME,
	revision INTEGER NOT NULL,
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'avatar-made','avatar','succeeded','anna','{"face": "left", "filename": "anna.mp4"}',200,200,80.0,1,0,NULL,0,NULL,'[{"code": "unknown-fields", "detail": "There is no parameter ''colour''; it was ignored.", "seconds": null}]',NULL,'2026-11-29 08:22:54.303788','2026-11-29 08:22:54.308156','2026-11-29 08:22:54.310666',2);
INSERT INTO "jobs" VALUES(2,'render-failed','render','failed','anna','{"fps": 25.0, "quality": "high"}',0,0,0.0,1,0,NULL,0,'{"type": "urn:mouthpiece:problem:internal-error", "title": "Internal error", "status": 500, "detail": "It broke."}','[]',NULL,'2026-11-29 08:22:54.311844','2026-11-29 08:22:54.312895','2026-11-29 08:22:54.313810',2);
INSERT INTO "jobs" VALUES(3,'render-running','render','running','anna','{"fps": 25.0, "loop": "pingpong"}',75,250,40.0,2,1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,NULL,'[]',NULL,'2026-11-29 08:22:54.314823','2026-11-29 08:22:54.316153',NULL,2);
INSERT INTO "jobs" VALUES(4,'render-waiting','render','queued','anna','{"fps": 25.0}',0,0,0.0,0,0,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1,NULL,'[]',NULL,'2026-11-29 08:22:54.318475',NULL,NULL,0);
CREATE TABLE schema_version (
	version INTEGER NOT NULL,
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(2);
CREATE INDEX jobs_by_avatar ON jobs (avatar_id, number);
CREATE UNIQUE INDEX one_job_makes_an_avatar ON jobs (avatar_id) WHERE kind = 'avatar' AND state IN ('queued', 'running');
CREATE INDEX jobs_by_state ON jobs (state, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',4);
COMMIT;
