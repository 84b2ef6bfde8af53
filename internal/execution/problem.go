package execution

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Problem is a problem document of RFC 9457: why something failed, for a
// program by its Type and for a person by its Title and Detail.
//
// A problem never repeats the value of a secret. Text of a service about its
// failure is masked before it becomes a Problem.
type Problem struct { //nolint:errname,recvcheck // the name that RFC 9457 gives it; a value must encode as a pointer does
	Type     string // a URI reference; empty means about:blank
	Status   int    // an HTTP status; zero is left out
	Title    string // the same for every problem of this type
	Detail   string // about this occurrence
	Instance string // a URI reference that names this occurrence
	// Extensions are further members of the document. The names of the
	// fields above are not allowed.
	Extensions map[string]any
}

// BlankType is the type of a problem that says no more than its status does.
const BlankType = "about:blank"

// The types of the problems that the engine itself knows. A client compares
// them; they are names, not addresses to fetch.
const (
	TypeInterrupted = "urn:qhubctl:problem:interrupted"
	TypeCancelled   = "urn:qhubctl:problem:cancelled"
	TypeTimeout     = "urn:qhubctl:problem:timeout"
	TypeLimit       = "urn:qhubctl:problem:limit-reached"
	TypeQueueFull   = "urn:qhubctl:problem:queue-full"
	TypeSecrets     = "urn:qhubctl:problem:secrets-unavailable"
	TypeStart       = "urn:qhubctl:problem:start-failed"
	TypeChanged     = "urn:qhubctl:problem:service-changed"
	TypeDataPool    = "urn:qhubctl:problem:data-pool-not-written"
	TypeInternal    = "urn:qhubctl:problem:internal"
)

// Interrupted is the problem of an execution whose server died while it ran.
func Interrupted() *Problem {
	return &Problem{
		Type: TypeInterrupted, Status: http.StatusInternalServerError, Title: "Interrupted",
		Detail: "The server that ran this execution stopped before it ended. The server does not run it again, " +
			"as it may have had effects; start a new execution if that is safe.",
	}
}

// CancelledByCaller is the problem of an execution that was cancelled.
func CancelledByCaller() *Problem {
	return &Problem{
		Type: TypeCancelled, Status: http.StatusConflict, Title: "Cancelled",
		Detail: "The execution was cancelled on request.",
	}
}

// TimedOut is the problem of an execution that ran longer than it may.
func TimedOut(limit time.Duration) *Problem {
	return &Problem{
		Type: TypeTimeout, Status: http.StatusGatewayTimeout, Title: "Timeout",
		Detail:     fmt.Sprintf("The execution ran longer than the %s it may take and was stopped.", limit),
		Extensions: map[string]any{"limitSeconds": limit.Seconds()},
	}
}

// LimitReached is the problem of an execution that used more than it may of
// a resource, such as "bytes of output".
func LimitReached(what string, limit int64) *Problem {
	return &Problem{
		Type: TypeLimit, Status: http.StatusInsufficientStorage, Title: "Limit reached",
		Detail:     fmt.Sprintf("The execution failed as it reached its limit of %d %s.", limit, what),
		Extensions: map[string]any{"limit": limit, "of": what},
	}
}

// QueueFull is the problem of a request that found no place in the queue.
func QueueFull(retryAfter time.Duration) *Problem {
	return &Problem{
		Type: TypeQueueFull, Status: http.StatusTooManyRequests, Title: "Too many waiting executions",
		Detail:     "The queue is full and nothing was started. Try again later.",
		Extensions: map[string]any{"retryAfterSeconds": int64(retryAfter.Seconds())},
	}
}

// SecretsUnavailable is the problem of an execution whose sealed secrets
// could not be opened. The reason is for the operator's log alone.
func SecretsUnavailable() *Problem {
	return &Problem{
		Type: TypeSecrets, Status: http.StatusInternalServerError, Title: "Secrets unavailable",
		Detail: "The secrets of this execution could not be opened, so the service was not started. " +
			"The operator finds the reason in the server's log.",
	}
}

