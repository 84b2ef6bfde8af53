// Package httpapi serves the Service API: callers start executions of one service
// over HTTP, follow them, and read their results.
//
//	GET  /                    the executions, the newest first
//	POST /                    start one
//	GET  /{id}                its state; ?wait=30s waits for the end
//	GET  /{id}/result         what it returned, with links to its files
//	GET  /{id}/result/{file}  a file it wrote, by its path in the output folder
//	GET  /{id}/log            what it logged, as JSON, text, or a live stream
//	PUT  /{id}/cancel         cancel it
//	GET  /openapi.json        the OpenAPI description of these calls
//
// # Errors
//
// Every error is a problem document of RFC 9457. It repeats no part of the
// request's body and no internal detail that its caller cannot use. The server's
// log has the details for the operator, under the same instance.
//
// # Trust
//
// The API trusts no client. A client may be slow, silent or gone, so every read
// and write has a deadline that only progress extends, and unfinished bodies share
// a bounded amount of memory. A web page in the user's browser may not call a
// server on the same machine. If the server needs no token, the Host must be one
// of this machine's names. Requests that change something must not come from
// another site.
//
// Bodies hold secrets. The engine wipes them after it has read them, and no log
// shows them: the access log has the route, not the requested address.
package httpapi
