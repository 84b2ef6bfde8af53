package forkserver

import (
	"embed"
	"path/filepath"
)

// Files are the programs that a zygote consists of, beside the launcher of
// package process. They are placed in one folder with it.
//
//go:embed python/*.py
var Files embed.FS

// ZygoteFile is the name of the program to start.
const ZygoteFile = "zygote.py"

// files are where the programs of a zygote lie, beside the launcher.
func files(launcher string) []string {
	entries, err := Files.ReadDir("python")
	if err != nil {
		panic(err) //nolint:forbidigo // they are part of this program
	}
	paths := make([]string, 0, len(entries))
	for _, entry := range entries {
		paths = append(paths, filepath.Join(filepath.Dir(launcher), entry.Name()))
	}
	return paths
}
