package web

import "strings"

// An Advice says what to do about a failed execution whose problem has a word.
type Advice struct{ Word, Text string }

// advices are looked through in this order; the last one is for all others.
var advices = []Advice{
	{"secret", "Set the secret on the page Secrets, or send it with the request. Then run it again."},
	{"memory", "Give the service more memory, or have it use less: see its limits on its page."},
	{"time", "Raise the service's time limit, or have it do less at once."},
	{"server stopped", "The server ended while it ran. Start it again."},
	{"no space", "The disk of the server is full: see the page Server."},
	{"", "The end of the log below shows where the service failed. Fix it, deploy it with qhubctl up, and run it again."},
}

// AdviceFor says what to do about a failed execution with a problem.
func AdviceFor(title, detail string) string {
	text := strings.ToLower(title + " " + detail)
	for _, a := range advices {
		if strings.Contains(text, a.Word) {
			return a.Text
		}
	}
	return ""
}
