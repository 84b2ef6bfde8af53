// Package metricstest parses the page of metrics as Prometheus does, and is stricter:
// each family has a type, once and before its samples, and stands in one piece.
package metricstest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Page is a parsed page of metrics.
type Page struct {
	// Samples are the values by series, as they stand: name{label="value"}.
	Samples map[string]float64
	// Types and Help are by family.
	Types, Help map[string]string
}

var (
	comment = regexp.MustCompile(`^# (HELP|TYPE) ([a-zA-Z_][a-zA-Z0-9_]*) ?(.*)$`)
	sample  = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,|\}))*)? (\S+)$`)
	types   = []string{"counter", "gauge", "histogram", "summary"}
)

// Parse reads a page. The error names the first line that breaks a rule.
func Parse(text string) (*Page, error) {
	p := &Page{Samples: map[string]float64{}, Types: map[string]string{}, Help: map[string]string{}}
	if !strings.HasSuffix(text, "\n") {
		return nil, errors.New("the last line has no end")
	}
	family, left := "", map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, err := p.read(line)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if name == family {
			continue
		}
		left[family] = true
		if family = name; left[family] {
			return nil, fmt.Errorf("%q: the family %s is in pieces", line, family)
		}
	}
	if err := p.checkHistograms(text); err != nil {
		return nil, err
	}
	return p, nil
}

// read reads a line, and returns the family that it belongs to.
func (p *Page) read(line string) (family string, err error) {
	if m := comment.FindStringSubmatch(line); m != nil {
		known := map[string]map[string]string{"HELP": p.Help, "TYPE": p.Types}[m[1]]
		if _, again := known[m[2]]; again {
			return "", errors.New("it is said twice")
		}
		if m[1] == "TYPE" && !slices.Contains(types, m[3]) {
			return "", errors.New("there is no such type")
		}
		known[m[2]] = m[3]
		return m[2], nil
	}
	m := sample.FindStringSubmatch(line)
	if m == nil || strings.HasSuffix(m[2], ",") {
		return "", errors.New("it is no sample")
	}
	family = p.familyOf(m[1])
	kind, known := p.Types[family]
	value, err := strconv.ParseFloat(m[3], 64)
	_, again := p.Samples[m[1]+m[2]]
	switch {
	case err != nil:
		return "", err
	case !known:
		return "", errors.New("it has no type yet")
	case again:
		return "", errors.New("it is there twice")
	case kind == "counter" && value < 0:
		return "", errors.New("a counter is negative")
	}
	p.Samples[m[1]+m[2]] = value
	return family, nil
}

// familyOf is the family of a sample: those of a histogram have three names.
func (p *Page) familyOf(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		family, ok := strings.CutSuffix(name, suffix)
		if kind := p.Types[family]; ok && (kind == "histogram" || kind == "summary" && suffix != "_bucket") {
			return family
		}
	}
	return name
}

// checkHistograms checks that each bucket holds those below it, and the last one
// all. It assumes that histograms have no other labels.
func (p *Page) checkHistograms(text string) error {
	for _, family := range slices.Sorted(maps.Keys(p.Types)) {
		if p.Types[family] != "histogram" {
			continue
		}
		below, bound := 0.0, 0.0
		for _, m := range regexp.MustCompile(`(?m)^`+family+`_bucket\{le="([^"]*)"\} (\S+)$`).FindAllStringSubmatch(text, -1) {
			le, err := strconv.ParseFloat(m[1], 64)
			held := p.Samples[family+`_bucket{le="`+m[1]+`"}`]
			if err != nil || held < below || le < bound {
				return fmt.Errorf("%s: the bucket %s holds %v, the one below it %v", family, m[1], held, below)
			}
			below, bound = held, le
		}
		if count, ok := p.Samples[family+"_count"]; !ok || p.Samples[family+`_bucket{le="+Inf"}`] != count || below != count {
			return fmt.Errorf("%s: %v are in the last bucket, and %v in all", family, below, count)
		}
	}
	return nil
}
