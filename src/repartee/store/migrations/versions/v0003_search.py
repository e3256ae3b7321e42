"""Search over what was said, and lists that stay quick with many calls.

SQLite has its words in a table of its own (FTS5), which triggers keep up with `turns`; PostgreSQL has an index.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

# Rows of `turns` have no number that stays, VACUUM may give them new ones: `turn_words_of` numbers them.
_SQLITE = (
    """
    CREATE TABLE turn_words_of (
        number INTEGER PRIMARY KEY, call_id TEXT NOT NULL, turn_id INTEGER NOT NULL, UNIQUE (call_id, turn_id)
    )
    """,
    "CREATE VIRTUAL TABLE turn_words USING fts5(said, tokenize = 'unicode61')",
    "INSERT INTO turn_words_of (call_id, turn_id) SELECT call_id, turn_id FROM turns",
    """
    INSERT INTO turn_words (rowid, said)
    SELECT number, user_text || ' ' || heard_text || ' ' || unheard_text
    FROM turns JOIN turn_words_of USING (call_id, turn_id)
    """,
    """
    CREATE TRIGGER turns_said_new AFTER INSERT ON turns BEGIN
        INSERT INTO turn_words_of (call_id, turn_id) VALUES (new.call_id, new.turn_id);
        INSERT INTO turn_words (rowid, said)
        SELECT number, new.user_text || ' ' || new.heard_text || ' ' || new.unheard_text
        FROM turn_words_of WHERE call_id = new.call_id AND turn_id = new.turn_id;
    END
    """,
    """
    CREATE TRIGGER turns_said_changed AFTER UPDATE ON turns WHEN
        old.user_text || ' ' || old.heard_text || ' ' || old.unheard_text
        <> new.user_text || ' ' || new.heard_text || ' ' || new.unheard_text
    BEGIN
        DELETE FROM turn_words WHERE rowid IN (
            SELECT number FROM turn_words_of WHERE call_id = old.call_id AND turn_id = old.turn_id
        );
        INSERT INTO turn_words (rowid, said)
        SELECT number, new.user_text || ' ' || new.heard_text || ' ' || new.unheard_text
        FROM turn_words_of WHERE call_id = new.call_id AND turn_id = new.turn_id;
    END
    """,
    """
    CREATE TRIGGER turns_said_gone AFTER DELETE ON turns BEGIN
        DELETE FROM turn_words WHERE rowid IN (
            SELECT number FROM turn_words_of WHERE call_id = old.call_id AND turn_id = old.turn_id
        );
        DELETE FROM turn_words_of WHERE call_id = old.call_id AND turn_id = old.turn_id;
    END
    """,
)
_POSTGRESQL = """
    CREATE INDEX ix_turns_said ON turns
    USING gin (to_tsvector('simple', user_text || ' ' || heard_text || ' ' || unheard_text))
"""


def upgrade() -> None:
    """Make the index of words, and fill it."""
    op.create_index("ix_calls_agent_started_at", "calls", ["agent", "started_at"])
    op.create_index("ix_usage_day_agent", "usage", ["day", "agent", "cost", "used"])
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else (_POSTGRESQL,):
        op.execute(statement)
