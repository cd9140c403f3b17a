package resource

// PublicKey is the public half of a key whose holder signs participant tokens.
// It never changes but for its tags.
type PublicKey struct {
	ARN         ARN    `json:"arn"`
	Name        string `json:"name"`
	Material    string `json:"publicKeyMaterial"` // PEM
	Fingerprint string `json:"fingerprint"`
	Tags        Tags   `json:"tags"`
}

// NewPublicKey makes a public key at p out of a PEM text. It is Invalid when
// [ParsePublicKey] refuses the text.
func NewPublicKey(p Place, name, material string, tags Tags) (PublicKey, error) {
	material, fingerprint, err := normalizeKey(material)
	if err != nil {
		return PublicKey{}, err
	}
	if tags == nil {
		tags = Tags{}
	}
	return PublicKey{
		ARN:         p.ARN(KindPublicKey, NewID()),
		Name:        name,
		Material:    material,
		Fingerprint: fingerprint,
		Tags:        tags,
	}, nil
}
