package vault

// SealForm1 seals as the first form did.
func (k *Keyring) SealForm1(owner Owner, secrets Secrets) (Sealed, error) {
	return k.seal(form1, owner, secrets)
}
