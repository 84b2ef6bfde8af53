package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newPoolsUpload(streams *term.Streams) *cobra.Command {
	var output, as string
	command := &cobra.Command{
		Use: "upload POOL FILE...", Short: "Upload files to a data pool", Args: cobra.MinimumNArgs(2),
		Long: `Uploads files under their names; a file of the same name is replaced. --as names the
path in the data pool, or a folder in it if it ends with a slash. An upload that was
interrupted goes on where it was when you upload the file again. The checksum of each
file is verified.`,
		Example: "  qhubctl datapools upload models weights.bin\n  qhubctl datapools upload models out/*.bin --as weights/",
	}
	command.Flags().StringVar(&as, "as", "", "the path in the data pool, or a folder in it that ends with /")
	return onPool(streams, command, &output, func(ctx context.Context, p *client.Platform, pool client.DataPool, args []string) error {
		names, err := namesInPool(args, as)
		if err != nil {
			return err
		}
		files := []client.DataPoolFile{}
		for i, local := range args {
			file, err := uploadFile(ctx, streams, p, pool, local, names[i])
			if err != nil {
				return err
			}
			files = append(files, file)
		}
		return showFiles(streams, output, files)
	})
}

// namesInPool are the paths that files get in a data pool.
func namesInPool(files []string, as string) ([]string, error) {
	folder := as != "" && as[len(as)-1] == '/'
	if len(files) > 1 && as != "" && !folder {
		return nil, usagef("--as names one file; for several it must be a folder, such as %s/", as)
	}
	names := make([]string, len(files))
	for i, file := range files {
		if file == "-" {
			return nil, usagef("standard input cannot be uploaded, as an upload is checked and may go on later; write it to a file first")
		}
		names[i] = filepath.Base(file)
		if folder {
			names[i] = path.Join(as, names[i])
		} else if as != "" {
			names[i] = as
		}
	}
	return names, nil
}

func uploadFile(ctx context.Context, streams *term.Streams, p *client.Platform, pool client.DataPool, local, name string) (client.DataPoolFile, error) {
	content, err := os.Open(local)
	if err != nil {
		return client.DataPoolFile{}, usagef("cannot read %s: %w", local, reasonOf(err))
	}
	defer func() { _ = content.Close() }()
	info, err := content.Stat()
	if err != nil {
		return client.DataPoolFile{}, err
	}
	if !info.Mode().IsRegular() {
		return client.DataPoolFile{}, usagef("%s is not a file; name files, such as %s/*", local, local)
	}
	meter := streams.Meter("uploading "+name, info.Size())
	file, err := p.Upload(ctx, pool.ID, name, content, info.Size(), meter.At)
	meter.End(err)
	return file, err
}

// reasonOf is the cause in an error that repeats a path.
func reasonOf(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}

func newPoolsDownload(streams *term.Streams) *cobra.Command {
	var to string
	var force bool
	command := &cobra.Command{
		Use: "download POOL [FILE...]", Short: "Download files of a data pool", Args: cobra.MinimumNArgs(1),
		Long: `Downloads files by their paths or ids, or all of them, into the current folder or into
the one of --to. The checksum of each file is verified before it gets its name.`,
		Example: "  qhubctl datapools download models weights.bin --to input/models",
	}
	command.Flags().StringVar(&to, "to", ".", "the folder for the files")
	command.Flags().BoolVar(&force, "force", false, "replace files that exist")
	return onPool(streams, command, nil, func(ctx context.Context, p *client.Platform, pool client.DataPool, args []string) error {
		if to == "-" {
			return usagef("a download cannot go to standard output, because its checksum comes first; name a folder with --to")
		}
		var files []client.DataPoolFile
		var err error
		if len(args) == 0 {
			files, err = p.DataPoolFiles(ctx, pool.ID)
		} else {
			files, err = findFiles(ctx, p, pool, args)
		}
		if err != nil {
			return err
		}
		if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // the user's umask decides
			return usagef("cannot make the folder %s: %w", to, reasonOf(err))
		}
		root, err := os.OpenRoot(to) // no name leads out of it
		if err != nil {
			return err
		}
		defer func() { _ = root.Close() }()
		for _, file := range files {
			if err := downloadFile(ctx, streams, p, root, file, force); err != nil {
				return err
			}
			if err := writeAll(streams.Out, []byte(visible(filepath.Join(to, filepath.FromSlash(file.FullPath)))+"\n")); err != nil {
				return err
			}
		}
		return nil
	})
}

// downloadFile writes beside the name first, so that the file is whole or not there.
func downloadFile(ctx context.Context, streams *term.Streams, p *client.Platform, root *os.Root, file client.DataPoolFile, force bool) error {
	name := filepath.FromSlash(file.FullPath)
	if _, err := root.Lstat(name); err == nil && !force {
		return usagef("the file %s exists; --force replaces it", file.FullPath)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", file.FullPath, reasonOf(err))
	}
	part := filepath.Join(filepath.Dir(name), ".download-"+file.ID)
	out, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fmt.Errorf("write %s: %w", file.FullPath, reasonOf(err))
	}
	meter := streams.Meter("downloading "+file.FullPath, file.ContentLength)
	err = p.Download(ctx, file, out, meter.At)
	meter.End(err)
	if err = errors.Join(err, out.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		_ = root.Remove(part)
	}
	return err
}
