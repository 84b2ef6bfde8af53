package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// keysChange is what a command did to the keys.
type keysChange struct {
	Version   uint32   `json:"version"` // that seals
	Rewrapped int      `json:"rewrapped"`
	Retired   []uint32 `json:"retired,omitempty"`
}

// show prints a change. text is the same in a line.
func (c keysChange) show(streams *term.Streams, output, text string) error {
	if output == "json" {
		return printJSON(streams, c)
	}
	return writeAll(streams.Out, []byte(text+"\n"))
}

func newKeysRotate(streams *term.Streams) *cobra.Command {
	return keysCommand(&cobra.Command{
		Use:   "rotate [DIR]",
		Short: "Make a new version of the master key and wrap all by it",
		Long: `Adds a new version to the file of the master key, and wraps by it all that is
sealed. Servers that run take it over within seconds; none has to be restarted.

The former versions stay and still open what they sealed: ` + "`qhubctl keys retire`" + `
removes them. Keep a copy of the file, which has changed.

A key in a variable or from a command is changed where it is kept: add a line
with a higher version there, then run ` + "`qhubctl keys rewrap`" + `. Servers ask the
command again every five minutes, and at once when they meet what a newer
version sealed; a variable takes a restart.`,
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
	changed, err := store.Rewrap(ctx, k.executions, rotated)
	if err != nil {
		return fmt.Errorf("version %d was made, but not all is wrapped by it; go on with qhubctl keys rewrap: %w", rotated.Version(), err)
	}
	streams.Say("keep a copy of %s, and give it to every machine that serves with it", path)
	change := keysChange{Version: rotated.Version(), Rewrapped: changed}
	return change.show(streams, o.output, fmt.Sprintf("version %d seals from now on; wrapped the secrets of %s by it", change.Version, server.ExecutionCount(changed)))
}

func newKeysRewrap(streams *term.Streams) *cobra.Command {
	return keysCommand(&cobra.Command{
		Use:   "rewrap [DIR]",
		Short: "Wrap all that is sealed by the newest version of the master key",
		Long: `Wraps all that is sealed by the newest version of the master key, as rotate
does: for keys that are not in a file, and after an interrupted rotation. What
cannot be opened is left as it is.`,
		Example: `  qhubctl keys rewrap --master-key 'command:pass show qhubctl'`,
	}, func(ctx context.Context, o keysOptions) error {
		return o.with(ctx, func(k *openedKeys) error {
			changed, err := store.Rewrap(ctx, k.executions, k.ring)
			if err != nil {
				return fmt.Errorf("not all is wrapped by version %d: %w", k.ring.Version(), err)
			}
			change := keysChange{Version: k.ring.Version(), Rewrapped: changed}
			return change.show(streams, o.output, fmt.Sprintf("wrapped the secrets of %s by version %d", server.ExecutionCount(changed), change.Version))
		})
	})
}

// settling is how long a new version has to be in its file before former ones
// go. Servers look for it every [server.LookForKeys]; what they sealed before that is
// on disk by then.
const settling = 5 * server.LookForKeys

func newKeysRetire(streams *term.Streams) *cobra.Command {
	return keysCommand(&cobra.Command{
		Use:   "retire [DIR]",
		Short: "Remove former versions of the master key",
		Long: `Removes all versions but the newest from the file of the master key. It refuses
to while one of them seals anything in this workspace: nothing could open that
any more. If the key was rotated a moment ago it waits, up to ten seconds, for
running servers to take the new version over.

A file that several workspaces share is retired from one of them: look at the
others first, with ` + "`qhubctl keys list`" + `.

A request that is repeated with an Idempotency-Key from before the rotation is
not recognised once the version it came under is gone: it is refused.`,
		Example: `  qhubctl keys rotate
  qhubctl keys retire`,
	}, func(ctx context.Context, o keysOptions) error {
		return o.with(ctx, func(k *openedKeys) error { return keysRetireRun(ctx, streams, o, k) })
	})
}

// keysInUseError is an attempt to retire versions that seal something.
type keysInUseError struct {
	version    uint32
	executions int
}

func (e *keysInUseError) Error() string {
	return fmt.Sprintf("version %d still seals the secrets of %s; nothing was retired", e.version, server.ExecutionCount(e.executions))
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
		return fmt.Errorf("cannot look through the sealed secrets: %w", err)
	}
	for _, version := range change.Retired {
		if n := use.Versions[version]; n > 0 {
			return &exitError{exitFailed, &keysInUseError{version, n}}
		}
	}
	// Versions that another has added meanwhile stay.
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

// awaitSettled waits until the file has been as it is for long enough.
func awaitSettled(ctx context.Context, streams *term.Streams, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &server.MasterKeyError{Err: fmt.Errorf("examine the master key file: %w", err)}
	}
	// A clock that was put back makes it wait no longer than it would at most.
	rest := min(settling-time.Since(info.ModTime()), settling)
	if rest <= 0 {
		return nil
	}
	streams.Say("waiting %s for servers to take the new version over", rest.Round(time.Second))
	select {
	case <-time.After(rest):
		return nil
	case <-ctx.Done():
		return errInterrupted
	}
}
