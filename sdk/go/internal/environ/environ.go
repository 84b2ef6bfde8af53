// Package environ takes variables out of the environment of the process.
package environ

import "os"

// Take returns the values of variables by name and removes the variables, so that child
// processes do not inherit them. If the system allows it (Linux), it also wipes the values
// from the initial environment of the process, which the system shows.
func Take(names ...string) map[string]string {
	taken := make(map[string]string, len(names))
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			taken[name] = value
			_ = os.Unsetenv(name) // cannot fail for an existing name
		}
	}
	if len(taken) > 0 {
		wipe(taken)
	}
	return taken
}
