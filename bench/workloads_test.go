package bench

// A workload is a service, in each language.
type workload struct {
	name string
	// python and golang are the text of a module with the function run, and of
	// a main package; the latter is empty where there is nothing to compare.
	python, golang string
	// bytes is how long the result is at least.
	bytes   int
	callers []int
	// whole: in all ways there are, not in those that differ most only.
	whole bool
}

// workloads do the work of all services, which take a model and return a value,
// and one thing more each. The first use of a scientific package in a process is
// a workload too: it loads and prepares more than later uses.
var workloads = []workload{
	{
		name: "trivial", callers: []int{1, 4, 16, 64}, whole: true,
		python: pythonHead + `
    return {"n": data.n}
`,
		golang: goService("", "", `map[string]any{"n": in.Data.N}`),
	},
	{
		name: "numpy", callers: []int{1, 16},
		python: "import numpy\n" + pythonHead + `
    return {"n": data.n}
`,
	},
	{
		name: "pandas", callers: []int{1, 16},
		python: "import pandas\n" + pythonHead + `
    return {"n": data.n}
`,
	},
	{
		name: "pandas-used", callers: []int{1, 16},
		python: "import pandas\n" + pythonHead + `
    return {"n": int(pandas.DataFrame({"n": range(data.n + 1)}).n.sum())}
`,
	},
	{
		name: "result-1MB", callers: []int{1, 16}, bytes: 1_000_000,
		python: pythonHead + `
    return {"text": "x" * 1_000_000}
`,
		golang: goService(`"strings"`, "", `map[string]any{"text": strings.Repeat("x", 1_000_000)}`),
	},
	{
		name: "log-10MB", callers: []int{1, 4},
		python: pythonHead + `
    for i in range(100_000):
        print(f"line {i:05} " + "x" * 88)
    return {"n": data.n}
`,
		golang: goService(`"strings"; "fmt"; "bufio"; "os"`, `
	out := bufio.NewWriter(os.Stdout)
	for i := range 100_000 {
		fmt.Fprintf(out, "line %05d %s\n", i, strings.Repeat("x", 88))
	}
	out.Flush()
`, `map[string]any{"n": in.Data.N}`),
	},
}

const pythonHead = `from pydantic import BaseModel


class InputData(BaseModel):
    n: int


def run(data: InputData) -> dict:`

// goService is a main package whose run executes the statements and returns
// the value.
func goService(imports, statements, value string) string {
	return `package main

import (
	"context"
	` + imports + `

	"github.com/qhubctl/qhubctl/sdk/go/service"
)

type Data struct {
	N int ` + "`json:\"n\"`" + `
}

type Input struct {
	Data Data ` + "`json:\"data\"`" + `
}

func run(_ context.Context, in Input) (map[string]any, error) {` + statements + `
	return ` + value + `, nil
}

func main() { service.Main(run) }
`
}
