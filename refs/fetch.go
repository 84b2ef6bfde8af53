package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/helmfile/vals"
	"gopkg.in/yaml.v3"

	"github.com/qhubctl/qhubctl/internal/reference"
)

// maxFile is how many bytes a file may have.
const maxFile = 1 << 20

// fetch fetches the value of a reference. Only references that package reference accepts
// get to vals, which has schemes that run programs and read any file.
func fetch(request reference.Request) ([]byte, error) {
	parsed, err := reference.Parse(request.Reference)
	if err != nil {
		return nil, err
	}
	switch parsed.Scheme {
	case reference.File:
		return fromFile(request, parsed)
	case reference.Sops:
		return fromSops(request, parsed)
	default:
		return evaluate(parsed.String())
	}
}

// evaluate has vals fetch a value.
func evaluate(text string) ([]byte, error) {
	runtime, err := vals.New(vals.Options{LogOutput: io.Discard, FailOnMissingKeyInMap: true})
	if err != nil {
		return nil, err
	}
	// Eval keeps the type of a value, while Get would make texts of null and of maps.
	found, err := runtime.Eval(map[string]any{"value": text})
	if err != nil {
		return nil, err
	}
	return asText(found["value"])
}

// asText is a value of a document. A number of YAML may have been written in another way
// than it would be printed.
func asText(value any) ([]byte, error) {
	switch value := value.(type) {
	case string:
		return []byte(value), nil
	case json.Number:
		return []byte(value), nil
	case nil:
		return nil, errNoKey
	default:
		return nil, errNoText
	}
}

// readFile reads a file below the folder of a request. Links may not lead out of it.
func readFile(request reference.Request, parsed reference.Reference) ([]byte, error) {
	relative, ok := parsed.Relative(request.Dir)
	if request.Dir == "" || !ok {
		return nil, errOutside
	}
	root, err := os.OpenRoot(request.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	if info, err := root.Stat(relative); err != nil || !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, errors.Join(errNoFile, err)
	}
	file, err := root.Open(relative)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = errLarge
	}
	return content, err
}

// fromFile is a file, without the line end after it, or a text in it.
func fromFile(request reference.Request, parsed reference.Reference) ([]byte, error) {
	content, err := readFile(request, parsed)
	if err != nil {
		return nil, err
	}
	if parsed.Key == "" {
		text, _ := strings.CutSuffix(string(content), "\n")
		text, _ = strings.CutSuffix(text, "\r")
		return []byte(text), nil
	}
	var document any
	if yaml.Unmarshal(content, &document) != nil {
		return nil, errNoDocument
	}
	for key := range strings.SplitSeq(parsed.Key, "/") {
		members, ok := document.(map[string]any)
		if !ok {
			return nil, errNoKey
		}
		if document, ok = members[key]; !ok {
			return nil, errNoKey
		}
	}
	return asText(document)
}

// byExtension are those that sops knows by the end of a name.
var byExtension = map[string]string{".yaml": "yaml", ".yml": "yaml", ".json": "json", ".env": "dotenv", ".ini": "ini"}

// fromSops decrypts a file. It gives vals the content, not the name: no process can replace
// the file by a link meanwhile.
func fromSops(request reference.Request, parsed reference.Reference) ([]byte, error) {
	content, err := readFile(request, parsed)
	if err != nil {
		return nil, err
	}
	format, ok := parsed.Parameters["format"]
	if !ok {
		if format, ok = byExtension[path.Ext(parsed.Path)]; !ok {
			format = "binary"
		}
	}
	text := fmt.Sprintf("ref+sops://%s?key_type=base64&format=%s", base64.URLEncoding.EncodeToString(content), format)
	if parsed.Key != "" {
		text += "#/" + parsed.Key
	}
	return evaluate(text)
}

var (
	errOutside    = errors.New("outside the folder")
	errNoFile     = fs.ErrNotExist
	errLarge      = errors.New("too large")
	errNoDocument = errors.New("not a document")
	errNoKey      = errors.New("no such key")
	errNoText     = errors.New("not a text")
)
