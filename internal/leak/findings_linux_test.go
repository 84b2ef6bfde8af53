package leak_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// findings are the leaks of a subject.
type findings struct {
	net *leak.Net

	mu    sync.Mutex
	all   []leak.Finding
	bytes int64 // searched
	// wrong lists missing or wrong traces, by the name of the way.
	wrong map[string][]string
}

func newFindings(canaries []leak.Canary) *findings {
	return &findings{net: leak.NewNet(canaries), wrong: map[string][]string{}}
}

func (f *findings) search(place string, text []byte) {
	found := f.net.Search(place, text)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes += int64(len(text))
	f.all = append(f.all, found...)
}

func (f *findings) complain(way, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrong[way] = append(f.wrong[way], text)
}

// searchJSON searches the decoded texts of a document.
func (f *findings) searchJSON(place string, text []byte) {
	var document any
	if json.Unmarshal(text, &document) == nil {
		f.search(place+", decoded", []byte(strings.Join(texts(document), "\n")))
	}
}

func texts(document any) []string {
	var all []string
	switch node := document.(type) {
	case string:
		all = append(all, node)
	case []any:
		for _, element := range node {
			all = append(all, texts(element)...)
		}
	case map[string]any:
		for name, element := range node {
			all = append(append(all, name), texts(element)...)
		}
	}
	return all
}

// report fails the test for each cell that leaks, with one place each.
func (f *findings) report(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[leak.Canary]bool{}
	for _, found := range f.all {
		if !seen[found.Canary] {
			seen[found.Canary] = true
			t.Errorf("LEAK: %s, want no secret anywhere", found)
		}
	}
	for _, way := range slices.Sorted(maps.Keys(f.wrong)) {
		t.Error(strings.Join(f.wrong[way], "\n"))
	}
}

// of returns the findings and the wrong traces of a way.
func (f *findings) of(way string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.wrong[way]
	for _, found := range f.all {
		if found.Canary.Cell == way {
			all = append(all, found.String())
		}
	}
	return all
}
