package cli

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/google/shlex"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// masterKey says where the master key of a served workspace comes from.
type masterKey struct {
	text   string
	source vault.KeySource // what text names; nil for the file in the folder of serve
}

func (k *masterKey) flags(command *cobra.Command) {
	command.Flags().StringVar(&k.text, "master-key", "",
		"the source of the key that seals secrets: @FILE, env:VAR, or 'command:PROGRAM ARG...' that prints it (default: $"+
			vault.EnvironmentVariable+", else .qhub/serve/"+server.MasterKeyName+")")
}

// find finds the source. It removes a key from the environment before any other
// program is started.
func (k *masterKey) find() (err error) {
	kind, rest, _ := strings.Cut(k.text, ":")
	switch {
	case k.text == "":
		if os.Getenv(vault.EnvironmentVariable) != "" {
			k.source, err = vault.FromEnvironment(vault.EnvironmentVariable)
		}
	case strings.HasPrefix(k.text, "@") && len(k.text) > 1:
		var path string
		path, err = filepath.Abs(k.text[1:])
		k.source = vault.FileSource(path)
	case kind == "env" && rest != "":
		k.source, err = vault.FromEnvironment(rest)
	case kind == "command":
		var words []string
		if words, err = shlex.Split(rest); err != nil || len(words) == 0 {
			return usagef("--master-key: a program and its arguments are expected after command:, as a shell would read them")
		}
		k.source = vault.CommandSource(words)
	default:
		return usagef("--master-key takes @FILE, env:VAR or command:PROGRAM, not the key itself, which every user of this machine could read")
	}
	if err != nil {
		return &server.MasterKeyError{Err: err}
	}
	return nil
}
