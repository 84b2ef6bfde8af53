package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/hint"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
)

const maxBody = 256 << 20

// input holds the input and the secrets for a service, from -d and --secret.
type input struct {
	data      string
	dataGiven bool
	secrets   []string
	// references says that --secret may name a reference.
	references bool
}

func (i *input) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVarP(&i.data, "data", "d", "", "the input: JSON, @FILE, or - for standard input")
	flags.StringArrayVar(&i.secrets, "secret", nil, "the source of a secret: NAME, NAME=@FILE, NAME=- or NAME=env:VAR")
}

func (i *input) check() error {
	if i.dataGiven && i.data == "" {
		return usagef("-d is empty; give a JSON object, @FILE, or - for standard input")
	}
	return nil
}

// read reads the secrets and the body. Without -d the body is nil.
func (i *input) read(ctx context.Context, streams *term.Streams) ([]byte, map[string]secretref.Found, error) {
	secrets, err := i.readSecrets(ctx, streams)
	if err != nil {
		return nil, nil, err
	}
	body, err := i.readBody(streams)
	return body, secrets, err
}

func (i *input) readSecrets(ctx context.Context, streams *term.Streams) (map[string]secretref.Found, error) {
	var sources []secretref.Ref
	for _, argument := range i.secrets {
		source, err := secretref.ParseRef(argument)
		if err != nil {
			return nil, &usageError{err}
		}
		if source.IsReference() && !i.references {
			return nil, &usageError{source.Refuse()}
		}
		sources = append(sources, source)
	}
	if uses := i.stdinUses(sources); len(uses) > 1 {
		return nil, usagef("%s cannot all read standard input", strings.Join(uses, " and "))
	}
	given := map[string]secretref.Found{}
	var refused []error
	for _, source := range sources {
		value, err := source.Value(streams.In, func(name string) (plaintext.Bytes, error) {
			return streams.AskSecret(ctx, name)
		})
		if errors.Is(err, term.ErrNoTerminal) {
			return nil, usagef("--secret %[1]s: %[2]w; give it as %[1]s=@FILE, %[1]s=- or %[1]s=env:VAR", source.Name, err)
		}
		if refusal, ok := errors.AsType[*secretref.RefusedError](err); ok {
			refused = append(refused, refusal)
			continue
		}
		if err != nil {
			return nil, err
		}
		given[source.Name] = secretref.Found{Value: value, From: "--secret", Reference: source.IsReference()}
	}
	return given, hint.Join(refused...)
}

// stdinUses lists the options that read standard input: at most one may.
func (i *input) stdinUses(sources []secretref.Ref) []string {
	var uses []string
	if i.data == "-" {
		uses = append(uses, "-d -")
	}
	for _, s := range sources {
		if s.ReadsInput() {
			uses = append(uses, "--secret "+s.Name+"=-")
		}
	}
	return uses
}

// readBody reads the body that -d names. A body in a file or on standard input may
// hold secrets, a body on the command line may not.
func (i *input) readBody(streams *term.Streams) ([]byte, error) {
	var body []byte
	var err error
	switch {
	case !i.dataGiven:
		return nil, nil
	case i.data == "-":
		body, err = io.ReadAll(io.LimitReader(streams.In, maxBody+1))
	case strings.HasPrefix(i.data, "@"):
		body, err = os.ReadFile(i.data[1:])
	default:
		body = []byte(i.data)
		if signature.HasSecrets(body) {
			return nil, usagef("-d holds %s, which every user of this machine could read; put the request into a file and give -d @FILE, or use --secret", signature.SecretsKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the input: %w", err)
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // some editors write one
	if len(body) > maxBody {
		return nil, fmt.Errorf("the input is larger than %d MiB", maxBody>>20)
	}
	return body, nil
}
