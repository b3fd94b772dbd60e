-- A database of schema 1 as it was released. Never changed: newer programs are tested with it.
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE container (
    id TEXT PRIMARY KEY CHECK (length(id) = 64 AND id NOT GLOB '*[^0-9a-f]*'),
    name TEXT NOT NULL UNIQUE,
    created_ns INTEGER NOT NULL,
    auto_remove INTEGER NOT NULL,
    config TEXT NOT NULL
) STRICT;
CREATE TABLE record (
    id TEXT PRIMARY KEY REFERENCES container (id),
    status TEXT NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    facts TEXT NOT NULL,
    intent TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE dependency (
    id TEXT NOT NULL REFERENCES container (id),
    needs TEXT NOT NULL REFERENCES container (id),
    PRIMARY KEY (id, needs)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependency_needs ON dependency (needs);
CREATE TABLE run (
    id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    removed_ns INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (id, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_removed ON run (removed_ns) WHERE removed_ns IS NOT NULL;
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    last INTEGER NOT NULL
) STRICT;
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    image TEXT NOT NULL,
    generation INTEGER NOT NULL,
    actor TEXT NOT NULL,
    attributes TEXT NOT NULL
) STRICT;
INSERT INTO container VALUES (
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'web', 1700000000000000000, 0,
    '{"version":1,"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","created_ns":1700000000000000000,"create_command":["ctr","create"],"rootfs":{"path":"/srv/root","mode":"overlay"},"process":{"entrypoint":[],"command":["sleep","9"],"env":[["PATH","/bin"]],"cwd":"/","user":"","terminal":"no","stdin":"null"},"volumes":[{"source":"/data","destination":"/d","access":"read_only"}],"hostname":null,"network":"none","labels":{"k":"v"},"annotations":{},"stop_signal":15,"stop_timeout_s":10,"auto_remove":"no","runtime":{"name":"crun","path":null},"cgroup_path":"/ctr/a","pid_file":null,"cid_file":null,"log":{"driver":"k8s-file","path":"/var/lib/ctr/log"}}'
);
INSERT INTO record VALUES (
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'exited', 1, 1,
    '{"generation_ns":5,"started_ns":6,"finished_ns":7,"exit":{"cause":{"kind":"signaled","signal":9},"oom":"no","finished_ns":7,"reason":null},"stop_requested":"user","restart_count":0}',
    '{"kind":"remove","owner":{"pid":4,"start_time":5},"boot_id":"b","since_ns":6,"generation":1}'
);
INSERT INTO run VALUES (
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1, NULL,
    '{"container_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","container_name":"web","generation":1,"started_by":{"uid":0,"login_uid":1000,"pid":4,"program":"ctr"},"created_ns":5,"started_ns":6,"ended":{"cause":{"kind":"signaled","signal":9},"oom":"no","finished_ns":7,"reason":null},"ended_by":null}'
);
INSERT INTO meta VALUES ('schema 1 since ns', '1700000000000000000');
INSERT INTO journal VALUES (1, 1, 1);
INSERT INTO event VALUES (
    1, 1700000000000000000, 'create', 'container', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'web', '/srv/root', 0, '{"uid":0,"login_uid":1000,"pid":4,"program":"ctr"}', '{}'
);
PRAGMA application_id = 1668575859;
PRAGMA user_version = 1;
COMMIT;
