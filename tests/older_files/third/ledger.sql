BEGIN TRANSACTION;
CREATE TABLE datasets (
        name TEXT PRIMARY KEY, unit TEXT, limit_epsilon REAL, limit_delta REAL, limit_came_first INTEGER);
INSERT INTO "datasets" VALUES('clinic','{"unit": "record", "neighbours": "add_or_remove_one", "person_column": null, "max_records_per_person": null}',4.0,1.0e-05,1);
INSERT INTO "datasets" VALUES('wards','{"unit": "person", "neighbours": "add_or_remove_one", "person_column": "who", "max_records_per_person": 3}',3.0,1.0e-06,0);
INSERT INTO "datasets" VALUES('empty',NULL,1.0,1.0e-06,1);
CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs (id), sequence INTEGER NOT NULL, key TEXT NOT NULL,
        event TEXT NOT NULL, mu_squared REAL NOT NULL, delta REAL NOT NULL, charged TEXT NOT NULL,
        PRIMARY KEY (run, sequence));
INSERT INTO "events" VALUES('finished',1,'a','{"purpose": "counts", "mechanism": "gaussian", "noise_multiplier": 20.0, "count": 1, "delta": 0.0}',0.0025,0.0,'2026-11-30');
INSERT INTO "events" VALUES('finished',2,'b','{"purpose": "found", "mechanism": "thresholded_gaussian", "noise_multiplier": 30.0, "count": 1, "delta": 1e-08}',1.11111111111111111014e-03,1.0e-08,'2026-11-30');
INSERT INTO "events" VALUES('suspended',1,'steps','{"purpose": "steps", "mechanism": "sampled_gaussian", "noise_multiplier": 20.0, "sample_rate": 0.1, "count": 5, "delta": 1e-09}',1.35903425956180446245e-04,1.0e-09,'2026-11-30');
INSERT INTO "events" VALUES('open',1,'a','{"purpose": "counts", "mechanism": "gaussian", "noise_multiplier": 20.0, "count": 1, "delta": 0.0}',0.0025,0.0,'2026-11-30');
CREATE TABLE file_systems (name TEXT PRIMARY KEY);
INSERT INTO "file_systems" VALUES('elsewhere');
CREATE TABLE history (
    number INTEGER PRIMARY KEY, rows TEXT NOT NULL, salt TEXT NOT NULL, head TEXT NOT NULL);
