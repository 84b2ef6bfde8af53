package cli

import "os"

var interrupts = []os.Signal{os.Interrupt}

var terminate os.Signal = os.Kill
