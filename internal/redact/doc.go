// Package redact masks secrets in everything a service prints, returns or
// writes.
//
// # What is searched for
//
// A service that gets a secret prints it in many ways: as it is, in a base64
// header, in the repr of an exception, line by line. [Forms] lists the byte
// sequences looked for on behalf of one secret:
//
//   - the value itself, and with its line ends as LF and as CRLF;
//   - hexadecimal digits of either case;
//   - base64, standard and URL-safe, at each of the three alignments it can
//     have in a longer text (so "user:" may stand before it), with and without
//     padding, in one line and broken at 64 and 76 columns;
//   - percent-encodings, with digits of either case and a space as "+";
//   - JSON, Python, Go and shell escapes, HTML and XML entities;
//   - the Python form as pydantic shortens it in its errors;
//   - the value without the white space around it, each line of a value of
//     several lines and each string leaf of a value that is JSON, each of
//     these in all the forms above.
//
// A part or a form shorter than [MinLength] is not searched for.
//
// # What is masked
//
// All bytes covered by any occurrence of any form: their union. After
// "abcdef" is found in "abcdefghi", a second secret "defghi" is masked too,
// where a replacement of the leftmost or longest match would leave "ghi"
// standing. Each maximal run of covered bytes becomes one [Mask], also where
// two occurrences only touch. All other bytes pass unchanged, and the result
// does not depend on how a stream was cut into pieces. The text of a mask is
// not searched again.
//
// # What is held back
//
// A [Writer] passes on at once what no form can claim any more and holds the
// longest suffix that is the beginning of a form: less than the longest form
// has bytes, and usually nothing. Only more text or the end of the stream
// releases it, never time or a flush, as it may be half a secret.
//
// # What masking cannot do
//
// A service that means to can send a secret out in a form nobody looks for:
// reversed, encrypted, letter by letter. Base64 digits that mix bits of the
// secret with bits of unknown neighbours stay: up to four bits of its first
// and last byte. Base64 broken into lines is found where the secret begins in
// the first three bytes of what was encoded, not where an unknown length of
// other text decides at which of its bytes the line ends. Numbers and names of
// members in a secret that is JSON are searched for as part of the whole only.
//
// # How the search works
//
// A filter samples the text: every form begins with a window, the length of
// the shortest form, and of each window one gram is looked up in a bitmap.
// Only where it is known is the text compared with the forms. The filter has a
// budget of work per byte, kept across writes. A text that overdraws it, by
// near misses or by forms that repeat themselves, is read by an Aho–Corasick
// automaton for a while, whose time depends on nothing but the length; it is
// built when first needed. So the time is linear whatever comes.
package redact
