package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newExecutionsFiles(streams *term.Streams, o *remote) *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "files ID [NAME...]",
		Short: "List or download the result files of an execution",
		Long: `Lists the result files of the execution ID, one a line. Files in folders are
listed by their path. With --download it downloads the named files, or all of
them, into a folder, and prints their paths.`,
		Example: `  qhubctl executions files 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c
  qhubctl executions files 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c plan.pdf --download results`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := idArg(args[0])
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), streams, func(ctx context.Context, c *client.Client) error {
				return o.files(ctx, streams, c, id, args[1:], dir)
			})
		},
	}
	command.Flags().StringVar(&dir, "download", "", "download the files into this folder")
	_ = command.MarkFlagDirname("download")
	return command
}

func (o *remote) files(ctx context.Context, streams *term.Streams, c *client.Client, id execution.ID, wanted []string, dir string) error {
	result, err := c.Result(ctx, id)
	if err != nil {
		return err
	}
	names := []string{}
	for _, name := range result.Files {
		if len(wanted) == 0 || slices.Contains(wanted, name) {
			names = append(names, name)
		}
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("the execution has no result file %q; it has: %s", name, visible(strings.Join(result.Files, ", ")))
		}
	}
	if dir != "" {
		if names, err = download(ctx, streams, c, id, names, dir); err != nil {
			return &exitError{exitFailed, err}
		}
	}
	if o.output == "json" {
		return printJSON(streams, names)
	}
	for _, name := range names {
		if err := writeAll(streams.Out, []byte(visible(name)+"\n")); err != nil {
			return err
		}
	}
	return nil
}

// download writes files into a folder and returns their paths. It fails if a name or
// a link in the folder would lead out of the folder.
func download(ctx context.Context, streams *term.Streams, c *client.Client, id execution.ID, names []string, dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a folder of the user's, as any other
		return nil, fmt.Errorf("cannot make the folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	paths := []string{}
	for _, name := range names {
		if !writable(name) {
			return paths, fmt.Errorf("the server has a file called %q, which is not written here", name)
		}
		finish := streams.Step("downloading " + visible(name))
		err := downloadOne(ctx, c, id, name, root)
		finish(err)
		if err != nil {
			return paths, err
		}
		paths = append(paths, filepath.Join(dir, filepath.FromSlash(name)))
	}
	return paths, nil
}

// writable reports whether a name is a valid path below a folder on this system. On
// Windows a backslash or a colon can make it invalid.
func writable(name string) bool {
	if !fs.ValidPath(name) || name == "." || strings.Contains(name, "\x00") {
		return false
	}
	local, err := filepath.Localize(name)
	return err == nil && filepath.IsLocal(local)
}

// downloadOne downloads a file under a temporary name and then renames it, so that a
// file with the final name is always complete.
func downloadOne(ctx context.Context, c *client.Client, id execution.ID, name string, root *os.Root) error {
	content, size, err := c.Open(ctx, id, name)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	name = filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("cannot write %s: %w", visible(name), err)
	}
	part := filepath.Join(filepath.Dir(name), ".qhubctl-"+execution.NewID().String()+".part")
	file, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", visible(name), err)
	}
	written, err := io.Copy(file, content)
	if err == nil && size >= 0 && written != size {
		err = errors.New("the server ended the download too early")
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		_ = root.Remove(part)
		return fmt.Errorf("cannot write %s: %w", visible(name), err)
	}
	return nil
}
