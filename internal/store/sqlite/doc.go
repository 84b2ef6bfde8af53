// Package sqlite keeps executions in one SQLite database in WAL mode, made
// for a single machine: one process, or a few on the same folder.
//
// # Writing
//
// All writes of a process go through one goroutine, the [writer], which owns
// the only connection that writes. It runs every waiting operation in one
// transaction, each but the first under a separate savepoint, and commits once:
// the sync to disk, by far the slowest part, serves all of them. More callers
// make larger groups; a single caller never waits for others. While several
// executions run, a group waits up to a millisecond for as many operations as
// recent groups had, if they come faster than that.
//
// Operations that must survive a loss of power are committed with
// synchronous=FULL, others with NORMAL, where SQLite syncs the log only at a
// checkpoint. The setting cannot change within a transaction, so it belongs to
// the group. A group is FULL if any operation that waits at its beginning needs
// that. A group that began as NORMAL ends when such an operation arrives.
//
// # Reading
//
// Reads have a few separate connections. WAL gives them a snapshot, so they
// never wait for the writer. A read that begins after a write has returned sees
// that write.
//
// # Destroying secrets
//
// secure_delete overwrites deleted rows, but only in the new version of a page:
// the old version stays in the log until the log is truncated. So the writer
// checkpoints and truncates the log within seconds after secrets were destroyed
// ([Store.Scrub]), and when the database is closed. It also does so at Open,
// because a crash may have prevented it.
//
// # Queries
//
// Queries are standard SQL with $N parameters. SQL that only SQLite understands
// is confined to the migrations and to the writer.
package sqlite
