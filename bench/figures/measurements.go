package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// measurements are what the benchmarks have reported.
type measurements struct {
	cpu        string
	processors string
	rows       []*row
}

// A row is one benchmark: BenchmarkServing/callers=4-2 is the row Serving,
// whose callers are 4.
type row struct {
	name    string
	keys    map[string]string
	metrics map[string][]float64
}

// readMeasurements reads the output of `go test -bench`.
func readMeasurements(in io.Reader) (*measurements, error) {
	m := &measurements{}
	known := map[string]*row{}
	reader := benchfmt.NewReader(in, "input")
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // a note of the log
		}
		m.cpu = result.GetConfig("cpu")
		full := string(result.Name.Full())
		r, seen := known[full]
		if !seen {
			r = m.row(result.Name)
			known[full] = r
			m.rows = append(m.rows, r)
		}
		for _, value := range result.Values {
			if value.OrigUnit != "" {
				value.Value, value.Unit = value.OrigValue, value.OrigUnit
			}
			r.metrics[value.Unit] = append(r.metrics[value.Unit], value.Value)
		}
	}
	if err := reader.Err(); err != nil {
		return nil, fmt.Errorf("the output of the benchmarks cannot be read: %w", err)
	}
	if len(m.rows) == 0 {
		return nil, errors.New("there are no results; give it the output of go test -bench")
	}
	return m, nil
}

func (m *measurements) row(name benchfmt.Name) *row {
	base, parts := name.Parts()
	r := &row{name: string(base), keys: map[string]string{}, metrics: map[string][]float64{}}
	for _, part := range parts {
		if processors, ok := strings.CutPrefix(string(part), "-"); ok {
			m.processors = processors
			continue
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(string(part), "/"), "=")
		r.keys[key] = value
	}
	return r
}

// where are the rows of a benchmark with these keys, given as key, value.
func (m *measurements) where(name string, pairs ...string) []*row {
	var found []*row
	for _, r := range m.rows {
		matches := r.name == name
		for i := 0; i < len(pairs); i += 2 {
			matches = matches && r.keys[pairs[i]] == pairs[i+1]
		}
		if matches {
			found = append(found, r)
		}
	}
	return found
}

// one is the first of them; one without figures if there is none.
func (m *measurements) one(name string, pairs ...string) *row {
	if found := m.where(name, pairs...); len(found) > 0 {
		return found[0]
	}
	return &row{}
}

// get returns the median of all values that were reported as a metric.
func (r *row) get(metric string) (float64, bool) {
	values := slices.Sorted(slices.Values(r.metrics[metric]))
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)/2], true
}

// text is that for people; a dash where there is none.
func (r *row) text(metric string) string {
	value, ok := r.get(metric)
	if !ok {
		return "–"
	}
	return figure(value)
}

// figure has three digits that count, and none after the point from 100 on.
func figure(value float64) string {
	switch {
	case value >= 100:
		return thousands(int(value + 0.5))
	case value >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	default:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
}

func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// ratio is that of two figures; a dash where one is missing.
func ratio(a, b *row, metric string) string {
	x, ok := a.get(metric)
	y, both := b.get(metric)
	if !ok || !both || y == 0 {
		return "–"
	}
	return figure(x / y)
}

// difference is a less b, like ratio.
func difference(a, b *row, metric string) string {
	x, ok := a.get(metric)
	y, both := b.get(metric)
	if !ok || !both {
		return "–"
	}
	return strconv.FormatFloat(x-y, 'f', 1, 64)
}
