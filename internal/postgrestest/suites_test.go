package postgrestest_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// apart are tests that say little of the state and take long.
const apart = "Console|README|Readme|Document|OpenAPI|Many|Build|Published|RewrapUnderLoad"

// TestSuitesOnPostgres runs the tests of packages that keep a state, on Postgres.
func TestSuitesOnPostgres(t *testing.T) {
	if os.Getenv(postgrestest.Variable) != "" {
		t.Skip("one of these suites runs it")
	}
	testenv.NeedEverything(t)
	server := postgrestest.Start(t)
	packages := []string{"access", "accessapi", "datapool", "datapoolapi", "secretstore", "secretsapi", "hub"}
	for _, name := range packages {
		t.Run(name, func(t *testing.T) {
			test := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-skip", apart, "../"+name)
			test.Env = append(os.Environ(), postgrestest.Variable+"="+server.URL(), testenv.EverythingVariable+"=")
			if out, err := test.CombinedOutput(); err != nil {
				t.Errorf("go test ./internal/%s on Postgres = %v\n%s", name, err, out)
			}
		})
	}
}
