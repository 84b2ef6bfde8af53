// Package sqlite keeps executions in one SQLite database in WAL mode, made
// for a single machine: one process, or a few on the same folder.
//
// # Writing
//
// All writes of a process go through one goroutine, the [writer], which owns
// the only connection that writes. It runs every operation that waits in one
// transaction, each but the first under a savepoint of its own, and commits
// once: the sync to disk, by far the slowest part, serves all of them. The more
// callers, the larger the groups; a single caller waits for nobody. Where
// several executions run, a group waits up to a millisecond for as many as there
// were lately, as long as they come faster than that.
//
// Operations that promise to survive a loss of power are committed with
// synchronous=FULL, others with NORMAL, where the log is synced only when it
// is checkpointed. The setting cannot change within a transaction, so it
// belongs to the group: one is FULL if any of the operations needs that which
// wait when it begins, and one that began as NORMAL ends when such an operation
// arrives.
//
// # Reading
//
// Reads have a few connections of their own and, as WAL gives them a snapshot,
// never wait for the writer. A read that begins after a write has returned
// sees it.
//
// # Destroying secrets
//
// secure_delete overwrites what is deleted, but only in the new version of a
// page: the old one stands in the log until that is truncated. So the writer
// checkpoints and truncates the log within seconds after secrets were
// destroyed ([Store.Scrub]), when the database is opened, as a crash may have
// prevented it, and when it is closed.
//
// # Queries
//
// Queries are standard SQL with $N parameters; what only SQLite understands
// is confined to the migrations and to the writer.
package sqlite
