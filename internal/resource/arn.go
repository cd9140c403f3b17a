package resource

import (
	"crypto/rand"
	"strings"
)

// ARN names a resource:
//
//	arn:aws:ivs:<region>:<account>:<kind>/<id>
type ARN string

// The kinds of resource an ARN names.
const (
	KindChannel                   = "channel"
	KindStreamKey                 = "stream-key"
	KindRecordingConfiguration    = "recording-configuration"
	KindPlaybackKeyPair           = "playback-key"
	KindPlaybackRestrictionPolicy = "playback-restriction-policy"
	KindAdConfiguration           = "ad-configuration"
	KindStage                     = "stage"
	KindPublicKey                 = "public-key"
	KindIngestConfiguration       = "ingest-configuration"
	KindEncoderConfiguration      = "encoder-configuration"
	KindStorageConfiguration      = "storage-configuration"
)

// Place is where a server's resources live: what every ARN carries.
type Place struct {
	Region  string // such as "us-east-1"
	Account string // twelve digits
}

// ARN names the resource of a kind and id at p.
func (p Place) ARN(kind, id string) ARN {
	return ARN("arn:aws:ivs:" + p.Region + ":" + p.Account + ":" + kind + "/" + id)
}

// Kind is the part before the id, such as "channel"; empty when a is no ARN.
func (a ARN) Kind() string {
	kind, _, _ := strings.Cut(a.resource(), "/")
	return kind
}

// ID is the last part, such as "Kq7mZ2xWc9Lb"; empty when a is no ARN.
func (a ARN) ID() string {
	_, id, _ := strings.Cut(a.resource(), "/")
	return id
}

func (a ARN) region() string   { return a.part(3) }
func (a ARN) account() string  { return a.part(4) }
func (a ARN) resource() string { return a.part(5) }

// part is one of the six that colons part; the last may hold colons.
func (a ARN) part(i int) string {
	parts := strings.SplitN(string(a), ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[i]
}

const alphanumerics = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// RandomID returns n random letters and digits, from the system's
// cryptographic source.
func RandomID(n int) string {
	id := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(id) < n {
		rand.Read(buf) // never fails: it ends the program first
		for _, b := range buf {
			// 248 is the largest multiple of 62 in a byte: no letter is likelier.
			if b < 248 && len(id) < n {
				id = append(id, alphanumerics[b%62])
			}
		}
	}
	return string(id)
}

// IsID says whether s has the form of a resource's id: letters, digits and
// hyphens.
func IsID(s string) bool {
	return s != "" && strings.Trim(s, alphanumerics+"-") == ""
}

// NewID returns an identifier of twelve letters and digits, as IVS makes them.
func NewID() string { return RandomID(12) }

// NewStreamID returns "st-" and 23 letters and digits.
func NewStreamID() string { return "st-" + RandomID(23) }
