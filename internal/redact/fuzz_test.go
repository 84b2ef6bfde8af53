package redact

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// FuzzWriter compares with the reference: any secrets, any text, any cuts. The
// bytes of cuts are the lengths of the writes, over and over; an odd one makes
// the filter give up before its write.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("ababac"), []byte("hunter2"), []byte("abababac hunter2 hunter"), []byte{1, 2, 7})
	f.Add([]byte("aaaa"), []byte("aaaaaaaaaaaaaaaaaaaaaaab"), bytes.Repeat([]byte("a"), 90), []byte{3, 30})
	f.Add([]byte("abcdef"), []byte("defghi"), []byte("xabcdefghix"), []byte{1})
	f.Add([]byte("first line\nsecond line"), []byte("core"), []byte("first line\n\n\nfirst line\r\nsecond line"), []byte{5, 4})
	f.Add([]byte(`{"a":"leaf-1","b":"leaf\"2"}`), []byte("p@ss w/rd"), []byte(`leaf-1 leaf\"2 p%40ss+w%2Frd`), []byte{250})
	f.Add([]byte("\x00\xff\x00\xff"), []byte("\x00\x00\x00\x00"), []byte("\x00\xff\x00\xff\x00\x00\x00\x00\x00"), []byte{2})
	f.Fuzz(func(t *testing.T, one, two, text, cuts []byte) {
		if len(one)+len(two) > 200 || len(text) > 2000 {
			return // the reference is quadratic
		}
		m := newLiteral(one, two)
		forms := allForms([][]byte{one, two})
		want := reference(forms, text)
		var out bytes.Buffer
		w := m.Writer(&out)
		for i, at := 0, 0; at < len(text); i++ {
			n := len(text) - at
			if len(cuts) > 0 {
				cut := cuts[i%len(cuts)]
				n = min(n, max(1, int(cut)))
				if cut&1 == 1 && w.reading == 0 {
					w.budget = -1 << 20
				}
			}
			if _, err := w.Write(text[at : at+n]); err != nil {
				t.Fatal(err)
			}
			at += n
			if len(text) < 200 {
				decided := at - referenceHold(forms, text[:at])
				if want := referencePrefix(covered(forms, text[:at]), text[:at], decided); !bytes.Equal(out.Bytes(), want) {
					t.Fatalf("after %q\n got %q\nwant %q", text[:at], out.Bytes(), want)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("secrets %q, %q, text %q\n got %q\nwant %q", one, two, text, out.Bytes(), want)
		}
		if got := m.Bytes(text); !bytes.Equal(got, want) {
			t.Fatalf("Bytes\n got %q\nwant %q", got, want)
		}
	})
}

// FuzzJSON masks any document by any secret: what comes out is valid, has as
// many members and elements, and no form is left outside the masks.
func FuzzJSON(f *testing.F) {
	f.Add([]byte("hunter2"), []byte(`{"a":"hunter2","hunter2":[1,"x"],"n":1.50}`))
	f.Add([]byte("12345678"), []byte(`[12345678, 1.234567812345678e5, "12345678"]`))
	f.Add([]byte(`{"u":"robot","n":12}`), []byte(`{"x":{"u":"robot","n":12}}`))
	f.Add([]byte("a\"b\\c"), []byte(`{"k":"a\"b\\c","k2":"\u0061\"b\\c"}`))
	f.Add([]byte("true"), []byte(`[true,false,{"true":null}]`))
	f.Fuzz(func(t *testing.T, secret, doc []byte) {
		m := newMasker(secret)
		in := slices.Clone(doc)
		got, err := m.JSON(doc)
		if !bytes.Equal(in, doc) {
			t.Fatal("JSON changed its argument")
		}
		if valid := json.Valid(doc); (err == nil) != valid {
			t.Fatalf("error %v of a document whose validity is %v", err, valid)
		}
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("secret %q, document %q: %q is no JSON", secret, doc, got)
		}
		// A secret made of what masks and JSON are made of may come back.
		if bytes.ContainsAny(secret, "redact[]{}\":,-0123456789\\") {
			return
		}
		if m.Contains(got) {
			t.Fatalf("secret %q is left in %q", secret, got)
		}
	})
}

// FuzzViews masks any text in any pieces by views: what the forms alone mask is
// masked, however the text is cut, and everything comes out.
func FuzzViews(f *testing.F) {
	f.Add([]byte("hunter2-hunter2"), []byte(`{\"t\":\"hunter2%2Dhunter2\"}`), []byte{1, 7})
	f.Add([]byte("p@ss w\"rd-p"), []byte("│ p@ss │\n│ w\\\"rd-p │\ncEBzcyB3XCJyZC1w"), []byte{3})
	f.Add([]byte("pässwörd-1"), []byte("p=C3=A4ssw=\r\n=C3=B6rd-1 &#112;ässwörd-1 70:c3:a4"), []byte{250, 5})
	f.Add([]byte("aaaaaaaa"), []byte("%61%61\\x61\\u0061a\\141&#97;a a\x00a\x00a\x00"), []byte{2})
	f.Fuzz(func(t *testing.T, secret, text, cuts []byte) {
		if len(secret) > 200 || len(text) > 4000 {
			return
		}
		m := newMasker(secret)
		var found spans
		w := m.finder()
		if m.empty() {
			return
		}
		w.listener = func(s span) { found.add(s.start, s.end) }
		for i, at := 0, 0; at < len(text); i++ {
			n := len(text) - at
			if len(cuts) > 0 {
				n = min(n, max(1, int(cuts[i%len(cuts)])))
			}
			if _, err := w.Write(text[at : at+n]); err != nil {
				t.Fatal(err)
			}
			at += n
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for i, marked := range covered(allForms([][]byte{secret}), text) {
			if marked && !found.meet(span{i, i + 1}) {
				t.Fatalf("secret %q: byte %d of %q is not masked", secret, i, text)
			}
		}
		for _, s := range m.find(text) {
			if s.start < 0 || s.end > len(text) || s.start >= s.end {
				t.Fatalf("secret %q, text %q: range %v", secret, text, s)
			}
		}
	})
}
