package sqlite_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// victimVariable makes the test binary the process that is killed; it holds
// the path of the store.
const victimVariable = "QHUBCTL_TEST_STORE_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimVariable); path != "" {
		if err := beVictim(path); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
