// Command qhubctl runs services with secrets.
package main

import (
	"os"

	"github.com/qhubctl/qhubctl/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
