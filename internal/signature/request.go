package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

const (
	// maxDepth bounds the nesting of a body: deeper ones serve only to
	// exhaust the stack of a reader.
	maxDepth = 200
	maxTags  = 100
	// maxTag is how many bytes a tag may have: lists show the tags of a thousand
	// executions at once.
	maxTag = 256
	// maxMembers bounds the keys of a body, and those of $secrets: each takes far
	// more memory than its text until it is refused.
	maxMembers = 10_000
)

// A Request is a body that was accepted.
type Request struct {
	// Inputs are the JSON texts of the inputs in the body.
	Inputs map[string]json.RawMessage
	// Secrets by parameter name.
	Secrets map[string]plaintext.Bytes
	// DataPools by parameter name; a pool given as null is left out.
	DataPools map[string]DataPoolReference
	Tags      []string
}

// Clear wipes the secrets of the request.
func (r *Request) Clear() {
	for _, value := range r.Secrets {
		value.Clear()
	}
}

// A DataPoolReference names a data pool in a request.
type DataPoolReference struct {
	ID    string `json:"id"`
	Ref   string `json:"ref"`
	Grant string `json:"grant,omitempty"`
}

// Request validates a request body against the signature. It returns a Request, or an
// [Errors] that lists all problems, or a [*TooLargeError]. The inputs of a body above
// 256 KiB are parts of body. A Request shares no memory with a smaller body, so the
// caller may wipe that at once.
func (v *Validator) Request(body []byte) (*Request, error) {
	if err := checkText(body); err != nil {
		return nil, err
	}
	divide := split
	if len(body) > largeBody {
		divide = splitLarge
	}
	members, err := divide(body)
	if err != nil {
		return nil, err
	}
	b := bodyReader{
		validator: v,
		given:     map[string]bool{},
		request: &Request{
			Inputs:    map[string]json.RawMessage{},
			Secrets:   map[string]plaintext.Bytes{},
			DataPools: map[string]DataPoolReference{},
		},
	}
	b.large = len(body) > largeBody
	for _, m := range members {
		b.member(m)
	}
	if b.failed != nil {
		b.request.Clear()
		return nil, b.failed
	}
	b.missing()
	if len(b.errs) > 0 {
		b.request.Clear()
		return nil, b.errs.sorted()
	}
	return b.request, nil
}

// member is one top-level key of a body with its raw text.
type member struct {
	key   string
	value jsontext.Value
}

func split(body []byte) ([]member, error) { return splitWith(body, jsontext.Value.Clone) }

func splitWith(body []byte, keep func(jsontext.Value) jsontext.Value, options ...jsontext.Options) ([]member, error) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(body), options...) // it makes no copy of a buffer, which the server could not wipe
	if decoder.PeekKind() != '{' {
		if _, err := decoder.ReadValue(); err != nil {
			return nil, syntaxError(err)
		}
		return nil, Errors{{Message: "the body must be a JSON object with a key for each parameter"}}
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	var members []member
	for decoder.PeekKind() != '}' {
		if len(members) == maxMembers {
			return nil, Errors{{Message: fmt.Sprintf("the body has more than %d keys", maxMembers)}}
		}
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, syntaxError(err)
		}
		key := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, syntaxError(err)
		}
		members = append(members, member{key, keep(value)})
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, Errors{{Message: "there is text after the JSON object"}}
	}
	return members, nil
}

// syntaxError names the problem in the text of a body without repeating any of it: the
// wrong text may be a part of a secret.
func syntaxError(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return Errors{{Message: "an object of the body has the same key twice"}}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Errors{{Message: "the body is not JSON: it ends too early"}}
	case errors.As(err, &syntactic):
		return Errors{{Message: fmt.Sprintf("the body is not JSON: the error is at byte %d", syntactic.ByteOffset)}}
	default:
		return Errors{{Message: "the body is not JSON"}}
	}
}

// notUTF8 names the place of bytes in a body that are not UTF-8: the parameter, if it is a
// secret.
func notUTF8(body []byte) Errors {
	errs := Errors{{Message: "the body is not valid UTF-8"}}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	inSecrets := false // depth 2 below the key of secrets
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return errs.sorted()
		}
		if decoder.StackDepth() == 1 && token.Kind() == '"' {
			if kind, n := decoder.StackIndex(1); kind == '{' && n%2 == 1 {
				inSecrets = token.String() == SecretsKey
			}
		}
		if kind, n := decoder.StackIndex(decoder.StackDepth()); !inSecrets || decoder.StackDepth() != 2 || kind != '{' || n%2 == 0 {
			continue
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err == nil && utf8.ValidString(name) && !utf8.Valid(value) {
			errs = append(errs, FieldError{Path: path{}.key(SecretsKey).key(name).String(), Message: plaintext.ErrNotUTF8.Error()})
		}
	}
}

// checkText refuses well-formed bodies that would take far more time to read than to
// send.
func checkText(body []byte) error {
	if !utf8.Valid(body) {
		return notUTF8(body)
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return Errors{{Message: fmt.Sprintf("the body is nested deeper than %d levels", maxDepth)}}
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// HasSecrets reports whether the body has the key for secrets, however it is
// escaped. In a text that is no JSON object, which is refused later, a text that
// looks like the key counts as the key.
func HasSecrets(body []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return bytes.Contains(body, []byte(SecretsKey))
	}
	_, ok := members[SecretsKey]
	return ok
}
