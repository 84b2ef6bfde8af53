package process_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// role makes the test binary another program.
const role = "QHUBCTL_TEST_PROCESS_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "parent":
		beParent()
	case "sleeper":
		fmt.Println("up")
		time.Sleep(10 * time.Minute)
		os.Exit(0)
	}
	// One thread that forks never ends.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/qhubctl/qhubctl/internal/runner/process.init.func1.1"),
		goleak.IgnoreTopFunction("github.com/qhubctl/qhubctl/internal/sandbox.startLoop"))
}

// beParent starts a service, prints its number, and waits to be killed.
func beParent() {
	p, err := process.Start(process.Command{
		Path: os.Args[0], Env: []string{role + "=sleeper"}, Stdout: os.Stdout, Stderr: os.Stderr,
	}, nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.Pid())
	time.Sleep(10 * time.Minute)
}
