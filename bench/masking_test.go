package bench

import (
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	bobusumisu "github.com/BobuSumisu/aho-corasick"
	cloudflare "github.com/cloudflare/ahocorasick"

	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// corpusSize is how long the texts are: no cache holds one.
const corpusSize = 64 << 20

// cpuTime is the processor time of the whole process. Rates are by it, so that
// neither other work of the machine nor help from other threads counts.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// medianTime runs once again and again and gives the median of the processor time
// that it takes.
func medianTime(b *testing.B, once func()) time.Duration {
	var took []time.Duration
	for b.Loop() {
		start := cpuTime(b)
		once()
		took = append(took, cpuTime(b)-start)
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// A contestant takes a text write by write.
type contestant struct {
	name string
	take func(p []byte)
}

// contestants are the masker and libraries that find or replace many strings,
// given the same forms. The bench is generous to them:
//
//   - cloudflare/ahocorasick says which patterns occur in a write, not where;
//   - BobuSumisu/aho-corasick says where, and nothing is replaced;
//   - strings.Replacer replaces leftmost matches and leaves overlaps standing.
//
// None of them finds a secret that is cut by the end of a write. The copy shows
// the most that the machine can do.
func contestants(load redacttest.Workload) []contestant {
	secrets := secretsOf(load.Secrets)
	var forms [][]byte
	var pairs []string
	for _, value := range load.Secrets {
		for _, form := range redact.Forms(value) {
			forms = append(forms, form)
			pairs = append(pairs, string(form), redact.Mask)
		}
	}
	// Nothing but Write, as of any sink.
	writer := redact.New(secrets).Writer(struct{ io.Writer }{io.Discard})
	matcher := cloudflare.NewMatcher(forms)
	trie := bobusumisu.NewTrieBuilder().AddPatterns(forms).Build()
	replacer := strings.NewReplacer(pairs...)
	into, found := make([]byte, load.Piece), 0
	return []contestant{
		{"copy", func(p []byte) { copy(into, p) }},
		{"qhubctl", func(p []byte) { _, _ = writer.Write(p) }},
		{"cloudflare", func(p []byte) { found += len(matcher.Match(p)) }},
		{"BobuSumisu", func(p []byte) {
			trie.Walk(p, func(_, _, _ int64) bool { found++; return true })
		}},
		{"strings.Replacer", func(p []byte) { _, _ = replacer.WriteString(io.Discard, string(p)) }},
	}
}

func secretsOf(values [][]byte) []redact.Secret {
	secrets := make([]redact.Secret, len(values))
	for i, value := range values {
		secrets[i].Value = value
	}
	return secrets
}

// BenchmarkMasking runs logs, and texts made to be slow to search, through the
// masker and the others, in one run. "copy/x" is how many times as much is
// copied in the same time, "ours/x" how many times as much the masker does.
func BenchmarkMasking(b *testing.B) {
	for _, load := range redacttest.Workloads(corpusSize) {
		var copied, ours float64
		pieces := load.Pieces()
		for _, c := range contestants(load) {
			b.Run(load.Name+"/"+c.name, func(b *testing.B) {
				took := medianTime(b, func() {
					for _, p := range pieces {
						c.take(p)
					}
				})
				rate := float64(len(load.Text)) / 1e6 / took.Seconds()
				switch c.name {
				case "copy":
					copied = rate
				case "qhubctl":
					ours = rate
				default:
					b.ReportMetric(ours/rate, "ours/x")
				}
				b.ReportMetric(rate, "MB/cpu-s")
				b.ReportMetric(copied/rate, "copy/x")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkMaskingOfAGigabyte sends one log of that size through one writer,
// and reports all memory allocated meanwhile.
func BenchmarkMaskingOfAGigabyte(b *testing.B) {
	const size = 1 << 30
	load := redacttest.Workloads(corpusSize)[0]
	pieces := load.Pieces()
	masker := redact.New(secretsOf(load.Secrets))
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := cpuTime(b)
		writer := masker.Writer(struct{ io.Writer }{io.Discard})
		for range size / corpusSize {
			for _, p := range pieces {
				if _, err := writer.Write(p); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := writer.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(size/1e6/(cpuTime(b)-start).Seconds(), "MB/cpu-s")
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/1024, "KiB-allocated")
	}
}

// BenchmarkMaskerBuild makes a masker, as each execution does, and reports the
// memory that one keeps.
func BenchmarkMaskerBuild(b *testing.B) {
	for _, build := range []struct {
		name  string
		count int
	}{{"1 secret", 1}, {"10 secrets", 10}, {"200 secrets", 200}} {
		b.Run(build.name, func(b *testing.B) {
			const batch = 100
			secrets := secretsOf(redacttest.Tokens(rand.New(rand.NewPCG(3, 4)), build.count, 20))
			maskers := make([]*redact.Masker, batch)
			took := medianTime(b, func() {
				for i := range maskers {
					maskers[i] = redact.New(secrets)
				}
			})
			b.ReportMetric(float64(took.Nanoseconds())/1000/batch, "cpu-µs/masker")
			b.ReportMetric(0, "ns/op")
			var with, without runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&with)
			clear(maskers)
			runtime.GC()
			runtime.ReadMemStats(&without)
			b.ReportMetric(float64(with.HeapAlloc-without.HeapAlloc)/1024/batch, "KiB-kept/masker")
		})
	}
}
