package cli

import (
	"context"
	"errors"
	"path/filepath"

	"charm.land/huh/v2"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

const defaultDir = "user_code"

type initOptions struct {
	dir      string
	language string
	// ask for what the command line does not say.
	ask bool
}

func newInit(streams *term.Streams) *cobra.Command {
	o := initOptions{}
	command := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a new service",
		Long: `Writes a new service into DIR (default ` + defaultDir + `): its function, its project
file, an input to try it with, a test, and the kit it needs, so that nothing
has to be published anywhere. On a terminal it asks for what is not given.
Files that exist are never overwritten.`,
		Example: `  qhubctl init
  qhubctl init my-service --lang python`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.ask = streams.Interactive && len(args) == 0 && !cmd.Flags().Changed("lang")
			o.dir = defaultDir
			if len(args) > 0 {
				o.dir = args[0]
			}
			return initRun(cmd.Context(), streams, o)
		},
	}
	command.Flags().StringVar(&o.language, "lang", "python", "the language: python")
	_ = command.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"python"}, cobra.ShellCompDirectiveNoFileComp))
	return command
}

func initRun(ctx context.Context, streams *term.Streams, o initOptions) error {
	if o.ask {
		if err := askInit(ctx, streams, &o); err != nil {
			return err
		}
	}
	files, err := workspace.Scaffold(o.dir, o.language)
	if err != nil {
		return err
	}
	for _, name := range files {
		streams.Say("  %s %s", streams.Good("+"), filepath.Join(o.dir, name))
	}
	streams.Say(`
A new service is in %[1]s. Run it:

  cd %[1]s
  export SECRET_API_TOKEN=some-token
  qhubctl run -d '{"data": {"message": "hello"}}'`, o.dir)
	return nil
}

func askInit(ctx context.Context, streams *term.Streams, o *initOptions) error {
	form := huh.NewForm(huh.NewGroup(
		huh.NewInput().Title("Folder of the new service").Value(&o.dir).Validate(func(dir string) error {
			if dir == "" {
				return errors.New("name a folder")
			}
			return nil
		}),
	)).WithInput(streams.In).WithOutput(streams.Err)
	if err := form.RunWithContext(ctx); err != nil {
		if errors.Is(err, huh.ErrUserAborted) {
			return errInterrupted
		}
		return err
	}
	return nil
}
