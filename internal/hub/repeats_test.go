package hub_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestLostAnswers repeats requests whose client has closed the connection at once. The
// server may have answered before it learns that, so some may start two executions;
// TestRepeats says exactly when.
func TestLostAnswers(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	const rounds = 20
	for round := range rounds {
		body := fmt.Sprintf(`{"name":"%d"}`, round)
		path := s.path()
		if round%2 == 1 {
			path, body = "/qc-catalog/service-jobs", fmt.Sprintf(`{"serviceId":%q,"input":%s}`, s.id, body)
		}
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, p.owner, len(body), body)
		if err == nil {
			err = connection.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		p.total() // the server gets to the first request meanwhile
		if status, answer := p.send(p.owner, http.MethodPost, path, "application/json", []byte(body)); status != http.StatusCreated {
			t.Fatalf("POST %s again = %d %s", path, status, answer)
		}
	}
	if got := p.total(); got < rounds || got >= 2*rounds {
		t.Errorf("%d requests, each of which came twice, have started %d executions, want about as many", rounds, got)
	}
	for range 2 { // answered ones are not repetitions
		p.call(p.owner, http.MethodPost, "/qc-catalog/service-jobs", document{"serviceId": s.id, "input": document{"name": "last"}}, http.StatusCreated)
	}
	list := p.call(p.owner, http.MethodGet, "/qc-catalog/service-jobs?size=2", nil, http.StatusOK)["content"].([]any)
	if list[0].(map[string]any)["id"] == list[1].(map[string]any)["id"] {
		t.Errorf("two requests that were answered have started %v, want two", list)
	}
}

// total is how many executions there are.
func (p *platform) total() int {
	n, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions?size=1", nil, http.StatusOK)["totalElements"].(float64)
	return int(n)
}
