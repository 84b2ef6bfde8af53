package leak_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/leak"
)

var seedFlag = flag.Uint64("seed", 0, "make the canaries of an earlier run again")

func newSource(t *testing.T) *leak.Generator {
	t.Helper()
	seed := cmp.Or(*seedFlag, uint64(time.Now().UnixNano()))
	t.Logf("go test -run %s -seed %d makes the same secrets", t.Name(), seed)
	return leak.NewSource(seed)
}

// A subject is a service of one SDK with all its canaries, and the server that
// serves it.
type subject struct {
	*server
	sdk       sdk
	workspace workspace
	canaries  []leak.Canary
	// seen holds the result of each execution.
	seen map[mode]*left
}

// TestMatrix has services leak their secrets in every way, and finds nothing.
func TestMatrix(t *testing.T) {
	t.Parallel()
	source := newSource(t)
	for _, c := range []struct {
		name  string
		sdk   sdk
		warm  bool
		flags []string
	}{
		{"warm", ours, true, nil},
		{"cold", ours, false, nil},
		{"warm, without a sandbox", ours, true, []string{"--no-sandbox"}},
		{"warm", upstream, true, nil},
		{"cold", upstream, false, nil},
		{"in a sandbox", golang, false, nil},
		{"without a sandbox", golang, false, []string{"--no-sandbox"}},
	} {
		canaries := canariesFor(source, c.sdk)
		t.Run(string(c.sdk)+" "+c.name, func(t *testing.T) {
			t.Parallel()
			s := newSubject(t, program(t), c.sdk, c.warm, canaries)
			s.workspace.flags = append(s.workspace.flags, c.flags...)
			s.serve()
			s.leak()
			s.killAndServeAgain()
			s.stop()
			searchDirs(s.t, s.found, "after the end", &s.workspace, false)
			s.searchDatabase("after the end", &s.workspace)
			s.found.report(t)
			t.Logf("%d canaries, %d MB searched", len(canaries), s.found.bytes>>20)
		})
	}
}

// canariesFor are those of all ways that an SDK has.
func canariesFor(source *leak.Generator, k sdk) []leak.Canary {
	var canaries []leak.Canary
	for _, w := range channels {
		if w.of(k) {
			canaries = append(canaries, source.Canaries(w.name)...)
		}
	}
	return canaries
}

// newSubject writes the workspace; no server serves it yet.
func newSubject(t *testing.T, program string, k sdk, warm bool, canaries []leak.Canary) *subject {
	t.Helper()
	return &subject{
		sdk: k, canaries: canaries, workspace: newWorkspace(t, program, k, warm, canaries),
		server: &server{t: t, found: newFindings(canaries)}, seen: map[mode]*left{},
	}
}

// serve starts a server, and waits until it starts executions warm if it can.
func (s *subject) serve() {
	s.t.Helper()
	args := append([]string{"serve", s.workspace.dir, "--port", "0", "--verbose", "--no-reload", "--metrics", "127.0.0.1:0"}, s.workspace.flags...)
	s.server = serve(s.t, s.workspace.command(s.t, args...), s.found)
	if s.workspace.warm {
		s.await("the service starts warm")
	}
}

// of are the canaries of one mode.
func (s *subject) of(m mode) []leak.Canary {
	var all []leak.Canary
	for _, w := range channelsOf(s.sdk, m) {
		for _, c := range s.canaries {
			if c.Cell == w.name {
				all = append(all, c)
			}
		}
	}
	return all
}

// leak runs the executions of all modes that end, and searches their results.
func (s *subject) leak() {
	s.t.Helper()
	following := map[mode]*stream{}
	for _, m := range ends {
		canaries := s.of(m)
		if len(canaries) == 0 {
			continue
		}
		id := s.start(m, canaries)
		s.seen[m] = &left{id: id, canaries: canaries, files: map[string]string{}}
		following[m] = s.follow(id)
	}
	for m, l := range s.seen {
		status := "FAILED"
		if m == returns || m == raw {
			status = "SUCCEEDED"
		}
		s.collect(l, status)
		<-following[m].ended
		s.found.check(s.sdk, m, l)
	}
	s.misuse()
	s.found.checkDescription(s.of(describes), s.get("/openapi.json", "").body)
}

