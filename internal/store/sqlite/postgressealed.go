package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// Triggers in Postgres belong to the schema: they note the changes of somebody else, too.
// So a note is a setting that ends with the transaction. Each transaction of a writer begins
// without notes, and reads none but those that its statements have left.

// notedChanges is the setting. Each line is a change: + or -, the columns of the row, and
// after a tab the digest of the sealed value.
const notedChanges = "qhubctl.sealed_changes"

const selectNoted = `SELECT current_setting('` + notedChanges + `', true)`

// postgresColumn is an expression for a column as SQLite writes it in a JSON list.
func postgresColumn(row, column string) string {
	if inner, ok := strings.CutPrefix(column, "hex("); ok {
		return "to_json(upper(encode(" + of(row, strings.TrimSuffix(inner, ")")) + ", 'hex')))::text"
	}
	return "coalesce(to_json(" + of(row, column) + ")::text, 'null')"
}

// postgresText is text in Postgres.
func (w watchedTable) postgresText(row string) string {
	columns := []string{`'"` + w.name + `"'`}
	for column := range strings.SplitSeq(w.columns, ", ") {
		columns = append(columns, postgresColumn(row, column))
	}
	return "('[' || " + strings.Join(columns, " || ',' || ") + " || ']')"
}

// postgresNote is the note of a row.
func (w watchedTable) postgresNote(sign, row string) string {
	digest := "''"
	if w.sealed {
		digest = fmt.Sprintf("coalesce(E'\\t' || encode(sha256(CASE WHEN length(%s) < %d THEN %[1]s ELSE substr(%[1]s, %[2]d + 1) END), 'hex'), '')",
			of(row, "sealed"), vault.HeaderSize)
	}
	return fmt.Sprintf(`'%s' || %s || %s || E'\n'`, sign, w.postgresText(row), digest)
}

// postgresTrigger has a table note changes of its rows. A value that is wrapped again is
// no change.
func (w watchedTable) postgresTrigger() string {
	watched := w.watched()
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION note_%[1]s() RETURNS trigger LANGUAGE plpgsql AS $note$
DECLARE former TEXT := ''; present TEXT := '';
BEGIN
	IF TG_OP <> 'INSERT' THEN former := %[2]s; END IF;
	IF TG_OP <> 'DELETE' THEN present := %[3]s; END IF;
	IF substr(former, 2) <> substr(present, 2) THEN
		PERFORM set_config('%[4]s', coalesce(current_setting('%[4]s', true), '') || former || present, true);
	END IF;
	RETURN NULL;
END;
$note$;
CREATE OR REPLACE TRIGGER note_%[1]s AFTER INSERT OR DELETE OR UPDATE OF %[5]s ON %[1]s FOR EACH ROW EXECUTE FUNCTION note_%[1]s();
`, w.name, w.postgresNote("-", "OLD"), w.postgresNote("+", "NEW"), notedChanges, strings.Join(watched, ", "))
}

// postgresTriggers are those of all watched tables.
func postgresTriggers() string {
	var all strings.Builder
	for _, table := range watchedTables {
		all.WriteString(table.postgresTrigger())
	}
	return all.String()
}

// makeTriggers makes the triggers, unless the schema has the same ones.
func makeTriggers(ctx context.Context, session *sql.Conn) error {
	script := postgresTriggers()
	name := "note_" + watchedTables[len(watchedTables)-1].name
	var known sql.NullString
	if err := session.QueryRowContext(ctx, "SELECT obj_description(to_regproc($1), 'pg_proc')", name).Scan(&known); err != nil {
		return err
	}
	mark := hex.EncodeToString(digestOf([]byte(script)))
	if known.String == mark {
		return nil
	}
	_, err := session.ExecContext(ctx, "BEGIN;"+script+"COMMENT ON FUNCTION "+name+"() IS '"+mark+"'; COMMIT")
	return err
}

// selectWatchedInPostgres is selectWatched in Postgres.
func selectWatchedInPostgres() string {
	parts := make([]string, 0, len(watchedTables))
	for _, table := range watchedTables {
		value := "NULL::bytea"
		if table.sealed {
			value = "sealed"
		}
		parts = append(parts, "SELECT true, "+table.postgresText("")+", "+value+" FROM "+table.name)
	}
	return strings.Join(parts, " UNION ALL ")
}

// heldChanges are changes that no transaction has signed.
type heldChanges struct {
	all   []sealedChange // committed
	next  []sealedChange // what all becomes with the commit
	taken bool           // next counts
}

func (h *heldChanges) begin() { h.next, h.taken = nil, false }

func (h *heldChanges) commit() {
	if h.taken {
		h.all = h.next
	}
	h.begin()
}

// noted reads the changes of the transaction.
func (s *postgresSession) noted() (all []sealedChange, err error) {
	var text *string
	if err := s.row(selectNoted, nil, []any{&text}); err != nil || text == nil {
		return nil, err
	}
	for line := range strings.Lines(*text) {
		row, digest, sealed := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if len(row) < 2 {
			return nil, errors.New("the database has noted a change of a sealed value that is not complete")
		}
		c := sealedChange{added: row[0] == '+', row: row[1:]}
		if sealed {
			if c.digest, err = hex.DecodeString(digest); err != nil {
				return nil, err
			}
		}
		all = append(all, c)
	}
	return all, nil
}

func (s *postgresSession) takeSealed(each func(sealedChange)) error {
	noted, err := s.noted()
	for _, changes := range [][]sealedChange{s.held.all, noted} {
		for _, c := range changes {
			each(c)
		}
	}
	s.held.next, s.held.taken = nil, true
	return err
}

func (s *postgresSession) holdSealed() error {
	noted, err := s.noted()
	if len(noted) > 0 {
		s.held.next, s.held.taken = slices.Concat(s.held.all, noted), true
	}
	return err
}