// MasterKeyMissing is the problem of an execution whose secrets are sealed by a
// version of the master key that the server does not have, or has another key
// for. The fingerprint tells keys apart, and nothing about them.
func MasterKeyMissing(version uint32, fingerprint string) *Problem {
	return &Problem{
		Type: TypeSecrets, Status: http.StatusInternalServerError, Title: "Master key missing",
		Detail: fmt.Sprintf("The secrets of this execution are sealed by version %d of the master key (%s), which the server "+
			"does not have, so the service was not started. The operator puts that version back, by the help of "+
			"`qhubctl keys list`; then start the execution again.", version, fingerprint),
		Extensions: map[string]any{"keyVersion": version, "keyFingerprint": fingerprint},
	}
}

// SecretsMissing is the problem of an execution that needs secrets which
// neither its request nor the server has.
func SecretsMissing(names ...string) *Problem {
	return &Problem{
		Type: TypeSecrets, Status: http.StatusFailedDependency, Title: "Secrets missing",
		Detail: "The service needs secrets that neither the request nor the server gives: " +
			strings.Join(names, ", ") + ".",
		Extensions: map[string]any{"secrets": names},
	}
}

// SecretRefused is the problem of an execution with a value that cannot be a
// secret; reason continues the sentence, and holds no part of the value. Only the
// operator may learn the place of a value that the server holds.
func SecretRefused(name string, ofRequest bool, reason error) *Problem {
	from, status := "the server", http.StatusFailedDependency
	if ofRequest {
		from, status = "the request", http.StatusBadRequest
	}
	return &Problem{
		Type: TypeSecrets, Status: status, Title: "Secret refused",
		Detail:     fmt.Sprintf("The secret %s of %s %v. The service was not started.", name, from, reason),
		Extensions: map[string]any{"secrets": []string{name}},
	}
}

// SecretUnavailable is the problem of an execution with a secret that could not be
// fetched from where it is kept; reason is a sentence, and holds no part of the value.
func SecretUnavailable(reason string) *Problem {
	return &Problem{
		Type: TypeSecrets, Status: http.StatusFailedDependency, Title: "Secret unavailable",
		Detail: reason + " The service was not started.",
	}
}

// SecretsTooLarge is the problem of an execution whose secrets are too long
// together.
func SecretsTooLarge(reason error) *Problem {
	return &Problem{
		Type: TypeSecrets, Status: http.StatusFailedDependency, Title: "Secrets too large",
		Detail: fmt.Sprintf("In this execution %v. The service was not started.", reason),
	}
}

// ServiceChanged is the problem of an execution whose service was replaced
// while it waited, by one that does not accept its request; errors say why.
func ServiceChanged(errors any) *Problem {
	return &Problem{
		Type: TypeChanged, Status: http.StatusConflict, Title: "Service changed",
		Detail: "The service was changed while this execution waited, and does not accept its request any more. " +
			"The service was not started.",
		Extensions: map[string]any{"errors": errors},
	}
}

// RevisionGone is the problem of an execution that waited longer than the
// revision of its service was kept.
func RevisionGone(revision string) *Problem {
	return &Problem{
		Type: TypeChanged, Status: http.StatusConflict, Title: "Service changed",
		Detail: fmt.Sprintf("The revision %s of the service, which accepted this execution, is not available any more. "+
			"The service was not started; start a new execution.", revision),
	}
}

// ServiceFailed is the problem of an execution whose service ended with an
// exit code, or by a signal, without a problem document.
func ServiceFailed(exitCode int, signal string) *Problem {
	p := &Problem{
		Status: http.StatusInternalServerError, Title: "Service failed",
		Detail: fmt.Sprintf("The service ended with exit code %d and left no problem document; its log may say why.", exitCode),
	}
	if signal != "" {
		p.Detail = fmt.Sprintf("The service was ended by the signal %s.", signal)
	}
	return p
}

