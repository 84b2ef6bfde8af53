package sandbox

// Without is a machine that lacks the named layers, to measure and to test the
// guarantees that remain.
func (m *Machine) Without(names ...string) *Machine {
	less := *m
	for l := range layers {
		for _, name := range names {
			if described[l].name == name {
				less.lacks(l, "left out by a test")
			}
		}
	}
	if !less.has(layerMemory) && !less.has(layerCount) && !less.has(layerCPU) {
		less.groups = &groups{}
	}
	return &less
}

// ForkFilters are the filters of a zygote with a policy, and of its forks.
func (m *Machine) ForkFilters(p Policy) (zygote, fork []byte) {
	return m.filter(m.zygoteProfile(p)), m.filter(forkProfile)
}

// WithDevices makes GPUs look for devices in another folder.
func WithDevices(dir string) (restore func()) {
	before := devFolder
	devFolder = dir
	return func() { devFolder = before }
}
