// Package environ reads the environment of this program, and starts other
// programs without the variables that hold secrets.
//
// A service gets an environment that is built variable by variable (see
// [github.com/qhubctl/qhubctl/internal/runner.Environment]). Every other program
// that qhubctl starts, such as an installer, a compiler or git, is a [Command]:
// it gets the user's environment without the variables that carry secrets,
// because it runs code of third parties.
package environ

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

// SecretPrefix starts the names of the variables that services take secrets
// from.
const SecretPrefix = "SECRET_"

// secrets are the names of variables that carry a secret although their names
// do not begin with SecretPrefix.
var secrets = struct {
	mu    sync.RWMutex
	names map[string]bool
}{names: map[string]bool{
	"QHUBCTL_TOKEN": true, "QHUBCTL_MASTER_KEY": true, "KQH_SERVICE_EXECUTION_TOKEN": true,
}}

// MarkSecret records that the variable carries a secret, for as long as this
// process lives. It is safe for concurrent use.
func MarkSecret(name string) {
	secrets.mu.Lock()
	defer secrets.mu.Unlock()
	secrets.names[folded(name)] = true
}

// LookupSecret returns the value of a variable that the user names as the
// source of a secret, and marks it with [MarkSecret] even if it is not set.
func LookupSecret(name string) (string, bool) {
	MarkSecret(name)
	return os.LookupEnv(name)
}

// IsSecret reports whether the variable carries a secret, as far as its name or
// [MarkSecret] says so.
func IsSecret(name string) bool {
	name = folded(name)
	if strings.HasPrefix(name, SecretPrefix) {
		return true
	}
	secrets.mu.RLock()
	defer secrets.mu.RUnlock()
	return secrets.names[name]
}

// folded makes names equal that the system treats as one variable.
func folded(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}

// Public returns the environment of this process without the variables that
// carry secrets.
func Public() []string { return WithoutSecrets(os.Environ()) }

// WithoutSecrets returns the entries, each NAME=value, whose variables carry no
// secrets.
func WithoutSecrets(entries []string) []string {
	public := make([]string, 0, len(entries))
	for _, entry := range entries {
		if name, _, _ := strings.Cut(entry, "="); !IsSecret(name) {
			public = append(public, entry)
		}
	}
	return public
}

// Command is [exec.CommandContext] for a program that is not a service. Its
// environment is [Public].
func Command(ctx context.Context, path string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, args...) //nolint:forbidigo // the one place
	command.Env = Public()
	return command
}

// HasPassword reports whether a value, such as that of HTTP_PROXY or PIP_INDEX_URL, has
// an address with a user in it.
func HasPassword(value string) bool {
	for word := range strings.FieldsSeq(value) {
		if u, err := url.Parse(word); err != nil && strings.Contains(word, "@") || err == nil && u.User != nil {
			return true
		}
	}
	return false
}
