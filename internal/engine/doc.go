// Package engine accepts requests for services, and runs each of them as an
// execution until it ends.
//
//	Submit ─▶ validate ─▶ seal the secrets ─▶ store ─▶ claim ─▶ start ─▶ run ─▶ collect ─▶ finish
//
// # Life of an execution
//
// [Service.Submit] returns once the request is durable. If a slot is free, the
// same transaction claims the execution, and it starts at once. Otherwise it
// waits for the claim loop, which claims the oldest executions first. A claim is
// a lease that the engine extends while it lives. If the engine dies, its leases
// end, and every engine on the same store looks for such leases every few
// seconds. A waiting execution then starts on another engine. A running one ends
// FAILED as "interrupted"; it never runs a second time.
//
// # Revisions
//
// An engine holds any number of services. Each has one active revision, which
// accepts new requests ([Service.Activate]). By default the revision that
// accepted an execution also runs it. Under the policy [FollowNewest], which
// serve chooses, the newest revision runs it. A revision has a runner, or a
// [RunnerFactory] that makes one when an execution needs it; the engine closes
// such a runner after a long idle time. A [Registry] finds the revisions that
// were activated before the engine started.
//
// # Secrets
//
// The engine seals the secrets of a request for its execution before it writes
// anything. The worker that starts the process opens them, and wipes them when
// the process has them. The write of the final state destroys their sealed form.
// Until the execution ends, a masker knows its secrets: the log, the result, the
// result files and the problem pass through it.
//
// # Data folder
//
//	work/OWNER/       folders of running executions, removed when they end
//	results/ID/       large results and result files, removed by retention
//
// OWNER is one engine. It holds a lock on the file .lock there for as long as it
// lives. Other engines remove the folder of an owner that holds no lock.
package engine
