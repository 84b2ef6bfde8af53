package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/term"
)

// auditVerify are the options of audit verify.
type auditVerify struct {
	file, data, anchor, save, key, output string
	masterKey                             masterKey
	database                              database
}

func newAuditVerify(streams *term.Streams) *cobra.Command {
	var o auditVerify
	command := &cobra.Command{
		Use: "verify", Short: "Check that no entry was changed, moved or removed", Args: cobra.NoArgs,
		Long: `Reads the whole audit log, and checks its chain and the signature of its last entry. It
prints the anchor of that entry, NUMBER:HASH. Keep anchors outside the platform: only with
one is it found that entries were cut off at the end, or that an old copy of the database
is in use. The platform keeps anchors too, in DATA/` + audit.AnchorsName + ` and in its log, and
verify uses the former. It says where it cannot know.

With --file it checks a file of audit export. --key names the key that must have signed
it, as an earlier verify of the platform has printed it.

With --data the operator checks the logs of all accounts and every sealed value in the
database of a platform, with the master key. The server may run meanwhile.`,
		Example: `  qhubctl audit verify --save anchor
  qhubctl audit verify --anchor @anchor
  qhubctl audit verify --file audit.jsonl
  qhubctl audit verify --data /var/lib/qhubctl --master-key @master.key`,
	}
	flags := command.Flags()
	flags.StringVar(&o.file, "file", "", "check this `FILE` of audit export instead, without a platform")
	flags.StringVar(&o.data, "data", "", "check all logs in this data `FOLDER` of a platform")
	flags.Var(&o.database, "database", "where the state of the platform is, as for qhubctl server (default: $"+configPrefix+"DATABASE)")
	flags.StringVar(&o.anchor, "anchor", "", "an entry that the log must have: NUMBER:HASH, or @FILE with it")
	flags.StringVar(&o.save, "save", "", "write the anchor of the last entry to this `FILE`")
	flags.StringVar(&o.key, "key", "", "the id of the key that must have signed the log")
	o.masterKey.flags(command)
	online := onPlatform(streams, command, &o.output, func(ctx context.Context, p *client.Platform, _ []string) error {
		return o.online(ctx, streams, p)
	})
	onPlatformRun := online.RunE
	online.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.file != "" && o.data != "", o.data != "" && o.anchor+o.save+o.key != "":
			return usagef("--data checks all logs; give neither --file, --anchor, --key nor --save with it")
		case o.data == "" && o.database.text != "":
			return usagef("--database belongs to --data, which names the data folder of a platform")
		case o.file == "" && o.data == "":
			return onPlatformRun(cmd, args)
		}
		if err := checkOutput(o.output); err != nil {
			return err
		}
		if o.file != "" {
			return o.ofFile(streams)
		}
		if err := o.masterKey.find(); err != nil {
			return err
		}
		return o.ofData(cmd.Context(), streams)
	}
	return online
}

// anchors are those that were given.
func (o *auditVerify) anchors() ([]audit.Anchor, error) {
	if o.anchor == "" {
		return nil, nil
	}
	a, err := readAnchor(o.anchor)
	return []audit.Anchor{a}, err
}

// online checks the log of a platform.
func (o *auditVerify) online(ctx context.Context, streams *term.Streams, p *client.Platform) error {
	anchors, err := o.anchors()
	if err != nil {
		return err
	}
	log, err := readAudit(ctx, p, 0, 1)
	if err != nil {
		return err
	}
	if log.Anchor.Number > 0 {
		anchors = append(anchors, log.Anchor)
	}
	c := audit.Chain{Tenant: log.Tenant, Signed: log.Signed, Keys: log.Keys, Anchors: anchors}
	report, err := c.Verify(func(each func(audit.Link) error) error {
		return eachLink(ctx, p, func(auditLog) {}, each)
	})
	if err == nil && log.Signed.Key != "" && log.Head > log.Signed.Number {
		err = fmt.Errorf("%w: it has entries after its signed head, which is entry %d", audit.ErrBroken, log.Signed.Number)
	}
	return o.show(streams, report, err)
}

// ofFile checks an export.
func (o *auditVerify) ofFile(streams *term.Streams) error {
	anchors, err := o.anchors()
	if err != nil {
		return err
	}
	c, links, err := readExport(o.file)
	if err != nil {
		return broken(err)
	}
	c.Anchors = append(c.Anchors, anchors...)
	report, err := c.Verify(func(each func(audit.Link) error) error {
		for _, l := range links {
			if err := each(l); err != nil {
				return err
			}
		}
		return nil
	})
	return o.show(streams, report, err)
}

// broken has an error of a log that was changed end the command with its exit code.
func broken(err error) error {
	if errors.Is(err, audit.ErrBroken) {
		return &exitError{exitFailed, err}
	}
	return err
}

