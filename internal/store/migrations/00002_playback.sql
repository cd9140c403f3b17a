-- Who may watch, and where ads come from. The columns of channels that refer to
-- policies and ad configurations are older than these tables, so nothing but
-- the server keeps what they refer to.

-- +goose Up

CREATE TABLE playback_key_pairs (
    arn         TEXT   NOT NULL PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,
    name        TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL UNIQUE,
    public_key  TEXT   NOT NULL,
    tags        TEXT   NOT NULL
);

CREATE TABLE playback_restriction_policies (
    arn                       TEXT    NOT NULL PRIMARY KEY,
    seq                       BIGINT  NOT NULL UNIQUE,
    name                      TEXT    NOT NULL,
    allowed_countries         TEXT    NOT NULL,
    allowed_origins           TEXT    NOT NULL,
    strict_origin_enforcement BOOLEAN NOT NULL,
    tags                      TEXT    NOT NULL
);

CREATE TABLE ad_configurations (
    arn         TEXT   NOT NULL PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,
    name        TEXT   NOT NULL,
    mediatailor TEXT   NOT NULL,
    post_roll   TEXT   NOT NULL,
    tags        TEXT   NOT NULL
);

-- One row for a viewer of a channel. Its seq is that of its last change, so
-- whoever holds a copy reads on from the last one known.
CREATE TABLE revocations (
    channel_arn TEXT   NOT NULL,
    viewer_id   TEXT   NOT NULL,
    seq         BIGINT NOT NULL UNIQUE,
    version     BIGINT NOT NULL,
    revoked_at  BIGINT NOT NULL,
    PRIMARY KEY (channel_arn, viewer_id)
);
CREATE INDEX revocations_revoked ON revocations (revoked_at);

-- Single-use tokens that were used and would still be valid.
CREATE TABLE used_tokens (
    digest     TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_tokens_expires ON used_tokens (expires_at);
