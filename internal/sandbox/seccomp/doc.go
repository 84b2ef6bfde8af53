// Package seccomp decides which system calls an execution may make, and builds
// the filters that hold it to that.
//
// The decision is a table, in calls/*.txt: a line for every system call of the
// kernel, with its numbers, a verdict, and the reason. We judge a call by its
// effect on others, not by whether services need it. The filter refuses calls that
// the table does not name as a kernel does that lacks them (ENOSYS). So it refuses
// a new call of a new kernel until the table has a line about it.
//
// The verdicts:
//
//	allow        every execution may make it
//	EPERM, ...   it is answered with this error and has no effect
//	args         the arguments decide, by the rule of that name in this package
//	ipc          allowed where the execution has a namespace of IPC, else ENOSYS
//	zygote       allowed to the zygote, which makes namespaces and mounts for its
//	             forks; everyone else gets EPERM
//	zygote-args  as zygote, and there the arguments decide
//
// A filter sees numbers and arguments, never memory. Where a structure in memory
// decides (clone3, io_uring), the call is refused and programs fall back.
//
// [Filter] turns the table into a program for the kernel, for one architecture
// and one [Profile].
package seccomp
