package runner

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/environ"
)

// passed are the variables of our environment that a service gets. It needs them to
// find programs, speak the user's language, and reach servers through the proxy and
// with the certificates of this machine.
var passed = []string{
	"PATH", "LANG", "LANGUAGE", "TZ", "LOG_LEVEL",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	// Windows cannot start a program without these.
	"SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR",
}

// An Environment is built from nothing, variable by variable: a service gets no
// variable that is not put in.
type Environment map[string]string

// BaseEnvironment has the variables that every service gets on this machine, and nothing
// else of our own environment.
func BaseEnvironment() Environment {
	env := Environment{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if (slices.Contains(passed, name) || strings.HasPrefix(name, "LC_")) && !environ.IsSecret(name) {
			env[name] = value
		}
	}
	return env
}

// Place points the contract's variables, and the temporary folder, at f.
func (e Environment) Place(f Dir) {
	e["INPUT_DIRECTORY"] = f.Input()
	e["OUTPUT_DIRECTORY"] = f.Output()
	e["DATAPOOL_DIRECTORY"] = f.DataPools()
	e["TMPDIR"] = f.Temp()
	if runtime.GOOS == "windows" {
		e["TEMP"], e["TMP"] = f.Temp(), f.Temp()
	}
}

// InputSource says to the SDKs, if it is InputRequest, that the input files hold the
// values of a request as JSON, and not texts that a person has written.
const (
	InputSource  = "QHUBCTL_INPUT_SOURCE"
	InputRequest = "request"
)

// Unplaced is the environment without the variables that Place sets: that of a
// process without a folder.
func (e Environment) Unplaced() Environment {
	other := maps.Clone(e)
	for _, name := range []string{"INPUT_DIRECTORY", "OUTPUT_DIRECTORY", "DATAPOOL_DIRECTORY", "TMPDIR"} {
		delete(other, name)
	}
	return other
}

// PrependPath puts a folder first in PATH.
func (e Environment) PrependPath(dir string) {
	if e["PATH"] == "" {
		e["PATH"] = dir
		return
	}
	e["PATH"] = dir + string(filepath.ListSeparator) + e["PATH"]
}

// List is the environment as NAME=value, sorted.
func (e Environment) List() []string {
	list := make([]string, 0, len(e))
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
