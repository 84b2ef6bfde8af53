// Words checks the prose of this repository: documents, comments, help and
// error texts. It counts words and clauses that the vocabulary bans, and
// sentences that are too long, and compares the count of each file with the
// recorded one, which may only fall. It also bounds two shares of the whole tree.
//
//	go run ./lint/words            check the tree
//	go run ./lint/words -list DIR  show every finding below DIR
//	go run ./lint/words -update    record counts that have fallen
//	go run ./lint/words -shares    print the shares of long sentences, and of test
//	                               failures that say what the test wanted
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "words:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("words", flag.ContinueOnError)
	root := flags.String("root", ".", "the repository")
	update := flags.Bool("update", false, "record counts that have fallen")
	list := flags.String("list", "", "show every finding below this file or folder")
	printShares := flags.Bool("shares", false, "print the shares that are bounded for the whole repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *printShares {
		measured, err := measure(*root)
		if err != nil {
			return err
		}
		return measured.print(out)
	}
	found, err := check(*root)
	if err != nil {
		return err
	}
	recorded, err := readCounts(filepath.Join(*root, countsFile))
	if err != nil {
		return err
	}
	switch {
	case *list != "":
		return show(out, found, filepath.ToSlash(filepath.Clean(*list)))
	case *update:
		return record(filepath.Join(*root, countsFile), found, recorded)
	}
	names, err := checkNames(*root)
	if err != nil {
		return err
	}
	measured, err := measure(*root)
	if err != nil {
		return err
	}
	return errors.Join(compare(found, recorded), measured.bounds(), names, checkSubjects(*root))
}

// show prints the findings of one file, or of all files of a folder.
func show(out io.Writer, found map[string][]finding, below string) error {
	for _, path := range sortedKeys(found) {
		if below != "." && path != below && !strings.HasPrefix(path, below+"/") {
			continue
		}
		for _, f := range found[path] {
			if _, err := fmt.Fprintf(out, "%s:%d: %s\n", path, f.line, f.problem); err != nil {
				return err
			}
		}
	}
	return nil
}
