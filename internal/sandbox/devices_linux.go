package sandbox

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// devices adds a /dev with harmless devices.
func (b *builder) devices() {
	add := func(s shim.Step) { b.add(layerFilesystem, s) }
	add(shim.Step{Op: shim.OpMount, A: "tmpfs", B: "dev", C: "tmpfs", D: "mode=755,size=64k", N: unix.MS_NOSUID | unix.MS_NOEXEC})
	if !b.machine.root { // root creates them instead, which takes no mounts
		for _, name := range devices {
			add(shim.Step{Op: shim.OpTouch, A: "dev/" + name})
		}
	}
	if b.policy.Forks != "" {
		add(shim.Step{Op: shim.OpSymlink, A: "/tmp", B: "dev/shm"})
	} else {
		add(shim.Step{Op: shim.OpMkdir, A: "dev/shm", N: 0o755})
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		add(shim.Step{Op: shim.OpSymlink, A: target, B: "dev/" + name})
	}
	for _, name := range devices {
		if b.machine.root {
			add(shim.Step{Op: shim.OpDevice, A: "dev/" + name, N: b.machine.system.devices[name]})
		} else {
			add(shim.Step{Op: shim.OpBind, A: "/dev/" + name, B: "dev/" + name})
		}
	}
	for _, path := range gpuDevices(b.policy.GPUs) {
		name := strings.TrimPrefix(path, devFolder+"/")
		add(shim.Step{Op: shim.OpTouch, A: "dev/" + name})
		add(shim.Step{Op: shim.OpBind, A: path, B: "dev/" + name})
	}
	// All in one call: programs can write to devices on read-only mounts, too.
	add(shim.Step{Op: shim.OpAttr, A: "dev", N: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC})
}
