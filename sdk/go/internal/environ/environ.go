// Package environ takes variables out of the environment of the process.
package environ

import "os"

// Take returns the value of a variable and removes it, so that child processes do not
// inherit it. If the system allows it (Linux), it also wipes the value from the initial
// environment of the process, which the system shows.
func Take(name string) (string, bool) {
	value, ok := os.LookupEnv(name)
	if !ok {
		return "", false
	}
	_ = os.Unsetenv(name) // cannot fail for an existing name
	if value != "" {
		wipe(name)
	}
	return value, true
}
