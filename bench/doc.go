// Package bench compares parts of qhubctl with other libraries that do the
// same work, in one run on one machine. It is a module of its own so that none
// of these libraries becomes a dependency of qhubctl.
//
//	cd bench && go test -run '^$' -bench Masking -benchtime 3x
package bench
