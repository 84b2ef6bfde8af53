package audit

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// CEF is the entry as a line of the Common Event Format, version 0, without its end. The
// hash and the number of the entry are in it, so that it can be found in the chain.
func (l Link) CEF(version string) (string, error) {
	e, err := l.Read()
	if err != nil {
		return "", err
	}
	severity := "3"
	if e.Outcome != Done {
		severity = "6"
	}
	var b strings.Builder
	b.WriteString("CEF:0|qhubctl|qhubctl")
	for _, field := range []string{version, e.Action, e.Action, severity} {
		b.WriteString("|" + cefHeader.Replace(oneLine(field)))
	}
	b.WriteString("|")
	extension := [][2]string{
		{"rt", strconv.FormatInt(e.Time.UnixMilli(), 10)}, {"outcome", string(e.Outcome)}, {"suid", e.Actor.ID}, {"sourceServiceName", e.Actor.Kind},
		{"request", e.Target}, {"externalId", strconv.FormatInt(e.Number, 10)},
		{"cs1Label", "tenant"}, {"cs1", e.Tenant}, {"cs2Label", "credential"}, {"cs2", e.Actor.Credential}, {"cs3Label", "hash"}, {"cs3", l.Hash},
		{"msg", details(e.Details)},
	}
	separator := ""
	for _, pair := range extension {
		if pair[1] != "" {
			b.WriteString(separator + pair[0] + "=" + cefValue.Replace(pair[1]))
			separator = " "
		}
	}
	return b.String(), nil
}

var (
	cefHeader = strings.NewReplacer(`\`, `\\`, `|`, `\|`)
	cefValue  = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
)

// oneLine has spaces for line ends, which a header may not have.
func oneLine(text string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(text) }

func details(of map[string]string) string {
	words := make([]string, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		words = append(words, name+"="+of[name])
	}
	return strings.Join(words, " ")
}
