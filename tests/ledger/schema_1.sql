-- A ledger as schema 1 wrote it: a finished run and a killed one, uploads in five states. Frozen; never edit.
BEGIN TRANSACTION;
CREATE TABLE answers (
	answer_id INTEGER NOT NULL, 
	file_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	mtime_ns INTEGER NOT NULL, 
	manner TEXT NOT NULL, 
	asked JSON NOT NULL, 
	status TEXT NOT NULL, 
	title TEXT NOT NULL, 
	artist TEXT NOT NULL, 
	album TEXT NOT NULL, 
	year INTEGER, 
	track_id TEXT NOT NULL, 
	confidence FLOAT, 
	tag_title TEXT NOT NULL, 
	tag_artist TEXT NOT NULL, 
	tag_album TEXT NOT NULL, 
	duration_s FLOAT, 
	matched_s FLOAT, 
	segments_agreeing INTEGER NOT NULL, 
	recognizer TEXT NOT NULL, 
	raw_score FLOAT, 
	tracks INTEGER NOT NULL, 
	unnamed INTEGER NOT NULL, 
	unanswered INTEGER NOT NULL, 
	error TEXT NOT NULL, 
	answered_at TEXT NOT NULL, 
	content_id TEXT NOT NULL, 
	PRIMARY KEY (answer_id), 
	FOREIGN KEY(file_id) REFERENCES files (file_id), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "answers" VALUES(1,1,1,10,123,'probe segment=15 probes=3 mix=720/60','{"audiotag": ""}','found','Greensleeves','Trad.','Airs',1580,'t1',0.97,'greensleevs','?','',180.0,15.0,1,'audiotag',12.0,1,0,0,'','2026-11-21T14:01:29Z','cccccccccccccccccccccccccccccccc');
INSERT INTO "answers" VALUES(2,2,1,10,123,'probe segment=15 probes=3 mix=720/60','{}','failed','','','',NULL,'',NULL,'','','',NULL,NULL,0,'',NULL,0,0,0,'1 of 1 segments got no answer: perhaps charged, and no answer','2026-11-21T14:01:29Z','');
CREATE TABLE files (
	file_id INTEGER NOT NULL, 
	path BLOB NOT NULL, 
	PRIMARY KEY (file_id), 
	UNIQUE (path)
);
INSERT INTO "files" VALUES(1,X'2F6D757369632F612E6D7033');
INSERT INTO "files" VALUES(2,X'2F6D757369632FFF2E6F6767');
INSERT INTO "files" VALUES(3,X'2F6D757369632F6D69782E666C6163');
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('schema_version','1');
CREATE TABLE plays (
	answer_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	start_s FLOAT NOT NULL, 
	end_s FLOAT NOT NULL, 
	title TEXT NOT NULL, 
	artist TEXT NOT NULL, 
	album TEXT NOT NULL, 
	year INTEGER, 
	confidence FLOAT NOT NULL, 
	recognizer TEXT NOT NULL, 
	track_id TEXT NOT NULL, 
	raw_score FLOAT, 
	PRIMARY KEY (answer_id, ordinal), 
	FOREIGN KEY(answer_id) REFERENCES answers (answer_id)
);
INSERT INTO "plays" VALUES(1,0,82.5,97.5,'Greensleeves','Trad.','Airs',1580,0.97,'audiotag','t1',12.0);
CREATE TABLE run_files (
	run_id INTEGER NOT NULL, 
	shown_path BLOB NOT NULL, 
	file_id INTEGER NOT NULL, 
	answer_id INTEGER NOT NULL, 
	PRIMARY KEY (run_id, shown_path, file_id), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id), 
	FOREIGN KEY(file_id) REFERENCES files (file_id), 
	FOREIGN KEY(answer_id) REFERENCES answers (answer_id)
)
 WITHOUT ROWID

