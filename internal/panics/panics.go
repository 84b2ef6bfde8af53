// Package panics describes panics without the value of a secret. The value of a panic
// may hold anything, and so may the arguments in the trace that the runtime prints: a
// word of them is eight bytes of any data of the program.
package panics

import (
	"fmt"
	"runtime"
	"strings"
)

// maxFrames is how deep a trace goes.
const maxFrames = 64

// Describe returns the kind of a panic and where it happened. The deferred function
// calls it with the result of recover. It never returns the value, except for errors
// of the Go runtime, which name types and indices.
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
