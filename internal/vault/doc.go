// Package vault seals secrets so that they are unreadable on disk.
//
// # What protects what
//
// Each sealed set of secrets gets a separate random data key (AES-256-GCM). The
// data key encrypts the values, and is itself encrypted, or
// wrapped, by a master key. The [Keyring] holds the master keys, in numbered
// versions: the newest wraps, all of them unwrap. Rotating the master key
// therefore rewrites 60 bytes per set ([Keyring.Rewrap]) and never touches a
// value.
//
// A [Sealed] is bound to its [Owner], a kind and a name such as execution/ID, and
// every value in it to its parameter, by the associated data of the encryption. An
// attacker with write access to the database can destroy secrets, but cannot move a row
// to another owner or kind of owners, swap two values or drop one: [Keyring.Open] then
// fails with [ErrTampered].
//
// # Keys
//
// The master key comes from a [KeySource]: a file that only its owner may read,
// made at the first start ([OpenFile]), an environment variable
// ([FromEnvironment]) or a command that prints it ([CommandSource]). A keyring
// that follows its source ([Keyring.Watch]) takes new versions over while it
// is in use. A header names version and fingerprint of the key that wrapped it.
// So the keyring distinguishes a lost or exchanged key ([ErrUnknownKey]) from a
// manipulated row. The keyring never destroys anything because a key is missing;
// putting the key back repairs everything.
//
// # Form
//
// A Sealed is, byte by byte:
//
//	magic      4  "qhs" and the version of this form, 2
//	version    4  of the master key, big endian
//	key id     8  fingerprint of the master key
//	count      2  number of values
//	wrapped   60  nonce 12, data key 32, tag 16; authenticates all above and the owner
//	and for every value, in the order of the names:
//	  length   2  of the name
//	  name
//	  length   4  of the ciphertext
//	  ciphertext  nonce 12, value, tag 16; authenticates owner, position and name
//
// The associated data holds the owner as its kind and its parts, each with
// its length (4 bytes) before it. Form 1, which is read and no longer written,
// had executions as its only owners, by their bare id. A program that does not
// know form 2 refuses the database by the version of its schema.
//
// Lengths and names of secrets can be read from it, values cannot.
//
// # Plain text
//
// A value in the clear is a [Plaintext], which no printer or encoder shows.
// A caller of Open calls [Secrets.Clear] once it has passed the values on.
package vault