INSERT INTO "history" VALUES(1,'{"runs": 0, "events": 0}','436554870626f0d1b2ad261392fd7c0c','0f9dc73705ca078af33d120791077863c001ed9b7163a58d1a623818d60d37a0');
INSERT INTO "history" VALUES(2,'{"runs": 0, "events": 0}','9248b7aff6d52b7cf919fb053674ee12','3648085d177560257924a79ab5ed30f0a9f02b2580cc180c3f2b37c93c0378fc');
INSERT INTO "history" VALUES(3,'{"runs": 1, "events": 0}','4a77bd569071dfedea9e8c89af9b09be','5355556ccaab7df8d76340717995db584276ee6226877b0229a0a6947ffa96bb');
INSERT INTO "history" VALUES(4,'{"runs": 1, "events": 1}','515e33f9f352bf5a9cb17260cf2fae99','52f9ab7bf2123c8706b6567c4335e8e32be740613f48336fc7431b0b102413b4');
INSERT INTO "history" VALUES(5,'{"runs": 1, "events": 2}','4785b7cc0aaef7af82824c69ab316568','7b4dbf754a3f862ec212136fe6c5ba5f4ef33156f08af720206e236b55beee83');
INSERT INTO "history" VALUES(6,'{"runs": 1, "events": 2}','107ce750aaebba85b8e8490a14213e42','1c5f8fd884cdecb3de5f09294b607759c8d2eed3183946a088c6d3a8adb22673');
INSERT INTO "history" VALUES(7,'{"runs": 2, "events": 2}','b7a6a1c42df5439ee9fdb9637f7e344e','5bcb884e9847226855c698d11aff431b33bcb553e61dcd1c1adee1162214b63a');
INSERT INTO "history" VALUES(8,'{"runs": 2, "events": 3}','184ce6e111685575b473b09968096f4a','4e40ed8823a861b524072bc64f1e01efb92a59e86340ee56b0bbbbf9e76ef597');
INSERT INTO "history" VALUES(9,'{"runs": 2, "events": 3}','f79f445e008e4ab3168b884d0296c598','6c4696e96357071cf639ed6085e384071cc997497f4d3a73d08b32897b0b9c41');
INSERT INTO "history" VALUES(10,'{"runs": 3, "events": 3}','2a3312732f23c323307eb246294f5566','0c6f6e437bd345de00595e91a1dd505a0f3dd528ea894808b81dfa5190ef04ba');
INSERT INTO "history" VALUES(11,'{"runs": 3, "events": 3}','7a213a938beb859c927bd67f955674c7','397c0fa004b632b8fb2102d28067d9531ae858efcb1c31f108e59196abc65733');
INSERT INTO "history" VALUES(12,'{"runs": 4, "events": 3}','43be3adacd4269f084750379ff482591','1ed03c39e1ed76bfc3aae3358cc0e678a91d7b6bca31e79c47495b60eacd4159');
INSERT INTO "history" VALUES(13,'{"runs": 4, "events": 3}','836650e5ba727e576596219ca3d0f500','545474b591af0b0c2bed9392fac2c925827884234dc6192957d246efd073e420');
INSERT INTO "history" VALUES(14,'{"runs": 4, "events": 3}','007f905587c70fd68ca7b9f537fc7e49','1af125f24c9488732b5e4442efa365b7f2882a91add70251aba5ed496f72c4b9');
INSERT INTO "history" VALUES(15,'{"runs": 4, "events": 3}','044f06299b1c442999d2bcc838cfdac6','2acd952b02a4b21bdfcdedd80d4bf3267eedfe3621e7fffbfdca4762d865a7e5');
INSERT INTO "history" VALUES(16,'{"runs": 4, "events": 3}','a2ed4f5d1c5f7853fd4ba762e2e5bdc2','009b2beaf011980b26f5675b23e3702712641b6b3fa50c0daff6bd7206a845f6');
INSERT INTO "history" VALUES(17,'{"runs": 5, "events": 3}','6036e07dc550eab5632091851a103c53','fb91a9a9cd0fdcd7be6abd6c3e248379329de17d6924894837270db1edf66b5e');
INSERT INTO "history" VALUES(18,'{"runs": 5, "events": 4}','49468d9602245bef4797915bdd86b226','098b7536cff2f8bc16f844be58310b8bf73581a5fed09bbffe9f53dd8175ec10');
INSERT INTO "history" VALUES(19,'{"runs": 5, "events": 4}','10b96e3d868f1f9f8a78b9417988833b','49ce27f868edeb0514e34538c0cdb9107bf9d0776001d9986e74940868a786db');
INSERT INTO "history" VALUES(20,'{"runs": 5, "events": 4}','1418eb4ba631fc835272ba62941af795','0151b9e84fcb362ca01463cf3e5ae43360e94f21eb89efe04f8d7d2948465a1d');
CREATE TABLE runs (
        id TEXT PRIMARY KEY, dataset TEXT NOT NULL REFERENCES datasets (name), description TEXT NOT NULL,
        epsilon REAL NOT NULL, delta REAL NOT NULL, started TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('open', 'suspended', 'finished', 'closed')),
        reserved_mu_squared REAL NOT NULL, reserved_delta REAL NOT NULL, planned_delta REAL);
INSERT INTO "runs" VALUES('finished','clinic','fit finished',0.5,1.0e-06,'2026-11-30T21:14:17+00:00','finished',3.61111111111111094534e-03,1.0e-08,1.0e-07);
INSERT INTO "runs" VALUES('suspended','clinic','fit suspended',0.5,1.0e-06,'2026-11-30T21:14:17+00:00','suspended',1.35903425956180446245e-04,1.0e-09,1.0e-07);
INSERT INTO "runs" VALUES('stopped','clinic','fit stopped',0.5,1.0e-06,'2026-11-30T21:14:17+00:00','open',1.52329207920004310039e-02,1.0e-07,1.0e-07);
INSERT INTO "runs" VALUES('closed','clinic','fit closed',0.5,1.0e-06,'2026-11-30T21:14:17+00:00','closed',0.0,0.0,1.0e-07);
INSERT INTO "runs" VALUES('open','wards','fit open',0.5,1.0e-06,'2026-11-30T21:14:17+00:00','open',1.52329207920004310039e-02,1.0e-07,1.0e-07);
CREATE TABLE steps (
        run TEXT NOT NULL, sequence INTEGER NOT NULL, n_steps INTEGER NOT NULL,
        begun INTEGER NOT NULL, kept INTEGER NOT NULL, PRIMARY KEY (run, sequence),
        FOREIGN KEY (run, sequence) REFERENCES events (run, sequence));
INSERT INTO "steps" VALUES('suspended',1,5,3,2);
CREATE TABLE stops (
        run TEXT NOT NULL REFERENCES runs (id), stopped TEXT NOT NULL, is_over INTEGER NOT NULL);
INSERT INTO "stops" VALUES('stopped','2026-11-30',0);
INSERT INTO "stops" VALUES('closed','2026-11-30',1);
INSERT INTO "stops" VALUES('closed','2026-11-30',0);
COMMIT;
PRAGMA application_id = 1886549619;
PRAGMA user_version = 3;
