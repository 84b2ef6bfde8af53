package main

import (
	"fmt"
	"strings"
)

// A way is a server, and how its callers follow an execution.
type way struct {
	server, by string
	// label is for tables, short for the chart.
	label, short string
	ours         bool
}

var modes = []way{
	{"qhubctl", "poll", "`qhubctl serve`", "qhubctl serve", true},
	{"qhubctl", "wait", "the same, `?wait=30s`", "… ?wait=30s", true},
	{"qhubctl-no-sandbox", "poll", "the same, `--no-sandbox`", "… --no-sandbox", true},
	{"qhubctl-no-sandbox", "wait", "the same, `--no-sandbox`, `?wait=30s`", "… --no-sandbox, ?wait=30s", true},
	{"qhubctl-go", "poll", "the same, a service in Go", "… a service in Go", true},
	{"qhubctl-go", "wait", "the same, a service in Go, `?wait=30s`", "… in Go, ?wait=30s", true},
	{"qhubctl-cold", "poll", "the same, `start = \"cold\"`", "… start = \"cold\"", true},
	{"qhub-serve-by-uvicorn", "poll", "`qhub-serve` run by uvicorn", "qhub-serve by uvicorn", false},
	{"qhub-serve", "poll", "`qhub-serve`, as its command runs it", "qhub-serve", false},
}

// fewest and most are the callers of the services that are not measured with
// all numbers of them.
var kinds = []struct{ service, label, fewest, most string }{
	{"numpy", "importing numpy", "1", "16"},
	{"pandas", "importing pandas", "1", "16"},
	{"pandas-used", "making a data frame", "1", "16"},
	{"result-1MB", "returning 1 MB", "1", "16"},
	{"log-10MB", "logging 10 MB", "1", "4"},
}

// A table is one of Markdown.
type table struct{ strings.Builder }

func newTable(head ...string) *table {
	t := &table{}
	t.line(head...)
	_, _ = t.WriteString("|" + strings.Repeat("---|", len(head)) + "\n")
	return t
}

