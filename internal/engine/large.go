package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/jsonstream"
	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// takeLarge is takeResult for a result that is too large to read as a whole.
func (c *collector) takeLarge(artifacts runner.Artifacts, file runner.File) (bool, error) {
	source, err := artifacts.Open(file.Name)
	if err != nil {
		return false, err
	}
	defer func() { _ = source.Close() }()
	switch err := jsonstream.CheckText(source); {
	case errors.Is(err, jsonstream.ErrSyntax), errors.Is(err, jsonstream.ErrNotUTF8):
		return false, nil // not valid JSON: keep it as a result file
	case err != nil:
		return false, err
	}
	c.hasResult = true
	c.manifest.Value = "value"
	var size int64
	err = c.store(c.manifest.Value, func(to *os.File) error {
		numbers, err := masking.Stream(c.masker, to, source)
		if err != nil {
			return err
		}
		c.noticeNumbers(numbers)
		c.manifest.Kind, size, err = look(to)
		return err
	})
	c.addFile(file.Name, size, "")
	return true, err
}

// look returns the kind and the size of a value.
func look(value io.ReadSeeker) (kind Kind, size int64, err error) {
	if _, err := value.Seek(0, io.SeekStart); err != nil {
		return None, 0, err
	}
	kind = Other
	for reader := bufio.NewReader(value); ; {
		b, err := reader.ReadByte()
		if err != nil {
			return None, 0, err
		}
		if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
			continue
		}
		if b == '{' {
			kind = Object
		}
		break
	}
	size, err = value.Seek(0, io.SeekEnd)
	return kind, size, err
}

// noticeNumbers writes to the log how many numbers masking has turned into texts.
func (c *collector) noticeNumbers(numbers int) {
	if numbers > 0 {
		c.logWriter.notice(execution.Warning, fmt.Sprintf("numbers of the result that hold a secret are masked, and are texts now: %d", numbers))
	}
}
