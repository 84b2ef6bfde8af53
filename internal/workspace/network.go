package workspace

import (
	"fmt"
	"slices"
	"strings"
)

// networks are what an execution may reach of the network, from the most to
// the least: the server's own, a loopback interface of its own, nothing.
var networks = []string{"full", "loopback", "none"}

// CheckNetwork says what is wrong with the name of a network.
func CheckNetwork(name string) error {
	if slices.Contains(networks, name) {
		return nil
	}
	return fmt.Errorf("it is none of %s", strings.Join(networks, ", "))
}

// StricterNetwork is of two networks the one of which less is reached; empty
// is no choice.
func StricterNetwork(a, b string) string {
	if slices.Index(networks, a) > slices.Index(networks, b) {
		return a
	}
	return b
}
