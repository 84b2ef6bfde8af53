package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

type describeOptions struct {
	serviceOptions
	deployed secretOf
	output   string
}

func newDescribe(streams *term.Streams) *cobra.Command {
	var o describeOptions
	command := &cobra.Command{
		Use:   "describe [DIR]",
		Short: "Show the parameters and the result of a service",
		Long: `Shows the parameters of the service in DIR: the kind and type of each, whether
it is required, and for a secret its environment variable. With --output json
it prints the whole description, including the schemas.

With --service it describes a service that is deployed on the platform, and shows for
each secret from where an execution gets it: the request, or the secret stored for the
subscription (--app), the service or the account. Values are never shown.`,
		Example: `  qhubctl describe
  qhubctl describe my-service --output json
  qhubctl describe --service my-service --app my-app`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = dirArg(args)
			if err := checkOutput(o.output); err != nil {
				return err
			}
			if o.deployed != (secretOf{}) {
				if len(args) > 0 {
					return usagef("--service names a deployed service and %s a workspace; give one of them", args[0])
				}
				return onLogin(cmd.Context(), streams, o.describeDeployed)
			}
			return describeRun(cmd.Context(), streams, o)
		},
	}
	o.flags(command)
	o.deployed.flags(streams, command)
	outputFlag(command, &o.output)
	return command
}

func describeRun(ctx context.Context, streams *term.Streams, o describeOptions) error {
	s, err := build.Open(ctx, o.build(), streams)
	if err != nil {
		return err
	}
	described, err := s.Signature(ctx, streams.Log(), build.Confinement{})
	if err != nil {
		return err
	}
	if o.output == "json" {
		return printJSON(streams, described)
	}
	start, err := s.Start(ctx, streams)
	if err != nil {
		return err
	}
	return writeAll(streams.Result(), []byte(describeText(s, described)+environmentText(s.Environment)+"Starts: "+build.StartText(start)+"\n"))
}

func describeText(s *build.Service, described *signature.Signature) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", s.Workspace.Name, described.Entrypoint)
	if described.Description != "" {
		fmt.Fprintf(&b, "%s\n", indent(described.Description))
	}
	b.WriteString("\n")
	if len(described.Parameters) == 0 {
		b.WriteString("It takes no parameters.\n")
	} else {
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "PARAMETER\tKIND\tREQUIRED\tTYPE\tFROM")
		for _, p := range described.Parameters {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Kind, yesNo(p.Required), parameterType(p), origin(p))
		}
		_ = table.Flush() // into a strings.Builder
	}
	fmt.Fprintf(&b, "\nReturns: %s\nSDK: %s %s\n", schemaType(described.Result), described.SDK.Name, described.SDK.Version)
	for _, warning := range described.Warnings {
		fmt.Fprintf(&b, "Warning: %s\n", warning)
	}
	return b.String()
}

// environmentText describes in one line the environment that the service runs with.
func environmentText(env *workspace.Environment) string {
	if env.Python == "" {
		return ""
	}
	by := "yours, not changed"
	if env.Managed {
		by = "made by qhubctl"
	}
	return "Environment: " + withOrigin(env.Path()+", "+by, env) + "\n"
}

func indent(text string) string {
	return strings.ReplaceAll("  "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "), "\n  \n", "\n\n")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func parameterType(p signature.Parameter) string {
	switch p.Kind {
	case signature.Secret:
		return "SecretValue"
	case signature.DataPool:
		return "DataPool"
	default:
		return schemaType(p.Schema)
	}
}

func origin(p signature.Parameter) string {
	switch p.Kind {
	case signature.Secret:
		return p.Env
	case signature.DataPool:
		return "input/" + p.Name + "/"
	default:
		return p.Name
	}
}

// schemaType names the type of a schema in one or two words.
func schemaType(raw json.RawMessage) string {
	var schema struct {
		Type  any               `json:"type"`
		Ref   string            `json:"$ref"`
		AllOf []json.RawMessage `json:"allOf"`
		AnyOf []json.RawMessage `json:"anyOf"`
		Enum  []any             `json:"enum"`
		Items json.RawMessage   `json:"items"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &schema) != nil {
		return "any"
	}
	switch {
	case schema.Ref != "":
		return schema.Ref[strings.LastIndex(schema.Ref, "/")+1:]
	case len(schema.AllOf) == 1: // a reference with a default beside it
		return schemaType(schema.AllOf[0])
	case len(schema.AnyOf) > 0:
		names := make([]string, len(schema.AnyOf))
		for i, alternative := range schema.AnyOf {
			names[i] = schemaType(alternative)
		}
		return strings.Join(names, " | ")
	case schema.Type == "array" && len(schema.Items) > 0:
		return "array of " + schemaType(schema.Items)
	case schema.Type != nil:
		return fmt.Sprint(schema.Type)
	case len(schema.Enum) > 0:
		return "enum"
	default:
		return "any"
	}
}
