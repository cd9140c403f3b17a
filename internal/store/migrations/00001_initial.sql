-- Statements here run on SQLite and on PostgreSQL. Times are milliseconds since
-- 1970, durations milliseconds, nested values JSON text. Rows that are listed
-- have a seq, taken from positions: it is unique among all tables, never
-- changes, and is never used again.

-- +goose Up

CREATE TABLE positions (last BIGINT NOT NULL);
INSERT INTO positions (last) VALUES (0);

CREATE TABLE recording_configurations (
    arn                      TEXT    NOT NULL PRIMARY KEY,
    seq                      BIGINT  NOT NULL UNIQUE,
    name                     TEXT    NOT NULL,
    destination              TEXT    NOT NULL,
    state                    TEXT    NOT NULL,
    thumbnail                TEXT    NOT NULL,
    reconnect_window_seconds INTEGER NOT NULL,
    rendition                TEXT    NOT NULL,
    tags                     TEXT    NOT NULL
);
CREATE INDEX recording_configurations_pending ON recording_configurations (seq) WHERE state = 'CREATING';

CREATE TABLE channels (
    arn                             TEXT    NOT NULL PRIMARY KEY,
    seq                             BIGINT  NOT NULL UNIQUE,
    name                            TEXT    NOT NULL,
    latency_mode                    TEXT    NOT NULL,
    type                            TEXT    NOT NULL,
    preset                          TEXT    NOT NULL,
    authorized                      BOOLEAN NOT NULL,
    insecure_ingest                 BOOLEAN NOT NULL,
    srt_passphrase                  TEXT    NOT NULL,
    multitrack                      TEXT    NOT NULL,
    container_format                TEXT    NOT NULL,
    recording_configuration_arn     TEXT    REFERENCES recording_configurations (arn),
    playback_restriction_policy_arn TEXT,
    ad_configuration_arn            TEXT,
    tags                            TEXT    NOT NULL
);
CREATE INDEX channels_name ON channels (name, seq);
CREATE INDEX channels_recording_configuration ON channels (recording_configuration_arn, seq);
CREATE INDEX channels_playback_restriction_policy ON channels (playback_restriction_policy_arn, seq);
CREATE INDEX channels_ad_configuration ON channels (ad_configuration_arn, seq);

-- A channel has one key: the index says so.
CREATE TABLE stream_keys (
    arn         TEXT   NOT NULL PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,
    value       TEXT   NOT NULL UNIQUE,
    channel_arn TEXT   NOT NULL REFERENCES channels (arn) ON DELETE CASCADE,
    tags        TEXT   NOT NULL
);
CREATE UNIQUE INDEX stream_keys_channel ON stream_keys (channel_arn);

-- Stream sessions outlive their channel, so nothing here refers to it.
CREATE TABLE streams (
    stream_id               TEXT    NOT NULL PRIMARY KEY,
    seq                     BIGINT  NOT NULL UNIQUE,
    channel_arn             TEXT    NOT NULL,
    started_at              BIGINT  NOT NULL,
    ended_at                BIGINT, -- NULL: live
    has_error               BOOLEAN NOT NULL,
    channel                 TEXT    NOT NULL,
    recording_configuration TEXT,
    ingest_configuration    TEXT,
    ingest_configurations   TEXT
);
CREATE INDEX streams_channel ON streams (channel_arn, seq);
CREATE INDEX streams_ended ON streams (ended_at, seq); -- the live ones too, in order
-- A channel has one live stream at most.
CREATE UNIQUE INDEX streams_live_channel ON streams (channel_arn) WHERE ended_at IS NULL;

CREATE TABLE recordings (
    id                          TEXT   NOT NULL PRIMARY KEY,
    seq                         BIGINT NOT NULL UNIQUE,
    session_id                  TEXT   NOT NULL,
    channel_arn                 TEXT   NOT NULL,
    channel_name                TEXT   NOT NULL,
    recording_configuration_arn TEXT   NOT NULL,
    bucket                      TEXT   NOT NULL,
    prefix                      TEXT   NOT NULL,
    container_format            TEXT   NOT NULL,
    stream_ids                  TEXT   NOT NULL,
    reconnect_window            BIGINT NOT NULL,
    state                       TEXT   NOT NULL,
    status_message              TEXT   NOT NULL,
    started_at                  BIGINT NOT NULL,
    ended_at                    BIGINT,
    duration                    BIGINT NOT NULL
);
CREATE INDEX recordings_started ON recordings (started_at, seq);
CREATE INDEX recordings_channel ON recordings (channel_arn, started_at, seq);
CREATE INDEX recordings_state ON recordings (state, started_at, seq);

-- The outbox. Rows become visible in the order of seq, so whoever delivers
-- them needs to remember one number for each place they go to.
CREATE TABLE events (
    seq          BIGINT NOT NULL PRIMARY KEY,
    id           TEXT   NOT NULL UNIQUE,
    resource_arn TEXT   NOT NULL,
    stream_id    TEXT,
    detail_type  TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    code         TEXT   NOT NULL,
    happened_at  BIGINT NOT NULL,
    detail       TEXT   NOT NULL
);
CREATE INDEX events_stream ON events (stream_id, seq);
CREATE INDEX events_happened ON events (happened_at);
