package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/qhubctl/qhubctl/internal/term"
)

// configPrefix is that of the variables with options of a server.
const configPrefix = "QHUBCTL_SERVER_"

// A settingOrigin says where the value of an option comes from.
type settingOrigin string

const (
	fromDefault settingOrigin = "default"
	fromFlag    settingOrigin = "flag"
)

// notConfigured are options that no variable and no file sets.
var notConfigured = []string{"config", "help", "output"}

// configure sets the flags that were not given from variables and a TOML file. The
// origins are by the names of the flags.
func configure(flags *pflag.FlagSet, file string) (map[string]settingOrigin, error) {
	if file == "" {
		file = os.Getenv(configPrefix + "CONFIG")
	}
	settings, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	origins := map[string]settingOrigin{}
	known := map[string]bool{}
	flags.VisitAll(func(flag *pflag.Flag) {
		if slices.Contains(notConfigured, flag.Name) || err != nil {
			return
		}
		known[flag.Name] = true
		variable := configPrefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		var value []string
		from := fromDefault
		if text, ok := os.LookupEnv(variable); ok {
			value, from = strings.Split(text, "\n"), settingOrigin("$"+variable)
		} else if text, ok := settings[flag.Name]; ok {
			value, from = text, settingOrigin(file)
		}
		switch {
		case flag.Changed:
			from = fromFlag
		case from != fromDefault:
			for _, one := range value {
				if set := flags.Set(flag.Name, one); set != nil {
					err = usagef("%s: %s is not valid: %v", from, flag.Name, set)
				}
			}
		}
		origins[flag.Name] = from
	})
	if err != nil {
		return nil, err
	}
	for name := range settings {
		if !known[name] {
			return nil, usagef("%s: there is no option %s; qhubctl server --help lists them", file, name)
		}
	}
	return origins, nil
}

// warnOfVariables names the variables with the prefix of a server that set no option. They
// do not stop it: Kubernetes sets some for a Service that has the name qhubctl-server.
func warnOfVariables(streams *term.Streams, flags *pflag.FlagSet) {
	var unknown []string
	for _, entry := range os.Environ() {
		variable, _, _ := strings.Cut(entry, "=")
		option, ok := strings.CutPrefix(variable, configPrefix)
		name := strings.ToLower(strings.ReplaceAll(option, "_", "-"))
		if ok && flags.Lookup(name) == nil {
			unknown = append(unknown, variable)
		}
	}
	slices.Sort(unknown)
	for _, variable := range unknown {
		streams.Warn("$%s sets no option; qhubctl server --help lists them", variable)
	}
}

// readConfig reads options from a TOML file, as texts: one for each time that a flag would
// be given.
func readConfig(file string) (map[string][]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("--config: there is no file %s", file)
	}
	var document map[string]any
	if err == nil {
		err = toml.Unmarshal(text, &document)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	settings := map[string][]string{}
	for name, value := range document {
		if name == "rotation" {
			if settings[rotationCommand], err = readCommands(file, value); err != nil {
				return nil, err
			}
			continue
		}
		switch value := value.(type) {
		case string, int64, bool, float64:
			settings[name] = []string{fmt.Sprint(value)}
		case []any:
			list, err := listed(value)
			if err != nil {
				return nil, usagef("%s: %s must be a list of texts", file, name)
			}
			settings[name] = []string{list}
		default:
			return nil, usagef("%s: %s must be a text, a number, a list of texts, or true or false", file, name)
		}
	}
	return settings, nil
}

// readCommands reads the table [rotation.commands], whose lines are NAME = "PROGRAM ARG...".
func readCommands(file string, table any) ([]string, error) {
	wrong := usagef("%s: rotation has a table commands, whose lines are NAME = \"PROGRAM ARG...\"", file)
	members, ok := table.(map[string]any)
	commands, isTable := members["commands"].(map[string]any)
	if !ok || !isTable || len(members) != 1 {
		return nil, wrong
	}
	lines := make([]string, 0, len(commands))
	for name, line := range commands {
		text, ok := line.(string)
		if !ok {
			return nil, wrong
		}
		lines = append(lines, name+"="+text)
	}
	slices.Sort(lines)
	return lines, nil
}

// listed writes a list as a flag takes it.
func listed(list []any) (string, error) {
	texts := make([]string, 0, len(list))
	for _, one := range list {
		text, ok := one.(string)
		if !ok || strings.ContainsAny(text, "\",\n") {
			return "", errors.ErrUnsupported
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ","), nil
}

func newServerConfig(streams *term.Streams, o *serverOptions, parent *cobra.Command) *cobra.Command {
	format := ""
	command := &cobra.Command{
		Use:   "config",
		Short: "Show the options that are in force, and where each comes from",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(format); err != nil {
				return err
			}
			origins, err := configure(parent.PersistentFlags(), o.config)
			if err != nil {
				return err
			}
			warnOfVariables(streams, parent.PersistentFlags())
			return writeConfig(streams, parent.PersistentFlags(), origins, format)
		},
	}
	outputFlag(command, &format)
	return command
}

// setting is one option. No option holds a secret: tokens and keys are named by files.
type setting struct {
	Name  string        `json:"name"`
	Value string        `json:"value"`
	From  settingOrigin `json:"from"`
}

func writeConfig(streams *term.Streams, flags *pflag.FlagSet, origins map[string]settingOrigin, format string) error {
	var list []setting
	flags.VisitAll(func(flag *pflag.Flag) {
		if from, ok := origins[flag.Name]; ok {
			list = append(list, setting{flag.Name, flag.Value.String(), from})
		}
	})
	if format == "json" {
		text, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			return err
		}
		return writeAll(streams.Out, append(text, '\n'))
	}
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%-20s %-28q %s\n", s.Name, s.Value, s.From)
	}
	return writeAll(streams.Out, []byte(b.String()))
}
