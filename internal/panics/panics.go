// Package panics tells of panics what may be told. The value of a panic may
// hold anything, a secret too, and so may the arguments in the trace that the
// runtime prints: a word of them is eight bytes of whatever was worked on.
package panics

import (
	"fmt"
	"runtime"
	"strings"
)

// maxFrames is how deep a trace goes.
const maxFrames = 64

// Describe says what kind of panic cause is, what recover gave, and where it
// happened: to be called by the deferred function. It never says with which
// value, except for errors of the Go runtime, which name types and indices.
func Describe(cause any) (what, trace string) {
	what = fmt.Sprintf("%T", cause)
	if known, ok := cause.(runtime.Error); ok {
		what = known.Error()
	}
	callers := make([]uintptr, maxFrames)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	var b strings.Builder
	for {
		frame, more := frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return what, b.String()
		}
	}
}
