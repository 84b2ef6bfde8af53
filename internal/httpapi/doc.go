// Package httpapi is the Service API: starting executions of one service over
// HTTP, and following them to their results.
//
//	GET  /                    the executions, the newest first
//	POST /                    start one
//	GET  /{id}                its state; ?wait=30s waits for the end
//	GET  /{id}/result         what it returned, with links to its files
//	GET  /{id}/result/{file}  a file it wrote, by its path in the output folder
//	GET  /{id}/log            what it logged, as JSON, text, or a live stream
//	PUT  /{id}/cancel         end it
//	GET  /openapi.json        the description of all this
//
// # Errors
//
// Every error is a problem document of RFC 9457. None repeats anything of a
// request's body, and none says more of the inside than its caller can use:
// what an operator needs is in the server's log, under the same instance.
//
// # Whom it trusts
//
// Nobody. A client may be slow, silent, or gone, so every read and write has
// a deadline that progress alone extends, and what unfinished bodies may hold
// of the memory is bounded. A web page in the user's browser may not call a
// server on the same machine: the Host must be one of this machine's names
// where no token is asked for, and requests that change something must not
// come from another site.
//
// Bodies hold secrets. They are wiped once the engine has taken them, and they
// appear in no log: the access log has the route, not the address asked for.
package httpapi