// ResultLost is the problem of an execution whose service ended, but whose
// result could not be kept.
func ResultLost() *Problem {
	return &Problem{
		Type: TypeInternal, Status: http.StatusInternalServerError, Title: "Result lost",
		Detail: "The service ended, but its result could not be stored. The operator finds the reason in the server's log.",
	}
}

// DataPoolNotWritten is the problem of an execution that succeeded, but whose changes to
// data pools could not be kept; reason continues the sentence.
func DataPoolNotWritten(reason string) *Problem {
	return &Problem{
		Type: TypeDataPool, Status: http.StatusConflict, Title: "Data pool not written",
		Detail: fmt.Sprintf("The service succeeded, but its changes to data pools were not written back: %s. No data pool was changed.", reason),
	}
}

// StartFailed is the problem of an execution whose process could not start.
func StartFailed(detail string) *Problem {
	return &Problem{
		Type: TypeStart, Status: http.StatusInternalServerError, Title: "Start failed", Detail: detail,
	}
}

// Internal is the problem of a bug of ours. It shows the caller nothing of the
// inside; the cause belongs in the operator's log.
func Internal() *Problem {
	return &Problem{
		Type: TypeInternal, Status: http.StatusInternalServerError, Title: "Internal error",
		Detail: "Something went wrong in the server. The operator finds the reason in its log.",
	}
}

// Error gives the title and the detail, so that a Problem can be returned as
// an error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

var reservedMembers = []string{"type", "status", "title", "detail", "instance"}

// CheckExtensions reports an extension whose name belongs to the document.
func (p *Problem) CheckExtensions() error {
	for _, name := range slices.Sorted(maps.Keys(p.Extensions)) {
		if slices.Contains(reservedMembers, name) {
			return fmt.Errorf("a problem document has a member %q already; name the extension differently", name)
		}
	}
	return nil
}

// MarshalJSON writes one flat object: the standard members in their usual
// order, then the extensions by name. Empty members are left out, except for
// type, status and title where they are known.
func (p Problem) MarshalJSON() ([]byte, error) {
	if err := p.CheckExtensions(); err != nil {
		return nil, err
	}
	kind := p.Type
	if kind == "" {
		kind = BlankType
	}
	var out bytes.Buffer
	out.WriteByte('{')
	write := func(name string, value any) error {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("write member %q of a problem: %w", name, err)
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.Write(key)
		out.WriteByte(':')
		out.Write(text)
		return nil
	}
	if err := write("type", kind); err != nil {
		return nil, err
	}
	if p.Status != 0 {
		if err := write("status", p.Status); err != nil {
			return nil, err
		}
	}
	for _, m := range []struct{ name, text string }{
		{"title", p.Title}, {"detail", p.Detail}, {"instance", p.Instance},
	} {
		if m.text == "" {
			continue
		}
		if err := write(m.name, m.text); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Extensions)) {
		if err := write(name, p.Extensions[name]); err != nil {
			return nil, err
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// UnmarshalJSON reads a problem document. As RFC 9457 asks of readers, a
// standard member of the wrong type is ignored; numbers among the extensions
// keep their digits.
func (p *Problem) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return fmt.Errorf("read a problem document: %w", err)
	}
	var read Problem
	for name, into := range map[string]any{
		"type": &read.Type, "status": &read.Status, "title": &read.Title,
		"detail": &read.Detail, "instance": &read.Instance,
	} {
		if raw, ok := members[name]; ok {
			// An error leaves the field zero, which is what ignoring means.
			_ = json.Unmarshal(raw, into)
			delete(members, name)
		}
	}
	for name, raw := range members {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("read member %q of a problem document: %w", name, err)
		}
		if read.Extensions == nil {
			read.Extensions = map[string]any{}
		}
		read.Extensions[name] = value
	}
	*p = read
	return nil
}
