package forkserver

import "embed"

// Files are the programs that a zygote consists of, beside the launcher of
// package process. They are placed in one folder with it.
//
//go:embed python/*.py
var Files embed.FS

// ZygoteFile is the name of the program to start.
const ZygoteFile = "zygote.py"
