-- +goose Up

-- The first migration has made all that this one makes in SQLite.
SELECT 1;
