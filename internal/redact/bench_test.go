package redact

import (
	"math/rand/v2"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// How fast streams are masked is measured in the module bench, beside others.

// tokens makes secrets of shortest to shortest+19 characters.
func tokens(rng *rand.Rand, count, shortest int) []Secret {
	return secretsOf(redacttest.Tokens(rng, count, shortest))
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
	text := redacttest.Log(rng, 200, nil, 0)
	for b.Loop() {
		m.Bytes(text)
	}
}
