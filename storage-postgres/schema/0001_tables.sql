-- Every id is 16 bytes compared as bytes; every number is a BIGINT; what core writes and alone reads is BYTEA.
-- Payloads are BYTEA and not JSONB, which would rewrite them.

-- One row per log, locked first in every transaction. Half of each page stays free so that an update of the row
-- finds room beside it and touches no index.
CREATE TABLE log (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket  BYTEA NOT NULL,
    log     BYTEA NOT NULL,
    bounds  BYTEA NOT NULL,
    UNIQUE (bucket, log)
) WITH (fillfactor = 50);
ALTER TABLE log ALTER COLUMN bounds SET STORAGE MAIN;

-- The ops still kept. Both keys are backstops: the row lock already makes them hold.
CREATE TABLE op (
    log         BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    op          BYTEA NOT NULL,
    digest      BYTEA NOT NULL,
    anchor      BYTEA NOT NULL,
    accepted_at BIGINT NOT NULL,
    batch_rest  BIGINT NOT NULL,
    bytes       BYTEA NOT NULL,
    PRIMARY KEY (log, seq),
    UNIQUE (log, op)
);

-- What remains of a pruned op, so that its id never has a second effect.
CREATE TABLE op_past (
    log    BIGINT NOT NULL,
    op     BYTEA NOT NULL,
    seq    BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (log, op)
);

CREATE TABLE head (
    log        BIGINT NOT NULL,
    collection TEXT COLLATE "C" NOT NULL,
    entity     BYTEA NOT NULL,
    head       BYTEA NOT NULL,
    PRIMARY KEY (log, collection, entity)
) WITH (fillfactor = 80);

CREATE TABLE slot (
    log        BIGINT NOT NULL,
    slot       BYTEA NOT NULL,
    collection TEXT COLLATE "C" NOT NULL,
    entity     BYTEA NOT NULL,
    PRIMARY KEY (log, slot)
);

CREATE TABLE receipt (
    log         BIGINT NOT NULL,
    request     BYTEA NOT NULL,
    fingerprint BYTEA NOT NULL,
    answer      BYTEA NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (log, request)
);

CREATE TABLE snapshot (
    log            BIGINT PRIMARY KEY,
    seq            BIGINT NOT NULL,
    anchor         BYTEA NOT NULL,
    clock          BYTEA NOT NULL,
    schema_version BIGINT NOT NULL,
    form           BIGINT NOT NULL,
    payload        BYTEA NOT NULL
);
