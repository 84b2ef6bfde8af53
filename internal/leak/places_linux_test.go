package leak_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // to read the copy of a database

	"github.com/qhubctl/qhubctl/internal/leak"
)

// searchDirs searches all files of the folders that a workspace and its server use, and
// their names. Files below a folder called work belong to a running execution.
func searchDirs(t *testing.T, found *findings, when string, w *workspace, own bool) {
	t.Helper()
	dirs := []string{w.dir}
	for _, entry := range w.env {
		if name, value, _ := strings.Cut(entry, "="); name == "HOME" || name == "TMPDIR" || name == "XDG_CACHE_HOME" {
			dirs = append(dirs, value)
		}
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
				return nil
			case err != nil:
				return err
			case entry.IsDir() && own && entry.Name() == "work":
				return fs.SkipDir
			case path == filepath.Join(w.dir, ".env"): // the user's
				return nil
			}
			found.search(when+", the name of a file", []byte(path))
			if !entry.Type().IsRegular() {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			found.search(when+", the file "+path, text)
			return nil
		})
		if err != nil {
			t.Errorf("searching %s: %v, want nil", dir, err)
		}
	}
}

// searchDatabase copies the database with its journals, and reads the whole copy: a text
// that spans several pages is in pieces in the files.
func (s *server) searchDatabase(when string, w *workspace) {
	s.t.Helper()
	copied := filepath.Join(s.t.TempDir(), "executions.db")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(filepath.Join(w.dir, ".qhub", "serve", "executions.db"+suffix))
		if errors.Is(err, fs.ErrNotExist) && suffix != "" {
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		write(s.t, copied+suffix, string(text))
	}
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(copied))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tables, err := cellsOf(db, "SELECT name FROM sqlite_master WHERE type = 'table'")
	if err != nil || len(tables) < 3 {
		s.t.Fatalf("the copy of the database has the tables %q (%v), want at least 3", tables, err)
	}
	for _, table := range tables {
		cells, err := cellsOf(db, fmt.Sprintf("SELECT * FROM %q", table))
		if err != nil {
			s.t.Fatal(err)
		}
		s.found.search(fmt.Sprintf("%s, the table %s", when, table), []byte(strings.Join(cells, "\n")))
	}
}

// cellsOf returns all cells of a table, row by row.
func cellsOf(db *sql.DB, query string) ([]string, error) {
	rows, err := db.Query(query) //nolint:noctx // a copy in a folder of the test's
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	row, places := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range row {
		places[i] = &row[i]
	}
	var cells []string
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		for _, cell := range row {
			cells = append(cells, cell.String)
		}
	}
	return cells, rows.Err()
}

// searchProcesses searches the arguments and the initial environment of the server and
// all processes below it. It returns how many there are.
func (s *server) searchProcesses() int {
	s.t.Helper()
	count := 0
	for _, pid := range descendants(s.t, s.command.Process.Pid) {
		for _, name := range []string{"environ", "cmdline"} {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
			if err != nil {
				continue // it has ended, or may not be read
			}
			count++
			if pid == s.command.Process.Pid && name == "environ" {
				text = withoutGiven(text) // the user put them there
			}
			s.found.search(fmt.Sprintf("%s of the process %d (%s)", name, pid, comm(pid)), text)
		}
	}
	return count
}

// withoutGiven leaves out the variables that a test has put into the environment of the
// server itself.
func withoutGiven(environ []byte) []byte {
	var kept []string
	for entry := range strings.SplitSeq(string(environ), "\x00") {
		if !strings.HasPrefix(entry, variable(leak.Canary{Cell: fromEnvironment})) {
			kept = append(kept, entry)
		}
	}
	return []byte(strings.Join(kept, "\x00"))
}

func comm(pid int) string {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	return strings.TrimSpace(string(text))
}

// descendants are a process and all below it.
func descendants(t *testing.T, root int) []int {
	t.Helper()
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
