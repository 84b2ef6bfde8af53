package redact

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// covered marks each byte of each occurrence of each form in text.
func covered(forms [][]byte, text []byte) []bool {
	marks := make([]bool, len(text))
	for _, form := range forms {
		for at := 0; at+len(form) <= len(text); at++ {
			if bytes.Equal(text[at:at+len(form)], form) {
				for i := range form {
					marks[at+i] = true
				}
			}
		}
	}
	return marks
}

// reference masks text in the most obvious way: it writes one mask for each run
// of marked bytes. It shares nothing with the masker but the list of forms.
func reference(forms [][]byte, text []byte) []byte {
	return referencePrefix(covered(forms, text), text, len(text))
}

// referencePrefix is what must be out when decided bytes of text are: they,
// masked, and the mask of a run that starts right behind them.
func referencePrefix(marks []bool, text []byte, decided int) []byte {
	var out []byte
	for i := range min(decided+1, len(text)) {
		switch {
		case marks[i] && (i == 0 || !marks[i-1]):
			out = append(out, Mask...)
		case !marks[i] && i < decided:
			out = append(out, text[i])
		}
	}
	return out
}

// referenceHold returns how many bytes at the end of text are the beginning of
// a form.
func referenceHold(forms [][]byte, text []byte) int {
	hold := 0
	for _, form := range forms {
		for n := min(len(form)-1, len(text)); n > hold; n-- {
			if bytes.HasSuffix(text, form[:n]) {
				hold = n
			}
		}
	}
	return hold
}

func allForms(values [][]byte) [][]byte {
	var forms [][]byte
	for _, value := range values {
		forms = append(forms, Forms(value)...)
	}
	return forms
}

func secretsOf(values [][]byte) []Secret {
	secrets := make([]Secret, len(values))
	for i, value := range values {
		secrets[i] = Secret{Name: "S", Value: value}
	}
	return secrets
}

func newMasker(values ...[]byte) *Masker { return New(secretsOf(values)) }

// newLiteral returns a masker that searches for the forms alone.
func newLiteral(values ...[]byte) *Masker {
	m := newMasker(values...)
	m.literal = true
	return m
}

// byteStrings draws short strings over a few letters, so that overlaps,
// repetitions and near misses are the rule, or over all bytes.
func byteStrings(maxLen int) *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.SliceOfN(rapid.SampledFrom([]byte("ab")), 0, maxLen),
		rapid.SliceOfN(rapid.SampledFrom([]byte("abc\n")), 0, maxLen),
		rapid.SliceOfN(rapid.SampledFrom([]byte("ab0 /+<\"'\\é\n")), 0, maxLen),
		rapid.SliceOfN(rapid.Byte(), 0, maxLen),
	)
}

// texts draws text made of secrets, their forms, pieces of these and noise.
func texts(forms [][]byte) *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		var text []byte
		for range rapid.IntRange(0, 12).Draw(t, "pieces") {
			piece := byteStrings(12).Draw(t, "noise")
			if len(forms) > 0 && rapid.IntRange(0, 2).Draw(t, "kind") > 0 {
				form := rapid.SampledFrom(forms).Draw(t, "form")
				from := rapid.SampledFrom([]int{0, 0, 0, 1, len(form) / 2}).Draw(t, "from")
				to := len(form) - rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "cut")
				piece = form[from:max(from, to)]
			}
			text = append(text, piece...)
		}
		return text
	})
}

// checkStream writes text in pieces and compares with the reference after each
// of them.
func checkStream(t rapid.TB, m *Masker, forms [][]byte, text []byte, sizes func() int) {
	t.Helper()
	var out bytes.Buffer
	w := m.Writer(&out)
	for at := 0; at < len(text); {
		size := min(max(sizes(), 1), len(text)-at)
		if n, err := w.Write(text[at : at+size]); n != size || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		at += size
		if len(text) < 600 {
			// All that no form can claim any more must be out already.
			decided := at - referenceHold(forms, text[:at])
			want := referencePrefix(covered(forms, text[:at]), text[:at], decided)
			if !bytes.Equal(out.Bytes(), want) {
				t.Fatalf("after %q\n got %q\nwant %q", text[:at], out.Bytes(), want)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want := reference(forms, text); !bytes.Equal(out.Bytes(), want) {
		t.Fatalf("text %q\n got %q\nwant %q", text, out.Bytes(), want)
	}
}

func TestMaskerAgreesWithReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(byteStrings(20), 0, 5).Draw(t, "secrets")
		m, forms := newLiteral(values...), allForms(values)
		text := texts(forms).Draw(t, "text")
		want := reference(forms, text)

		in := slices.Clone(text)
		if got := m.Bytes(text); !bytes.Equal(got, want) {
			t.Fatalf("Bytes(%q)\n got %q\nwant %q", text, got, want)
		}
		if !bytes.Equal(in, text) {
			t.Fatal("Bytes changed its argument")
		}
		if got := m.String(string(text)); got != string(want) {
			t.Fatalf("String(%q) = %q, want %q", text, got, want)
		}
		if got := m.Contains(text); got != slices.Contains(covered(forms, text), true) {
			t.Fatalf("Contains(%q) = %v", text, got)
		}
		sizes := rapid.SampledFrom([]int{1, 2, 3, 7, 20, 100})
		checkStream(t, m, forms, text, func() int { return sizes.Draw(t, "size") })

		read, err := io.ReadAll(m.Reader(iotest.OneByteReader(bytes.NewReader(text))))
		if err != nil || !bytes.Equal(read, want) {
			t.Fatalf("Reader of %q\n got %q, %v\nwant %q", text, read, err, want)
		}
	})
}

// TestThousandSecretsAgreeWithReference has so many secrets, over few letters,
// that most begin, end or overlap others.
func TestThousandSecretsAgreeWithReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	for _, alphabet := range []string{"ab", "abcdefgh", "ab \n\"é"} {
		values := make([][]byte, 1000)
		for i := range values {
			values[i] = make([]byte, 4+rng.IntN(20))
			for j := range values[i] {
				values[i][j] = alphabet[rng.IntN(len(alphabet))]
			}
		}
		m, forms := newLiteral(values...), allForms(values)
		var text []byte
		for len(text) < 500 {
			form := forms[rng.IntN(len(forms))]
			text = append(text, form[:len(form)-rng.IntN(2)]...)
			text = append(text, "....,,,,"[:rng.IntN(8)]...)
		}
		want := reference(forms, text)
		if got := m.Bytes(text); !bytes.Equal(got, want) {
			t.Errorf("over %q: Bytes is wrong", alphabet)
		}
		for _, size := range []int{1, 17, 400} {
			if got := maskInPieces(t, m, text, size); !bytes.Equal(got, want) {
				t.Errorf("over %q, in pieces of %d: wrong", alphabet, size)
			}
		}
	}
}
