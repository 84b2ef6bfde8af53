package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

// exportEnd is the last line of a whole export: what vouches for it.
type exportEnd struct {
	Signed *audit.Head   `json:"signed,omitempty"`
	Keys   []audit.Key   `json:"keys,omitempty"`
	Anchor *audit.Anchor `json:"anchor,omitempty"`
}

// An exportLine is any line of an export.
type exportLine struct {
	audit.Link
	exportEnd
}

func newAuditExport(streams *term.Streams) *cobra.Command {
	var filter auditFilter
	var format string
	command := &cobra.Command{
		Use: "export", Short: "Print entries with their hashes, one a line", Args: cobra.NoArgs,
		Long: `Prints all entries, the oldest first. As JSON lines each has its hash, and the last line
has the signed head, so that audit verify --file can check the file. An export with a
filter is a part of the log, which cannot be checked.

With --format cef the lines are in the Common Event Format.`,
		Example: `  qhubctl audit export > audit.jsonl
  qhubctl audit verify --file audit.jsonl
  qhubctl audit export --format cef --since 24h`,
	}
	filter.flags(command)
	command.Flags().StringVar(&format, "format", "json", "json for JSON lines, or cef for the Common Event Format")
	return onPlatform(streams, command, nil, func(ctx context.Context, p *client.Platform, _ []string) error {
		if format != "json" && format != "cef" {
			return usagef("--format is %q; it takes json or cef", format)
		}
		if err := filter.read(time.Now()); err != nil {
			return err
		}
		info, err := readVersion()
		if err != nil {
			return err
		}
		w := bufio.NewWriter(streams.Out)
		err = exportAudit(ctx, p, w, filter, format, info.Version)
		return errors.Join(err, w.Flush())
	})
}

// errExported ends the reading of a log that has grown since its head was read.
var errExported = errors.New("all entries were exported")

func exportAudit(ctx context.Context, p *client.Platform, w io.Writer, filter auditFilter, format, version string) error {
	var log auditLog
	var number int64
	err := eachLink(ctx, p, func(of auditLog) { log, number = of, of.Start }, func(l audit.Link) error {
		if number++; log.Signed.Key != "" && number > log.Signed.Number {
			return errExported // what vouches for the export is older
		}
		if filter.given() {
			e, err := l.Read()
			if err != nil || !filter.has(e) {
				return err
			}
		}
		if format == "cef" {
			text, err := l.CEF(version)
			if err == nil {
				_, err = fmt.Fprintln(w, text)
			}
			return err
		}
		return writeLine(w, l)
	})
	if err != nil && !errors.Is(err, errExported) {
		return err
	}
	if filter.given() || format == "cef" || log.Signed.Key == "" {
		return nil
	}
	end := exportEnd{Signed: &log.Signed, Keys: log.Keys}
	if log.Anchor.Number > 0 {
		end.Anchor = &log.Anchor
	}
	return writeLine(w, end)
}

func writeLine(w io.Writer, document any) error {
	text, err := json.Marshal(document)
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	return err
}

// readExport reads a file of audit export.
func readExport(name string) (c audit.Chain, links []audit.Link, err error) {
	file, err := os.Open(name)
	if err != nil {
		return c, nil, usagef("--file: %v", err)
	}
	defer func() { _ = file.Close() }()
	decoder := json.NewDecoder(file)
	for {
		var l exportLine
		err := decoder.Decode(&l)
		switch {
		case errors.Is(err, io.EOF):
			if len(links) > 0 {
				e, _ := links[0].Read() // a bad entry is found later
				c.Tenant = e.Tenant
			}
			return c, links, nil
		case err != nil:
			return c, nil, fmt.Errorf("%w: %s is no export of an audit log: %w", audit.ErrBroken, name, err)
		case c.Signed.Key != "":
			return c, nil, fmt.Errorf("%w: %s has entries after its signed head", audit.ErrBroken, name)
		case l.Signed != nil:
			c.Signed, c.Keys = *l.Signed, l.Keys
			if l.Anchor != nil {
				c.Anchors = append(c.Anchors, *l.Anchor)
			}
		default:
			links = append(links, l.Link)
		}
	}
}
