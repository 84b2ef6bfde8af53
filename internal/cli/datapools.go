package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

const poolsPath = "/qc-catalog/datapools"

func newDataPools(streams *term.Streams) *cobra.Command {
	return completesAll(streams, group(&cobra.Command{
		Use:     "datapools",
		Aliases: []string{"datapool"},
		Short:   "Make data pools, and move their files",
		Long: `A data pool holds files for services, such as models. A request names it by its id,
and the service finds the files in a folder. POOL is the name or the id of a data
pool.`,
		Example: `  qhubctl datapools create models --tag vision
  qhubctl datapools upload models weights.bin
  qhubctl datapools grant models shop --permission VIEW`,
	}, newPoolsList(streams), newPoolsCreate(streams), newPoolsShow(streams), newPoolsFiles(streams), newPoolsUpload(streams),
		newPoolsDownload(streams), newPoolsRemove(streams), newPoolsShare(streams), newPoolsShares(streams), newPoolsUnshare(streams),
		newPoolsGrant(streams)), "POOL", poolNames)
}

func poolNames(ctx context.Context, p *client.Platform) ([]string, error) {
	pools, err := p.DataPools(ctx)
	names := make([]string, 0, len(pools))
	for _, pool := range pools {
		names = append(names, pool.Name)
	}
	return names, err
}

func showPools(streams *term.Streams, output string, pools []client.DataPool) error {
	if output == "json" {
		return printJSON(streams, pools)
	}
	rows := make([][]string, 0, len(pools))
	for _, pool := range pools {
		rows = append(rows, []string{pool.Name, pool.Permission, strings.Join(pool.Tags, ","), pool.CreatedAt, pool.ID})
	}
	return table(streams, "NAME | ROLE | TAGS | MADE | ID", rows)
}

func newPoolsList(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "list", Short: "List the data pools of the account, and those that are shared with it", Args: cobra.NoArgs,
		Example: "  qhubctl datapools list",
	}, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		pools, err := p.DataPools(ctx)
		if err != nil {
			return err
		}
		return showPools(streams, output, pools)
	})
}

func newPoolsCreate(streams *term.Streams) *cobra.Command {
	var output, short, description string
	var tags []string
	command := &cobra.Command{
		Use: "create NAME", Short: "Make a data pool", Args: cobra.ExactArgs(1),
		Example: `  qhubctl datapools create models --short "weights of all models" --tag vision`,
	}
	command.Flags().StringVar(&short, "short", "", "a description of up to 60 characters")
	command.Flags().StringVar(&description, "description", "", "a description of any length")
	command.Flags().StringArrayVar(&tags, "tag", nil, "a tag; can be given again")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		var pool client.DataPool
		fields := map[string]any{"name": args[0], "shortDescription": short, "description": description, "tags": append([]string{}, tags...)}
		if err := p.Call(ctx, http.MethodPost, poolsPath, fields, &pool); err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, pool)
		}
		return showPools(streams, output, []client.DataPool{pool})
	})
}

// onPool is onPlatform for a command whose first argument is a data pool.
func onPool(streams *term.Streams, command *cobra.Command, output *string, run func(ctx context.Context, p *client.Platform, pool client.DataPool, args []string) error) *cobra.Command {
	return onPlatform(streams, command, output, func(ctx context.Context, p *client.Platform, args []string) error {
		pool, err := p.DataPool(ctx, args[0])
		if err != nil {
			return err
		}
		return run(ctx, p, pool, args[1:])
	})
}

func newPoolsShow(streams *term.Streams) *cobra.Command {
	var output string
	return onPool(streams, &cobra.Command{
		Use: "show POOL", Short: "Show a data pool", Args: cobra.ExactArgs(1), Example: "  qhubctl datapools show models",
	}, &output, func(_ context.Context, _ *client.Platform, pool client.DataPool, _ []string) error {
		if output == "json" {
			return printJSON(streams, pool)
		}
		var b strings.Builder
		for _, line := range [][2]string{
			{"Name", pool.Name}, {"Id", pool.ID}, {"Role", pool.Permission}, {"Tags", strings.Join(pool.Tags, ", ")},
			{"Made", pool.CreatedAt}, {"About", pool.ShortDescription}, {"", pool.Description},
		} {
			if line[1] != "" {
				fmt.Fprintf(&b, "%-6s %s\n", line[0], visible(line[1]))
			}
		}
		return writeAll(streams.Out, []byte(b.String()))
	})
}

func showFiles(streams *term.Streams, output string, files []client.DataPoolFile) error {
	if output == "json" {
		return printJSON(streams, files)
	}
	rows := make([][]string, 0, len(files))
	for _, f := range files {
		rows = append(rows, []string{f.FullPath, term.Bytes(f.ContentLength), strconv.FormatInt(f.Version, 10), f.CreatedAt, f.SHA256[:min(12, len(f.SHA256))], f.ID})
	}
	return table(streams, "PATH | SIZE | VERSION | MADE | SHA256 | ID", rows)
}

func newPoolsFiles(streams *term.Streams) *cobra.Command {
	var output string
	return onPool(streams, &cobra.Command{
		Use: "files POOL", Short: "List the files of a data pool", Args: cobra.ExactArgs(1), Example: "  qhubctl datapools files models",
	}, &output, func(ctx context.Context, p *client.Platform, pool client.DataPool, _ []string) error {
		files, err := p.DataPoolFiles(ctx, pool.ID)
		if err != nil {
			return err
		}
		return showFiles(streams, output, files)
	})
}

func newPoolsRemove(streams *term.Streams) *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use: "rm POOL [FILE...]", Short: "Delete files of a data pool, or all of it", Args: cobra.MinimumNArgs(1),
		Long: `Deletes files by their paths or ids. Without files it deletes the data pool with all
its files, which takes --all.`,
		Example: "  qhubctl datapools rm models weights.bin\n  qhubctl datapools rm models --all",
	}
	command.Flags().BoolVar(&all, "all", false, "delete the data pool with all its files")
	return onPool(streams, command, nil, func(ctx context.Context, p *client.Platform, pool client.DataPool, args []string) error {
		if all != (len(args) == 0) {
			return usagef("name the files to delete, or give --all to delete the data pool %s", pool.Name)
		}
		if all {
			return p.Call(ctx, http.MethodDelete, client.Path(poolsPath+"/", pool.ID), nil, nil)
		}
		files, err := findFiles(ctx, p, pool, args)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := p.Call(ctx, http.MethodDelete, client.Path(poolsPath+"/", pool.ID, "/files/", file.ID), nil, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// findFiles finds files of a data pool by their paths or ids.
func findFiles(ctx context.Context, p *client.Platform, pool client.DataPool, wanted []string) ([]client.DataPoolFile, error) {
	all, err := p.DataPoolFiles(ctx, pool.ID)
	if err != nil {
		return nil, err
	}
	var found []client.DataPoolFile
	for _, name := range wanted {
		known := false
		for _, file := range all {
			if file.FullPath == name || file.ID == name {
				found, known = append(found, file), true
				break
			}
		}
		if !known {
			return nil, fmt.Errorf("the data pool %s has no file %q", pool.Name, name)
		}
	}
	return found, nil
}
