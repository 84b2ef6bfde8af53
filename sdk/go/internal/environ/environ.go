// Package environ takes variables out of the environment of the process.
package environ

import "os"

// Take returns the value of a variable and removes it, so that child processes
// do not inherit it; where the system allows (Linux), its value is also wiped
// from what the system shows as the environment the process was started with.
func Take(name string) (string, bool) {
	value, ok := os.LookupEnv(name)
	if !ok {
		return "", false
	}
	_ = os.Unsetenv(name) // cannot fail for a name that was found
	if value != "" {
		wipe(name)
	}
	return value, true
}