func (o *auditVerify) show(streams *term.Streams, r audit.Report, err error) error {
	if err == nil && o.key != "" && r.Key != o.key {
		err = fmt.Errorf("%w: it is signed with the key %q, and not with %q", audit.ErrBroken, r.Key, o.key)
	}
	if err != nil {
		return broken(err)
	}
	if r.Head.Number == 0 {
		streams.Say("the audit log has no entries yet")
		return nil
	}
	if o.save != "" {
		if err := os.WriteFile(o.save, []byte(r.Head.String()+"\n"), 0o600); err != nil {
			return fmt.Errorf("keep the anchor: %w", err)
		}
	}
	streams.Say("%d entries are unchanged", r.Entries)
	for _, limit := range unproven(r, o.file != "" && o.key == "") {
		streams.Say("%s", limit)
	}
	if o.output == "json" {
		return printJSON(streams, struct {
			audit.Report
			Anchor string `json:"anchor"`
		}{r, r.Head.String()})
	}
	return writeAll(streams.Out, []byte(r.Head.String()+"\n"))
}

// unproven says what a verification proves, and what it cannot know.
func unproven(r audit.Report, ofItself bool) []string {
	var list []string
	if r.Dropped > 0 {
		list = append(list, fmt.Sprintf("entries up to %d were dropped because of their age", r.Dropped))
	}
	switch {
	case r.Key == "":
		list = append(list, "the last entry is not signed: whoever can write to the database can have written all of them")
	case ofItself:
		list = append(list, "the file says itself that the key "+r.Key+" has signed it: compare that with an audit verify of the platform, or give --key")
	default:
		list = append(list, "the last entry is signed with the key "+r.Key)
	}
	switch {
	case r.Anchored == 0:
		list = append(list, "no anchor is known: entries that were cut off at the end, or an old copy of the database, would not be found")
	case r.Anchored < r.Head.Number:
		list = append(list, fmt.Sprintf("the newest anchor is of entry %d: that later ones were cut off would not be found", r.Anchored))
	}
	return list
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

// ofData checks all logs and all sealed values of a platform.
func (o *auditVerify) ofData(ctx context.Context, streams *term.Streams) error {
	keys := keysOptions{data: o.data, masterKey: o.masterKey, database: o.database}
	if err := keys.findDatabase(); err != nil {
		return err
	}
	return keys.with(ctx, func(k *openedKeys) error {
		anchors, err := audit.ReadAnchors(filepath.Join(o.data, audit.AnchorsName))
		if err != nil {
			return err
		}
		reports, sealed, problems, err := k.check(ctx, anchors)
		if err != nil {
			return err
		}
		if err := sayLogs(streams, o.output, reports, sealed, anchors); err != nil {
			return err
		}
		return problems.err()
	})
}

// databaseProblems are those that a check of a database has found.
type databaseProblems []string

func (p databaseProblems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &exitError{exitFailed, fmt.Errorf("the database was changed: %s", strings.Join(p, "; "))}
}

// check verifies all audit logs, and opens all sealed values.
func (k *openedKeys) check(ctx context.Context, anchors *audit.Anchors) (reports []audit.Report, sealed int, problems databaseProblems, err error) {
	reports, broken, err := audit.CheckAll(ctx, k.executions.Audit(), audit.NewSigner(k.ring), anchors.All())
	if err != nil {
		return nil, 0, nil, err
	}
	for _, err := range broken {
		problems = append(problems, err.Error())
	}
	if err := k.executions.CheckSealed(ctx, audit.NewSigner(k.ring)); errors.Is(err, audit.ErrBroken) {
		problems = append(problems, err.Error())
	} else if err != nil {
		return nil, 0, nil, err
	}
	use, err := store.FindSealed(ctx, k.executions, k.ring)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("cannot read the sealed values: %w", err)
	}
	for _, owner := range use.Damaged {
		problems = append(problems, fmt.Sprintf("%s: the sealed value was changed, or is of another place", owner))
	}
	for owner, missing := range use.Missing {
		problems = append(problems, fmt.Sprintf("%s: %v", owner, missing))
	}
	slices.Sort(problems)
	return reports, use.Sealed(), problems, nil
}

func sayLogs(streams *term.Streams, output string, reports []audit.Report, sealed int, anchors *audit.Anchors) error {
	var entries int64
	for _, r := range reports {
		entries += r.Entries
	}
	streams.Say("%d entries of %d accounts, and %d sealed values, were checked", entries, len(reports), sealed)
	if !anchors.Kept() {
		streams.Say("there is no file %s: entries that were cut off at the end, or an old copy of the database, would not be found", audit.AnchorsName)
	}
	if output == "json" {
		return printJSON(streams, map[string]any{"accounts": reports, "sealed": sealed, "anchors": anchors.Kept()})
	}
	return nil
}
