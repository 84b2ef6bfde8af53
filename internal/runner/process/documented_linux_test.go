package process_test

//go:generate go test . -run ^TestHostile(AsOrdinaryUser|Documented)$ -update-docs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// security is the page with the tables of layers and of attacks.
var security = filepath.Join("..", "..", "..", "docs", "security.md")

// An ordinary records whether a server of an ordinary user has each layer, and withstands
// each attack.
type ordinary map[string]string

// delegated marks layers that only root has, unless an administrator delegates them.
const delegated = "where delegated"

// TestHostileLayers logs which layers this user has.
func TestHostileLayers(t *testing.T) {
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	for _, l := range machine.Layers() {
		t.Logf("layer %s: %v", l.Name, l.Held)
	}
}

var (
	layerDocumented = regexp.MustCompile(`layer ([a-z ]+): (true|false)`)
	// A test that was skipped for another reason shows nothing.
	assaultDocumented = regexp.MustCompile(`--- (?:(PASS): TestHostileBinary/(\S+)|SKIP: TestHostileBinary/(\S+) \([^)]*\)\n\s+\S+: not held)`)
)

// ordinaryOf reads the output of the tests that such a user has run. It returns nil if
// the kernel refuses ordinary users the features that the page presumes.
func ordinaryOf(text string) ordinary {
	seen := ordinary{}
	for _, documented := range layerDocumented.FindAllStringSubmatch(text, -1) {
		seen[documented[1]] = map[string]string{"true": "yes", "false": "no"}[documented[2]]
		if strings.HasSuffix(documented[1], " limit") {
			seen[documented[1]] = delegated
		}
	}
	for _, documented := range assaultDocumented.FindAllStringSubmatch(text, -1) {
		for _, a := range runnertest.Assaults() {
			switch strings.ReplaceAll(a.Name, " ", "_") {
			case documented[2]:
				seen["attack "+a.Name] = "yes"
			case documented[3]:
				seen["attack "+a.Name] = "no"
			}
		}
	}
	if seen["filesystem"] != "yes" {
		return nil
	}
	return seen
}

// TestHostileDocumented compares the page with the layers of the sandbox and the attacks.
// TestHostileAsOrdinaryUser checks the column about ordinary users.
func TestHostileDocumented(t *testing.T) { document(t, nil) }

// document compares the tables of the page with the program, or writes them. It keeps the
// column about ordinary users if the tests have not run as one.
func document(t *testing.T, seen ordinary) {
	t.Helper()
	text, err := os.ReadFile(security)
	if err != nil {
		t.Fatal(err)
	}
	known := said(string(text))
	maps.Copy(known, seen)
	testenv.DocumentPart(t, security, "layers", layerTable(known))
	testenv.DocumentPart(t, security, "attacks", attackTable(known))
}

func layerTable(known ordinary) string {
	var b strings.Builder
	b.WriteString("| Layer | Without it | As an ordinary user |\n|---|---|---|\n")
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	for _, l := range machine.Layers() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.Name, l.Exposes, known[l.Name])
	}
	return b.String()
}

func attackTable(known ordinary) string {
	var b strings.Builder
	b.WriteString("| Attack | Held by | What happens | As an ordinary user |\n|---|---|---|---|\n")
	for _, a := range runnertest.Assaults() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.Name, a.HeldBy(), a.Happens, known["attack "+a.Name])
	}
	return b.String()
}

// said is the column of the page about ordinary users: the last of the cells.
func said(page string) ordinary {
	known := ordinary{}
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name, last := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[len(cells)-1])
		switch len(cells) {
		case 3:
			known[name] = last
		case 4:
			known["attack "+name] = last
		}
	}
	return known
}
