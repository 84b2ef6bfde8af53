// Package redact masks secrets in everything a service prints, returns or
// writes.
//
// # Forms
//
// [Forms] lists the byte sequences that are searched for on behalf of one
// secret:
//
//   - the value itself, with its line ends as LF and as CRLF, and in capital and
//     in small letters, as names of hosts, headers and variables are written;
//   - hexadecimal digits of either case;
//   - base64, standard and URL-safe, at each of the three alignments it can
//     have in a longer text (so "user:" may stand before it), with and without
//     padding;
//   - where it has quotes or spaces: these as shells, SQL, CSV and forms write
//     them;
//   - where it has letters beyond ASCII: both normal forms (NFC, NFD), Latin-1,
//     UTF-16 and UTF-32;
//   - where something in it looks like an escape: with that undone, for a view
//     undoes it too;
//   - the Python form as pydantic shortens it in its errors;
//   - pieces of 16 bytes of the tokens in it that have 40 bytes or more and look
//     random, for rich, loguru and SQLAlchemy cut long texts at other places.
//
// The same holds for the parts of a secret that programs use without the rest:
//
//   - the value without the white space around it, each line, and the value of a
//     line KEY=VALUE;
//   - each string and number of JSON;
//   - the password of a URL, of a DSN and of user:password, as written and decoded;
//   - a PEM block with its line ends given as \n, joined and decoded.
//
// A part shorter than [MinPart] is not searched for: ports and regions stand in
// most logs for other reasons.
//
// A secret for which [Secret.Word] is set is masked only where it stands as a
// word on its own.
//
// # Views
//
// A list of encodings loses to every library with another list of safe
// characters. So the forms are also searched for in decoded views of the stream:
//
//   - one without percent escapes, one without backslash escapes of JSON, Python,
//     Go, JavaScript and shells, one without entities of HTML and XML, one without
//     quoted-printable escapes and soft line breaks;
//   - base64 digits of both alphabets at each of four alignments, hexadecimal
//     digits at each of two, and pairs of these with separators between them;
//   - UTF-16 and UTF-32 without their NULs, and text without the sequences that color it;
//   - lines joined that a printer has broken: frames, indentation, quotes and
//     marks of lines that go on are left out, also between runs of at least 16
//     digits. Between those, quotes, commas and spaces in one line are too.
//
// Each view has views itself, three deep; joined lines do not count. They are a
// cascade: each reads its parent once, in order, and what it holds depends on the
// stream up to there alone. A place that more text decides is waited for. A view
// maps its bytes to those of its parent, and an occurrence masks all of the
// stream that it is decoded from.
//
// A view sleeps, and is like its parent, until an escape stands for something
// that matters: a byte of a form between bytes that stand beside it in a form, the
// beginning of another escape, or a digit among digits. It begins to decode as far
// before the escape as a form may reach, and rests as far behind the last one. An
// escape that stands for a byte that is in no form and no escape ends it at once.
//
// # Masks
//
// All bytes covered by any occurrence of any form in any view: their union.
// After "abcdef" is found in "abcdefghi", a second secret "defghi" is masked
// too, where a replacement of the leftmost or longest match would leave "ghi"
// standing. Each maximal run of covered bytes becomes one [Mask], also where two
// occurrences only touch. All other bytes pass unchanged. The text of a mask is
// not searched again.
//
// # Held text
//
// A [Writer] holds the longest suffix of the stream, or of a view, that is the
// beginning of a form, and an escape that is not complete. It passes all other
// text on at once. The held text is shorter than the longest form is in the view,
// and usually empty: a progress dot, a prompt or a part of a line shows at once.
//
// A line is held for the next one only if something of it may go on there: at least
// four bytes of the beginning of a form, digits that stand for text, an escape that
// is open, or one that mattered shortly before. A line that begins with an escape is
// held until it ends where the last one may end in the beginning of a form. A line
// that ends with a mark of a secret itself, as base64 does with =, shows at once. At
// most 256 KiB are held. Only more text or the end of the stream releases them, never
// time or a flush, as they may be half a secret.
//
// Text that went out before it could be recognised as part of a secret stays:
//
//   - fewer than four bytes at the end of a line that a printer has broken;
//   - the percent sign behind a number with which a secret begins;
//   - up to five bytes with which a run of digits begins that is encoded twice;
//   - the first two pairs of hexadecimal digits with separators between them, and the
//     first two characters of UTF-16 that is written as digits.
//
// # What masking cannot do
//
// A service that means to can send a secret out in a form that no masker knows:
// reversed, encrypted, letter by letter, base32, base85, UTF-7, or as decimal numbers.
// Hexadecimal digits in groups of two bytes or more with separators, as xxd writes them,
// and the lines of a hex dump with their texts are not decoded. The pieces of a secret
// of fewer than 40 bytes that a printer has shortened stay, as do the pieces in a
// column of a table that has another column to its right.
// Base64 digits that mix bits of the secret with bits of unknown neighbours stay
// in the plain search: up to four bits of its first and last byte. Separators
// between digits that are themselves broken or encoded, and those between runs of
// fewer than 16 digits, are not skipped: of 4,000 random compositions of encoders
// and printers about 20 show a secret. Nor are these decoded: characters by their
// names, as \N{BULLET}, the escapes of CSS, LDAP, PowerShell and Windows batch files,
// digits behind comment marks, and HTML tags within a value. Where lines are broken and then encoded
// again, writes that cut them at unlucky places may leave some bytes more: that
// is so in about 3 of 10,000 of those compositions.
//
// # Work
//
// The bytes that are decoded, and the escapes that are judged, are counted. A
// stream that needs more than it has earned is withheld at the next of the places
// that are 4 KiB apart: the held text becomes [Withheld], and so does the text behind
// it, until enough is earned. So the time is linear on any text.
//
// # How the search works
//
// A gate looks at 64 bytes at a time by vector instructions where the processor has
// them: it finds introducers of escapes, line ends, runs of bytes of forms and
// digits, and pairs of digits. It drops line ends that no form crosses. A piece in
// which it finds nothing is not copied, and where all forms are runs of printable
// characters, the filter reads such runs only.
//
// The filter samples the text: every form begins with a window, the length of
// the shortest form, and of each window one gram is looked up in a bitmap.
// Only where it is known is the text compared with the forms. The filter has a
// budget of work per byte, kept across writes. A text that overdraws it, by
// near misses or by forms that repeat themselves, is read by an Aho–Corasick
// automaton for a while, whose time depends on nothing but the length; it is
// built when first needed.
package redact
