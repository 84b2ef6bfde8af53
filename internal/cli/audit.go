package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newAudit(streams *term.Streams) *cobra.Command {
	return group(&cobra.Command{
		Use:   "audit",
		Short: "Read and check the audit log of a platform",
		Long: `Each change on a platform writes an entry with its caller, time and target. Each entry
names the hash of the one before, so that an entry that was changed or removed is found. Entries have names
and ids, never values of secrets. OWNERs read the log of their account, or of the
organization of the context.`,
		Example: `  qhubctl audit list
  qhubctl audit verify --save anchor
  qhubctl audit verify --anchor @anchor`,
	}, newAuditList(streams), newAuditVerify(streams), newAuditExport(streams))
}

// auditLog is a part of the log, as the platform answers it.
type auditLog struct {
	Tenant  string
	Head    int64
	Entries []audit.Link
}

func readAudit(ctx context.Context, p *client.Platform, after int64, limit int) (auditLog, error) {
	var log auditLog
	err := p.Call(ctx, http.MethodGet, fmt.Sprintf("/qc-catalog/audit?after=%d&limit=%d", after, limit), nil, &log)
	return log, err
}

// auditPage is how many entries a request asks for.
const auditPage = 1000

// eachLink calls begin with the tenant, and then each for all entries, the oldest first.
func eachLink(ctx context.Context, p *client.Platform, begin func(tenant string), each func(audit.Link) error) error {
	for after := int64(0); ; {
		log, err := readAudit(ctx, p, after, auditPage)
		if err != nil {
			return err
		}
		if after == 0 {
			begin(log.Tenant)
		}
		for _, l := range log.Entries {
			if err := each(l); err != nil {
				return err
			}
		}
		if after += int64(len(log.Entries)); len(log.Entries) < auditPage {
			return nil
		}
	}
}

func newAuditList(streams *term.Streams) *cobra.Command {
	var output, action, actor string
	var limit int
	command := &cobra.Command{
		Use: "list", Short: "List the last entries, the newest first", Args: cobra.NoArgs,
		Example: "  qhubctl audit list --action delete-service\n  qhubctl audit list --limit 1000 --output json",
	}
	command.Flags().IntVar(&limit, "limit", 50, "how many entries to look at, at most 1000")
	command.Flags().StringVar(&action, "action", "", "only entries of this action")
	command.Flags().StringVar(&actor, "actor", "", "only entries of the caller with this id")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		if limit < 1 || limit > auditPage {
			return usagef("--limit is %d; it must be 1 to %d", limit, auditPage)
		}
		log, err := readAudit(ctx, p, 0, 1)
		if err == nil {
			log, err = readAudit(ctx, p, max(log.Head-int64(limit), 0), limit)
		}
		if err != nil {
			return err
		}
		entries := []audit.Entry{}
		for _, l := range slices.Backward(log.Entries) {
			e, err := l.Read()
			if err != nil {
				return fmt.Errorf("read an audit entry: %w", err)
			}
			if (action == "" || e.Action == action) && (actor == "" || e.Actor.ID == actor) {
				entries = append(entries, e)
			}
		}
		if output == "json" {
			return printJSON(streams, entries)
		}
		rows := make([][]string, 0, len(entries))
		for _, e := range entries {
			rows = append(rows, []string{
				strconv.FormatInt(e.Number, 10), e.Time.UTC().Format("2006-01-02 15:04:05"), e.Actor.Kind + " " + e.Actor.ID,
				e.Action, string(e.Outcome), e.Target, details(e.Details),
			})
		}
		return table(streams, "NUMBER | TIME (UTC) | CALLER | ACTION | OUTCOME | TARGET | DETAILS", rows)
	})
}

func details(of map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		words = append(words, name+"="+of[name])
	}
	return cmp.Or(strings.Join(words, " "), "-")
}

