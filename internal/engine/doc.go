// Package engine is the engine: it takes requests for services and brings
// each of them to an end.
//
//	Submit ─▶ validate ─▶ seal the secrets ─▶ store ─▶ claim ─▶ start ─▶ run ─▶ collect ─▶ finish
//
// # Life of an execution
//
// [Service.Submit] returns once the request is durable. If a slot is free the
// same transaction claims it, and it starts at once; otherwise it waits for
// the worker loop, which claims what is oldest. A claim is a lease that the
// engine extends while it lives. An engine that dies leaves leases that end:
// every engine on the same store looks for those every few seconds, so what
// waited starts elsewhere and what ran ends FAILED as "interrupted", once and
// never a second time.
//
// # Revisions
//
// An engine holds any number of services, each with the revision that new
// requests meet ([Service.Activate]). An execution runs by the revision that
// accepted it; under the policy [FollowNewest], which serve chooses, by the
// newest. A revision has a runner, or a [RunnerFactory] that makes one when an
// execution needs it; then the runner is closed when it was idle for long. A
// [Registry] finds the revisions that were activated before the engine began.
//
// # Secrets
//
// The secrets of a request are sealed for its execution before anything is
// written. They are opened by the worker that starts the process, wiped when
// the process has them, and their sealed form is destroyed with the final
// state. Until the end of the execution a masker knows them: what goes into the
// log, the result, the result files and the problem passes through it.
//
// # Data folder
//
//	work/OWNER/       folders of running executions, removed when they end
//	results/ID/       large results and result files, removed by retention
//
// OWNER is one engine; it holds a lock on the file .lock there for as long as
// it lives. What an engine without a lock has left is removed.
package engine
