"""How the database came to be: small steps, applied once each and in order; a step that was released never changes."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("studio")


@MIGRATIONS()
def jobs(database: Database) -> None:
    """The queue and its history."""
    database.conn.execute("""
        CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
            priority INTEGER NOT NULL,
            order_number INTEGER NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            fence INTEGER NOT NULL DEFAULT 0,
            lease_until REAL,
            request TEXT NOT NULL,
            idempotency_key TEXT,
            submitted TEXT NOT NULL,
            clip_id TEXT,
            error_message TEXT,
            error_field TEXT,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            orphaned INTEGER NOT NULL DEFAULT 0,
            created_at TEXT NOT NULL,
            started_at TEXT,
            finished_at TEXT
        )""")
    database.conn.execute("CREATE INDEX jobs_queue ON jobs (priority DESC, order_number) WHERE state = 'queued'")
    database.conn.execute("CREATE INDEX jobs_order ON jobs (order_number)")
    database.conn.execute("CREATE INDEX jobs_running ON jobs (started_at) WHERE state = 'running'")
    database.conn.execute("CREATE INDEX jobs_history ON jobs (owner, state, finished_at DESC)")
    database.conn.execute(
        "CREATE UNIQUE INDEX jobs_idempotency ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL"
    )


@MIGRATIONS()
def clips(database: Database) -> None:
    """The library; ``number`` is the row id that the text index refers to, stable over a VACUUM."""
    database.conn.execute("""
        CREATE TABLE clips (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            owner TEXT NOT NULL,
            job_id TEXT UNIQUE,
            path TEXT NOT NULL,
            thumbnail TEXT NOT NULL,
            name TEXT NOT NULL,
            prompt TEXT NOT NULL,
            tags TEXT NOT NULL DEFAULT '[]',
            favourite INTEGER NOT NULL DEFAULT 0,
            model TEXT NOT NULL,
            modality TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            deleted_at TEXT,
            scope TEXT NOT NULL
        )""")
    # Apart from the rest, so that counting and searching walk over short rows.
    database.conn.execute("""
        CREATE TABLE clip_bodies (
            number INTEGER PRIMARY KEY REFERENCES clips (number) ON DELETE CASCADE,
            clip TEXT NOT NULL
        )""")
    for name, columns in {"all": "", "favourite": "favourite, ", "model": "model, ", "modality": "modality, "}.items():
        database.conn.execute(
            f"CREATE INDEX clips_live_{name} ON clips (owner, {columns}created_at, id) WHERE deleted_at IS NULL"
        )
    database.conn.execute("CREATE INDEX clips_trash ON clips (owner, created_at, id) WHERE deleted_at IS NOT NULL")
    database.conn.execute("""
        CREATE TABLE clip_tags (
            owner TEXT NOT NULL,
            tag TEXT NOT NULL,
            number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
            PRIMARY KEY (owner, tag, number)
        ) WITHOUT ROWID""")
    database.conn.execute("CREATE INDEX clip_tags_clip ON clip_tags (number)")


@MIGRATIONS()
def clip_text(database: Database) -> None:
    """Full-text search over prompt, name and tags; symbols such as emoji are words too.

    ``scope`` says whose library or trash a clip is in, so that hits are counted without looking at a single clip.
    """
    database.conn.execute("""
        CREATE VIRTUAL TABLE clip_text USING fts5 (
            scope, prompt, name, tags, content='clips', content_rowid='number', prefix='2 3',
            tokenize="unicode61 remove_diacritics 2 categories 'L* N* Co So'"
        )""")
    columns = "rowid, scope, prompt, name, tags"
    add = f"INSERT INTO clip_text ({columns}) VALUES (new.number, new.scope, new.prompt, new.name, new.tags);"
    old = "old.number, old.scope, old.prompt, old.name, old.tags"
    remove = f"INSERT INTO clip_text (clip_text, {columns}) VALUES ('delete', {old});"
    database.conn.execute(f"CREATE TRIGGER clips_added AFTER INSERT ON clips BEGIN {add} END")
    database.conn.execute(f"CREATE TRIGGER clips_removed AFTER DELETE ON clips BEGIN {remove} END")
    database.conn.execute(
        f"CREATE TRIGGER clips_changed AFTER UPDATE OF scope, prompt, name, tags ON clips BEGIN {remove} {add} END"
    )


@MIGRATIONS()
def media(database: Database) -> None:
    """Who may use which stored image; the files are shared by content."""
    database.conn.execute("""
        CREATE TABLE media (
            owner TEXT NOT NULL,
            reference TEXT NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            size_bytes INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (owner, reference)
        ) WITHOUT ROWID""")


@MIGRATIONS()
def switches(database: Database) -> None:
    """What stays switched over a restart, such as the paused queue."""
    database.conn.execute("CREATE TABLE switches (name TEXT PRIMARY KEY, is_on INTEGER NOT NULL) WITHOUT ROWID")


@MIGRATIONS()
def clip_sources(database: Database) -> None:
    """Which clip a clip was edited from, so that the takes of a shot are found from any of them."""
    database.conn.execute("ALTER TABLE clips ADD COLUMN source TEXT")
    database.conn.execute("CREATE INDEX clips_source ON clips (owner, source) WHERE source IS NOT NULL")


@MIGRATIONS()
def clip_measurements(database: Database) -> None:
    """Every measured number of a clip in a row of its own, so that a library can be put into its order."""
    database.conn.execute("""
        CREATE TABLE clip_measurements (
            name TEXT NOT NULL,
            number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
            value REAL NOT NULL,
            PRIMARY KEY (name, number)
        ) WITHOUT ROWID""")
    database.conn.execute("CREATE INDEX clip_measurements_clip ON clip_measurements (number)")
    database.conn.execute("""
        INSERT INTO clip_measurements (name, number, value)
        SELECT each.key, number, each.value FROM clip_bodies, json_each(clip, '$.measurements') AS each
        WHERE each.type IN ('real', 'integer')""")


@MIGRATIONS()
def loras(database: Database) -> None:
    """Which owner has which LoRA, the files themselves lying under their hash; and saved stacks of them."""
    database.conn.execute("""
        CREATE TABLE loras (
            owner TEXT NOT NULL,
            reference TEXT NOT NULL,
            name TEXT NOT NULL,
            models TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            about TEXT NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (owner, reference)
        ) WITHOUT ROWID""")
    database.conn.execute("CREATE INDEX loras_reference ON loras (reference)")
    database.conn.execute("""
        CREATE TABLE lora_presets (
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            uses TEXT NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (owner, name)
        ) WITHOUT ROWID""")


@MIGRATIONS()
def job_groups(database: Database) -> None:
    """Which jobs were handed in together, as the cells of a grid."""
    database.conn.execute("ALTER TABLE jobs ADD COLUMN group_id TEXT")
    database.conn.execute("CREATE INDEX jobs_group ON jobs (owner, group_id) WHERE group_id IS NOT NULL")


@MIGRATIONS()
def projects(database: Database) -> None:
    """Timelines of shots, and the history that undo and redo walk along, each change beside what takes it back."""
    database.conn.execute("""
        CREATE TABLE projects (
            id TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            timeline TEXT NOT NULL,
            revision INTEGER NOT NULL,
            position INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            deleted_at TEXT
        ) WITHOUT ROWID""")
    database.conn.execute("CREATE INDEX projects_owner ON projects (owner, updated_at)")
    database.conn.execute("""
        CREATE TABLE project_changes (
            project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            change TEXT NOT NULL,
            inverse TEXT NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (project_id, number)
        ) WITHOUT ROWID""")


@MIGRATIONS()
def memory_runs(database: Database) -> None:
    """What finished jobs took of the memory, in bytes, by model and kind of device."""
    database.conn.execute("""
        CREATE TABLE memory_runs (
            number INTEGER PRIMARY KEY,
            device TEXT NOT NULL,
            model TEXT NOT NULL,
            work TEXT NOT NULL,
            rest_bytes INTEGER NOT NULL,
            settled_bytes INTEGER NOT NULL,
            free_bytes INTEGER NOT NULL,
            peaks TEXT NOT NULL,
            ran_short INTEGER NOT NULL,
            created_at TEXT NOT NULL
        )""")
    database.conn.execute("CREATE INDEX memory_runs_model ON memory_runs (device, model, number)")


@MIGRATIONS()
def notes(database: Database) -> None:
    """Small values by name, as JSON: the default model, what the last look through a model's files found."""
    database.conn.execute("CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
