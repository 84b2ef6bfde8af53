package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/qhubctl/qhubctl/internal/devserver"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// A greeting shows the service, the source of each parameter, and a command
// that calls it.
type greeting struct {
	devserver.Started

	streams *term.Streams
}

func greet(streams *term.Streams, started devserver.Started) {
	greeting{started, streams}.print()
}

func (s greeting) print() {
	w, described := s.Service.Workspace, s.Signature
	name := strings.TrimSpace(w.Name + " " + w.Version)
	s.streams.Say("%s  %s", s.streams.Good(name), s.streams.Faint(described.SDK.Name+" "+described.SDK.Version))
	if len(described.Parameters) > 0 {
		s.streams.Say("\n%s", indentLines(s.parameterTable()))
	}
	// The command is not indented, as END must begin its line.
	s.streams.Say("\n%s\n\n%s\n", indentLines(s.places()), s.curl())
}

// places lists the addresses and files of the server.
func (s greeting) places() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	_, _ = fmt.Fprintf(table, "API\t%s\nDocs \t%s/docs\n", s.URL, s.URL)
	if s.TokenFile != "" {
		_, _ = fmt.Fprintf(table, "Token\t%s\n", s.TokenFile)
	}
	if s.MetricsURL != "" {
		_, _ = fmt.Fprintf(table, "Metrics\t%s\n", s.MetricsURL)
	}
	_ = table.Flush() // into a strings.Builder
	return b.String()
}

func indentLines(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

func (s greeting) parameterTable() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "PARAMETER\tKIND\tTYPE\tFROM")
	for _, p := range s.Signature.Parameters {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Name, p.Kind, parameterType(p), s.source(p))
	}
	_ = table.Flush() // into a strings.Builder
	return b.String()
}

// source names the source of a parameter that a request leaves out.
func (s greeting) source(p signature.Parameter) string {
	otherwise := "the request"
	if !p.Required {
		otherwise = "the request, or nothing"
	}
	switch p.Kind {
	case signature.Secret:
		if found, ok := secretref.NewFinder(nil, s.Service.Files).Find(p); ok {
			return fmt.Sprintf("%s from %s, or the request", p.Env, s.relative(found.From))
		}
	case signature.DataPool:
		if dir := s.Service.Workspace.DataPool(p.Name); dir != "" {
			return s.relative(dir) + ", or the request"
		}
	}
	return otherwise
}

// relative shortens a path inside the workspace to one relative to it.
func (s greeting) relative(path string) string {
	if inside, ok := workspace.Inside(s.Service.Workspace.Dir, path); ok {
		return inside
	}
	return path
}

// curl returns a command that starts an execution without further editing. It passes
// secrets from the shell's environment on standard input, as every user of the
// machine could read an argument.
func (s greeting) curl() string {
	body := map[string]json.RawMessage{}
	secrets := map[string]string{}
	for _, p := range s.Signature.Parameters {
		switch p.Kind {
		case signature.Secret:
			if _, ok := secretref.NewFinder(nil, s.Service.Files).Find(p); !ok && p.Required {
				secrets[p.Name] = "$" + p.Env
			}
		case signature.Input:
			if p.Required {
				body[p.Name] = s.example(p)
			}
		}
	}
	head := "curl " + s.URL + "/ -H 'Content-Type: application/json'"
	if s.Token {
		head += ` -H @<(echo "Authorization: Bearer $(cat ` + s.tokenFile() + `)")`
	}
	if len(secrets) == 0 {
		return head + " -d '" + strings.ReplaceAll(plainJSON(body), "'", `'\''`) + "'"
	}
	text := strings.TrimSuffix(plainJSON(body), "}")
	if len(body) > 0 {
		text += ","
	}
	// The shell expands variables in a here-document unless they are escaped.
	text = strings.NewReplacer(`\`, `\\`, "$", `\$`, "`", "\\`").Replace(text)
	return head + " -d @- <<END\n" + text + `"\$secrets":` + plainJSON(secrets) + "}\nEND"
}

func (s greeting) tokenFile() string {
	if s.TokenFile != "" {
		return s.TokenFile
	}
	return "TOKEN-FILE"
}

// maxExample is the largest example in bytes.
const maxExample = 300

// example returns a value for an input: the content of its file for `qhubctl run`, or
// a value made from its schema.
func (s greeting) example(p signature.Parameter) json.RawMessage {
	text, err := os.ReadFile(filepath.Join(s.Service.Workspace.InputDir(), p.Name+".json"))
	if err == nil && len(text) <= maxExample {
		var out bytes.Buffer
		if json.Compact(&out, text) == nil {
			return out.Bytes()
		}
	}
	return signature.Example(p, s.Signature)
}

// plainJSON writes JSON without the escapes that only HTML needs.
func plainJSON(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(value) != nil {
		return "{}"
	}
	return strings.TrimSpace(out.String())
}
