package sandbox_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// TestGPUs shows executions devices that stand in for GPUs: the number that a policy
// allows, and the devices that all GPUs share.
func TestGPUs(t *testing.T) {
	m := detected()
	need(t, m, "filesystem")
	dir := dir(t)
	for _, name := range []string{"nvidia10", "nvidia1", "nvidia0", "nvidiactl", "nvidia-uvm"} {
		if err := unix.Mknod(filepath.Join(dir, name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
			t.Skip("this user cannot make devices: ", err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(sandbox.WithDevices(dir))
	want := []string{filepath.Join(dir, "nvidia0"), filepath.Join(dir, "nvidia1"), filepath.Join(dir, "nvidia10")}
	if got := sandbox.GPUs(); !slices.Equal(got, want) {
		t.Errorf("the GPUs are %q, want %q", got, want)
	}
	const look = `
for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm"):
    def use():
        with open("/dev/" + name, "r+b", buffering=0) as device: return device.write(device.read(1)) == 1 or None
    out[name] = attempt(use)
`
	expect(t, ask(t, m, sandbox.Policy{GPUs: 2}, look), map[string]string{
		"nvidia0": "True|ok", "nvidia1": "True|ok", "nvidia10": "ENOENT", "nvidiactl": "True|ok", "nvidia-uvm": "True|ok",
	})
	expect(t, ask(t, m, sandbox.Policy{}, look), map[string]string{
		"nvidia0": "ENOENT", "nvidia1": "ENOENT", "nvidia10": "ENOENT", "nvidiactl": "ENOENT", "nvidia-uvm": "ENOENT",
	})
}
