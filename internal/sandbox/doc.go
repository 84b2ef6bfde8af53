// Package sandbox runs a program so that, whatever it does, it hurts only itself.
//
// A sandbox is made of layers: a root folder with little in it, a process list, a
// user, limits and so on, each by what the kernel has for it. [Detect] tries
// each of them once, as this machine, this user and this container allow, and
// the [Machine] it returns says which are there ([Machine.Layers]), why others
// are not, and what that exposes. [Machine.Start] runs a command with all that
// are there. A caller that must have them all asks [Machine.Require].
//
// The command sees the system's programs and libraries, and of everything else
// what its [Policy] names, under the same paths; /tmp, /dev, /proc and /run are
// its own. The server that starts it stays outside, out of its sight.
//
// Between the server and the command stands a [shim], this program started
// again. It is the init of the execution: when it ends, all of the execution
// has ended, and when the server ends, it ends.
//
// Programs that import this package become shims when they are started with
// [shim.Environment]; nothing else needs to be called for that.
package sandbox
