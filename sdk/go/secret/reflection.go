package secret

import (
	"runtime"
	"strings"
)

// nearby is how many frames may lie between Unwrap and package reflect: those
// of the runtime, and the method of the pointer that the compiler makes.
const nearby = 6

// calledByReflection reports whether package reflect has called the method that
// calls this function.
func calledByReflection() bool {
	var pcs [nearby]uintptr
	// Skip runtime.Callers, this function and the method.
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		switch {
		case strings.HasPrefix(frame.Function, "reflect."):
			return true
		case !more || !strings.HasPrefix(frame.Function, "runtime.") && !strings.HasSuffix(frame.Function, "secret.(*Value).Unwrap"):
			return false
		}
	}
}
