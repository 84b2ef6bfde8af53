module github.com/qhubctl/qhubctl/bench

go 1.26.0

require (
	github.com/BobuSumisu/aho-corasick v1.0.3
	github.com/cloudflare/ahocorasick v0.0.0-20240916140611-054963ec9396
	github.com/prometheus/procfs v0.23.0
	github.com/qhubctl/qhubctl v0.0.0-00010101000000-000000000000
)

require (
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/qhubctl/qhubctl => ..
