package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/dustin/go-humanize"
)

// limitsFile holds the limits of a service in any language, in a table
// [limits], and the network it reaches. One in Python may have them in its
// pyproject.toml as well, under [tool.qhubctl]; what stands in both counts as
// it stands here.
const limitsFile = "qhubctl.toml"

// Limits bound each execution of a service. What is zero is left to whoever
// runs it.
type Limits struct {
	// Memory, Output, Log and Temp are in bytes.
	Memory, Output, Log, Temp int64
	// CPU is in cores.
	CPU                  float64
	Processes, OpenFiles int
	// GPU is how many GPUs an execution may use; zero is none.
	GPU           int
	Time, CPUTime time.Duration
}

// limitKinds are the names of the limits, in the order of the documentation.
var limitKinds = []struct {
	name string
	set  func(*Limits, any) error
}{
	{"memory", func(l *Limits, v any) error { return assign(&l.Memory, size(16<<20), v) }},
	{"cpu", func(l *Limits, v any) error { return assign(&l.CPU, cores, v) }},
	{"cpu-time", func(l *Limits, v any) error { return assign(&l.CPUTime, duration, v) }},
	{"processes", func(l *Limits, v any) error { return assign(&l.Processes, number(1), v) }},
	{"time", func(l *Limits, v any) error { return assign(&l.Time, duration, v) }},
	{"output", func(l *Limits, v any) error { return assign(&l.Output, size(1), v) }},
	{"log", func(l *Limits, v any) error { return assign(&l.Log, size(1), v) }},
	{"open-files", func(l *Limits, v any) error { return assign(&l.OpenFiles, number(16), v) }},
	{"temp", func(l *Limits, v any) error { return assign(&l.Temp, size(4096), v) }},
	{"gpu", func(l *Limits, v any) error { return assign(&l.GPU, number(1), v) }},
}

func assign[N any](field *N, read func(any) (N, error), value any) error {
	n, err := read(value)
	if err == nil {
		*field = n
	}
	return err
}

// LimitNames are the names of the limits.
func LimitNames() []string {
	names := make([]string, len(limitKinds))
	for i, kind := range limitKinds {
		names[i] = kind.name
	}
	return names
}

// Set sets a limit by its name, to a text such as "512MiB", or a number.
func (l *Limits) Set(name string, value any) error {
	for _, kind := range limitKinds {
		if kind.name == name {
			return kind.set(l, value)
		}
	}
	return fmt.Errorf("there is no such limit; there are %s", strings.Join(LimitNames(), ", "))
}

// StricterLimits are of each limit the smaller one.
func StricterLimits(a, b Limits) Limits {
	return Limits{
		Memory: smaller(a.Memory, b.Memory), Output: smaller(a.Output, b.Output),
		Log: smaller(a.Log, b.Log), Temp: smaller(a.Temp, b.Temp), CPU: smaller(a.CPU, b.CPU),
		Processes: smaller(a.Processes, b.Processes), OpenFiles: smaller(a.OpenFiles, b.OpenFiles), GPU: smaller(a.GPU, b.GPU),
		Time: smaller(a.Time, b.Time), CPUTime: smaller(a.CPUTime, b.CPUTime),
	}
}

// smaller takes zero for no limit.
func smaller[N int | int64 | float64 | time.Duration](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
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
	if !(n >= leastCores && n <= 1<<16) { // nor is what is no number at all
		return 0, fmt.Errorf("it is no number of cores from %g on, such as 1.5", leastCores)
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
			return 0, fmt.Errorf("it is no number from %d on", least)
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

// A confinement is what a workspace says about its executions: what they may use,
// reach, and have of the environment.
type confinement struct {
	limits    Limits
	network   string
	variables []string
}

// readConfinement reads the settings of the workspace, in its pyproject.toml and in
// a file for services in any language.
func (w *Workspace) readConfinement() (c confinement, err error) {
	given := w.project.Tool.Qhubctl
	if err := c.limits.setAll(w.path("pyproject.toml")+": [tool.qhubctl.limits]", given.Limits); err != nil {
		return c, err
	}
	where := w.path("pyproject.toml") + ": [tool.qhubctl]"
	if c.network, err = asNetwork(where, given.Network); err != nil {
		return c, err
	}
	if c.variables, err = readVariables(where, given.Env); err != nil {
		return c, err
	}
	text, err := os.ReadFile(w.path(limitsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var file map[string]any
	if err == nil {
		err = toml.Unmarshal(text, &file)
	}
	if err != nil {
		return c, &Error{Message: "cannot read " + w.path(limitsFile), Advice: "correct the file; a service needs none", Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(file)) {
		if err := w.readSetting(&c, name, file[name]); err != nil {
			return c, err
		}
	}
	return c, nil
}

// readSetting reads one setting of the file for services in any language.
func (w *Workspace) readSetting(c *confinement, name string, value any) (err error) {
	switch name {
	case "limits":
		return c.limits.setAll(w.path(limitsFile)+": [limits]", value)
	case "network":
		c.network, err = asNetwork(w.path(limitsFile)+":", value)
	case "env":
		c.variables, err = readVariables(w.path(limitsFile)+":", value)
	default:
		err = &Error{
			Message: fmt.Sprintf("%s: %q means nothing here", w.path(limitsFile), name),
			Advice:  "the file holds network, env, a table [limits], and nothing else",
		}
	}
	return err
}

// asNetwork reads the name of a network; where says in which file it stands.
func asNetwork(where string, given any) (string, error) {
	name, ok := given.(string)
	if name == "" && ok {
		return "", nil
	}
	if err := CheckNetwork(name); err != nil {
		return "", &Error{Message: fmt.Sprintf("%s network is %#v: %v", where, given, err), Advice: `such as network = "none"`}
	}
	return name, nil
}

const limitsAdvice = `such as memory = "512MiB", cpu = 1.5, cpu-time = "30s", processes = 64, time = "5m", output = "100MiB", log = "1MiB", open-files = 256, temp = "1GiB", gpu = 1`

// setAll sets the limits of a table; where says which it is.
func (l *Limits) setAll(where string, given any) error {
	table, ok := given.(map[string]any)
	if given != nil && !ok {
		return &Error{Message: where + " is no table", Advice: limitsAdvice}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) { // the same error each time
		if err := l.Set(name, table[name]); err != nil {
			return &Error{
				Message: fmt.Sprintf("%s %s is %#v: %v", where, name, table[name], err),
				Advice:  limitsAdvice,
			}
		}
	}
	return nil
}

// confinedOtherwise tells whether the workspace, as it is read, says something
// else than it did.
func (w *Workspace) confinedOtherwise(before *Workspace) bool {
	c, err := w.readConfinement()
	return err != nil || c.limits != before.Limits || c.network != before.Network || !slices.Equal(c.variables, before.variables)
}
