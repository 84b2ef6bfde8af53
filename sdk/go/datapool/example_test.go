package datapool_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
)

func Example() {
	// The platform makes the folder; here the example does.
	dir, err := os.MkdirTemp("", "pool")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "weights.txt"), []byte("0.5"), 0o600); err != nil {
		panic(err)
	}

	models, err := datapool.Open(dir)
	if err != nil {
		panic(err)
	}
	names, _ := models.List()
	content, _ := models.ReadFile("weights.txt")
	_, err = models.Open("../../etc/passwd")
	fmt.Println(names, string(content), err != nil)
	// Output: [weights.txt] 0.5 true
}
