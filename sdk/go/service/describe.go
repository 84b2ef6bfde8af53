package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/qhubctl/qhubctl/sdk/go/internal/shape"
)

// schemaVersion of the description document.
const schemaVersion = 1

// describe writes the description, or the reason why there is none, to a file or standard
// output.
func (x *execution) describe(s *signature, problem error, to string) int {
	code := exitOK
	var document shape.Object
	if problem == nil {
		document = s.document()
	} else {
		code, document = exitFailed, errorDocument(problem)
		_, _ = fmt.Fprintf(x.stderr, "the service cannot be described: %v\n", problem)
	}
	text, err := indented(document)
	switch {
	case err != nil:
	case to == "":
		_, err = x.stdout.Write(text)
	default:
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		_, _ = fmt.Fprintf(x.stderr, "the description cannot be written: %v\n", err)
		return exitFailed
	}
	return code
}

func indented(document shape.Object) ([]byte, error) {
	compact, err := document.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func errorDocument(problem error) shape.Object {
	failure := shape.Object{}.With("kind", "internal").With("message", problem.Error())
	if e, ok := errors.AsType[*signatureError](problem); ok {
		failure = shape.Object{}.With("kind", e.kind).With("message", e.message)
		if e.parameter != "" {
			failure = failure.With("parameter", e.parameter)
		}
	}
	return shape.Object{}.With("schemaVersion", schemaVersion).With("error", failure)
}

func (s *signature) document() shape.Object {
	document := shape.Object{}.
		With("schemaVersion", schemaVersion).
		With("sdk", shape.Object{}.With("language", "go").With("name", "qhubctl/sdk/go").With("version", Version)).
		With("entrypoint", "main")
	if s.description != "" {
		document = document.With("description", s.description)
	}
	defs := shape.Defs(&s.input, &s.output) // before the schemas: it sets the names they refer to
	parameters := []shape.Object{}
	for _, p := range s.parameters {
		parameters = append(parameters, p.document())
	}
	result := shape.Object{}.With("type", "null")
	if s.result != nil {
		result = s.result.Schema()
	}
	document = document.With("parameters", parameters).With("result", result)
	if len(defs) > 0 {
		document = document.With("$defs", defs)
	}
	return document
}

func (p parameter) document() shape.Object {
	document := shape.Object{}.With("name", p.name).With("kind", p.kind).With("required", p.required())
	if p.nullable {
		document = document.With("nullable", true)
	}
	if p.kind == secretKind {
		document = document.With("env", p.env)
	}
	if p.description != "" {
		document = document.With("description", p.description)
	}
	if p.kind == inputKind {
		document = document.With("schema", p.field.Schema()).With("check", "schema")
	}
	return document
}
