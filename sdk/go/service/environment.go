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

// take returns the values of secrets by variable and removes them.
func (e environment) take(names []string) map[string]string {
	if e.variables == nil {
		return environ.Take(names...)
	}
	taken := map[string]string{}
	for _, name := range names {
		if value, ok := e.variables[name]; ok {
			taken[name] = value
			delete(e.variables, name)
		}
	}
	return taken
}