;
INSERT INTO "run_files" VALUES(1,X'612E6D7033',1,1);
INSERT INTO "run_files" VALUES(1,X'FF2E6F6767',2,2);
INSERT INTO "run_files" VALUES(2,X'612E6D7033',1,1);
CREATE TABLE runs (
	run_id INTEGER NOT NULL, 
	started_at TEXT NOT NULL, 
	finished_at TEXT, 
	manner TEXT NOT NULL, 
	ended TEXT NOT NULL, 
	PRIMARY KEY (run_id)
);
INSERT INTO "runs" VALUES(1,'2026-11-21T14:01:29Z','2026-11-21T14:01:29Z','probe segment=15 probes=3 mix=720/60','done');
INSERT INTO "runs" VALUES(2,'2026-11-21T14:01:29Z',NULL,'probe segment=15 probes=3 mix=720/60','');
CREATE TABLE segments (
	answer_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	start_s FLOAT NOT NULL, 
	length_s FLOAT NOT NULL, 
	sha256 TEXT NOT NULL, 
	recognizer TEXT NOT NULL, 
	status TEXT NOT NULL, 
	matches JSON NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (answer_id, ordinal), 
	FOREIGN KEY(answer_id) REFERENCES answers (answer_id)
);
INSERT INTO "segments" VALUES(1,0,82.5,15.0,'fed6318a578313991b17336ebc6aad99b03482f94588ffa33328301b1e7426e2','audiotag','found','[{"track": {"title": "Greensleeves", "artist": "Trad.", "album": "Airs", "year": 1580, "track_id": "t1"}, "confidence": 0.97, "raw_score": 12.0, "start_s": 0.0, "end_s": 15.0, "track_start_s": 30.5, "also": [{"title": "Greensleeves (copy)", "artist": "", "album": "", "year": null, "track_id": ""}], "raw": {"row": 1}}]','');
CREATE TABLE uploads (
	upload_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	file_id INTEGER NOT NULL, 
	recognizer TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	length_s FLOAT NOT NULL, 
	state TEXT NOT NULL, 
	token TEXT NOT NULL, 
	charged_s FLOAT NOT NULL, 
	intended_at TEXT NOT NULL, 
	sent_at TEXT, 
	settled_at TEXT, 
	status TEXT NOT NULL, 
	matches JSON, 
	raw JSON, 
	error TEXT NOT NULL, 
	PRIMARY KEY (upload_id), 
	FOREIGN KEY(run_id) REFERENCES runs (run_id), 
	FOREIGN KEY(file_id) REFERENCES files (file_id)
);
INSERT INTO "uploads" VALUES(1,1,1,'audiotag','fed6318a578313991b17336ebc6aad99b03482f94588ffa33328301b1e7426e2',15.0,'answered','tok1',15.0,'2026-11-21T14:01:29Z','2026-11-21T14:01:29Z','2026-11-21T14:01:29Z','found','[{"track": {"title": "Greensleeves", "artist": "Trad.", "album": "Airs", "year": 1580, "track_id": "t1"}, "confidence": 0.97, "raw_score": 12.0, "start_s": 0.0, "end_s": 15.0, "track_start_s": 30.5, "also": [{"title": "Greensleeves (copy)", "artist": "", "album": "", "year": null, "track_id": ""}], "raw": {"row": 1}}]','{"success": true}','');
INSERT INTO "uploads" VALUES(2,1,1,'audiotag','a8dfc6de7d415a9e03bc1d63f1df0a5292ba4c6b43dbd0168c0431552bf93ce6',15.0,'sent','tok2',15.0,'2026-11-21T14:01:29Z','2026-11-21T14:01:29Z',NULL,'',NULL,NULL,'');
INSERT INTO "uploads" VALUES(3,1,2,'audiotag','7e1f3b9c8566f82b1f6d7d07e8c0fe5ae17a5e138390e65ae51fb91f4f02673f',15.0,'in_doubt','',0.0,'2026-11-21T14:01:29Z',NULL,'2026-11-21T14:01:29Z','',NULL,'null','the connection broke');
INSERT INTO "uploads" VALUES(4,1,2,'audiotag','ed5ba2e24dbdd033487e16ff0dba305dc87a61a624c24c946ea9b2371439b278',15.0,'not_sent','',0.0,'2026-11-21T14:01:29Z',NULL,'2026-11-21T14:01:29Z','',NULL,NULL,'refused');
INSERT INTO "uploads" VALUES(5,2,3,'audiotag','95c5906c4b5bb028f5ff8d0e293990eacdf6c109484e31060f2192e80c6afee4',15.0,'intended','',0.0,'2026-11-21T14:01:29Z',NULL,NULL,'',NULL,NULL,'');
CREATE INDEX ix_answers_file_id ON answers (file_id);
CREATE INDEX uploads_by_audio ON uploads (recognizer, sha256);
CREATE INDEX ix_uploads_state ON uploads (state);
CREATE INDEX ix_uploads_file_id ON uploads (file_id);
COMMIT;
