package service

import (
	"os"

	"github.com/qhubctl/qhubctl/sdk/go/internal/environ"
)

// environment is the environment of the process, or a map in its place.
type environment struct{ variables map[string]string }

// get returns a variable, or otherwise if it is not set or empty.
func (e environment) get(name, otherwise string) string {
	value := e.variables[name]
	if e.variables == nil {
		value = os.Getenv(name)
	}
	if value == "" {
		return otherwise
	}
	return value
}

// take returns the value of a secret and removes it.
func (e environment) take(name string) (string, bool) {
	if e.variables == nil {
		return environ.Take(name)
	}
	value, ok := e.variables[name]
	delete(e.variables, name)
	return value, ok
}
