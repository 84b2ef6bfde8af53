// Package shim is the first process of a caged execution: this program,
// started again under the name [Name].
//
// It reads a [Program] from an inherited socket, carries out its steps, which
// shut it in, starts the service and stays as its init: it reaps what the
// service leaves, and tells how the service ended. What to shut and how is
// decided before, in package cage; the shim only does, in order, and stops at
// the first step that fails.
//
// It runs in an init function, and the package imports little: so it starts
// before the packages of this program that are slow to initialise, for which
// nobody should wait at every start of a service.
package shim

// Name is the name (argv[0]) under which this program becomes a shim.
const Name = "qhubctl-cage"

// ControlFD is the descriptor of the shim's end of the socket. The descriptors
// that steps name follow it.
const ControlFD = 3
