package hub_test

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // fills the database

	"github.com/qhubctl/qhubctl/internal/server"
)

// BenchmarkConsole asks for each page of a platform that has a million executions, and
// reports the median time of each, and of the slowest.
func BenchmarkConsole(b *testing.B) {
	const executions, rounds = 1_000_000, 15
	dir := filepath.Join(b.TempDir(), "data")
	v := vaultedOn(start(b, dir), b)
	v.secret("api_token", "serviceId="+v.id, "the-token-of-a-benchmark", nil)
	execution := v.call(v.owner, http.MethodPost, v.endpoint, document{"$secrets": document{"db_password": "the-password-of-a-benchmark"}, "$tags": []string{"nightly"}}, http.StatusCreated).text("id")
	v.result(v.owner, v.endpoint, execution)
	pool := v.newPool(v.owner, "models", map[string]string{"weights.csv": "1,2,3"})
	rare := v.deploy("rare", "1.0.0", teller(b), "SUCCESS")
	v.stop()
	copyExecutions(b, filepath.Join(dir, server.DatabaseName), executions, map[string]string{
		// Few have failed, or ran another service.
		"status":         "CASE WHEN i % 200000 = 7 THEN 'FAILED' WHEN i % 3 = 0 THEN 'CANCELLED' ELSE e.status END",
		"service_id":     "CASE WHEN i % 100000 = 3 THEN '" + rare.version + "' ELSE e.service_id END",
		"application_id": "CASE WHEN i % 2 = 0 THEN '" + v.app + "' WHEN i % 100000 = 11 THEN 'deleted' ELSE e.application_id END",
		"tags":           "CASE WHEN i % 100000 = 3 THEN '[\"release\"]' WHEN i % 2 = 1 THEN e.tags ELSE '' END",
	})
	owner := v.owner
	v.platform = start(b, dir)
	visitor := v.visitor()
	if response := visitor.signIn(owner); response.StatusCode != http.StatusSeeOther {
		b.Fatalf("the sign-in = %d", response.StatusCode)
	}
	for b.Loop() {
		slowest := time.Duration(0)
		for _, path := range slices.Concat(pagesOf(v.deployed, v.app, pool, execution), filteredLists(v.app, v.id, rare.id)) {
			var took []time.Duration
			for range rounds {
				began := time.Now()
				if response, text := visitor.do(http.MethodGet, path, "", "", nil); response.StatusCode != http.StatusOK {
					b.Fatalf("GET %s = %d %s", path, response.StatusCode, text)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			slowest = max(slowest, took[rounds/2])
			b.Logf("%8.2f ms  %s", float64(took[rounds/2].Microseconds())/1000, path)
		}
		b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
	}
}

// filteredLists are lists by each filter that most executions, or few, have, and by each two.
func filteredLists(app, service, rare string) (paths []string) {
	filters := []string{
		"status=FAILED", "status=CANCELLED", "status=RUNNING", "serviceId=" + service, "serviceId=" + rare, "applicationId=" + app, "applicationId=deleted",
		"tags=nightly", "tags=release", "tags=none", "since=1h", "since=168h", "page=100",
	}
	for i, a := range filters {
		paths = append(paths, "/executions?"+a)
		for _, b := range filters[i+1:] {
			if nameA, _, _ := strings.Cut(a, "="); !strings.HasPrefix(b, nameA+"=") {
				paths = append(paths, "/executions?"+a+"&"+b)
			}
		}
	}
	return paths
}

// copyExecutions copies the execution of a store that no platform has open, n times, one
// for each second before it. Some columns get another value, by the number i of the copy.
func copyExecutions(b *testing.B, path string, n int, others map[string]string) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(off)&_pragma=cache_size(-400000)")
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}()
	rows, err := db.QueryContext(b.Context(), `SELECT name FROM pragma_table_info('executions')`)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var columns, values []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			b.Fatal(err)
		}
		value := cmp.Or(others[name], "e."+name)
		switch name {
		case "seq":
			value = "e.seq + i"
		case "id":
			value = "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-7' || substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
		case "created_at", "started_at", "ended_at":
			value = fmt.Sprintf("e.%s - (%d - i) * 1000000", name, n)
		}
		columns, values = append(columns, name), append(values, value)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	for _, statement := range []string{
		fmt.Sprintf(
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO executions (%s) SELECT %s FROM n, executions AS e WHERE e.seq = (SELECT max(seq) FROM executions)",
			n, strings.Join(columns, ", "), strings.Join(values, ", ")),
		`INSERT INTO execution_tags (service_id, tag, execution_seq, tenant_id, created_at)
			SELECT service_id, json_extract(tags, '$[0]'), seq, tenant_id, created_at FROM executions WHERE tags <> '' ON CONFLICT DO NOTHING`,
	} {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err == nil {
		b.Logf("the database has %d MiB", info.Size()>>20)
	}
}

