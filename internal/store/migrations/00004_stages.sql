-- Stages: rooms whose participants see and hear each other in real time.

-- +goose Up

CREATE TABLE storage_configurations (
    arn  TEXT   NOT NULL PRIMARY KEY,
    seq  BIGINT NOT NULL UNIQUE,
    name TEXT   NOT NULL,
    s3   TEXT   NOT NULL,
    tags TEXT   NOT NULL
);

CREATE TABLE encoder_configurations (
    arn   TEXT   NOT NULL PRIMARY KEY,
    seq   BIGINT NOT NULL UNIQUE,
    name  TEXT   NOT NULL,
    video TEXT   NOT NULL,
    tags  TEXT   NOT NULL
);

CREATE TABLE public_keys (
    arn         TEXT   NOT NULL PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,
    name        TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL UNIQUE,
    material    TEXT   NOT NULL,
    tags        TEXT   NOT NULL
);

CREATE TABLE stages (
    arn                       TEXT   NOT NULL PRIMARY KEY,
    seq                       BIGINT NOT NULL UNIQUE,
    id                        TEXT   NOT NULL UNIQUE, -- the last part of the ARN
    name                      TEXT   NOT NULL,
    storage_configuration_arn TEXT   REFERENCES storage_configurations (arn), -- NULL: not recorded
    recording                 TEXT   NOT NULL,
    tags                      TEXT   NOT NULL
);
CREATE INDEX stages_storage_configuration ON stages (storage_configuration_arn);

CREATE TABLE ingest_configurations (
    arn              TEXT    NOT NULL PRIMARY KEY,
    seq              BIGINT  NOT NULL UNIQUE,
    name             TEXT    NOT NULL,
    protocol         TEXT    NOT NULL,
    insecure_ingest  BOOLEAN NOT NULL,
    stream_key       TEXT    NOT NULL UNIQUE,
    stage_arn        TEXT    REFERENCES stages (arn) ON DELETE SET NULL,
    participant_id   TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    user_id          TEXT    NOT NULL,
    redundant_ingest BOOLEAN NOT NULL,
    credentials      TEXT    NOT NULL,
    attributes       TEXT    NOT NULL,
    tags             TEXT    NOT NULL
);
CREATE INDEX ingest_configurations_stage ON ingest_configurations (stage_arn, seq);
CREATE INDEX ingest_configurations_state ON ingest_configurations (state, seq);

-- Sessions outlive their stage, so nothing here refers to it.
CREATE TABLE stage_sessions (
    session_id TEXT   NOT NULL PRIMARY KEY,
    seq        BIGINT NOT NULL UNIQUE,
    stage_arn  TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT -- NULL: active
);
CREATE INDEX stage_sessions_stage ON stage_sessions (stage_arn, seq);
CREATE INDEX stage_sessions_ended ON stage_sessions (ended_at, seq); -- the active ones too, in order
-- A stage has one active session at most.
CREATE UNIQUE INDEX stage_sessions_active ON stage_sessions (stage_arn) WHERE ended_at IS NULL;

CREATE TABLE participants (
    session_id               TEXT    NOT NULL REFERENCES stage_sessions (session_id) ON DELETE CASCADE,
    participant_id           TEXT    NOT NULL,
    seq                      BIGINT  NOT NULL UNIQUE,
    stage_arn                TEXT    NOT NULL,
    user_id                  TEXT    NOT NULL,
    state                    TEXT    NOT NULL,
    first_joined_at          BIGINT  NOT NULL,
    attributes               TEXT    NOT NULL,
    published                BOOLEAN NOT NULL,
    client                   TEXT    NOT NULL,
    recording_bucket         TEXT    NOT NULL,
    recording_prefix         TEXT    NOT NULL,
    recording_state          TEXT    NOT NULL,
    protocol                 TEXT    NOT NULL,
    replication_type         TEXT    NOT NULL,
    replication_state        TEXT    NOT NULL,
    source_stage_arn         TEXT    NOT NULL,
    source_session_id        TEXT    NOT NULL,
    redundant_ingest         BOOLEAN NOT NULL,
    ingest_configuration_arn TEXT    NOT NULL,
    token_expires_at         BIGINT  NOT NULL,
    PRIMARY KEY (session_id, participant_id)
);
CREATE INDEX participants_session ON participants (session_id, seq);
CREATE INDEX participants_user ON participants (session_id, user_id, seq);
CREATE INDEX participants_published ON participants (session_id, published, seq);
CREATE INDEX participants_state ON participants (session_id, state, seq);
CREATE INDEX participants_recording ON participants (session_id, recording_state, seq);

CREATE TABLE participant_events (
    seq                   BIGINT NOT NULL PRIMARY KEY,
    session_id            TEXT   NOT NULL,
    participant_id        TEXT   NOT NULL,
    name                  TEXT   NOT NULL,
    happened_at           BIGINT NOT NULL,
    remote_participant_id TEXT   NOT NULL,
    error_code            TEXT   NOT NULL,
    FOREIGN KEY (session_id, participant_id) REFERENCES participants (session_id, participant_id) ON DELETE CASCADE
);
CREATE INDEX participant_events_participant ON participant_events (session_id, participant_id, seq);

-- Whose tokens are dead before they expire.
CREATE TABLE killed_participants (
    stage_arn      TEXT   NOT NULL REFERENCES stages (arn) ON DELETE CASCADE,
    participant_id TEXT   NOT NULL,
    killed_until   BIGINT NOT NULL,
    PRIMARY KEY (stage_arn, participant_id)
);
CREATE INDEX killed_participants_until ON killed_participants (killed_until);
