package sqlite

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// A watchedTable has rows that the sum of sealed values covers.
type watchedTable struct {
	name string
	// columns are all but that of the sealed value, and but those that say when something
	// was last used: these change without an audit entry.
	columns string
	// sealed: it has a column of that name.
	sealed bool
}

var watchedTables = []watchedTable{
	{"secrets", "seq, kind, tenant_id, service_id, subscription_id, application_id, holder, name, override, created_at, newest, expires_at, removed", false},
	{"secret_versions", "seq, secret_seq, id, number, set_by, set_at, expires_at, kept_until, destroyed_at, reference", true},
	{"secret_bindings", "service_id, parameter, secret_seq", false},
	{"secret_rotations", "secret_seq, command, webhook, every, keep, set_by, due_at, last_at, last_error", false},
	{"stored_secrets", "seq, tenant_id, name, changed_at", true},
	{"access_keys", "seq, id, application_id, hex(digest), reveal_until, created_at, expires_at", true},
	{"signing_keys", "seq, id, hex(public), created_at", true},
}

// of is a column, or an expression of one, of a row. An empty row is that of the table.
func of(row, column string) string {
	if row == "" {
		return column
	}
	if inner, ok := strings.CutPrefix(column, "hex("); ok {
		return "hex(" + row + "." + inner
	}
	return row + "." + column
}

// text is an expression for all watched columns of a row, and value one for its sealed
// value.
func (w watchedTable) text(row string) string {
	columns := []string{"'" + w.name + "'"}
	for column := range strings.SplitSeq(w.columns, ", ") {
		columns = append(columns, of(row, column))
	}
	return "json_array(" + strings.Join(columns, ", ") + ")"
}

func (w watchedTable) value(row string) string {
	if !w.sealed {
		return "NULL"
	}
	return of(row, "sealed")
}

// watched are the columns whose changes count.
func (w watchedTable) watched() (columns []string) {
	for column := range strings.SplitSeq(w.columns, ", ") {
		columns = append(columns, strings.TrimSuffix(strings.TrimPrefix(column, "hex("), ")"))
	}
	if w.sealed {
		columns = append(columns, "sealed")
	}
	return columns
}

// triggers note each change of a row since the last commit. They belong to the connection:
// a change that somebody else makes in the file is in none of them. A value that is
// wrapped again is no change.
func (w watchedTable) triggers() string {
	note := func(added int, row string) string {
		return fmt.Sprintf("INSERT INTO sealed_changes VALUES (%d, %s, %s);", added, w.text(row), w.value(row))
	}
	watched, differ := w.watched(), w.text("old")+" IS NOT "+w.text("new")
	if w.sealed {
		differ += fmt.Sprintf(" OR substr(old.sealed, %d) IS NOT substr(new.sealed, %[1]d)", vault.HeaderSize+1)
	}
	return fmt.Sprintf(`CREATE TEMP TRIGGER %[1]s_added AFTER INSERT ON main.%[1]s BEGIN %[2]s END;
CREATE TEMP TRIGGER %[1]s_deleted AFTER DELETE ON main.%[1]s BEGIN %[3]s END;
CREATE TEMP TRIGGER %[1]s_changed AFTER UPDATE OF %[4]s ON main.%[1]s WHEN %[5]s BEGIN %[3]s %[2]s END;
`, w.name, note(1, "new"), note(0, "old"), strings.Join(watched, ", "), differ)
}

// createSealedChanges makes the table of changes, and the triggers.
func createSealedChanges() string {
	var all strings.Builder
	all.WriteString("CREATE TEMP TABLE sealed_changes (added INTEGER NOT NULL, row TEXT NOT NULL, sealed BLOB);\n")
	for _, table := range watchedTables {
		all.WriteString(table.triggers())
	}
	return all.String()
}

// selectWatched selects all watched rows as changes.
func selectWatched() string {
	parts := make([]string, 0, len(watchedTables))
	for _, table := range watchedTables {
		parts = append(parts, "SELECT 1, "+table.text("")+", "+table.value("")+" FROM "+table.name)
	}
	return strings.Join(parts, " UNION ALL ")
}

// A sealedChange is a watched row that was added, or taken away.
type sealedChange struct {
	added  bool
	row    string
	digest []byte // of the sealed value, without its wrapping; nil: it has none
}

func digestOf(sealed []byte) []byte {
	digest := sha256.Sum256(vault.Sealed(sealed).Values())
	return digest[:]
}

// into adds the change to a sum.
func (c *sealedChange) into(sum *audit.Sum) {
	value := []byte(c.row)
	if c.digest != nil {
		value = append(append(value, 0), c.digest...)
	}
	sum.Add(value, c.added)
}

// scanChanges calls each for every row, which is a change.
func scanChanges(each func(sealedChange)) func(scanner) error {
	return func(row scanner) error {
		var c sealedChange
		var sealed []byte
		if err := row.Scan(&c.added, &c.row, &sealed); err != nil {
			return err
		}
		if sealed != nil {
			c.digest = digestOf(sealed)
		}
		each(c)
		return nil
	}
}

func addChanges(sum *audit.Sum, n *int) func(sealedChange) {
	return func(c sealedChange) {
		*n++
		c.into(sum)
	}
}
