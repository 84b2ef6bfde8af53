package reference

// A Request asks the program qhubctl-refs for a value, as JSON on its standard input. Its
// answer is a line with an [Answer] as JSON, and then the bytes of the value.
type Request struct {
	Reference string `json:"reference"`
	// Dir is the folder that has the files.
	Dir string `json:"dir,omitempty"`
}

// An Answer says whether a value follows.
type Answer struct {
	// Problem says why there is none, in words that hold nothing of a value. Empty: the
	// value follows.
	Problem string `json:"problem,omitempty"`
}
