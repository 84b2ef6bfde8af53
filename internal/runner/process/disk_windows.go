package process

// diskFull is always true: this system does not report it.
func diskFull(string) bool { return true }
