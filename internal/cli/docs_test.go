package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

//go:generate go test . -run ^TestCommandsAndDocumentAgree$ -update-docs

// commandsPage is the document of all commands, made from the commands.
const commandsPage = "../../docs/cli.md"

func TestCommandsAndDocumentAgree(t *testing.T) {
	var want bytes.Buffer
	root := newRoot(&term.Streams{})
	root.InitDefaultCompletionCmd()
	writeReference(&want, root)
	testenv.Document(t, commandsPage, want.String())
}

// TestCommandsSayWhatTheyDo: each has a long description, and an example
// unless it takes nothing.
func TestCommandsSayWhatTheyDo(t *testing.T) {
	for _, command := range commands(newRoot(&term.Streams{})) {
		if command.Short == "" || strings.HasSuffix(command.Short, ".") {
			t.Errorf("%s: the short description %q is empty or a sentence", command.CommandPath(), command.Short)
		}
		if strings.Contains(command.Use, "[") && (command.Long == "" || command.Example == "") {
			t.Errorf("%s takes arguments and has no long description or no example", command.CommandPath())
		}
	}
}

func writeReference(w *bytes.Buffer, root *cobra.Command) {
	w.WriteString("<!-- Made from the commands by `make docs`; a test holds them together. -->\n\n# Commands\n\n")
	for _, command := range commands(root) {
		fmt.Fprintf(w, "- [`%s`](#%s): %s\n", command.CommandPath(), strings.ReplaceAll(command.CommandPath(), " ", "-"), command.Short)
	}
	for _, command := range commands(root) {
		writeCommand(w, command)
	}
}

func writeCommand(w *bytes.Buffer, command *cobra.Command) {
	fmt.Fprintf(w, "\n## %s\n\n```text\n%s\n```\n\n", command.CommandPath(), command.UseLine())
	text := command.Long
	if text == "" {
		text = command.Short + "."
	}
	// Descriptions are laid out for a terminal, with tables and commands.
	fmt.Fprintf(w, "```text\n%s\n```\n", strings.TrimSpace(text))
	if command.Example != "" {
		fmt.Fprintf(w, "\n```bash\n%s\n```\n", unindented(command.Example))
	}
	if command.LocalFlags().HasAvailableFlags() {
		fmt.Fprintf(w, "\n```text\n%s\n```\n", strings.TrimRight(command.LocalFlags().FlagUsages(), "\n"))
	}
}

// commands are the command and all below it.
func commands(command *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{command}
	for _, sub := range command.Commands() {
		switch {
		case !sub.IsAvailableCommand():
		case sub.Name() == "completion": // cobra's own, one below it for each shell
			all = append(all, sub)
		default:
			all = append(all, commands(sub)...)
		}
	}
	return all
}

func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
