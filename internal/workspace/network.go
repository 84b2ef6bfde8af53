package workspace

import (
	"fmt"
	"slices"
	"strings"
)

// networks are the choices of a network for executions, from the most to the
// least: that of the server, a separate loopback interface, none.
var networks = []string{"full", "loopback", "none"}

// CheckNetwork reports whether the name of a network is valid.
func CheckNetwork(name string) error {
	if slices.Contains(networks, name) {
		return nil
	}
	return fmt.Errorf("it is none of %s", strings.Join(networks, ", "))
}

// StricterNetwork returns the network that reaches less; empty is no choice.
func StricterNetwork(a, b string) string {
	if slices.Index(networks, a) > slices.Index(networks, b) {
		return a
	}
	return b
}
