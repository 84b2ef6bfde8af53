package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestSecretsKilledAtAnyMoment kills the server while secrets are set, rotated and
// imported. Each secret has the value of the last confirmed change, or of the one that was
// under way; and an import is there as a whole, or not at all.
func TestSecretsKilledAtAnyMoment(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, dir := filepath.Join(folder, "qhubctl"), filepath.Join(t.TempDir(), "data")
	p, kill := startProcess(t, program, dir)
	s := p.deploy("teller", "1.0.0", teller(t), "SUCCESS")
	service := "?serviceId=" + s.id
	p.call(p.owner, http.MethodPost, secretsPath+"-import"+service, document{"secrets": document{"api_token": "imported-0", "db_password": "imported-0"}}, http.StatusNoContent)
	p.call(p.owner, http.MethodPut, secretsPath+"/extra"+service, document{"value": "set-0"}, http.StatusOK)
	imported, set := []int{0, 0}, []int{0, 0} // confirmed, tried
	for round := range 5 {
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		writers.Go(func() {
			for p.try(ctx, http.MethodPost, secretsPath+"-import"+service, "application/json", bodyFor(`{"secrets":{"api_token":"imported-%d","db_password":"imported-%[1]d"}}`, &imported[1])) == http.StatusNoContent {
				imported[0] = imported[1]
			}
		})
		writers.Go(func() {
			method, path := http.MethodPut, secretsPath+"/extra"+service
			if round%2 == 1 {
				method, path = http.MethodPost, secretsPath+"/extra/rotate"+service
			}
			for p.try(ctx, method, path, "application/json", bodyFor(`{"value":"set-%d"}`, &set[1])) == http.StatusOK {
				set[0] = set[1]
			}
		})
		time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
		kill()
		stop()
		writers.Wait()
		p, kill = startProcess(t, program, dir)
		result := p.run(p.owner, p.url+s.path(), document{})
		wants := func(name, word string, numbers []int) string {
			t.Helper()
			at := slices.IndexFunc(numbers, func(n int) bool { return result.text(name) == digestOf(fmt.Sprintf("%s-%d", word, n)) })
			if at < 0 {
				t.Fatalf("round %d: %s has another value than that of the changes %v", round, name, numbers)
			}
			return result.text(name)
		}
		if wants("api_token", "imported", imported) != wants("db_password", "imported", imported) {
			t.Errorf("round %d: half of an import is there", round)
		}
		wants("extra", "set", set)
		t.Logf("round %d: %v imports and %v changes, confirmed and tried", round, imported, set)
		if imported[0] == 0 || set[0] == 0 {
			t.Error("no change was confirmed: the test proves nothing")
		}
		imported[0], set[0] = imported[1], set[1] // either counts from now on
		for _, name := range []string{"api_token", "extra"} {
			if shown := p.call(p.owner, http.MethodGet, secretsPath+"/"+name+service, nil, http.StatusOK); strings.Count(fmt.Sprint(shown["versions"]), "LIVE") != 1 {
				t.Errorf("round %d: %s has the versions %v, want one live", round, name, shown["versions"])
			}
		}
	}
}

// bodyFor is the body of the next change.
func bodyFor(form string, n *int) []byte {
	*n++
	return fmt.Appendf(nil, form, *n)
}
