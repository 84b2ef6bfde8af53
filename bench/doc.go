// Package bench measures how long the program takes to start, to run a service
// and to serve one. It compares the program and parts of it with others that do
// the same work, in one run on one machine. It is a separate module, so that no
// library that it needs becomes a dependency of qhubctl.
//
//	make build
//	cd bench && go test -run '^$' -bench 'Start|Run' -benchtime 40x
//	cd bench && go test -run '^$' -bench Mask -benchtime 3x
//	cd bench && go test -run '^$' -bench Serving/service=trivial -benchtime 2s
//	make figures # serving and growth, written into docs/benchmarks.md
package bench
