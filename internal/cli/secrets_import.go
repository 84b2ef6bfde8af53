package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/dotenv"
	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newSecretsImport(streams *term.Streams) *cobra.Command {
	var yes bool
	of, terms := &secretOf{}, &secretTerms{}
	command := &cobra.Command{
		Use: "import [FILE]", Short: "Store the secrets of a .env file", Args: cobra.MaximumNArgs(1),
		Long: `Stores the values of the SECRET_ variables in FILE (.env without it): all or none.
With --service, each goes to the parameter that has the variable, and variables without
a parameter are left out. In the account, secrets have the names of the variables.
It lists the names first, and asks; --yes answers.`,
		Example: "  qhubctl secrets import --service my-service\n  qhubctl secrets import prod.env --app shop --service my-service --yes",
	}
	of.flags(streams, command)
	terms.flags(command, "")
	_ = command.Flags().MarkHidden("from-file") // FILE is the file
	command.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return onPlatform(streams, command, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		file := ".env"
		if len(args) > 0 {
			file = args[0]
		}
		if terms.file != "" {
			return usagef("give the file as an argument, not by --from-file")
		}
		given, err := terms.read()
		if err != nil {
			return err
		}
		found, err := of.find(ctx, p)
		if err != nil {
			return err
		}
		values, err := readImport(ctx, streams, p, found, file)
		defer vaultless(values).clear()
		if err != nil {
			return err
		}
		names := slices.Sorted(maps.Keys(values))
		streams.Say("from %s to %s: %s", file, of, strings.Join(names, ", "))
		if err := confirm(streams, yes, "store them?"); err != nil {
			return err
		}
		if err := p.ImportSecrets(ctx, found, values, given); err != nil {
			return err
		}
		streams.Say("stored %d secrets", len(names))
		return nil
	})
}

// vaultless are values in the clear by name.
type vaultless map[string]plaintext.Bytes

func (v vaultless) clear() {
	for _, value := range v {
		value.Clear()
	}
}

// readImport reads the secrets of a file for a place. The caller clears them.
func readImport(ctx context.Context, streams *term.Streams, p *client.Platform, of client.SecretOf, file string) (map[string]plaintext.Bytes, error) {
	variables, odd, err := dotenv.ReadFile(file)
	values := map[string]plaintext.Bytes{}
	defer func() {
		for _, v := range variables {
			if v.Value.Len() > 0 && !holds(values, v.Value) {
				v.Value.Clear()
			}
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("cannot read the secrets: %w", err)
	}
	for _, line := range odd {
		streams.Warn("%v; the line is left out", line)
	}
	names, err := namesByVariable(ctx, p, of)
	if err != nil {
		return nil, err
	}
	for _, v := range variables {
		if !environ.IsSecret(v.Name) {
			continue
		}
		name := v.Name
		if names != nil {
			parameter, ok := names[v.Name]
			if !ok {
				streams.Warn("%s is left out: the service has no such secret", v.Name)
				continue
			}
			name = parameter
		}
		if err := plaintext.Check(v.Value.Reveal()); err != nil {
			return nil, fmt.Errorf("the value of %s %w", v.Name, err)
		}
		values[name] = v.Value // the last one counts
	}
	if len(values) == 0 {
		return nil, errors.New("the file has no secret to store: their variables begin with SECRET_")
	}
	return values, nil
}

// holds reports whether a value is among others: the same memory.
func holds(values map[string]plaintext.Bytes, value plaintext.Bytes) bool {
	for _, other := range values {
		if other.Len() > 0 && &other.Reveal()[0] == &value.Reveal()[0] {
			return true
		}
	}
	return false
}

// namesByVariable are the parameters of a service by their variables; nil in the account.
func namesByVariable(ctx context.Context, p *client.Platform, of client.SecretOf) (map[string]string, error) {
	if of.Service == "" {
		return nil, nil
	}
	report, err := p.CheckSecrets(ctx, of, "")
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, f := range report.Findings {
		if f.Variable != "" {
			names[f.Variable] = f.Name
		}
	}
	return names, nil
}

// confirm asks a question, unless yes is its answer.
func confirm(streams *term.Streams, yes bool, question string) error {
	if yes {
		return nil
	}
	if !streams.Interactive {
		return usagef("there is no terminal to ask on: give --yes")
	}
	streams.Say("%s [y/N]", question)
	line, err := bufio.NewReader(streams.In).ReadString('\n')
	if err != nil {
		return fmt.Errorf("cannot read the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// badSecretsError says that a check has found problems.
type badSecretsError struct{ n int }

func (e *badSecretsError) Error() string {
	if e.n == 1 {
		return "1 secret needs attention"
	}
	return fmt.Sprintf("%d secrets need attention", e.n)
}

func newSecretsCheck(streams *term.Streams) *cobra.Command {
	var output, within string
	of := &secretOf{}
	command := &cobra.Command{
		Use: "check", Short: "Compare the parameters of a service with its stored secrets", Args: cobra.NoArgs,
		Long: `Lists the secrets that a service declares, and from where its executions would get
each. A secret that is missing, expired, about to expire, or unused ends the command
with exit code 1. Without --service it finds secrets of the account that have expired,
will expire, or are bound to no parameter.`,
		Example: "  qhubctl secrets check --service my-service\n  qhubctl secrets check --within 720h",
	}
	of.flags(streams, command)
	command.Flags().StringVar(&within, "within", "336h", "how soon a secret that expires is reported")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		found, err := of.find(ctx, p)
		if err != nil {
			return err
		}
		report, err := p.CheckSecrets(ctx, found, within)
		if err != nil {
			return err
		}
		if err := showFindings(streams, output, report); err != nil {
			return err
		}
		problems := 0
		for _, f := range report.Findings {
			if f.Problem {
				problems++
			}
		}
		if problems > 0 {
			return &exitError{exitFailed, &badSecretsError{problems}}
		}
		return nil
	})
}

// sourceOf says where an execution gets a secret from. A secret that is not stored comes
// with the request, or is missing.
func sourceOf(f client.SecretFinding) string {
	if f.From == "" {
		return "request"
	}
	from := strings.ToLower(strings.Replace(f.From, "TENANT", "account", 1))
	if f.Version > 0 {
		from += fmt.Sprintf(", version %d", f.Version)
	}
	return from
}

func showFindings(streams *term.Streams, output string, report client.SecretReport) error {
	if output == "json" {
		return printJSON(streams, report)
	}
	rows := make([][]string, 0, len(report.Findings))
	for _, f := range report.Findings {
		rows = append(rows, []string{strings.ToLower(f.Status), f.Name, sourceOf(f), orDash(f.ExpiresAt)})
	}
	return table(streams, "STATUS | NAME | FROM | EXPIRES", rows)
}
