package leak_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// hook is a program for rotations. It prints the file of a secret, also on its standard
// error. Where a file NAME.fails is, it removes that, and fails.
const hook = `#!/bin/sh
name=$(/bin/sed 's/.*"secret":"\([^"]*\)".*/\1/')
/bin/cat "$1/$name" >&2
/bin/cat "$1/$name"
! /bin/rm "$1/$name.fails" 2>/dev/null
`

// writeSources writes the values of secrets that are fetched to files, and returns the
// options of a server that fetches them.
func writeSources(t *testing.T, canaries map[string][]leak.Canary) []string {
	t.Helper()
	program, dir := testenv.References(t), t.TempDir()
	for _, place := range []string{"referenced", "rotated"} {
		for _, c := range canaries[place] {
			write(t, filepath.Join(dir, place, parameter(c)), c.Value+"\n")
		}
	}
	path := filepath.Join(dir, "hook")
	write(t, path, hook)
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rotated", parameter(canaries["rotated"][0])+".fails"), "")
	return []string{
		"--reference-schemes", "file", "--reference-files", filepath.Join(dir, "referenced"), "--reference-program", program,
		"--rotation-command", "hook=" + path + " " + filepath.Join(dir, "rotated"),
	}
}

// fetched stores references, and secrets that a hook rotates. The first hook fails after
// it has printed its value; then it works.
func (p *vaultPlatform) fetched(secrets, query string, canaries map[string][]leak.Canary) {
	p.t.Helper()
	put := func(path string, body any, want int) {
		p.t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		p.ask(http.MethodPut, p.url+secrets+"/"+path+query, text, want)
	}
	for _, c := range canaries["referenced"] {
		put(parameter(c), map[string]string{"reference": "ref+file://" + parameter(c)}, http.StatusOK)
		p.ask(http.MethodGet, p.url+secrets+"/"+parameter(c)+query, nil, http.StatusOK)
	}
	for i, c := range canaries["rotated"] {
		name := parameter(c)
		put(name, map[string]string{"value": fmt.Sprintf("the-value-before-%d", i)}, http.StatusOK)
		put(name+"/hook", map[string]string{"command": "hook"}, http.StatusNoContent)
		if i == 0 {
			p.ask(http.MethodPost, p.url+secrets+"/"+name+"/hook/run"+query, nil, http.StatusBadGateway)
		}
		p.ask(http.MethodPost, p.url+secrets+"/"+name+"/hook/run"+query, nil, http.StatusOK)
		p.ask(http.MethodGet, p.url+secrets+"/"+name+query, nil, http.StatusOK)
	}
}
