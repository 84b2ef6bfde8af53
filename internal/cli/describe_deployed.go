package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
)

// A deployedParameter is a parameter of a service on a platform.
type deployedParameter struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Required bool   `json:"required"`
	Type     string `json:"type"`
	// From is where an execution gets the value from.
	From string `json:"from"`
	// Status is that of a secret: ok, optional, missing, expired, or expiring.
	Status string `json:"status,omitempty"`
}

// noLimit has a check report no secret that only expires soon.
const noLimit = "0s"

// describeDeployed describes a service on the platform.
func (o *describeOptions) describeDeployed(ctx context.Context, streams *term.Streams, p *client.Platform) error {
	of, err := o.deployed.find(ctx, p)
	if err != nil {
		return err
	}
	var text string // the document is a JSON string, as published clients read it
	if err := p.Call(ctx, http.MethodGet, "/qc-catalog/services/"+url.PathEscape(of.Service)+"/openapi", nil, &text); err != nil {
		return err
	}
	parameters, title, err := inputsOf([]byte(text))
	if err != nil {
		return err
	}
	report, err := p.CheckSecrets(ctx, of, noLimit)
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		if f.Variable != "" { // else no parameter takes it
			parameters = append(parameters, deployedParameter{
				Name: f.Name, Kind: string(signature.Secret), Required: f.Required, Type: "SecretValue", From: sourceOf(f), Status: strings.ToLower(f.Status),
			})
		}
	}
	if o.output == "json" {
		return printJSON(streams, map[string]any{"title": title, "parameters": parameters})
	}
	rows := make([][]string, 0, len(parameters))
	for _, parameter := range parameters {
		from := parameter.From
		if parameter.Status != "" && parameter.Status != "ok" && parameter.Status != "optional" {
			from += " (" + parameter.Status + ")"
		}
		rows = append(rows, []string{parameter.Name, parameter.Kind, yesNo(parameter.Required), parameter.Type, from})
	}
	if err := writeAll(streams.Out, []byte(title+"\n\n")); err != nil {
		return err
	}
	return table(streams, "PARAMETER | KIND | REQUIRED | TYPE | FROM", rows)
}

// inputsOf are the parameters of a description that are no secrets, in its order, and its
// title.
func inputsOf(text []byte) (parameters []deployedParameter, title string, err error) {
	type body struct {
		Schema struct {
			Properties json.RawMessage
			Required   []string
		}
	}
	var document struct {
		Info  struct{ Title, Version string }
		Paths map[string]struct {
			Post struct {
				RequestBody struct{ Content map[string]body }
			}
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, "", fmt.Errorf("read the description of the service: %w", err)
	}
	title = strings.TrimSpace(document.Info.Title + " " + document.Info.Version)
	schema := document.Paths["/"].Post.RequestBody.Content["application/json"].Schema
	properties, err := membersOf(schema.Properties)
	if err != nil {
		return nil, "", fmt.Errorf("read the description of the service: %w", err)
	}
	for _, m := range properties {
		if strings.HasPrefix(m.name, "$") {
			continue
		}
		p := deployedParameter{Name: m.name, Kind: string(signature.Input), Required: slices.Contains(schema.Required, m.name), Type: schemaType(m.value), From: "request"}
		if bytes.Contains(m.value, []byte(`"DATAPOOL"`)) {
			p.Kind, p.Type = string(signature.DataPool), "DataPool"
		}
		parameters = append(parameters, p)
	}
	return parameters, title, nil
}

type member struct {
	name  string
	value json.RawMessage
}

// membersOf are the members of a JSON object in its order.
func membersOf(object json.RawMessage) (members []member, err error) {
	if len(object) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	for decoder.More() {
		var m member
		token, err := decoder.Token()
		if err == nil {
			m.name, _ = token.(string)
			err = decoder.Decode(&m.value)
		}
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// doctorDeployed checks the secrets of a service on the platform.
func (o *doctorOptions) doctorDeployed(ctx context.Context, streams *term.Streams, p *client.Platform) error {
	of, err := o.deployed.find(ctx, p)
	if err != nil {
		return err
	}
	const soon = "336h"
	report, err := p.CheckSecrets(ctx, of, soon)
	if err != nil {
		return err
	}
	findings := []finding{}
	place := " --service " + o.deployed.service
	if o.deployed.app != "" {
		place += " --app " + o.deployed.app
	}
	for _, f := range report.Findings {
		found := finding{"secret " + f.Name, isOK, "from the " + sourceOf(f), ""}
		set := "qhubctl secrets set " + f.Name + place
		switch f.Status {
		case "MISSING":
			found.Status, found.Says, found.Advice = isWarning, "missing: each request must bring it", set
		case "EXPIRED":
			found.Status, found.Says, found.Advice = isProblem, found.Says+" has expired", set
		case "EXPIRING":
			found.Status, found.Says, found.Advice = isWarning, found.Says+" expires at "+orDash(f.ExpiresAt), set
		case "UNUSED":
			found.Status, found.Says, found.Advice = isWarning, "stored, and no parameter takes it", "qhubctl secrets rm "+f.Name+place
		}
		findings = append(findings, found)
	}
	return showDoctor(streams, o.output, findings)
}
