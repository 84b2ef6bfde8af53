package interrupt

import "os"

var interrupts = []os.Signal{os.Interrupt}

// Terminate ends a service: Windows has no signal that asks.
var Terminate os.Signal = os.Kill
