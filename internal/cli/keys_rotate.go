package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// keysChange is the change that a command has made to the keys.
type keysChange struct {
	Version   uint32   `json:"version"` // the version that seals
	Rewrapped int      `json:"rewrapped"`
	Retired   []uint32 `json:"retired,omitempty"`
}

// show prints a change. text describes it in one line.
func (c keysChange) show(streams *term.Streams, output, text string) error {
	if output == "json" {
		return printJSON(streams, c)
	}
	return writeAll(streams.Out, []byte(text+"\n"))
}

func newKeysRotate(streams *term.Streams) *cobra.Command {
	return keysCommand(&cobra.Command{
		Use:   "rotate [DIR]",
		Short: "Add a new version of the master key and wrap all secrets by it",
		Long: `Adds a new version to the file of the master key, and wraps all sealed secrets
by it. Running servers load it within seconds, without a restart.

The former versions stay and still open the secrets that they sealed, until
` + "`qhubctl keys retire`" + ` removes them. The file has changed: keep a new copy.

To rotate a key from a variable or a command, add a line with a higher version
at its source, then run ` + "`qhubctl keys rewrap`" + `. Servers run the command again
every five minutes, and at once when they find a secret that a newer version
sealed. A new value of a variable needs a restart.`,
		Example: `  qhubctl keys rotate
  qhubctl keys rotate my-service --master-key @/etc/qhubctl/master.key`,
	}, func(ctx context.Context, o keysOptions) error {
		return o.with(ctx, func(k *openedKeys) error { return keysRotateRun(ctx, streams, o, k) })
	})
}

func keysRotateRun(ctx context.Context, streams *term.Streams, o keysOptions, k *openedKeys) error {
	path, err := k.file()
	if err != nil {
		return err
	}
	rotated, err := vault.Rotate(path)
	if err != nil {
		return &server.MasterKeyError{Err: err}
	}
	defer rotated.Clear()
	err = o.keepAuditKeys(ctx, k, rotated)
	var changed int
	if err == nil {
		changed, err = store.Rewrap(ctx, k.executions, rotated)
	}
	if err != nil {
		return fmt.Errorf("version %d was made, but some secrets are not wrapped by it; run qhubctl keys rewrap: %w", rotated.Version(), err)
	}
	streams.Say("keep a copy of %s, and give it to every machine that serves with it", path)
	change := keysChange{Version: rotated.Version(), Rewrapped: changed}
	return change.show(streams, o.output, fmt.Sprintf("version %d seals from now on; wrapped %s by it", change.Version, o.sealed(changed)))
}

func newKeysRewrap(streams *term.Streams) *cobra.Command {
	return keysCommand(&cobra.Command{
		Use:   "rewrap [DIR]",
		Short: "Wrap all sealed secrets by the newest version of the master key",
		Long: `Wraps all sealed secrets by the newest version of the master key, as rotate
does. Use it for keys that are not in a file, and after an interrupted rotation.
Secrets that cannot be opened stay unchanged.`,
		Example: `  qhubctl keys rewrap --master-key 'command:pass show qhubctl'`,
	}, func(ctx context.Context, o keysOptions) error {
		return o.with(ctx, func(k *openedKeys) error {
			err := o.keepAuditKeys(ctx, k, k.ring)
			var changed int
			if err == nil {
				changed, err = store.Rewrap(ctx, k.executions, k.ring)
			}
			if err != nil {
				return fmt.Errorf("some secrets are not wrapped by version %d; run the command again: %w", k.ring.Version(), err)
			}
			change := keysChange{Version: k.ring.Version(), Rewrapped: changed}
			return change.show(streams, o.output, fmt.Sprintf("wrapped %s by version %d", o.sealed(changed), change.Version))
		})
	})
}

// keepAuditKeys has the newest version vouch for the keys by which all versions have signed
// the audit log of a platform, so that these count when a version is retired.
func (o *keysOptions) keepAuditKeys(ctx context.Context, k *openedKeys, ring *vault.Keyring) error {
	if o.data == "" {
		return nil
	}
	return k.executions.KeepAuditKeys(ctx, audit.NewSigner(ring))
}

