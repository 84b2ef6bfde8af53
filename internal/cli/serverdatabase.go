package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/qhubctl/qhubctl/internal/privatefile"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// maxConnectionString bounds a file with a connection string.
const maxConnectionString = 64 << 10

// database is an option that names a database. It is shown without its password.
type database struct {
	text string
	at   sqlite.ConnectionString
}

// Set implements pflag.Value.
func (d *database) Set(text string) error {
	d.text = text
	return nil
}

// Type implements pflag.Value.
func (d *database) Type() string { return "URL" }

// String implements pflag.Value.
func (d *database) String() string {
	if d.text == "" || strings.HasPrefix(d.text, "@") {
		return d.text
	}
	at, err := sqlite.ParseConnectionString(d.text)
	if err != nil && sqlite.HasPassword(d.text) {
		return "(not valid)"
	}
	if err != nil {
		return d.text
	}
	return at.String()
}

// file is the file that has the connection string; empty if none has.
func (d *database) file() string {
	if path, ok := strings.CutPrefix(d.text, "@"); ok {
		return path
	}
	return ""
}

// find reads the connection string.
func (d *database) find(flag string, from settingOrigin) (err error) {
	if d.text == "" {
		return nil
	}
	text := d.text
	switch {
	case d.file() != "":
		path, err := filepath.Abs(d.file())
		if err != nil {
			return err
		}
		content, err := privatefile.Read(path, maxConnectionString)
		if err != nil {
			return usagef("--%s: %v", flag, err)
		}
		text = strings.TrimSpace(string(content))
		clear(content)
	case from == fromFlag && sqlite.HasPassword(text):
		return usagef("--%s has a password, which every user of this machine can read; "+
			"put the URL into a file and give --%s @FILE, or the password into the variable PGPASSWORD", flag, flag)
	}
	if d.at, err = sqlite.ParseConnectionString(text); err != nil {
		return usagef("--%s: %v", flag, err)
	}
	return nil
}

// findDatabase reads where the state is. It removes variables that may hold a password from the
// environment, before any other program is started.
func (o *serverOptions) findDatabase(origins map[string]settingOrigin) error {
	if err := o.database.find("database", origins["database"]); err != nil {
		return err
	}
	if err := o.direct.find("database-direct", origins["database-direct"]); err != nil {
		return err
	}
	if o.direct.text != "" && o.database.text == "" {
		return usagef("--database-direct belongs to --database, which is missing")
	}
	for _, name := range []string{configPrefix + "DATABASE", configPrefix + "DATABASE_DIRECT", "PGPASSWORD"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}

// state is the database of the state of a server; nil for the data folder. direct is nil
// or another way to it.
func (d *database) state(direct *database) *server.Database {
	switch {
	case d.text == "":
		return nil
	case direct == nil:
		return &server.Database{At: d.at}
	default:
		return &server.Database{At: d.at, Direct: direct.at}
	}
}

// inFolder is an error if the state of a platform is not in its data folder, which a
// command needs.
func inFolder(dir, what, way string) error {
	if exists(filepath.Join(dir, server.PostgresName)) {
		return &backupError{fmt.Errorf("the state of the platform in %s is in Postgres, and this command %s that of a data folder only", dir, what), way}
	}
	return nil
}
