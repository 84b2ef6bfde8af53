package warm

import "embed"

// Files are the programs that a template consists of, beside the launcher of
// package process. They are placed in one folder with it.
//
//go:embed python/template.py python/ending.py python/randomness.py
var Files embed.FS

// TemplateFile is the name of the program to start.
const TemplateFile = "template.py"
