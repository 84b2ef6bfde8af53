package cli_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qhubctl/qhubctl/internal/cli"
)

// TestMain makes the test binary the program too, under the program's name: it
// is what the scripts and tests find in PATH.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"qhubctl": func() { os.Exit(cli.Main(os.Args[1:])) },
	})
}
