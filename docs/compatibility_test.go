package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryDifferenceIsDocumented holds the table of recorded cases in
// compatibility.md and the cases themselves together, in both directions.
func TestEveryDifferenceIsDocumented(t *testing.T) {
	t.Parallel()
	documented := differencesTable(t)
	for id, want := range differences(t) {
		got, ok := documented[id]
		if !ok {
			t.Errorf("the page lacks the case %s, want the row\n| %s | %s | %s | … |", id, id, want.upstream, want.ours)
			continue
		}
		delete(documented, id)
		if got.upstream != want.upstream || got.ours != want.ours {
			t.Errorf("the page says of %s: %s → %s, want %s → %s", id, got.upstream, got.ours, want.upstream, want.ours)
		}
		if got.why == "" || got.why == "…" {
			t.Errorf("the case %s is documented without a reason, want one", id)
		}
	}
	for id := range documented {
		t.Errorf("the page documents %s, want only recorded differences", id)
	}
}

type difference struct{ upstream, ours, why string }

// differences are the recorded cases in which we do something else.
func differences(t *testing.T) map[string]difference {
	t.Helper()
	found := map[string]difference{}
	var texts []struct {
		Annotation, Input string
		outcome
		Ours *outcome
	}
	readCases(t, "bind.json", &texts)
	for _, c := range texts {
		if c.Ours != nil {
			found[fmt.Sprintf("`%s` of `%s`", c.Annotation, shown(c.Input))] = difference{c.text(), c.Ours.text(), ""}
		}
	}
	var services []struct {
		Name string
		ending
		Ours *ending
	}
	readCases(t, "run.json", &services)
	for _, c := range services {
		if c.Ours != nil {
			found["`"+c.Name+"`"] = difference{c.text(), c.Ours.text(), ""}
		}
	}
	if len(found) == 0 {
		t.Fatal("no recorded differences were found")
	}
	return found
}

// outcome is what a text, read as a type, becomes.
type outcome struct{ Value, Error string }

func (o outcome) text() string {
	if o.Error != "" {
		return "error"
	}
	return "`" + o.Value + "`"
}

// ending is how a service ends.
type ending struct {
	Exit    int
	Output  map[string]json.RawMessage
	Problem *struct{ Status int }
}

func (e ending) text() string {
	text := fmt.Sprintf("exit code %d", e.Exit)
	switch {
	case e.Problem != nil:
		return fmt.Sprintf("%s, problem %d", text, e.Problem.Status)
	case len(e.Output) == 0:
		return text + ", no output"
	default:
		return text + ", output"
	}
}

func shown(input string) string {
	if input == "" {
		return `""`
	}
	return input
}

func readCases(t *testing.T, name string, cases any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "conformance", name))
	if err == nil {
		err = json.Unmarshal(text, cases)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// differencesTable is the last table of compatibility.md.
func differencesTable(t *testing.T) map[string]difference {
	t.Helper()
	text, err := os.ReadFile("compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## The recorded cases that differ")
	if !ok {
		t.Fatal("compatibility.md has no section about the recorded cases")
	}
	rows := map[string]difference{}
	for line := range strings.SplitSeq(section, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 4 || cells[0] == "Case" {
			continue
		}
		rows[cells[0]] = difference{cells[1], cells[2], cells[3]}
	}
	return rows
}
