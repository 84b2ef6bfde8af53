package testenv

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// outsider is a user id that no account has.
const outsider = 4242

// An OrdinaryUser runs tests of this program again, as a user without privileges.
type OrdinaryUser struct {
	// Home is a folder for what the tests need. [OrdinaryUser.Run] gives it to the
	// user.
	Home string

	tests string
}

// NewOrdinaryUser makes a home, with a copy of the program. It skips a test that is
// not run by root.
func NewOrdinaryUser(t *testing.T) *OrdinaryUser {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user")
	}
	home, err := os.MkdirTemp("", "ordinary-user-") //nolint:usetesting // that one's folders are for root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	u := &OrdinaryUser{Home: home, tests: filepath.Join(home, "tests")}
	if err := errors.Join(os.WriteFile(u.tests, program, 0o700), os.Chmod(u.tests, 0o755), os.Chmod(home, 0o755)); err != nil { //nolint:gosec // the user must read it
		t.Fatal(err)
	}
	return u
}

// Run runs the tests that a pattern names, with further variables, and returns their
// output. They must pass.
func (u *OrdinaryUser) Run(t *testing.T, pattern string, atMost time.Duration, variables ...string) string {
	t.Helper()
	err := filepath.WalkDir(u.Home, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, outsider, outsider)) //nolint:gosec // only the test uses this folder
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), u.tests, "-test.v", "-test.timeout="+atMost.String(), "-test.run="+pattern)
	cmd.Dir, cmd.Env = u.Home, append([]string{"HOME=" + u.Home, "TMPDIR=" + u.Home, "PATH=/usr/bin:/bin"}, variables...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: outsider, Gid: outsider}}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the tests %s as an ordinary user: %v, want success\n%s", pattern, err, text)
	}
	return string(text)
}
