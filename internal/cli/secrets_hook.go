package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/google/shlex"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/hub"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/rotation"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newSecretsHook(streams *term.Streams) *cobra.Command {
	var h client.SecretHook
	var remove bool
	command := &cobra.Command{
		Use: "hook NAME", Short: "Set where new values of a secret come from, and how often",
		Long: `A hook fetches a new value: a program on the list of the operator (--command), or a
webhook at a host that the operator allows (--webhook). With --every the server
rotates the secret on that schedule. qhubctl secrets rotate NAME without a value runs
the hook at once. If a hook fails, the secret keeps its value; show has the reason.`,
		Example: `  qhubctl secrets hook db_password --service my-service --command new-password --every 24h --keep 48h
  qhubctl secrets hook api_token --service my-service --webhook https://vault.example.org/new-token
  qhubctl secrets hook api_token --service my-service --remove`,
	}
	flags := command.Flags()
	flags.StringVar(&h.Command, "command", "", "the name of a program on the list of the operator")
	flags.StringVar(&h.Webhook, "webhook", "", "an https address whose answer is the new value")
	flags.StringVar(&h.Every, "every", "", "how often the server rotates the secret, such as 24h")
	flags.StringVar(&h.Keep, "keep", "24h", "how long the version before stays usable if the new one is deleted or expires")
	flags.BoolVar(&remove, "remove", false, "take the hook from the secret")
	return onSecret(streams, command, nil, func(ctx context.Context, p *client.Platform, of client.SecretOf, name string) error {
		switch {
		case remove && (h.Command != "" || h.Webhook != "" || h.Every != ""):
			return usagef("--remove stands alone")
		case remove:
			return p.RemoveSecretHook(ctx, of, name)
		case (h.Command == "") == (h.Webhook == ""):
			return usagef("give --command, --webhook or --remove")
		}
		return p.SetSecretHook(ctx, of, name, h)
	})
}

// errNoValue says that standard input was empty.
var errNoValue = errors.New("there is no value: give it on standard input, by --from-file FILE, or at the prompt")

// put adds a version: with a value, with a reference, or, to a secret that is rotated
// without a value, by its hook. weak says why a value is easy to guess.
func (t *secretTerms) put(ctx context.Context, streams *term.Streams, p *client.Platform, of client.SecretOf, name string, given client.SecretTerms, rotate bool) (set client.StoredSecret, weak string, err error) {
	if rotate && streams.Interactive && t.file == "" && t.reference == "" {
		if set, ran, err := runHook(ctx, p, of, name); ran || err != nil {
			return set, "", err
		}
	}
	value, err := t.value(ctx, streams, name)
	if rotate && errors.Is(err, errNoValue) {
		if set, ran, failed := runHook(ctx, p, of, name); ran || failed != nil {
			return set, "", failed
		}
	}
	if err != nil {
		return set, "", err
	}
	defer value.Clear()
	set, err = p.SetSecret(ctx, of, name, value, t.reference, given, rotate)
	if t.reference == "" {
		weak = plaintext.Weak(value.Reveal())
	}
	return set, weak, err
}

// runHook runs the hook of a secret if it has one.
func runHook(ctx context.Context, p *client.Platform, of client.SecretOf, name string) (set client.StoredSecret, ran bool, err error) {
	found, err := p.Secret(ctx, of, name)
	if err != nil || found.Rotation == nil {
		return set, false, err
	}
	set, err = p.RunSecretHook(ctx, of, name)
	return set, true, err
}

// hookLines are the lines of show about a hook.
func hookLines(r *client.SecretRotation) [][2]string {
	if r == nil {
		return nil
	}
	from, last := "command "+r.Command, orDash(r.LastAt)
	if r.Webhook != "" {
		from = "webhook " + r.Webhook
	}
	if r.Every != "" {
		from += ", every " + r.Every
	}
	switch {
	case r.LastError != "":
		last += ", failed: " + r.LastError
	case r.LastAt != nil:
		last += ", succeeded"
	}
	return [][2]string{{"Hook", from}, {"Last run", last}, {"Next run", orDash(r.NextAt)}}
}

// rotationOptions are those of a server about hooks.
type rotationOptions struct{ commands, hosts []string }

// rotationCommand is the flag of [rotation.commands] in the configuration.
const rotationCommand = "rotation-command"

func (o *rotationOptions) flags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringArrayVar(&o.commands, rotationCommand, nil, "a program that fetches new values of secrets: `NAME=PROGRAM ARG...`; in the file, a line of the table [rotation.commands]")
	flags.StringSliceVar(&o.hosts, "rotation-hosts", nil, "where webhooks that fetch new values of secrets may be, as `HOST:PORT`")
}

// sources sets where the values of stored secrets come from in addition to the store.
func (o *serverOptions) sources(streams *term.Streams, options *hub.RunOptions) (end func(), err error) {
	hooks, err := o.rotation.open()
	if err != nil {
		return nil, err
	}
	if hooks != nil {
		options.Hooks = hooks
	}
	resolver, err := o.references.open(streams)
	if err != nil || resolver == nil {
		return func() {}, err
	}
	options.References = resolver
	return func() { _ = resolver.Close() }, nil // it only ends processes
}

// open makes the hooks; nil if none is allowed.
func (o *rotationOptions) open() (*rotation.Hooks, error) {
	options := rotation.Options{Commands: map[string][]string{}}
	for _, text := range o.commands {
		name, line, _ := strings.Cut(text, "=")
		words, err := shlex.Split(line)
		if err != nil || len(words) == 0 || name == "" || !strings.HasPrefix(words[0], "/") {
			return nil, usagef("--%s %s: it must be NAME=/PATH/OF/PROGRAM ARG..., as a shell would read it", rotationCommand, name)
		}
		options.Commands[name] = words
	}
	for _, host := range o.hosts {
		options.Hosts = append(options.Hosts, strings.ToLower(host))
	}
	hooks := rotation.New(options)
	if !hooks.Any() {
		return nil, nil
	}
	return hooks, nil
}
