package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/sdk"
)

// version is set by the linker for releases.
var version = ""

type versionInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	PythonSDK string `json:"pythonSDK"`
	GoSDK     string `json:"goSDK"`
}

func newVersion(streams *term.Streams) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the program and of its SDKs",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return versionRun(streams, output)
		},
	}
	outputFlag(command, &output)
	return command
}

func versionRun(streams *term.Streams, output string) error {
	info, err := readVersion()
	if err != nil {
		return err
	}
	if output == "json" {
		return printJSON(streams, info)
	}
	text := fmt.Sprintf("qhubctl %s (%s, %s)\nPython SDK qhub-commons %s\nGo SDK %s\n", info.Version, info.Go, info.Platform, info.PythonSDK, info.GoSDK)
	return writeAll(streams.Out, []byte(text))
}

func readVersion() (versionInfo, error) {
	python, err := sdk.PythonVersion()
	if err != nil {
		return versionInfo{}, err
	}
	info := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, PythonSDK: python, GoSDK: sdk.GoVersion}
	if build, ok := debug.ReadBuildInfo(); ok {
		if info.Version == "" {
			info.Version = build.Main.Version
		}
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				info.Commit = setting.Value
			}
		}
	}
	if info.Version == "" || info.Version == "(devel)" {
		info.Version = "development"
	}
	return info, nil
}

func printJSON(streams *term.Streams, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return writeAll(streams.Out, append(text, '\n'))
}
