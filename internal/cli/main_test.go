package cli_test

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qhubctl/qhubctl/internal/cli"
)

// patience is how long something may take that has to happen.
const patience = 3 * time.Minute

// TestMain makes the test binary the program too, under the program's name: it
// is what the scripts and tests find in PATH.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"qhubctl": func() { os.Exit(cli.Main(os.Args[1:])) },
	})
}
