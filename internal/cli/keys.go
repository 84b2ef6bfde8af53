package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// keysOptions are the options of all commands about keys.
type keysOptions struct {
	dir       string
	data      string // the data folder of a platform, instead of a workspace
	database  database
	masterKey masterKey
	output    string
}

func newKeys(streams *term.Streams) *cobra.Command {
	command := &cobra.Command{
		Use:   "keys",
		Short: "Manage the master key of a served workspace, or of a platform",
		Long: `A master key seals the secrets of waiting and running executions on disk. The
first ` + "`qhubctl serve`" + ` of a workspace makes it, in .qhub/serve/` + server.MasterKeyName + `.

A master key has versions. The newest version seals secrets, and every version
opens the secrets that it sealed. To replace the key, rotate it: running servers
load the new version within seconds, and all sealed secrets are wrapped by it.
Then retire the former versions. No execution is lost or delayed.

These commands work on the folder of the workspace, or with --data on that of a
platform, whether it is being served or not. They never show a key, only its
fingerprint.`,
		Example: `  qhubctl keys list
  qhubctl keys rotate
  qhubctl keys retire
  qhubctl keys rotate --data ~/.local/state/qhubctl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newKeysList(streams), newKeysRotate(streams), newKeysRewrap(streams), newKeysRetire(streams))
	for _, child := range command.Commands() {
		wrapArgs(child)
	}
	return command
}

// keysCommand adds the arguments and flags that all commands about keys share.
func keysCommand(command *cobra.Command, run func(context.Context, keysOptions) error) *cobra.Command {
	var o keysOptions
	command.Args = cobra.MaximumNArgs(1)
	command.RunE = func(cmd *cobra.Command, args []string) error {
		o.dir = dirArg(args)
		if o.data != "" && len(args) > 0 {
			return usagef("--data names a platform and %s a workspace; give one of them", args[0])
		}
		if err := checkOutput(o.output); err != nil {
			return err
		}
		if err := o.findDatabase(); err != nil {
			return err
		}
		if err := o.masterKey.find(); err != nil {
			return err
		}
		return run(cmd.Context(), o)
	}
	command.Flags().StringVar(&o.data, "data", "", "the data `FOLDER` of a platform, instead of a workspace")
	command.Flags().Var(&o.database, "database", "where the state of the platform is, as for qhubctl server (default: $"+configPrefix+"DATABASE)")
	o.masterKey.flags(command)
	outputFlag(command, &o.output)
	return command
}

// sealed formats a number of owners of sealed secrets for people. On a platform these are
// access keys and keys that sign tokens, too.
func (o *keysOptions) sealed(n int) string {
	switch {
	case o.data == "":
		return "the secrets of " + server.ExecutionCount(n)
	case n == 1:
		return "1 sealed secret"
	default:
		return fmt.Sprintf("%d sealed secrets", n)
	}
}

// findDatabase reads where the state of a platform is.
func (o *keysOptions) findDatabase() error {
	from := fromFlag
	if o.database.text == "" && o.data != "" {
		o.database.text, from = os.Getenv(configPrefix+"DATABASE"), "$"+configPrefix+"DATABASE"
	}
	if o.database.text != "" && o.data == "" {
		return usagef("--database belongs to --data, which names the data folder of a platform")
	}
	return o.database.find("database", from)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// openedKeys are the keys of a workspace and the store of its sealed secrets.
type openedKeys struct {
	source     vault.KeySource
	ring       *vault.Keyring
	executions *sqlite.Store
}

// notServedError is the error of a workspace that has no keys, as it was never
// served.
type notServedError struct{ dir string }

func (e *notServedError) Error() string { return "nothing was served in " + e.dir + " yet" }
func (e *notServedError) Hint() string  { return "`qhubctl serve` makes a key at its first start" }

// open opens the keys and the store. It makes neither a folder nor a key.
func (o *keysOptions) open(ctx context.Context) (_ *openedKeys, err error) {
	dir, err := o.stateDir()
	if err != nil {
		return nil, err
	}
	k := &openedKeys{source: server.KeySource(o.masterKey.source, dir)}
	if k.ring, err = k.source.Read(ctx); err != nil {
		return nil, &server.MasterKeyError{Err: err}
	}
	if k.executions, err = server.OpenState(ctx, dir, o.database.state(nil), sqlite.Options{}); err != nil {
		k.ring.Clear()
		return nil, err
	}
	return k, nil
}

// stateDir is the folder with the database.
func (o *keysOptions) stateDir() (string, error) {
	dir, shown := o.data, o.data
	if dir == "" {
		w, err := workspace.Open(o.dir)
		if err != nil {
			return "", err
		}
		shown = w.Dir
		dir, _ = w.Served()
	}
	name := server.DatabaseName
	if o.data != "" && (o.database.text != "" || exists(filepath.Join(dir, server.PostgresName))) {
		name = server.PostgresName
	}
	_, err := os.Stat(filepath.Join(dir, name))
	switch {
	case dir != "" && err == nil:
		return dir, nil
	case o.data != "":
		return "", usagef("there is no platform in %s; name its data folder", o.data)
	default:
		return "", &notServedError{shown}
	}
}

func (k *openedKeys) close() error {
	k.ring.Clear()
	return k.executions.Close()
}

// file returns the path of the key file. Commands can change only keys in a file.
func (k *openedKeys) file() (string, error) {
	file, ok := k.source.(vault.FileSource)
	if !ok {
		return "", &keysElsewhereError{k.source}
	}
	return string(file), nil
}

// keysElsewhereError is the error of a command that would change keys that are not
// in a file.
type keysElsewhereError struct{ source vault.KeySource }

func (e *keysElsewhereError) Error() string {
	return fmt.Sprintf("the master key comes from %s, which qhubctl does not change", e.source)
}

func (e *keysElsewhereError) Hint() string {
	return "to rotate, add a line with a higher version there, then: qhubctl keys rewrap;\n" +
		"to retire one, remove its line once `qhubctl keys list` shows that it seals nothing"
}

// with opens the keys for one call of f, and closes them.
func (o *keysOptions) with(ctx context.Context, f func(*openedKeys) error) error {
	k, err := o.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(k), k.close())
}

func newKeysList(streams *term.Streams) *cobra.Command {
	return keysCommand(&cobra.Command{
		Use:   "list [DIR]",
		Short: "List the versions of the master key and their executions",
		Long: `Lists the versions of the master key. Each has a fingerprint and the number of
executions whose secrets it seals. The command also checks that it can open all
sealed secrets.

The exit code is 1 if some secrets cannot be opened: a version is missing, or
the sealed secrets were changed or moved on the disk.`,
		Example: `  qhubctl keys list
  qhubctl keys list my-service --master-key 'command:pass show qhubctl' --output json`,
	}, func(ctx context.Context, o keysOptions) error {
		return o.with(ctx, func(k *openedKeys) error { return keysListRun(ctx, streams, o, k) })
	})
}

// listedKey is a version of the master key.
type listedKey struct {
	Version uint32 `json:"version"`
	ID      string `json:"id"`
	// Seals says that this is the newest version, which seals new secrets.
	Seals      bool `json:"seals"`
	Executions int  `json:"executions"`
}

type keysListing struct {
	Source string      `json:"source"`
	Keys   []listedKey `json:"keys"`
	// Missing are versions that seal secrets and that the key source lacks.
	Missing []listedKey `json:"missing"`
	// Damaged are the executions whose secrets were changed or moved.
	Damaged []string `json:"damaged"`
}

func keysListRun(ctx context.Context, streams *term.Streams, o keysOptions, k *openedKeys) error {
	use, err := store.FindKeyUse(ctx, k.executions, k.ring)
	if err != nil {
		return fmt.Errorf("cannot read the sealed secrets: %w", err)
	}
	listing := listKeys(k, use)
	if o.output == "json" {
		err = printJSON(streams, listing)
	} else {
		err = writeAll(streams.Out, []byte(listing.text(o)))
	}
	if err != nil {
		return err
	}
	if len(listing.Missing)+len(listing.Damaged) > 0 {
		return &exitError{exitFailed, listing.problem(o)}
	}
	return nil
}

func listKeys(k *openedKeys, use *store.KeyUse) keysListing {
	listing := keysListing{Source: k.source.String(), Keys: []listedKey{}, Missing: []listedKey{}, Damaged: []string{}}
	for _, version := range k.ring.Versions() {
		listing.Keys = append(listing.Keys, listedKey{
			version, k.ring.ID(version), version == k.ring.Version(), use.Versions[version],
		})
	}
	for _, missing := range use.Missing {
		i := slices.IndexFunc(listing.Missing, func(l listedKey) bool { return l.Version == missing.Version && l.ID == missing.ID })
		if i < 0 {
			i = len(listing.Missing)
			listing.Missing = append(listing.Missing, listedKey{Version: missing.Version, ID: missing.ID})
		}
		listing.Missing[i].Executions++
	}
	slices.SortFunc(listing.Missing, func(a, b listedKey) int { return strings.Compare(a.ID, b.ID) })
	for _, owner := range use.Damaged {
		listing.Damaged = append(listing.Damaged, strings.TrimPrefix(owner.String(), "execution/"))
	}
	slices.Sort(listing.Damaged)
	return listing
}

func (l keysListing) text(o keysOptions) string {
	heading := "EXECUTIONS"
	if o.data != "" {
		heading = "SEALED"
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "VERSION\tFINGERPRINT\t%s\n", heading)
	for _, key := range l.Keys {
		suffix := ""
		if key.Seals {
			suffix = "\tseals"
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%d%s\n", key.Version, key.ID, key.Executions, suffix)
	}
	for _, key := range l.Missing {
		_, _ = fmt.Fprintf(table, "%d\t%s\t%d\tmissing\n", key.Version, key.ID, key.Executions)
	}
	_ = table.Flush() // into a strings.Builder
	for _, id := range l.Damaged {
		fmt.Fprintf(&b, "damaged: %s\n", id)
	}
	return b.String()
}

// problem names the secrets that cannot be opened.
func (l keysListing) problem(o keysOptions) error {
	lost := 0
	for _, key := range l.Missing {
		lost += key.Executions
	}
	var said []string
	if lost > 0 {
		said = append(said, o.sealed(lost)+" need a version of the key that is missing; put it back, nothing is lost")
	}
	if n := len(l.Damaged); n > 0 {
		said = append(said, o.sealed(n)+" were changed or moved on the disk: start those executions again, and rotate those access keys")
	}
	return errors.New(strings.Join(said, "\n"))
}
