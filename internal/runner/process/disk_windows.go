package process

// diskFull cannot be told here.
func diskFull(string) bool { return true }
