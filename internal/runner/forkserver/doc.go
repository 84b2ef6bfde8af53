// Package forkserver gives every execution of a Python service a process that has
// never run anything, at the cost of a fork.
//
// A zygote is a process that has imported the service and waits. It has no
// secrets and never runs the service. Each execution is a fork of it, with a
// session, folders, environment, output and secrets of its own; some forks are
// made ahead as spares, each for one execution. What an execution does to
// its memory, files or environment ends with it: the next one starts from the
// same untouched zygote.
//
// Not every service can be forked (threads or connections left open by the
// import, for one). [Program] then starts a fresh interpreter, with the same
// result, and tells why. The protocol is described in python/zygote.py.
package forkserver
