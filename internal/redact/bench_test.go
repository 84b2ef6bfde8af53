package redact

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Throughput is reported per second of processor time of the whole process, so
// that neither other load on the machine nor help from other threads counts.
// Run it as
//
//	go test -run '^$' -bench . ./internal/redact

const corpusSize = 64 << 20

// cpuTime returns the processor time the process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// reportThroughput reports megabytes per CPU-second since start.
func reportThroughput(b *testing.B, start time.Duration, size int) {
	b.ReportMetric(float64(size)/1e6/(cpuTime()-start).Seconds(), "MB/cpu-s")
	b.ReportMetric(0, "ns/op")
}

const tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func token(rng *rand.Rand, size int) string {
	var text strings.Builder
	for range size {
		text.WriteByte(tokenAlphabet[rng.IntN(len(tokenAlphabet))])
	}
	return text.String()
}

// tokens makes count secrets of shortest to shortest+20 characters.
func tokens(rng *rand.Rand, count, shortest int) []Secret {
	secrets := make([]Secret, count)
	for i := range secrets {
		secrets[i] = Secret{Name: fmt.Sprintf("T%d", i), Value: []byte(token(rng, shortest+i%20))}
	}
	return secrets
}

var words = strings.Fields(`request response started finished worker queue retry connection
	timeout session cache user payload index batch result value error warning status
	handler service model gradient step epoch loss accuracy backend circuit qubit shots`)

// logText makes size bytes of mixed log lines, with one of hits at the end of
// each line whose number is a multiple of every.
func logText(rng *rand.Rand, size int, hits []Secret, every int) []byte {
	var text bytes.Buffer
	text.Grow(size + 4096)
	for line := 1; text.Len() < size; line++ {
		fmt.Fprintf(&text, "2026-03-%02dT%02d:%02d:%02d.%03dZ ", 1+line%28, line/3600%24, line/60%60, line%60, rng.IntN(1000))
		switch rng.IntN(6) {
		case 0:
			fmt.Fprintf(&text, `{"level":"info","msg":"%s %s","id":"%08x-%04x","ms":%d}`, words[rng.IntN(len(words))], words[rng.IntN(len(words))], rng.Uint32(), rng.IntN(1<<16), rng.IntN(10000))
		case 1:
			fmt.Fprintf(&text, `GET /api/v1/%s/%d?limit=%d HTTP/1.1 200 %d "Mozilla/5.0"`, words[rng.IntN(len(words))], rng.IntN(1e6), rng.IntN(100), rng.IntN(1e5))
		case 2:
			fmt.Fprintf(&text, `  File "/srv/app/%s.py", line %d, in %s`, words[rng.IntN(len(words))], rng.IntN(999), words[rng.IntN(len(words))])
		case 3:
			fmt.Fprintf(&text, "digest=%016x%016x etag=%s", rng.Uint64(), rng.Uint64(), token(rng, 24))
		default:
			for range 6 + rng.IntN(8) {
				text.WriteString(words[rng.IntN(len(words))])
				text.WriteByte(' ')
			}
		}
		if len(hits) > 0 && line%every == 0 {
			text.WriteString(" token=")
			text.Write(hits[rng.IntN(len(hits))].Value)
		}
		text.WriteByte('\n')
	}
	return text.Bytes()[:size]
}

// repeated makes size bytes of what next returns.
func repeated(size int, next func() string) []byte {
	text := make([]byte, 0, size+256)
	for len(text) < size {
		text = append(text, next()...)
	}
	return text[:size]
}

// pieces cuts text as a program would write it.
func pieces(text []byte, next func(rest []byte) int) [][]byte {
	var cut [][]byte
	for len(text) > 0 {
		n := min(next(text), len(text))
		cut = append(cut, text[:n:n])
		text = text[n:]
	}
	return cut
}

func fixed(size int) func([]byte) int { return func([]byte) int { return size } }

type workload struct {
	name    string
	secrets []Secret
	text    []byte
	next    func([]byte) int
}

