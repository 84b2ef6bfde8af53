-- +goose Up

-- Which start of the machine the database was last opened in.
CREATE TABLE machine (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    boot TEXT NOT NULL
);
