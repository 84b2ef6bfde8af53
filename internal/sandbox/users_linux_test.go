package sandbox_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// TestUsersOfServers has several servers on one machine give users to executions
// from one range, until there are none left.
func TestUsersOfServers(t *testing.T) {
	need(t, detected(), "user")
	o := sandbox.Options{FirstID: 300_000, IDs: 512}
	first, second := sandbox.Detect(o), sandbox.Detect(o)
	defer second.Close()
	uid := func(m *sandbox.Machine) int {
		t.Helper()
		n, err := strconv.Atoi(ask(t, m, sandbox.Policy{}, `out["uid"] = str(os.getuid())`)["uid"])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a, b := uid(first), uid(second)
	if a/256 == b/256 || min(a, b) < 300_000 || max(a, b) >= 300_512 {
		t.Errorf("two servers run executions as the users %d and %d, want two blocks of 300000 to 300511", a, b)
	}
	third := sandbox.Detect(o)
	if held(third, "user") {
		t.Error("a third server has users, though two have all of the range")
	}
	third.Close()
	first.Close()
	fourth := sandbox.Detect(o)
	defer fourth.Close()
	if !held(fourth, "user") {
		t.Error("a server has no users, though another one has ended")
	} else if n := uid(fourth); n/256 != a/256 {
		t.Errorf("a server runs executions as the user %d, want one of those that the first had (%d)", n, a)
	}
}

// TestAccount has executions print their user.
func TestAccount(t *testing.T) {
	m := detected()
	need(t, m, "filesystem")
	home := dir(t)
	for name, p := range map[string]sandbox.Policy{
		"alone":      {Scratch: []string{home}, Home: home},
		"with forks": {Forks: closedDir(t)},
	} {
		t.Run(name, func(t *testing.T) {
			if p.Forks != "" {
				if err := m.RequireForks(); err != nil {
					t.Skip(err)
				}
			}
			expect(t, ask(t, m, p, `
import getpass, grp, pathlib, pwd
out["name"] = getpass.getuser()
out["home"] = str(pathlib.Path.home())
out["by name"] = os.path.expanduser("~service")
out["group"] = grp.getgrgid(os.getgid()).gr_name
out["write"] = attempt(write, str(pathlib.Path.home() / "file"))
out["root"] = pwd.getpwuid(0).pw_name if os.getuid() else "root"
out["others"] = str({p.pw_name for p in pwd.getpwall()} - {"service", "root", "nobody"})
out["change"] = attempt(write, "/etc/passwd")
`), map[string]string{
				"name": "service", "home": sandbox.HomeAt, "by name": sandbox.HomeAt, "group": "service", "write": "ok",
				"root": "root", "others": "set()", "change": "EROFS|EACCES",
			})
		})
	}
	text, err := os.ReadFile("/etc/passwd")
	if err == nil && strings.Contains(string(text), fmt.Sprintf("service:x:%d", 200_000)) {
		t.Error("the machine has the user of executions now")
	}
}