// viewersVariable has this program be many viewers of a log, by the address of its events
// and the token of the viewers.
const viewersVariable = "QHUBCTL_TEST_VIEWERS"

// viewers is how many people look at one log.
const viewers = 1000

// beViewers follows the events at an address by many connections until standard input ends.
func beViewers(address, token string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	var all []io.Closer
	defer func() {
		for _, connection := range all {
			_ = connection.Close()
		}
	}()
	for range viewers {
		connection, err := dialer.DialContext(context.Background(), "tcp", u.Host)
		if err != nil {
			return err
		}
		all = append(all, connection)
		if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nX-Auth-Token: %s\r\n\r\n", u.RequestURI(), u.Host, token); err != nil {
			return err
		}
		first := make([]byte, 4096)
		if n, err := connection.Read(first); err != nil || !strings.HasPrefix(string(first[:n]), "HTTP/1.1 200") {
			return fmt.Errorf("%w: %.200s", err, first)
		}
		go func() { _, _ = io.Copy(io.Discard, connection) }()
	}
	fmt.Println("all look")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// BenchmarkConsoleViewers runs executions while many people look at the log of one, and
// while no one does, in turns. It reports the ratio of the rates, and how much memory the
// server takes for the viewers.
func BenchmarkConsoleViewers(b *testing.B) {
	const callers, perTurn, turns = 16, 320, 5
	v := vaultedOn(start(b, filepath.Join(b.TempDir(), "data")), b)
	secrets := document{"$secrets": document{"api_token": "a-token-of-a-benchmark", "db_password": "a-password-of-a-benchmark"}}
	seen := v.call(v.owner, http.MethodPost, v.endpoint, document{"hold": "yes", "$secrets": secrets["$secrets"]}, http.StatusCreated).text("id")
	rate := func() float64 {
		began := time.Now()
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for range perTurn / callers {
					v.run(v.owner, v.endpoint, secrets)
				}
			})
		}
		all.Wait()
		return perTurn / time.Since(began).Seconds()
	}
	rate()
	for b.Loop() {
		var with, without, memory []float64
		for range turns {
			without = append(without, rate())
			before := memoryInUse(b)
			end := startViewers(b, v.url+"/qc-catalog/service-executions/"+seen+"/events", v.owner)
			memory = append(memory, memoryInUse(b)-before)
			with = append(with, rate())
			end()
		}
		b.ReportMetric(median(with)/median(without), "rate-ratio")
		b.ReportMetric(median(without), "executions/s")
		b.ReportMetric(median(memory)/(1<<20), "viewers-MiB")
	}
	v.call(v.owner, http.MethodPut, v.endpoint+"/"+seen+"/cancel", nil, http.StatusNoContent)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// memoryInUse is the memory of this process that is in use, with that of the kernel for its
// connections left out.
func memoryInUse(b *testing.B) float64 {
	b.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib * 1024
		}
	}
	b.Fatal("there is no VmRSS")
	return 0
}

// startViewers starts a process of viewers, and returns once all of them see something.
func startViewers(b *testing.B, address, token string) (end func()) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	process := exec.CommandContext(b.Context(), self)
	process.Env = append(os.Environ(), viewersVariable+"="+address+" "+token)
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := process.Start(); err != nil {
		b.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "all look\n" {
		b.Fatalf("the viewers say %q, %v", line, err)
	}
	return func() {
		_ = in.Close()
		if err := process.Wait(); err != nil {
			b.Error(err)
		}
	}
}
