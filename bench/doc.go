// Package bench measures how long the program takes to start and to run a
// service, and compares parts of it with other libraries that do the same
// work, in one run on one machine. It is a module of its own so that none of
// these libraries becomes a dependency of qhubctl.
//
//	make build
//	cd bench && go test -run '^$' -bench 'Start|Run' -benchtime 40x
//	cd bench && go test -run '^$' -bench Masking -benchtime 3x
package bench
