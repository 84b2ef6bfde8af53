package forkserver

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

// FuzzReadNotice reads bytes that a service may send in place of a notice: they become
// at most one small file, and it does not matter how they are cut.
func FuzzReadNotice(f *testing.F) {
	head := func(code, kind byte, length uint32) []byte {
		return binary.BigEndian.AppendUint32([]byte{code, kind}, length)
	}
	f.Add([]byte{})
	f.Add(head(0, 0, 0))
	f.Add(append(head(0, 1, 2), "{}"...))
	f.Add(append(head(0, 2, 3), "te"...))
	f.Add(append(head(7, 1, maxSent), make([]byte, maxSent)...))
	f.Add(append(head(7, 1, maxSent+1), make([]byte, maxSent+1)...))
	f.Add(append(head(0, 3, 2), "{}"...))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, ok := readNotice(bytes.NewReader(text))
		cut, cutOK := readNotice(iotest.OneByteReader(bytes.NewReader(text)))
		if ok != cutOK || ok && whole.code != cut.code || (whole.sent == nil) != (cut.sent == nil) {
			t.Fatalf("read %q: in one piece %+v %t, byte by byte %+v %t, want the same", text, whole, ok, cut, cutOK)
		}
		if whole.sent == nil {
			return
		}
		if !bytes.Equal(whole.sent.Content, cut.sent.Content) || whole.sent.Name != cut.sent.Name {
			t.Errorf("read %q: in one piece %q, byte by byte %q, want the same", text, whole.sent, cut.sent)
		}
		length := int(binary.BigEndian.Uint32(text[2:]))
		if want := text[noticeHead : noticeHead+length]; length > maxSent || !bytes.Equal(whole.sent.Content, want) || whole.sent.Name == "" {
			t.Errorf("read %q: got the file %q with %d bytes, want %d", text, whole.sent.Name, len(whole.sent.Content), length)
		}
	})
}

// TestNoticeOfAnEndedFork reads notices that lie in the socket when the end of
// their forks is known, as on a machine that was halted in between.
func TestNoticeOfAnEndedFork(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	content := bytes.Repeat([]byte("x"), maxSent)
	text := append(binary.BigEndian.AppendUint32([]byte{0, 1}, maxSent), content...)
	lost := 0
	for range 2000 {
		ours, theirs, err := socketPair(unix.SOCK_STREAM)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Write(text); err != nil {
			t.Fatal(err)
		}
		f := &fork{orders: ours, done: ended}
		if n, ok := f.notice(); !ok || n.sent == nil || !bytes.Equal(n.sent.Content, content) {
			lost++
		}
		_, _ = ours.Close(), theirs.Close()
	}
	if lost > 0 {
		t.Errorf("read 2000 notices of forks that had ended: %d were lost, want none", lost)
	}
}
