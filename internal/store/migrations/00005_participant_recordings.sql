-- Recordings of participants, beside those of channels.

-- +goose Up

ALTER TABLE recordings ADD COLUMN stage_arn TEXT NOT NULL DEFAULT ''; -- empty: a channel's
ALTER TABLE recordings ADD COLUMN stage_session_ids TEXT NOT NULL DEFAULT '[]';
ALTER TABLE recordings ADD COLUMN participant_id TEXT NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN storage_configuration_arn TEXT NOT NULL DEFAULT '';
CREATE INDEX recordings_stage ON recordings (stage_arn, started_at, seq);
CREATE INDEX recordings_participant ON recordings (stage_arn, participant_id, started_at, seq);
