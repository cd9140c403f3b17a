-- What a recording consists of: its renditions, and a thumbnail.

-- +goose Up

ALTER TABLE recordings ADD COLUMN media TEXT NOT NULL DEFAULT '{}';
