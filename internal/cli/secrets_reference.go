package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/reference"
	"github.com/qhubctl/qhubctl/internal/term"
)

func (t *secretTerms) referenceFlag(command *cobra.Command) {
	command.Flags().StringVar(&t.reference, "reference", "", "store where another store has the value, such as ref+vault://kv/shop/database#/password")
}

// value reads the value of a secret; the empty value if a reference is given.
func (t *secretTerms) value(ctx context.Context, streams *term.Streams, name string) (plaintext.Bytes, error) {
	if t.reference == "" {
		return readStored(ctx, streams, name, t.file)
	}
	if t.file != "" {
		return plaintext.Bytes{}, usagef("--reference and --from-file exclude each other")
	}
	if _, err := reference.Parse(t.reference); err != nil {
		return plaintext.Bytes{}, &usageError{err}
	}
	return plaintext.Bytes{}, nil
}

// referenceOptions are those of a server about references.
type referenceOptions struct {
	schemes, hosts []string
	files, program string
}

func (o *referenceOptions) flags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringSliceVar(&o.schemes, "reference-schemes", nil, "what references of stored secrets may name: `SCHEMES` such as vault, or vault://kv/{tenant}/ for a part of it (default: nothing)")
	flags.StringVar(&o.files, "reference-files", "", "the `FOLDER` with the files of references (schemes file and sops)")
	flags.StringSliceVar(&o.hosts, "reference-hosts", nil, "addresses that references may name themselves, as `HOST:PORT`")
	flags.StringVar(&o.program, "reference-program", "", "the program that resolves references (default: "+reference.ProgramName+" beside this program, or in PATH)")
}

// open makes the resolver; nil if no reference is allowed.
func (o *referenceOptions) open(streams *term.Streams) (*reference.Resolver, error) {
	policy, err := reference.NewPolicy(o.schemes, o.files, o.hosts)
	if err != nil {
		return nil, &usageError{err}
	}
	if !policy.Any() {
		return nil, nil
	}
	options := reference.Options{Policy: policy, Program: o.program}
	if err := options.Available(); err != nil {
		streams.Warn("executions with references will fail: %v", err)
	}
	return reference.NewResolver(options)
}
