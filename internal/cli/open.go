package cli

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/pkg/browser"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newOpen(streams *term.Streams) *cobra.Command {
	show := false
	command := &cobra.Command{
		Use:   "open",
		Short: "Open the console of the platform in a browser, signed in",
		Long: `Opens the pages of the platform that you are logged in to. You need not type a
token: the page signs in by a code that works once, within a minute.

--print writes the address to standard output instead, for a browser on another
machine. Whoever opens it first is signed in as you.`,
		Example: "  qhubctl open\n  qhubctl open --print",
		Args:    cobra.NoArgs,
	}
	command.Flags().BoolVar(&show, "print", false, "print the address instead of opening it")
	return onPlatform(streams, command, nil, func(ctx context.Context, p *client.Platform, _ []string) error {
		address, err := consoleAddress(ctx, p)
		if err != nil {
			return err
		}
		if show {
			return writeAll(streams.Out, []byte(address+"\n"))
		}
		if err := openBrowser(address); err != nil {
			return fmt.Errorf("no browser can be opened here (%w); qhubctl open --print shows the address", err)
		}
		streams.Say("the console is open in your browser")
		return nil
	})
}

// consoleAddress is the address that signs in. The code is behind #, which a browser sends
// to no server.
func consoleAddress(ctx context.Context, p *client.Platform) (string, error) {
	var made struct{ Code string }
	if err := p.Call(ctx, http.MethodPost, "/console/codes", nil, &made); err != nil {
		if client.Refused(err, http.StatusNotFound) {
			return "", errors.New("this platform has no console")
		}
		return "", err
	}
	return p.Address() + "/sign-in#" + made.Code, nil
}

// openBrowser opens an address by a private file that leads to it: the command line of a
// browser can be read by other users.
func openBrowser(address string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "qhubctl")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "open-*.html") // only its owner can read it
	if err != nil {
		return err
	}
	page := `<!DOCTYPE html><title>qhubctl</title><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url=` + html.EscapeString(address) + `">`
	_, err = file.WriteString(page)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	removeOldPages(dir, file.Name())
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return browser.OpenFile(file.Name())
}

// removeOldPages removes the files of former calls: their codes have expired, or were used.
func removeOldPages(dir, but string) {
	old, _ := filepath.Glob(filepath.Join(dir, "open-*.html")) // the pattern is valid
	for _, path := range old {
		if path != but {
			_ = os.Remove(path)
		}
	}
}
