// Package sandbox runs a program so that it can harm only itself.
//
// A sandbox is made of layers: a root folder with little in it, a process list, a
// user, limits and so on. Each layer uses a feature of the kernel. [Detect] tries
// each of them once, as this machine, this user and this container allow. The
// [Machine] that it returns says which are there ([Machine.Layers]), why others
// are not, and which risks that leaves. [Machine.Start] runs a command with all
// available layers. A caller that must have them all calls [Machine.Require].
//
// The command sees the system's programs and libraries, and the files that its
// [Policy] names, under the same paths; /tmp, /dev, /proc and /run are private. It
// does not see the server that starts it.
//
// Between the server and the command stands a [shim], this program started
// again. It is the init of the execution: when the shim ends, all processes of the
// execution end, and when the server ends, the shim ends.
//
// Programs that import this package become shims when they are started with
// [shim.Environment]; nothing else needs to be called for that.
package sandbox