func workloads(size int) []workload {
	rng := rand.New(rand.NewPCG(1, 2))
	ten, many := tokens(rng, 10, 20), tokens(rng, 200, 20)
	eight, four := slices.Clone(ten), slices.Clone(ten)
	eight[3].Value, four[3].Value = []byte(token(rng, 8)), []byte(token(rng, 4))
	prefix := token(rng, 24)
	family := make([]Secret, 200)
	for i := range family {
		family[i].Value = []byte(prefix + token(rng, 16))
	}
	mixed := logText(rng, size, ten, 1000)
	line := make([]byte, 0, size)
	for rest := mixed; len(line) < size; rest = rest[119:] {
		if len(rest) < 240 {
			rest = mixed
		}
		line = append(append(line, bytes.ReplaceAll(rest[:119], []byte("\n"), []byte(" "))...), '\n')
	}
	pick := func(from []Secret) string { return string(from[rng.IntN(len(from))].Value) }
	return []workload{
		{"secrets=10", ten, mixed, fixed(4096)},
		{"secrets=200", many, logText(rng, size, many, 1000), fixed(4096)},
		{"shortest=8", eight, mixed, fixed(4096)},
		{"shortest=4", four, mixed, fixed(4096)},
		{"near-miss", ten, repeated(size, func() string {
			v := pick(ten)
			return v[:len(v)-1] + "\n"
		}), fixed(4096)},
		{"self-overlapping", []Secret{{Value: []byte("abababababababababac")}}, repeated(size, func() string {
			return strings.Repeat("ab", 20) + "ac"
		}), fixed(4096)},
		{"run of one byte", []Secret{{Value: bytes.Repeat([]byte("a"), 32)}}, repeated(size, func() string {
			return strings.Repeat("a", 4096)
		}), fixed(4096)},
		{"run broken", []Secret{{Value: bytes.Repeat([]byte("a"), 32)}}, repeated(size, func() string {
			return strings.Repeat("a", 31) + "b"
		}), fixed(4096)},
		{"200 behind one prefix", family, repeated(size, func() string { return prefix + token(rng, 16) }), fixed(4096)},
		{"dense hits", ten, repeated(size, func() string { return pick(ten) + " " }), fixed(4096)},
		{"lines of 120", ten, line, fixed(120)},
		{"120 cut anywhere", ten, mixed, fixed(120)},
	}
}

// discard takes everything by Write alone.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkWriter(b *testing.B) {
	for _, load := range workloads(corpusSize) {
		m, cut := New(load.secrets), pieces(load.text, load.next)
		b.Run(load.name, func(b *testing.B) {
			w := m.Writer(discard{})
			start := cpuTime()
			for b.Loop() {
				for _, p := range cut {
					if _, err := w.Write(p); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			reportThroughput(b, start, b.N*len(load.text))
		})
	}
}

// BenchmarkCopy is what the machine can do at best: the same text copied in
// writes of 4 KiB.
func BenchmarkCopy(b *testing.B) {
	text := logText(rand.New(rand.NewPCG(1, 2)), corpusSize, nil, 0)
	into := make([]byte, 4096)
	start := cpuTime()
	for b.Loop() {
		for p := range slices.Chunk(text, len(into)) {
			copy(into, p)
		}
	}
	reportThroughput(b, start, b.N*len(text))
}

func BenchmarkNew(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	symbols := []byte(`p@ss "w/rd" & <é> 'x'`)
	for _, build := range []struct {
		name    string
		secrets []Secret
	}{
		{"secrets=1", tokens(rng, 1, 24)},
		{"secrets=10", tokens(rng, 10, 20)},
		{"secrets=200", tokens(rng, 200, 20)},
		{"symbols", []Secret{{Value: symbols}}},
	} {
		b.Run(build.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New(build.secrets)
			}
		})
	}
}

func BenchmarkBytes(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	m := New(tokens(rng, 10, 20))
	text := logText(rng, 200, nil, 0)
	for b.Loop() {
		m.Bytes(text)
	}
}
