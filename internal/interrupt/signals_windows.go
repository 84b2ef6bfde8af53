package interrupt

import "os"

var interrupts = []os.Signal{os.Interrupt}

// Terminate kills a service: Windows has no signal that asks it to end.
var Terminate os.Signal = os.Kill
