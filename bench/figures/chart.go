package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The measures of the chart, in pixels.
const (
	chartWidth  = 900
	labelWidth  = 205
	panelWidth  = 265
	panelGap    = 90
	rowHeight   = 26
	firstRow    = 84
	leftOfTimes = labelWidth + 15
	leftOfRates = leftOfTimes + panelWidth + panelGap
)

// style is for light and dark pages alike. The chart brings its own ground, as
// a page may be dark where the system of its reader is not.
const style = `
    .ground { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
    .small { font-size: 11.5px } .faint { fill: #59636e } .title { font-weight: 600 }
    .grid { stroke: #d1d9e0 } .ours { fill: #0a6ad0; stroke: #0a6ad0 } .theirs { fill: #8a5a00; stroke: #8a5a00 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117 } text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #3d444d }
      .ours { fill: #58a6ff; stroke: #58a6ff } .theirs { fill: #d9a13b; stroke: #d9a13b }
    }
    text.ours, text.theirs { stroke: none }
`

// drawServing draws the latency with one caller and the rate with 16, for the
// trivial service; nil if neither was measured.
func drawServing(m *measurements) []byte {
	type line struct {
		way
		p50, p99, rate float64
	}
	var lines []line
	slowest, most := 10.0, 1.0
	for _, w := range modes {
		of := func(callers string) *row {
			return m.one("Serving", "service", "trivial", "server", w.server, "by", w.by, "callers", callers)
		}
		l := line{way: w}
		l.p50, _ = of("1").get("p50-ms")
		l.p99, _ = of("1").get("p99-ms")
		l.rate, _ = of("16").get("executions/s")
		if l.p50 > 0 && l.rate > 0 {
			lines = append(lines, l)
			slowest, most = max(slowest, l.p99), max(most, l.rate)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	c := &canvas{bottom: firstRow + rowHeight*len(lines)}
	c.begin()
	x := c.logAxis(slowest)
	for i, l := range lines {
		c.line(firstRow+rowHeight*i+rowHeight/2, l.way, [2]float64{l.p50, l.p99}, x, l.rate/most)
		c.text(leftOfRates+l.rate/most*panelWidth+6, float64(firstRow+rowHeight*i+rowHeight/2+4), "small", "", figure(l.rate))
	}
	c.printf("</svg>\n")
	return c.Bytes()
}

// A canvas is the text of a picture.
type canvas struct {
	bytes.Buffer
	bottom int // of the last row
}

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(&c.Buffer, format, args...) }

func (c *canvas) text(x, y float64, class, anchor, text string) {
	if anchor != "" {
		anchor = fmt.Sprintf(` text-anchor=%q`, anchor)
	}
	c.printf("  <text x=\"%.1f\" y=\"%.1f\" class=%q%s>%s</text>\n", x, y, class, anchor, html.EscapeString(text))
}

func (c *canvas) begin() {
	height := c.bottom + 34
	c.printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %[1]d %[2]d\" role=\"img\">\n", chartWidth, height)
	c.printf("  <title>Latency and rate of a trivial service, by server</title>\n  <style>%s  </style>\n", style)
	c.printf("  <rect width=\"%d\" height=\"%d\" class=\"ground\"/>\n", chartWidth, height)
	c.text(leftOfTimes, 26, "title", "", "POST to final state, ms, logarithmic")
	c.text(leftOfTimes, 44, "small faint", "", "one caller; dot: median, line: to the 99th of 100")
	c.text(leftOfRates, 26, "title", "", "Executions a second")
	c.text(leftOfRates, 44, "small faint", "", "16 callers")
}

// logAxis draws the axis of times, from 1 ms on, and gives the place of one.
func (c *canvas) logAxis(longest float64) func(float64) float64 {
	decades := math.Log10(longest * 1.3)
	at := func(ms float64) float64 { return leftOfTimes + math.Log10(max(ms, 1))/decades*panelWidth }
	for tick := 1.0; tick <= longest*1.3; tick *= 10 {
		c.printf("  <line x1=\"%.1f\" x2=\"%.1[1]f\" y1=\"%d\" y2=\"%d\" class=\"grid\"/>\n", at(tick), firstRow-10, c.bottom+4)
		c.text(at(tick), float64(c.bottom)+20, "small faint", "middle", thousands(int(tick)))
	}
	c.printf("  <line x1=\"%d\" x2=\"%[1]d\" y1=\"%d\" y2=\"%d\" class=\"grid\"/>\n", leftOfRates, firstRow-10, c.bottom+4)
	return at
}

// line draws a row: its name, its latencies, and the bar of its rate, which is
// a part of the longest.
func (c *canvas) line(y int, w way, times [2]float64, x func(float64) float64, part float64) {
	class := "theirs"
	if w.ours {
		class = "ours"
	}
	c.text(labelWidth, float64(y)+4, "small", "end", w.short)
	c.printf("  <line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%[3]d\" class=%q stroke-width=\"2\"/>\n", x(times[0]), x(times[1]), y, class)
	c.printf("  <circle cx=\"%.1f\" cy=\"%d\" r=\"4.5\" class=%q/>\n", x(times[0]), y, class)
	c.text(x(times[1])+8, float64(y)+4, "small", "", figure(times[0])+" · "+figure(times[1]))
	c.printf("  <rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\" class=%q/>\n", leftOfRates, y-7, part*panelWidth, class)
}
