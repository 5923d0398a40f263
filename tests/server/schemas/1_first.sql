BEGIN TRANSACTION;
CREATE TABLE jobs (
	job_id INTEGER NOT NULL, 
	token TEXT NOT NULL, 
	key_id INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	start_s INTEGER NOT NULL, 
	length_s INTEGER NOT NULL, 
	charged_free_s INTEGER NOT NULL, 
	charged_credits INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	reply TEXT NOT NULL, 
	PRIMARY KEY (job_id), 
	UNIQUE (token), 
	FOREIGN KEY(key_id) REFERENCES keys (key_id)
);
INSERT INTO "jobs" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,1700000100.0,0,15,15,0,'answered','{"success":true,"error":null,"result":"found","data":[{"tracks":[["Greensleeves","Anon","Songs",1580]],"confidence":100,"time":"2 - 15","aid":7}]}');
INSERT INTO "jobs" VALUES(2,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1,1700000100.0,0,15,0,0,'failed','');
INSERT INTO "jobs" VALUES(3,'cccccccccccccccccccccccccccccccc',1,1700000100.0,0,15,5,10,'waiting','');
CREATE TABLE keys (
	key_id INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	hint TEXT NOT NULL, 
	label TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT, 
	active INTEGER NOT NULL, 
	only_here INTEGER NOT NULL, 
	credits INTEGER NOT NULL, 
	free_s INTEGER NOT NULL, 
	credits_spent INTEGER NOT NULL, 
	queries INTEGER NOT NULL, 
	uploaded_s INTEGER NOT NULL, 
	uploaded_bytes INTEGER NOT NULL, 
	PRIMARY KEY (key_id), 
	UNIQUE (hash)
);
INSERT INTO "keys" VALUES(1,X'915867DF92EAC991A120621E3EA5BCF55A0AFFC7AA827017CBA639B99ED8F68A','ujzd','radio',1700000000.0,NULL,1,0,90,0,10,0,45,720132);
INSERT INTO "keys" VALUES(2,X'B8EEE9D8E559B0B0388C0753CAC8F3FC775E246812D875A73C7B8429DCDFDFA5','j8ht','',1700000000.0,1800000000.0,0,1,1000000000,0,0,0,0,0);
CREATE INDEX jobs_by_state ON jobs (state);
COMMIT;
PRAGMA user_version = 1;
