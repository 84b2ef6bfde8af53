package workspace

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/dustin/go-humanize"

	"github.com/qhubctl/qhubctl/internal/limits"
)

// limitKinds are the names of the limits, in the order of the documentation.
var limitKinds = []struct {
	name string
	set  func(*limits.Limits, any) error
}{
	{"memory", func(l *limits.Limits, v any) error { return assign(&l.Memory, size(16<<20), v) }},
	{"cpu", func(l *limits.Limits, v any) error { return assign(&l.CPU, cores, v) }},
	{"cpu-time", func(l *limits.Limits, v any) error { return assign(&l.CPUTime, duration, v) }},
	{"processes", func(l *limits.Limits, v any) error { return assign(&l.Processes, number(1), v) }},
	{"time", func(l *limits.Limits, v any) error { return assign(&l.Time, duration, v) }},
	{"output", func(l *limits.Limits, v any) error { return assign(&l.Output, size(1), v) }},
	{"log", func(l *limits.Limits, v any) error { return assign(&l.Log, size(1), v) }},
	{"open-files", func(l *limits.Limits, v any) error { return assign(&l.OpenFiles, number(16), v) }},
	{"temp", func(l *limits.Limits, v any) error { return assign(&l.Temp, size(4096), v) }},
	{"gpu", func(l *limits.Limits, v any) error { return assign(&l.GPU, number(1), v) }},
}

func assign[N any](field *N, read func(any) (N, error), value any) error {
	n, err := read(value)
	if err == nil {
		*field = n
	}
	return err
}

// LimitNames are the names of the limits that a person sets.
func LimitNames() []string {
	names := make([]string, len(limitKinds))
	for i, kind := range limitKinds {
		names[i] = kind.name
	}
	return names
}

// SetLimit sets a limit by its name, to a text such as "512MiB", or a number.
func SetLimit(l *limits.Limits, name string, value any) error {
	for _, kind := range limitKinds {
		if kind.name == name {
			return kind.set(l, value)
		}
	}
	return fmt.Errorf("there is no such limit; there are %s", strings.Join(LimitNames(), ", "))
}

var errNoSize = errors.New(`it is no size, such as "512MiB" or a number of bytes`)

func size(least int64) func(any) (int64, error) {
	return func(value any) (int64, error) {
		n, ok := value.(int64)
		if text, is := value.(string); is {
			parsed, err := humanize.ParseBytes(text)
			n, ok = int64(min(parsed, math.MaxInt64)), err == nil && parsed <= math.MaxInt64
		}
		if !ok {
			return 0, errNoSize
		}
		if n < least {
			return 0, fmt.Errorf("it is less than %d bytes, with which no service runs", least)
		}
		return n, nil
	}
}

const leastCores = 0.01

func cores(value any) (float64, error) {
	if text, ok := value.(string); ok { // as on a command line
		value = parsed(text)
	}
	var n float64
	switch v := value.(type) {
	case float64:
		n = v
	case int64:
		n = float64(v)
	default:
		return 0, errors.New("it is no number of cores, such as 1.5")
	}
	if !(n >= leastCores && n <= 1<<16) { // NaN fails both
		return 0, fmt.Errorf("must be from %g to %d cores, such as 1.5", leastCores, 1<<16)
	}
	return n, nil
}

func number(least int64) func(any) (int, error) {
	return func(value any) (int, error) {
		if text, ok := value.(string); ok { // as on a command line
			value = parsed(text)
		}
		n, ok := value.(int64)
		if !ok || n < least || n > math.MaxInt32 {
			return 0, fmt.Errorf("must be a whole number, at least %d", least)
		}
		return int(n), nil
	}
}

func duration(value any) (time.Duration, error) {
	text, ok := value.(string)
	d, err := time.ParseDuration(text)
	if !ok || err != nil || d <= 0 {
		return 0, errors.New(`it is no time, such as "30s" or "5m"`)
	}
	return d, nil
}

// parsed reads a number as TOML has it.
func parsed(text string) any {
	var document struct{ Value any }
	if strings.ContainsAny(text, "\r\n") || toml.Unmarshal([]byte("value = "+text), &document) != nil {
		return nil
	}
	return document.Value
}
