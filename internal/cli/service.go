package cli

import (
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// serviceOptions are the options that select a service and its environment.
type serviceOptions struct {
	dir        string
	entrypoint string
	python     string
	envFile    string
	references bool
}

func (o *serviceOptions) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&o.entrypoint, "entrypoint", "", "the function of a Python service to run, as module:function (default "+workspace.DefaultEntrypoint+")")
	flags.StringVar(&o.python, "python", "", "run with this Python, unchanged, instead of the workspace's .venv")
	flags.StringVar(&o.envFile, "env-file", "", "also read variables and secrets from this file, before .env")
	_ = command.MarkFlagFilename("python")
	_ = command.MarkFlagFilename("env-file")
}

// referencesFlag is for commands that give the service its secrets.
func (o *serviceOptions) referencesFlag(command *cobra.Command) {
	command.Flags().BoolVar(&o.references, "resolve-references", false, "secrets of .env, --env-file and --secret that begin with ref+ are references to other stores")
}

func (o *serviceOptions) build() build.Options {
	return build.Options{Dir: o.dir, Entrypoint: o.entrypoint, Python: o.python, EnvFile: o.envFile, References: o.references}
}
