package archive

import (
	"encoding/binary"
	"io"
)

// checkDirectory looks at the end of a zip archive before the list of its entries
// is read into memory: a list takes some hundred bytes for each entry.
func checkDirectory(r io.ReaderAt, size int64) error {
	const (
		end       = 22 // bytes of the end record
		comment   = 1 << 16
		signature = "PK\x05\x06"
		most      = 32 << 20 // bytes of the list
	)
	tail := make([]byte, min(size, end+comment))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	for i := len(tail) - end; i >= 0; i-- {
		if string(tail[i:i+4]) != signature {
			continue
		}
		entries, list := int(binary.LittleEndian.Uint16(tail[i+10:])), int64(binary.LittleEndian.Uint32(tail[i+12:]))
		switch {
		case entries == 0xffff || list == 0xffffffff:
			return refused("", "is in the format zip64, which is for more than 65,535 files or 4 GiB")
		case list > most:
			return refused("", "has %d entries, whose list is longer than %d MiB", entries, most>>20)
		}
		return nil
	}
	return refused("", "is no zip archive, or is damaged")
}
