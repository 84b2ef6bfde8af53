-- +goose Up

-- The reference that the sealed value of a version is, for lists. Empty: it is a value.
ALTER TABLE secret_versions ADD COLUMN reference TEXT COLLATE "C" NOT NULL DEFAULT '';
