package signature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// bodyReader fills a Request from the members of one body and collects the problems of
// the body.
type bodyReader struct {
	validator *Validator
	request   *Request
	// given holds the names in the body, secrets as "$secrets.name", also those with
	// bad values: a bad value is not missing as well.
	given        map[string]bool
	secretsSize  int // of all secrets, in bytes
	secretsParts int // lines and JSON strings
	large        bool
	errs         Errors
	failed       error // a *TooLargeError
}

func (b *bodyReader) fail(at path, format string, args ...any) {
	b.errs = append(b.errs, FieldError{Path: at.String(), Message: fmt.Sprintf(format, args...)})
}

func (b *bodyReader) member(m member) {
	at := path{}.key(m.key)
	switch m.key {
	case SecretsKey:
		b.secrets(at, m.value)
		b.wipe(m.value)
		return
	case TagsKey:
		b.tags(at, m.value)
		return
	}
	b.given[m.key] = true
	p, known := b.validator.signature.Lookup(m.key)
	switch {
	case !known:
		b.fail(at, "there is no such parameter; %s", b.validator.choices("the service takes no input", Input, DataPool))
	case p.Kind == Secret:
		b.wipe(m.value)
		b.given[SecretsKey+"."+p.Name] = true
		b.fail(at, "is a secret: send it as %s.%s", SecretsKey, p.Name)
	case p.Kind == DataPool:
		b.dataPool(at, p, m.value)
	default:
		b.input(at, p.Name, m.value)
	}
}

// wipe clears a copy. The values of a large body are no copies.
func (b *bodyReader) wipe(value jsontext.Value) {
	if !b.large {
		clear(value)
	}
}

func (b *bodyReader) input(at path, name string, value jsontext.Value) {
	var errs Errors
	if in := b.validator.inputs[name]; b.large {
		var err error
		if errs, err = in.stream(value, at, largeValue); err != nil {
			b.failed = err
		}
	} else {
		errs = in.validate(value, at)
	}
	b.errs = append(b.errs, errs...)
	b.request.Inputs[name] = json.RawMessage(value)
}

func (b *bodyReader) secrets(at path, value jsontext.Value) {
	if value.Kind() != '{' {
		b.fail(at, "must be an object of secret names and strings")
		return
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(value)) // see split
	_, err := decoder.ReadToken()
	for n := 0; err == nil && decoder.PeekKind() != '}'; n++ {
		if n == maxMembers {
			b.fail(at, "has more than %d keys", maxMembers)
			return
		}
		var name jsontext.Token
		if name, err = decoder.ReadToken(); err != nil {
			break
		}
		key := name.String()
		var raw jsontext.Value
		if raw, err = decoder.ReadValue(); err == nil {
			b.secret(at.key(key), key, raw)
		}
	}
	if err != nil { // cannot happen: split has read all of it once
		b.fail(at, "cannot be read")
	}
}

func (b *bodyReader) secret(at path, name string, raw jsontext.Value) {
	b.given[SecretsKey+"."+name] = true
	p, known := b.validator.signature.Lookup(name)
	if !known || p.Kind != Secret {
		b.fail(at, "there is no such secret; %s", b.validator.choices("the service takes none", Secret))
		return
	}
	if raw.Kind() != '"' {
		b.fail(at, "must be a string")
		return
	}
	text, err := jsontext.AppendUnquote(make([]byte, 0, len(raw)), raw)
	value := plaintext.New(text)
	if err == nil {
		err = plaintext.Check(text)
	} else {
		err = plaintext.ErrNotUTF8
	}
	if err != nil {
		value.Clear()
		b.fail(at, "%v", err)
		return
	}
	b.request.Secrets[name] = value
	if b.secretsSize += len(text); b.secretsSize > plaintext.MaxTotal {
		b.fail(path{}.key(SecretsKey), "%v", plaintext.ErrTotal)
	}
	if b.secretsParts += plaintext.Parts(text); b.secretsParts > plaintext.MaxTotalParts {
		b.fail(path{}.key(SecretsKey), "%v", plaintext.ErrTotalParts)
	}
}

func (b *bodyReader) tags(at path, value jsontext.Value) {
	if value.Kind() != '[' {
		b.fail(at, "must be a list of strings")
		return
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(value))
	_, err := decoder.ReadToken()
	for err == nil && decoder.PeekKind() != ']' {
		var raw jsontext.Value
		if raw, err = decoder.ReadValue(); err != nil {
			break
		}
		switch {
		case raw.Kind() != '"':
			b.fail(at, "must be a list of strings")
			return
		case len(b.request.Tags) == maxTags:
			b.fail(at, "has more than %d tags", maxTags)
			return
		}
		tag, err := jsontext.AppendUnquote(nil, raw)
		if err != nil || len(tag) > maxTag {
			b.fail(append(slices.Clip(at), len(b.request.Tags)), "is longer than %d bytes", maxTag)
			return
		}
		b.request.Tags = append(b.request.Tags, string(tag))
	}
	if err != nil { // split has read all of it once, so this cannot be
		b.fail(at, "cannot be read")
	}
}

func (b *bodyReader) dataPool(at path, p Parameter, value jsontext.Value) {
	if value.Kind() == 'n' && !p.Required {
		return
	}
	errs := input{schema: dataPoolSchema(), exact: true}.validate(value, at)
	b.errs = append(b.errs, errs...)
	if len(errs) > 0 {
		return
	}
	var reference DataPoolReference
	if err := json.Unmarshal(value, &reference); err != nil {
		b.fail(at, "must be a reference to a data pool")
		return
	}
	b.request.DataPools[p.Name] = reference
}

// missing adds the required parameters that the body lacks.
func (b *bodyReader) missing() {
	for _, p := range b.validator.signature.Parameters {
		at, name := path{}.key(p.Name), p.Name
		if p.Kind == Secret {
			at, name = path{}.key(SecretsKey).key(p.Name), SecretsKey+"."+p.Name
		}
		if p.Required && !b.given[name] {
			b.fail(at, "is required")
		}
	}
}

// choices lists the parameters of some kinds, for the end of an error.
func (v *Validator) choices(none string, kinds ...Kind) string {
	var names []string
	for _, kind := range kinds {
		names = append(names, v.signature.Names(kind)...)
	}
	if len(names) == 0 {
		return none
	}
	return "there are: " + strings.Join(names, ", ")
}
