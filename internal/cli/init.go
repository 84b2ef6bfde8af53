package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"charm.land/huh/v2"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

const defaultDir = "user_code"

type initOptions struct {
	dir      string
	language string
	// These say that the command asks for a value that its arguments lack.
	askDir, askLanguage bool
}

func newInit(streams *term.Streams) *cobra.Command {
	o := initOptions{}
	command := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make a new service",
		Long: `Writes a new service into DIR (default ` + defaultDir + `): its function in Python or
Go, a project file, an example input, a test, and a copy of the SDK, so that no
package registry is needed for it. On a terminal it asks for a missing folder
or language. It never overwrites a file.`,
		Example: `  qhubctl init
  qhubctl init my-service --lang python
  qhubctl init my-service --lang go`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.askDir = streams.Interactive && len(args) == 0
			o.askLanguage = streams.Interactive && !cmd.Flags().Changed("lang")
			o.dir = defaultDir
			if len(args) > 0 {
				o.dir = args[0]
			}
			return initRun(cmd.Context(), streams, o)
		},
	}
	names := languageNames()
	command.Flags().StringVar(&o.language, "lang", names[0], "the language: "+strings.Join(names, " or "))
	_ = command.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return command
}

func languageNames() []string {
	names := make([]string, len(workspace.Languages))
	for i, language := range workspace.Languages {
		names[i] = string(language)
	}
	return names
}

func initRun(ctx context.Context, streams *term.Streams, o initOptions) error {
	if o.askDir || o.askLanguage {
		if err := askInit(ctx, streams, &o); err != nil {
			return err
		}
	}
	files, err := workspace.Scaffold(o.dir, workspace.Language(o.language))
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
	var fields []huh.Field
	if o.askDir {
		fields = append(fields, huh.NewInput().Title("Folder of the new service").Value(&o.dir).Validate(func(dir string) error {
			if dir == "" {
				return errors.New("enter the name of a folder")
			}
			return nil
		}))
	}
	if o.askLanguage {
		fields = append(fields, huh.NewSelect[string]().Title("Language").Options(huh.NewOptions(languageNames()...)...).Value(&o.language))
	}
	form := huh.NewForm(huh.NewGroup(fields...)).WithInput(streams.In).WithOutput(streams.Err)
	if err := form.RunWithContext(ctx); err != nil {
		if errors.Is(err, huh.ErrUserAborted) {
			return errInterrupted
		}
		return err
	}
	return nil
}
