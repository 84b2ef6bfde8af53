// Qhubctl-refs fetches the value of one reference (package reference) for qhubctl. It is
// a separate program because the clients of the stores are three times as large as
// qhubctl. It reads a request on standard input and answers on standard output; nothing
// else that it prints is read.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/reference"
)

// version is set by the linker.
var version = "development"

// maxRequest is how many bytes a request may have.
const maxRequest = 16 << 10

func main() {
	if len(os.Args) > 1 {
		usage()
		return
	}
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func usage() {
	if os.Args[1] == "--version" {
		_, _ = fmt.Fprintln(os.Stdout, reference.ProgramName, version)
		return
	}
	fmt.Fprintln(os.Stderr, reference.ProgramName+" takes no arguments: qhubctl starts it")
	os.Exit(2)
}

// answer answers one request.
func answer(in io.Reader, out io.Writer) error {
	var request reference.Request
	text, err := io.ReadAll(io.LimitReader(in, maxRequest))
	if err == nil {
		err = json.Unmarshal(text, &request)
	}
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	value, err := fetch(request)
	defer clear(value)
	var head reference.Answer
	switch {
	case err != nil:
		head.Problem = problem(err)
	case len(value) > plaintext.MaxSize:
		head.Problem = "the value " + plaintext.ErrTooLarge.Error()
	}
	line, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if _, err := out.Write(append(line, '\n')); err != nil || head.Problem != "" {
		return err
	}
	_, err = out.Write(value)
	return err
}