func newAuditVerify(streams *term.Streams) *cobra.Command {
	var file, anchor, save, output string
	command := &cobra.Command{
		Use: "verify", Short: "Check that no entry was changed, moved or removed", Args: cobra.NoArgs,
		Long: `Reads the whole audit log and checks its chain. It prints the anchor of the last entry,
NUMBER:HASH. Keep anchors outside the platform: only with one is it found that entries
were cut off at the end, or that an old copy of the database is in use.`,
		Example: "  qhubctl audit verify --save anchor\n  qhubctl audit verify --anchor @anchor\n  qhubctl audit verify --file audit.jsonl",
	}
	command.Flags().StringVar(&file, "file", "", "check this `FILE` of audit export instead, without a platform")
	command.Flags().StringVar(&anchor, "anchor", "", "an entry that the log must have: NUMBER:HASH, or @FILE with it")
	command.Flags().StringVar(&save, "save", "", "write the anchor of the last entry to this `FILE`")
	online := onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		return verifyAudit(streams, anchor, save, output, func(begin func(string), each func(audit.Link) error) error {
			return eachLink(ctx, p, begin, each)
		})
	})
	onPlatformRun := online.RunE
	online.RunE = func(cmd *cobra.Command, args []string) error {
		if file == "" {
			return onPlatformRun(cmd, args)
		}
		if err := checkOutput(output); err != nil {
			return err
		}
		return verifyAudit(streams, anchor, save, output, func(begin func(string), each func(audit.Link) error) error {
			return linksOf(file, begin, each)
		})
	}
	return online
}

// verifyAudit checks a chain that walk goes through.
func verifyAudit(streams *term.Streams, anchor, save, output string, walk func(begin func(tenant string), each func(audit.Link) error) error) error {
	var anchors []audit.Anchor
	if anchor != "" {
		a, err := readAnchor(anchor)
		if err != nil {
			return err
		}
		anchors = append(anchors, a)
	}
	var v *audit.Verifier
	begin := func(tenant string) { v = audit.NewVerifier(tenant, anchors...) }
	err := walk(begin, func(l audit.Link) error { return v.Add(l) })
	for _, a := range anchors {
		if err == nil {
			err = v.Holds(a)
		}
	}
	if errors.Is(err, audit.ErrBroken) {
		return &exitError{exitFailed, err}
	}
	if err != nil {
		return err
	}
	head := v.Head()
	if head.Number == 0 {
		streams.Say("the audit log has no entries yet")
		return nil
	}
	if save != "" {
		if err := os.WriteFile(save, []byte(head.String()+"\n"), 0o600); err != nil {
			return fmt.Errorf("keep the anchor: %w", err)
		}
	}
	streams.Say("%d entries are unchanged", head.Number)
	if output == "json" {
		return printJSON(streams, map[string]any{"entries": head.Number, "anchor": head.String()})
	}
	return writeAll(streams.Out, []byte(head.String()+"\n"))
}

func readAnchor(text string) (audit.Anchor, error) {
	if name, ok := strings.CutPrefix(text, "@"); ok {
		content, err := os.ReadFile(name)
		if err != nil {
			return audit.Anchor{}, usagef("--anchor: %v", err)
		}
		text = strings.TrimSpace(string(content))
	}
	a, err := audit.ParseAnchor(text)
	if err != nil {
		return a, usagef("--anchor: %v", err)
	}
	return a, nil
}

func newAuditExport(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "export", Short: "Print all entries with their hashes, one JSON document a line", Args: cobra.NoArgs,
		Example: "  qhubctl audit export > audit.jsonl\n  qhubctl audit verify --file audit.jsonl",
	}, nil, func(ctx context.Context, p *client.Platform, _ []string) error {
		w := bufio.NewWriter(streams.Out)
		err := eachLink(ctx, p, func(string) {}, func(l audit.Link) error {
			text, err := json.Marshal(l)
			if err == nil {
				_, err = w.Write(append(text, '\n'))
			}
			return err
		})
		return errors.Join(err, w.Flush())
	})
}

// linksOf reads a file of audit export.
func linksOf(name string, begin func(tenant string), each func(audit.Link) error) error {
	file, err := os.Open(name)
	if err != nil {
		return usagef("--file: %v", err)
	}
	defer func() { _ = file.Close() }()
	decoder := json.NewDecoder(file)
	for first := true; ; first = false {
		var l audit.Link
		err := decoder.Decode(&l)
		if first {
			e, _ := l.Read() // a bad entry is found below
			begin(e.Tenant)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %s is no export of an audit log: %w", audit.ErrBroken, name, err)
		}
		if err := each(l); err != nil {
			return err
		}
	}
}
