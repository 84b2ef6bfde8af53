package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newAudit(streams *term.Streams) *cobra.Command {
	return group(&cobra.Command{
		Use:   "audit",
		Short: "Read and check the audit log of a platform",
		Long: `Each change on a platform, each login, and each use of a stored secret by an execution
writes an entry with its caller, time and target. Each entry names the hash of the one
before, and the platform signs the last one, so that an entry that was changed or removed
is found. Entries have names and ids, never values of secrets. OWNERs read the log of
their account, or of the organization of the context.`,
		Example: `  qhubctl audit list --name api_token
  qhubctl audit verify --save anchor
  qhubctl audit verify --anchor @anchor`,
	}, newAuditList(streams), newAuditVerify(streams), newAuditExport(streams))
}

// auditLog is a part of the log, as the platform answers it.
type auditLog struct {
	Tenant  string
	Head    int64
	Start   int64
	Entries []audit.Link
	Signed  audit.Head
	Keys    []audit.Key
	Anchor  audit.Anchor
}

func readAudit(ctx context.Context, p *client.Platform, after int64, limit int) (auditLog, error) {
	var log auditLog
	err := p.Call(ctx, http.MethodGet, fmt.Sprintf("/qc-catalog/audit?after=%d&limit=%d", after, limit), nil, &log)
	return log, err
}

// auditPage is how many entries a request asks for.
const auditPage = 1000

// eachLink calls begin with what the platform says of the log, and then each for all
// entries, the oldest first.
func eachLink(ctx context.Context, p *client.Platform, begin func(auditLog), each func(audit.Link) error) error {
	var after int64
	for first := true; ; first = false {
		log, err := readAudit(ctx, p, after, auditPage)
		if err != nil {
			return err
		}
		if first {
			begin(log)
			after = log.Start
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

// An auditFilter selects entries.
type auditFilter struct {
	action, actor, name, since, until string
	from, to                          time.Time
}

func (f *auditFilter) flags(command *cobra.Command) {
	command.Flags().StringVar(&f.action, "action", "", "only entries of this action")
	command.Flags().StringVar(&f.actor, "actor", "", "only entries of the caller with this id")
	command.Flags().StringVar(&f.name, "name", "", "only entries with this name, such as that of a secret, in their target or details")
	command.Flags().StringVar(&f.since, "since", "", "only entries from this `TIME` on: a date, 2026-01-31T12:00:00Z, or a duration ago, such as 24h")
	command.Flags().StringVar(&f.until, "until", "", "only entries before this `TIME`")
}

// read reads the times.
func (f *auditFilter) read(now time.Time) (err error) {
	if f.from, err = pointInTime("--since", f.since, now); err == nil {
		f.to, err = pointInTime("--until", f.until, now)
	}
	return err
}

// given reports whether the filter leaves anything out.
func (f *auditFilter) given() bool { return f.action+f.actor+f.name+f.since+f.until != "" }

func pointInTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%s is %q; it takes a date, a time such as 2026-01-31T12:00:00Z, or a duration ago, such as 24h", flag, text)
}

func (f *auditFilter) has(e audit.Entry) bool {
	return (f.action == "" || e.Action == f.action) && (f.actor == "" || e.Actor.ID == f.actor) && (f.name == "" || names(e, f.name)) &&
		(f.from.IsZero() || !e.Time.Before(f.from)) && (f.to.IsZero() || e.Time.Before(f.to))
}

// names reports whether an entry has a name as a part of its target, or as a word of its
// details.
func names(e audit.Entry, name string) bool {
	if slices.Contains(strings.Split(e.Target, "/"), name) {
		return true
	}
	for _, text := range e.Details {
		words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;:", r) })
		if text == name || slices.Contains(words, name) {
			return true
		}
	}
	return false
}

func newAuditList(streams *term.Streams) *cobra.Command {
	var output string
	var filter auditFilter
	var limit int
	command := &cobra.Command{
		Use: "list", Short: "List entries, the newest first", Args: cobra.NoArgs,
		Example: "  qhubctl audit list --action delete-service\n  qhubctl audit list --name api_token --since 24h\n  qhubctl audit list --limit 1000 --output json",
	}
	command.Flags().IntVar(&limit, "limit", 50, "how many entries to show, at most 1000")
	filter.flags(command)
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		if limit < 1 || limit > auditPage {
			return usagef("--limit is %d; it must be 1 to %d", limit, auditPage)
		}
		if err := filter.read(time.Now()); err != nil {
			return err
		}
		entries, err := lastEntries(ctx, p, filter, limit)
		if err != nil {
			return err
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

// lastEntries are the last entries that a filter selects, the newest first.
func lastEntries(ctx context.Context, p *client.Platform, filter auditFilter, limit int) ([]audit.Entry, error) {
	entries := []audit.Entry{}
	log, err := readAudit(ctx, p, 0, 1)
	if err != nil {
		return nil, err
	}
	for end := log.Head; end > log.Start && len(entries) < limit; {
		after := max(end-auditPage, log.Start)
		part, err := readAudit(ctx, p, after, int(end-after))
		if err != nil {
			return nil, err
		}
		for _, l := range slices.Backward(part.Entries) {
			e, err := l.Read()
			if err != nil {
				return nil, fmt.Errorf("read an audit entry: %w", err)
			}
			if !filter.from.IsZero() && e.Time.Before(filter.from) {
				return entries, nil
			}
			if filter.has(e) && len(entries) < limit {
				entries = append(entries, e)
			}
		}
		end = after
	}
	return entries, nil
}

func details(of map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		words = append(words, name+"="+of[name])
	}
	return cmp.Or(strings.Join(words, " "), "-")
}
