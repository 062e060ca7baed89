-- A log's tree of files. Names are BYTEA: UTF-8 whatever the encoding of the database, and compared as bytes.
-- Everything that core looks up by stands in a column; a node's content is in the columns from blob to attributes.

CREATE TABLE node (
    log         BIGINT NOT NULL,
    id          BYTEA NOT NULL,
    parent      BYTEA,
    name        BYTEA NOT NULL,
    name_key    BYTEA NOT NULL,
    kind        BIGINT NOT NULL,
    mount       BYTEA,
    blob        BYTEA,
    bytes       BIGINT,
    manifest    BYTEA,
    modified_at BIGINT,
    executable  BOOLEAN,
    attributes  BYTEA,
    content_seq BIGINT NOT NULL,
    content_by  BYTEA NOT NULL,
    parent_seq  BIGINT NOT NULL,
    parent_by   BYTEA NOT NULL,
    name_seq    BIGINT NOT NULL,
    name_by     BYTEA NOT NULL,
    created     BIGINT NOT NULL,
    dead        BIGINT,
    conflict_of BYTEA,
    changed     BIGINT NOT NULL GENERATED ALWAYS AS (greatest(content_seq, parent_seq, name_seq)) STORED,
    live_key    BYTEA GENERATED ALWAYS AS (CASE WHEN dead IS NULL THEN name_key END) STORED,
    PRIMARY KEY (log, id),
    -- Siblings swap names, and what comes back may meet its name until it has another: looked at when all is written.
    -- The dead are in it too, without a name: it finds all children of a folder.
    CONSTRAINT node_name UNIQUE (log, parent, live_key) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX node_root ON node (log) WHERE parent IS NULL;
-- Who died with a folder, and the one of a name.
CREATE INDEX node_group ON node (log, parent, dead, name_key) WHERE dead IS NOT NULL;
CREATE INDEX node_changed ON node (log, changed) WHERE dead IS NULL;
-- The folders of a folder, live and dead: how deep it is.
CREATE INDEX node_folder ON node (log, parent) INCLUDE (id) WHERE kind = 1;

-- A node that was not made, and the one that stands for it. Who purges that one reads all of the log's.
CREATE TABLE node_alias (
    log    BIGINT NOT NULL,
    id     BYTEA NOT NULL,
    stands BYTEA NOT NULL,
    PRIMARY KEY (log, id)
);

CREATE TABLE revision (
    log         BIGINT NOT NULL,
    node        BYTEA NOT NULL,
    seq         BIGINT NOT NULL,
    blob        BYTEA NOT NULL,
    bytes       BIGINT NOT NULL,
    manifest    BYTEA,
    modified_at BIGINT NOT NULL,
    executable  BOOLEAN NOT NULL,
    attributes  BYTEA,
    by          BYTEA NOT NULL,
    accepted_at BIGINT NOT NULL,
    base        BIGINT,
    reason      BIGINT NOT NULL,
    PRIMARY KEY (log, node, seq)
);
