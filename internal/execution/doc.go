// Package execution is the domain of the engine: one run of a service, the
// states it passes through, and the documents that describe it to a caller.
//
// # States
//
// An execution is PENDING from the moment it is accepted, RUNNING once its
// process may exist, and ends in exactly one of three final states:
//
//	            ┌─────────────▶ CANCELLED ◀─┐
//	accepted ─▶ PENDING ─▶ RUNNING ─────────┤
//	            └─────────▶ FAILED ◀────────┤
//	                        SUCCEEDED ◀─────┘
//
// There is no way back from RUNNING to PENDING: a service may have spent money
// or a one-time token, so it runs at most once. When the machine that ran it
// dies, the execution ends FAILED with [Interrupted] as its problem.
// [Transition] holds the only table of these rules; all code that changes a
// state calls it.
//
// # Documents
//
// [Execution] marshals to the JSON that clients of the Service API read,
// [Problem] to a problem document of RFC 9457, [LogEntry] to a line of the
// log. None of them ever holds the value of a secret; text that comes from a
// service is masked before it reaches them.
//
// The package imports nothing else of the project, so every layer may use it.
package execution