// settling is how old the newest version must be before former ones are removed.
// Servers look for it every [server.LookForKeys]. After settling, the secrets that
// they sealed by a former version are on disk.
const settling = 5 * server.LookForKeys

func newKeysRetire(streams *term.Streams) *cobra.Command {
	return keysCommand(&cobra.Command{
		Use:   "retire [DIR]",
		Short: "Remove former versions of the master key",
		Long: `Removes all versions except the newest from the file of the master key. It
refuses while one of them still seals a secret in this workspace, as nothing
could open that secret any more. After a recent rotation it waits up to ten
seconds for running servers to load the new version.

If several workspaces share a file, check the other ones first with
` + "`qhubctl keys list`" + `: this command checks only one workspace.

The server refuses a repeated request if its Idempotency-Key was first used under
a version that was retired since.`,
		Example: `  qhubctl keys rotate
  qhubctl keys retire`,
	}, func(ctx context.Context, o keysOptions) error {
		return o.with(ctx, func(k *openedKeys) error { return keysRetireRun(ctx, streams, o, k) })
	})
}

// keysInUseError is the error of an attempt to retire a version that seals secrets.
type keysInUseError struct {
	version uint32
	sealed  string
}

func (e *keysInUseError) Error() string {
	return fmt.Sprintf("version %d still seals %s; nothing was retired", e.version, e.sealed)
}

func (e *keysInUseError) Hint() string {
	return "wrap them by the newest version first: qhubctl keys rewrap"
}

func keysRetireRun(ctx context.Context, streams *term.Streams, o keysOptions, k *openedKeys) error {
	path, err := k.file()
	if err != nil {
		return err
	}
	newest := k.ring.Version()
	change := keysChange{Version: newest}
	for _, version := range k.ring.Versions() {
		if version != newest {
			change.Retired = append(change.Retired, version)
		}
	}
	if len(change.Retired) == 0 {
		return change.show(streams, o.output, fmt.Sprintf("version %d is the only one: there is nothing to retire", newest))
	}
	if err := awaitSettled(ctx, streams, path); err != nil {
		return err
	}
	use, err := store.FindKeyUse(ctx, k.executions, k.ring)
	if err != nil {
		return fmt.Errorf("cannot read the sealed secrets: %w", err)
	}
	for _, version := range change.Retired {
		if n := use.Versions[version]; n > 0 {
			return &exitError{exitFailed, &keysInUseError{version, o.sealed(n)}}
		}
	}
	if err := o.keepAuditKeys(ctx, k, k.ring); err != nil {
		return err
	}
	// Versions that another process has added meanwhile stay.
	left, err := vault.Retire(path, newest)
	if err != nil {
		return &server.MasterKeyError{Err: err}
	}
	left.Clear()
	return change.show(streams, o.output, fmt.Sprintf("retired %s; version %d is left", versionList(change.Retired), newest))
}

func versionList(versions []uint32) string {
	if len(versions) == 1 {
		return fmt.Sprintf("version %d", versions[0])
	}
	text := make([]string, len(versions))
	for i, version := range versions {
		text[i] = strconv.FormatUint(uint64(version), 10)
	}
	return "versions " + strings.Join(text, ", ")
}

// awaitSettled waits until the last change of the file is settling ago.
func awaitSettled(ctx context.Context, streams *term.Streams, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &server.MasterKeyError{Err: fmt.Errorf("examine the master key file: %w", err)}
	}
	// The bound holds even if the clock was set back.
	rest := min(settling-time.Since(info.ModTime()), settling)
	if rest <= 0 {
		return nil
	}
	streams.Say("waiting %s for servers to load the new version", rest.Round(time.Second))
	select {
	case <-time.After(rest):
		return nil
	case <-ctx.Done():
		return errInterrupted
	}
}