// collect reads all data of an execution, which must have ended with the status, if one is
// given.
func (s *subject) collect(l *left, status string) {
	s.t.Helper()
	e := s.get("/"+l.id+"?wait=60s", "")
	if status != "" && !bytes.Contains(e.body, []byte(`"status":"`+status+`"`)) {
		log := s.get("/"+l.id+"/log", "text/plain")
		s.t.Errorf("the execution is %s, want %s\n%.3000s\n%s", e.body, status, log.body, s.get("/"+l.id+"/result", "").body)
	}
	l.log = string(s.get("/"+l.id+"/log", "text/plain").body)
	s.get("/"+l.id+"/log", "application/json")
	result := s.get("/"+l.id+"/result", "")
	l.result = string(result.body)
	var document struct {
		Links map[string]struct{ Href string } `json:"_links"`
	}
	if err := json.Unmarshal(result.body, &document); err != nil {
		s.t.Errorf("the result is %.2000s (%v), want JSON", result.body, err)
	}
	for name, link := range document.Links {
		if name != "status" {
			l.files[name] = string(s.get(link.Href, "").body)
		}
	}
}

// misuse sends secrets in places where they are refused or ignored.
func (s *subject) misuse() {
	s.t.Helper()
	for _, c := range s.of(returns) {
		if c.Cell != "print" {
			continue
		}
		for _, body := range []any{
			map[string]any{"mode": "returns", "$secrets": map[string]any{parameter(c): []string{c.Value}}},
			map[string]any{"mode": 1, "$secrets": map[string]any{parameter(c): c.Value}},
			map[string]any{"mode": "returns", "$secrets": c.Value},
			map[string]any{"mode": "returns", "$secrets": map[string]any{"unknown": c.Value}},
			map[string]any{"mode": "returns", parameter(c): c.Value},
		} {
			text, err := json.Marshal(body)
			if err != nil {
				s.t.Fatal(err)
			}
			if a := s.request(http.MethodPost, "/", "", text); a.status != http.StatusBadRequest {
				s.t.Errorf("%v was answered with %d %s, want 400", body, a.status, a.body)
			}
			s.request(http.MethodPost, "/", "", text[:len(text)-2]) // broken JSON
		}
		// In an address, where no secret should be: the server does not write it down.
		place := "/" + url.PathEscape(strings.ReplaceAll(c.Value, "/", "")) + "?token=" + url.QueryEscape(c.Value)
		s.request(http.MethodGet, place, "", nil)
	}
	for _, page := range []string{"/", "/docs", "/docs/reference", "/openapi.json", "/metrics", "/debug/pprof/heap", "/nothing"} {
		s.get(page, "")
		s.get(page, "text/html")
	}
	s.metrics()
}

// killAndServeAgain kills the server while it runs an execution, searches the disk, and
// has another server take over.
func (s *subject) killAndServeAgain() {
	s.t.Helper()
	id := s.start(waits, s.of(waits))
	following := s.follow(id)
	s.awaitText(following, "holding")
	if n := s.searchProcesses(); n < 4 && os.Geteuid() == 0 { // others may not look
		s.t.Errorf("%d files of processes could be read, want at least 4", n)
	}
	searchDirs(s.t, s.found, "while it runs", &s.workspace, true)
	if err := s.command.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.ended() // an error, as it was killed
	<-following.ended
	s.found.search("the terminal of serve", s.out.Bytes())
	searchDirs(s.t, s.found, "after the kill", &s.workspace, true)
	s.searchDatabase("after the kill", &s.workspace)
	s.serve()
	l := &left{id: id, canaries: s.of(waits), files: map[string]string{}}
	s.collect(l, "FAILED")
	s.found.check(s.sdk, waits, l)
	s.metrics()
	searchDirs(s.t, s.found, "served again", &s.workspace, false)
	for _, command := range [][]string{
		{"list"}, {"get", s.seen[returns].id}, {"log", s.seen[returns].id}, {"result", s.seen[raises].id}, {"list", "--output", "json"},
	} {
		out, _ := s.workspace.command(s.t, append(append([]string{"executions"}, command...), "--url", s.url)...).CombinedOutput()
		s.found.search("the terminal of executions "+command[0], out)
	}
}