func (t *table) line(cells ...string) {
	_, _ = t.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func serving(m *measurements) string {
	if len(m.where("Serving")) == 0 {
		return ""
	}
	trivial := func(w way, callers string) *row {
		return m.one("Serving", "service", "trivial", "server", w.server, "by", w.by, "callers", callers)
	}
	numbers := []string{"1", "4", "16", "64"}
	latency := newTable("p50 and p99, ms; callers:", "1", "4", "16", "64")
	rate := newTable("executions a second; callers:", "1", "4", "16", "64", "CPU ms each", "server, MB", "all processes, MB")
	for _, w := range modes {
		times, rates := []string{w.label}, []string{w.label}
		for _, n := range numbers {
			r := trivial(w, n)
			times = append(times, r.text("p50-ms")+" · "+r.text("p99-ms"))
			rates = append(rates, r.text("executions/s"))
		}
		busy := trivial(w, "16")
		latency.line(times...)
		rate.line(append(rates, busy.text("cpu-ms/execution"), busy.text("MB-server"), busy.text("MB-together"))...)
	}
	return strings.Join([]string{
		machine(m), "![Latency and rate of a trivial service, by server](serving.svg)\n", latency.String(), rate.String(),
		"Processor time and memory are those with 16 callers; processor time is that of all processes.\n",
		otherServices(m), besideEachOther(m), failures(m),
	}, "\n")
}

func machine(m *measurements) string {
	return fmt.Sprintf("On a machine of %s processors (%s).\n", m.processors, m.cpu)
}

// otherServices are those that do more than nothing.
func otherServices(m *measurements) string {
	t := newTable("", "", "one caller: p50 and p99, ms", "more callers: a second", "CPU ms each", "server, MB", "all processes, MB")
	for _, kind := range kinds {
		label := kind.label
		for _, w := range modes {
			of := func(callers string) *row {
				return m.one("Serving", "service", kind.service, "server", w.server, "by", w.by, "callers", callers)
			}
			few, many := of(kind.fewest), of(kind.most)
			if few.metrics == nil && many.metrics == nil {
				continue // not measured
			}
			t.line(label, strings.ReplaceAll(w.label, "the same", "`qhubctl serve`"), few.text("p50-ms")+" · "+few.text("p99-ms"),
				many.text("executions/s"), many.text("cpu-ms/execution"), many.text("MB-server"), many.text("MB-together"))
			label = ""
		}
	}
	return t.String() + "\nMore callers are 16, and 4 of the service that logs.\n"
}

// besideEachOther are the figures that tell most, as ratios of one run.
func besideEachOther(m *measurements) string {
	of := func(service, server, by, callers string) *row {
		return m.one("Serving", "service", service, "server", server, "by", by, "callers", callers)
	}
	warm := func(service string) *row { return of(service, "qhubctl", "poll", "1") }
	cold := func(service string) *row { return of(service, "qhubctl-cold", "poll", "1") }
	direct := of("trivial", "qhub-serve-by-uvicorn", "poll", "1")
	t := newTable("", "")
	for _, line := range [][2]string{
		{"latency, beside `qhub-serve` run by uvicorn", ratio(warm("trivial"), direct, "p50-ms")},
		{"the same, `?wait=30s`", ratio(of("trivial", "qhubctl", "wait", "1"), direct, "p50-ms")},
		{
			"rate with 16 callers, beside `qhub-serve` run by uvicorn",
			ratio(of("trivial", "qhubctl", "poll", "16"), of("trivial", "qhub-serve-by-uvicorn", "poll", "16"), "executions/s"),
		},
		{"latency of `qhub-serve`, as its command runs it, beside ours", ratio(of("trivial", "qhub-serve", "poll", "1"), warm("trivial"), "p50-ms")},
		{"what importing numpy adds, ms", difference(warm("numpy"), warm("trivial"), "p50-ms")},
		{"what importing pandas adds, ms", difference(warm("pandas"), warm("trivial"), "p50-ms")},
		{"a cold start with numpy, beside a fork", ratio(cold("numpy"), warm("numpy"), "p50-ms")},
		{"a cold start with pandas, beside a fork", ratio(cold("pandas"), warm("pandas"), "p50-ms")},
	} {
		t.line(line[0], line[1])
	}
	return t.String()
}

func failures(m *measurements) string {
	var failed []string
	for _, r := range m.where("Serving") {
		if n, _ := r.get("failures"); n > 0 {
			failed = append(failed, fmt.Sprintf("%.0f of %s, %s with %s callers", n, r.keys["server"], r.keys["service"], r.keys["callers"]))
		}
	}
	if len(failed) == 0 {
		return "No execution failed.\n"
	}
	return "Executions failed: " + strings.Join(failed, "; ") + ".\n"
}

func goServices(m *measurements) string {
	r := m.one("GoRunner")
	if r.metrics == nil {
		return ""
	}
	t := newTable("", "p50, ms", "CPU ms")
	for _, line := range [][2]string{
		{"the program alone, by `exec`", "bare"}, {"by the runner, `--no-sandbox`", "open"}, {"by the runner, in its sandbox", "sandboxed"},
	} {
		t.line(line[0], r.text(line[1]+"-ms"), r.text(line[1]+"-cpu-ms"))
	}
	return t.String()
}

func growth(m *measurements) string {
	waiting, ended, services := m.one("Growth", "waiting", "100000"), m.one("Growth", "ended", "1000000"), m.one("Services")
	if waiting.metrics == nil && ended.metrics == nil && services.metrics == nil {
		return ""
	}
	t := newTable("a second, 16 callers", "empty", "100,000 wait", "ratio", "empty", "1,000,000 ended", "ratio")
	for _, o := range [][2]string{
		{"accept", "accept"}, {"claim", "claim"}, {"start and finish", "start-and-finish"},
		{"`GET` of a state", "get"}, {"a page of 1,000", "list-1000"},
	} {
		cells := []string{o[0]}
		for _, r := range []*row{waiting, ended} {
			cells = append(cells, r.text(o[1]+"/s-empty"), r.text(o[1]+"/s-full"), r.text(o[1]+"-ratio"))
		}
		t.line(cells...)
	}
	s := newTable("", "one service", "1,000, of which 50 have work", "ratio")
	s.line("from the request to the runner, µs", services.text("µs-free-slot-one"), services.text("µs-free-slot-many"), services.text("free-slot-ratio"))
	s.line("from the end of one to the start of a waiting one, µs",
		services.text("µs-waiting-one"), services.text("µs-waiting-many"), services.text("waiting-ratio"))
	s.line("memory of a service, kB", "", services.text("kB/service"), "")
	return t.String() + "\n" + s.String()
}

func budget(m *measurements) string {
	r := m.one("Budget")
	if r.metrics == nil {
		return ""
	}
	t := newTable("", "begins, µs", "takes, µs")
	for _, step := range [][2]string{
		{"check the request, seal its secrets", "validate"},
		{"write it, durably, with the claim", "accept"},
		{"record it as RUNNING", "start"},
		{"hand it to a fork, until the engine continues", "order"},
		{"from there to the first line of the service", "begin"},
		{"the service, and the end of its process", "service"},
		{"read the result and mask it", "collect"},
		{"remove the folders", "remove"},
		{"write the end", "finish"},
		{"all, until the caller has the result", "whole"},
	} {
		t.line(step[0], r.text(step[1]+"-at-µs"), r.text(step[1]+"-takes-µs"))
	}
	return t.String()
}
