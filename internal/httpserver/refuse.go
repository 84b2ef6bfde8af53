package httpserver

import (
	"fmt"
	"net"
	"time"
)

// The answers to connections above a limit.
var (
	refusedAddress = refusal(429, "Too Many Requests", "Too many connections of this address are open. Close some, and try again.")
	refusedTotal   = refusal(503, "Service Unavailable", "Too many connections are open. Try again later.")
)

// refusal is an answer with a problem document (RFC 9457).
func refusal(status int, title, detail string) string {
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q}`, title, status, detail)
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"+
		"Retry-After: 1\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s", status, title, len(body), body)
}

// refuse answers a new connection without reading it, and closes it. The answer fits into
// the buffer of a new connection, so the write never blocks.
func refuse(c net.Conn, answer string) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.Write([]byte(answer)) // an error means that the client has gone
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.Close()
}
