-- +goose Up

-- 1: the sum is of the values of secret_versions. 2: of whole rows, of all tables that have
-- stored secrets or long-lived sealed values.
ALTER TABLE sealed_state ADD COLUMN form BIGINT NOT NULL DEFAULT 1;
