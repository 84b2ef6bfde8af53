// Package forkserver gives every execution of a Python service a fresh process, at
// the cost of a fork.
//
// A zygote is a process that has imported the service and waits. It has no
// secrets and never runs the service. Each execution is a fork of it, with a
// separate session, folders, environment, output and secrets. Some forks are made
// ahead as spares, each for one execution. Changes of an execution to its memory,
// files or environment end with it: the next one starts from the same untouched
// zygote.
//
// Some services cannot be forked, such as one whose import leaves threads or
// connections open. [Program] then starts a fresh interpreter, with the same result,
// and reports why. The protocol is described in python/zygote.py.
package forkserver
