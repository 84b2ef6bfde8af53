package bench

import (
	"io"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// BenchmarkViews runs texts through the masker that are plain, encoded in part
// or as a whole, and made to be slow to decode. "plain/x" is how many times as
// long as plain text of the same size they take.
func BenchmarkViews(b *testing.B) {
	var plain float64
	for _, load := range append(redacttest.Encoded(corpusSize/4), redacttest.Hostile(corpusSize/16)...) {
		writer := redact.New(secretsOf(load.Secrets)).Writer(struct{ io.Writer }{io.Discard})
		pieces := load.Pieces()
		b.Run(load.Name, func(b *testing.B) {
			took := medianTime(b, func() {
				for _, p := range pieces {
					_, _ = writer.Write(p)
				}
			})
			rate := float64(len(load.Text)) / 1e6 / took.Seconds()
			if plain == 0 {
				plain = rate
			}
			b.ReportMetric(plain/rate, "plain/x")
			b.ReportMetric(rate, "MB/cpu-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
