package sandbox

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// devFolder is where the kernel shows devices.
var devFolder = "/dev"

// GPUs lists the devices of the GPUs that this machine has: those of NVIDIA's
// driver, or else those that the kernel renders with.
func GPUs() []string {
	for _, pattern := range []string{"nvidia[0-9]*", "dri/renderD*"} {
		if found, err := filepath.Glob(filepath.Join(devFolder, pattern)); err == nil && len(found) > 0 {
			slices.SortFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
			return found
		}
	}
	return nil
}

// gpuDevices are the devices that programs need for the first n GPUs.
func gpuDevices(n int) []string {
	if n == 0 {
		return nil // saves reading /dev for each sandbox
	}
	gpus := GPUs()
	devices := gpus[:min(n, len(gpus))]
	if len(devices) == 0 {
		return nil
	}
	for _, shared := range []string{"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "kfd"} {
		if found, err := filepath.Glob(filepath.Join(devFolder, shared)); err == nil {
			devices = append(devices, found...)
		}
	}
	return devices
}
