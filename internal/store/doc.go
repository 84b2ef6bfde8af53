// Package store keeps executions: their requests, states, owners, logs and
// results. It holds the interface, [Store], and code that all implementations
// share. store/sqlite is the implementation for a single machine, and
// store/storetest the suite that every implementation passes.
//
// # Promises
//
//   - An execution that [Store.Accept] returned survives a crash of the process and a loss
//     of power. So do [Store.Claim] and [Store.Cancel]. A loss of power may undo
//     [Store.Start]; then the next open counts each claimed execution as started.
//     So a service never runs twice because a write was forgotten, and none runs
//     after its cancellation was confirmed. Other writes survive a crash, and
//     may be undone, latest first, by a loss of power.
//   - An operation happens as a whole or not at all. An error of the kind
//     [ErrFull] or [ErrIO] leaves nothing half-written.
//   - Sealed secrets are destroyed in the transaction that ends their
//     execution. An implementation says how soon their bytes are gone from its
//     files; for SQLite this is within seconds.
//
// # Leases
//
// A worker takes executions by [Store.Claim], or on acceptance
// ([NewExecution.Claim]). A claim is a lease: it names the worker as the owner
// and ends unless [Store.Heartbeat] extends it. [Store.Recover] deals with ended
// leases. An execution that never reached [Store.Start] goes back to the queue.
// One that did ends FAILED, "interrupted", since its service may have had
// effects. Every worker calls Recover at its start and every few seconds, so the
// remaining workers take over the work of a killed process.
//
//	              Claim           Start            Finish
//	waiting ───────────▶ claimed ───────▶ RUNNING ────────▶ final
//	   ▲   PENDING, no      │    PENDING,    │    owner
//	   │   owner            │    owner       │
//	   └── Release, Recover ┘                └─ Recover ──▶ FAILED
//
// An owner is a name that one process uses once, such as a random UUID made
// at its start; a process that starts again takes a new one.
//
// # Waking up
//
// A worker that finds nothing to claim waits on [Store.WatchQueue]; a reader
// that follows an execution waits on [Store.WatchExecution]. Both report changes
// made through the same Store value. They do not report changes by other
// processes, so a waiting loop also reads the store every few seconds.
package store
