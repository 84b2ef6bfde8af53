package hub_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStoredSecrets calls a service with and without ten stored secrets, in turns. It
// reports the CPU time of this process for each execution, which has the server and the
// client. It also reports medians: the time from the request until run begins, and until
// the client knows the end.
func BenchmarkStoredSecrets(b *testing.B) {
	p := start(b, filepath.Join(b.TempDir(), "data"))
	content := built(b, "many")
	with, without := p.deploy("with", "1.0.0", content, "SUCCESS"), p.deploy("without", "1.0.0", content, "SUCCESS")
	values := document{}
	for i := range 10 {
		values[fmt.Sprint("secret_", i)] = fmt.Sprint("a-value-of-some-length-", i)
	}
	p.call(p.owner, http.MethodPost, secretsPath+"-import?serviceId="+with.id, document{"secrets": values}, http.StatusNoContent)
	cpu, took, started := map[string]time.Duration{}, map[string][]time.Duration{}, map[string][]time.Duration{}
	n := 0
	for b.Loop() {
		for name, s := range map[string]deployed{"with": with, "without": without} {
			began, used := time.Now(), cpuTime(b)
			result := p.run(p.owner, s.endpoint, document{})
			if fmt.Sprint(result["last"]) != strconv.FormatBool(name == "with") {
				b.Fatalf("%s: the result is %v", name, result)
			}
			at, err := strconv.ParseInt(fmt.Sprint(result["began"]), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			started[name] = append(started[name], time.Unix(0, at).Sub(began))
			took[name] = append(took[name], time.Since(began))
			cpu[name] += cpuTime(b) - used
		}
		n++
	}
	for name := range took {
		b.ReportMetric(float64(cpu[name].Microseconds())/float64(n), name+"-cpu-us")
		b.ReportMetric(medianTime(started[name]), name+"-start-us")
		b.ReportMetric(medianTime(took[name]), name+"-end-us")
	}
}

func medianTime(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds())
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
