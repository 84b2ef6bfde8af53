//go:build linux

package forkserver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// TestNeighbourIsNotCharged has an execution leave as much in memory as its limit
// allows. Others then run at their limit, while a third one runs.
func TestNeighbourIsNotCharged(t *testing.T) {
	need(t, "memory limit", "filesystem")
	sb := confined()
	sb.Policy.Limits.Memory, sb.Policy.Limits.Temp = 128<<20, 100<<20
	o := written(t, hostile, sb)
	o.Spares = 1
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	_, stop := victim(t, r, "out['here'] = 'yes'")
	for _, place := range []string{sandbox.TempAt, "/dev/shm", sandbox.HomeAt} {
		got := do(t, r, fmt.Sprintf("open(%q, 'wb').write(bytes(85 << 20)); out['left'] = 'yes'", place+"/left"))
		if got.value["left"] != "yes" {
			t.Fatalf("an execution that leaves 85 MiB in %s ends %+v, want success\n%s", place, got.outcome, got.stderr)
		}
		for range 4 { // more than there are cgroups
			if got := do(t, r, "x = b'x' * (80 << 20); out['took'] = 'yes'"); got.outcome != (runner.Outcome{}) {
				t.Errorf("an execution that takes 80 MiB of 128 ends %+v, want success", got.outcome)
			}
		}
	}
	if outcome := stop(); !outcome.Stopped {
		t.Errorf("the third execution ended with %+v, want it to go on", outcome)
	}
}

// TestNeighbourHasAnotherNetwork has two executions listen at one address, and
// look for each other.
func TestNeighbourHasAnotherNetwork(t *testing.T) {
	if err := machine().RequireForks(); err != nil {
		t.Skip("this machine does not keep forks apart: ", err)
	}
	need(t, "network")
	for network, want := range map[sandbox.Network]map[string]string{
		sandbox.NetworkLoopback: {"connect": "ECONNREFUSED", "listen": "ok", "names": "False", "ports": "False", "socket": "ENOENT"},
		sandbox.NetworkNone:     {"connect": "EAFNOSUPPORT", "listen": "EAFNOSUPPORT", "names": "False", "ports": "False", "socket": "ENOENT"},
		// An execution in the network of the machine reads its tables of sockets and
		// reaches its ports, but not sockets with names.
		sandbox.NetworkFull: {"connect": "ok", "listen": "EADDRINUSE", "names": "True", "ports": "True", "socket": "ENOENT"},
	} {
		t.Run(string(network), func(t *testing.T) {
			sb := confined()
			sb.Policy.Network = network
			r := prepared(t, written(t, hostile, sb))
			defer func() { _ = r.Close() }()
			reported, stop := victim(t, r, `
local = socket.socket(socket.AF_UNIX); local.bind("/tmp/neighbour-listens"); local.listen()
out["port"] = 1
try:
    server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
    out["port"] = server.getsockname()[1]
except OSError: pass
`)
			got := do(t, r, fmt.Sprintf(`
port = %v
def meet(method):
    with socket.socket() as s: getattr(s, method)(("127.0.0.1", port))
def dial():
    with socket.socket(socket.AF_UNIX) as s: s.connect("/tmp/neighbour-listens")
def tables(*names):
    text = ""
    for task in ("self", "thread-self", str(os.getpid())):
        for name in names:
            try: text += read(f"/proc/{task}/net/{name}")
            except FileNotFoundError: pass
    return text
out["connect"] = attempt(meet, "connect")
out["listen"] = attempt(meet, "bind")
out["names"] = str("neighbour-listens" in tables("unix"))
out["ports"] = str(f":{port:04X} " in tables("tcp", "tcp6", "udp"))
out["socket"] = attempt(dial)
`, reported["port"]))
			for key, want := range want {
				if value, _ := got.value[key].(string); !slices.Contains(strings.Split(want, "|"), value) {
					t.Errorf("%s: %q, want %s\n%s", key, value, want, got.stderr)
				}
			}
			if outcome := stop(); !outcome.Stopped {
				t.Errorf("the neighbour ended with %+v, want it to go on", outcome)
			}
		})
	}
}
