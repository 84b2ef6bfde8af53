-- +goose Up

-- A log is written some lines at a time: one row for them costs a tenth of one
-- for each. What is in the lines is described in log.go.
CREATE TABLE execution_log_parts (
    execution_seq INTEGER NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    last          INTEGER NOT NULL, -- sequence number of the last line
    lines         INTEGER NOT NULL, -- how many
    text          BLOB    NOT NULL,
    PRIMARY KEY (execution_seq, last)
) WITHOUT ROWID;

INSERT INTO execution_log_parts (execution_seq, last, lines, text)
SELECT execution_seq, sequence, 1, CAST(
    severity || ' ' || logged_at || ' ' || length(CAST(message AS BLOB)) || char(10) || message || char(10) AS BLOB)
FROM execution_logs ORDER BY execution_seq, sequence;

DROP TABLE execution_logs;
