package auth

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"anabranch/internal/resource"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// PlaybackClaims are what a playback token says: a JSON Web Token (RFC 7519)
// that the owner of a private channel signs with ES384, for one viewer.
type PlaybackClaims struct {
	ChannelARN resource.ARN // aws:channel-arn
	// Origins are aws:access-control-allow-origin, a list with commas, each as
	// [resource.MatchOrigin] wants it; none means any.
	Origins []string
	// Strict is aws:strict-origin-enforcement: playlists and media are checked
	// for their origin too. It bounds Origins to five.
	Strict bool
	// SingleUse is aws:single-use-uuid, in lower case: a token with it begins
	// one session. Empty without.
	SingleUse string
	// ViewerID and Version are aws:viewer-id, of at most 40 characters, and
	// aws:viewer-session-version, from 0 on. By them sessions are revoked.
	ViewerID string
	Version  int64
	// MaximumResolution is aws:maximum-resolution: SD, HD or FULL_HD, empty for
	// any.
	MaximumResolution string
	Expires           time.Time // exp
}

// TokenError says why a token is refused. Its text is for whoever holds
// the token.
type TokenError struct {
	Fault  TokenFault
	Reason string
}

func (e *TokenError) Error() string { return e.Reason }

// TokenFault is a sort of [TokenError].
type TokenFault int

// The faults of a token.
const (
	TokenMalformed  TokenFault = iota // not a token, or one that says what none may say
	TokenUnverified                   // signed with none of the keys
	TokenEarly                        // not valid yet
	TokenExpired
)

const (
	// maxToken bounds a token, in bytes.
	maxToken = 2048
	// maxViewerID bounds a viewer's name, in characters.
	maxViewerID = 40
	// maxStrictOrigins bounds the origins of a token that is strict about them.
	maxStrictOrigins = 5
	// maxShortLife is how long a token may live that is for one use or names
	// its viewer.
	maxShortLife = 10 * time.Minute
	// skew is how far ahead of ours the clock of who makes tokens may be.
	skew = 30 * time.Second
)

// tokens reads tokens of the one algorithm.
var tokens = jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodES384.Alg()}), jwt.WithJSONNumber(), jwt.WithoutClaimsValidation())

// VerifyPlaybackToken returns what a token says that was signed with one of
// keys and is valid now. Claims that it does not know are ignored. The error is
// a *[TokenError].
func VerifyPlaybackToken(token string, keys []*ecdsa.PublicKey, now time.Time) (PlaybackClaims, error) {
	if len(token) > maxToken {
		return PlaybackClaims{}, malformed("token is longer than %d bytes", maxToken)
	}
	if strings.ContainsAny(token, "\r\n") { // which the decoder would skip
		return PlaybackClaims{}, malformed("token contains a line break")
	}
	all := jwt.VerificationKeySet{Keys: make([]jwt.VerificationKey, len(keys))}
	for i, key := range keys {
		all.Keys[i] = key
	}
	said := jwt.MapClaims{}
	parsed, err := tokens.ParseWithClaims(token, said, func(t *jwt.Token) (any, error) { return all, checkHeader(t.Header) })
	switch {
	case parsed != nil && parsed.Valid:
	case parsed == nil:
		return PlaybackClaims{}, malformed("token contains an invalid number of segments")
	case parsed.Method != nil && parsed.Method != jwt.SigningMethodES384:
		return PlaybackClaims{}, malformed("token is signed with %s, not with ES384", parsed.Method.Alg())
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), len(keys) == 0 && checkHeader(parsed.Header) == nil && parsed.Signature != nil:
		return PlaybackClaims{}, &TokenError{TokenUnverified, "token is not signed with a key pair that is known here"}
	default:
		return PlaybackClaims{}, malformed("%v", err)
	}
	return playbackClaims(said, now)
}

// checkHeader refuses a token of another type, and one that is not to be
// understood without what its header names (RFC 7515 §4.1.9 and §4.1.11).
func checkHeader(header map[string]any) error {
	if _, ok := header["crit"]; ok {
		return errors.New("crit: no extension is known")
	}
	if typ, ok := header["typ"]; ok {
		if name, _ := typ.(string); !strings.EqualFold(name, "JWT") {
			return errors.New("typ: not JWT")
		}
	}
	return nil
}

// playbackClaims checks what was said and makes claims of it.
func playbackClaims(said jwt.MapClaims, now time.Time) (c PlaybackClaims, err error) {
	r := claimReader{said: said}
	var origins string
	var version json.Number
	r.read("aws:channel-arn", &c.ChannelARN)
	r.read("aws:access-control-allow-origin", &origins)
	r.read("aws:strict-origin-enforcement", &c.Strict)
	r.read("aws:single-use-uuid", &c.SingleUse)
	r.read("aws:viewer-id", &c.ViewerID)
	r.read("aws:viewer-session-version", &version)
	r.read("aws:maximum-resolution", &c.MaximumResolution)
	expires, issued, notBefore := r.date("exp"), r.date("iat"), r.date("nbf")
	if r.err != nil {
		return c, r.err
	}
	if c.Origins, err = splitOrigins(origins); err != nil {
		return c, err
	}
	if version != "" {
		if c.Version, err = strconv.ParseInt(version.String(), 10, 64); err != nil || c.Version < 0 {
			return c, malformed("aws:viewer-session-version: not an integer from 0 on")
		}
	}
	if said["aws:single-use-uuid"] != nil {
		id, err := uuid.Parse(c.SingleUse)
		if err != nil || len(c.SingleUse) != len(uuid.UUID{}.String()) {
			return c, malformed("aws:single-use-uuid: not a UUID")
		}
		c.SingleUse = id.String()
	}
	switch c.MaximumResolution {
	case "", "SD", "HD", "FULL_HD":
	default:
		return c, malformed("aws:maximum-resolution: not SD, HD or FULL_HD")
	}
	switch viewer := utf8.RuneCountInString(c.ViewerID); {
	case c.ChannelARN == "":
		return c, malformed("aws:channel-arn: missing")
	case c.Strict && len(c.Origins) > maxStrictOrigins:
		return c, malformed("aws:access-control-allow-origin: more than %d origins under strict enforcement", maxStrictOrigins)
	case viewer > maxViewerID, viewer == 0 && said["aws:viewer-id"] != nil, strings.ContainsRune(c.ViewerID, 0): // which cannot be revoked
		return c, malformed("aws:viewer-id: not of 1 to %d characters, or with NUL", maxViewerID)
	case expires.IsZero():
		return c, malformed("exp: missing")
	}
	c.Expires = expires
	return c, checkTimes(&c, issued, notBefore, now)
}

func checkTimes(c *PlaybackClaims, issued, notBefore, now time.Time) error {
	from := now
	if !issued.IsZero() {
		from = issued
	}
	switch {
	case !now.Before(c.Expires):
		return &TokenError{TokenExpired, "token has expired"}
	case notBefore.After(now.Add(skew)), issued.After(now.Add(skew)):
		return &TokenError{TokenEarly, "token is not valid yet"}
	case c.SingleUse != "" && c.Expires.Sub(from) > maxShortLife+skew:
		return malformed("exp: more than 10 minutes ahead, with aws:single-use-uuid")
	case c.ViewerID != "" && c.Expires.Sub(from) > maxShortLife+skew:
		return malformed("exp: more than 10 minutes ahead, with aws:viewer-id")
	}
	return nil
}

// splitOrigins reads a list of origins.
func splitOrigins(list string) (origins []string, err error) {
	if list == "" {
		return nil, nil
	}
	for o := range strings.SplitSeq(list, ",") {
		o = strings.TrimSpace(o)
		if err := resource.CheckOrigin(o); err != nil {
			return nil, malformed("aws:access-control-allow-origin: %v", err)
		}
		origins = append(origins, o)
	}
	return origins, nil
}

// claimReader reads claims by name and type, and remembers the first error.
// Null is as good as nothing.
type claimReader struct {
	said jwt.MapClaims
	err  error
}

func (r *claimReader) read(name string, into any) {
	v := r.said[name]
	if v == nil || r.err != nil {
		return
	}
	ok, want := false, ""
	switch into := into.(type) {
	case *string:
		*into, ok = v.(string)
		want = "string"
	case *resource.ARN:
		var arn string
		arn, ok = v.(string)
		*into, want = resource.ARN(arn), "string"
	case *bool:
		*into, ok = v.(bool)
		want = "boolean"
	case *json.Number:
		*into, ok = v.(json.Number)
		want = "number"
	}
	if !ok {
		r.err = malformed("%s: not a %s", name, want)
	}
}

// date reads a NumericDate (RFC 7519 §2), of before the year 10000.
func (r *claimReader) date(name string) time.Time {
	var n json.Number
	r.read(name, &n)
	if n == "" || r.err != nil {
		return time.Time{}
	}
	seconds, err := n.Float64()
	if err != nil || !(seconds > 0 && seconds < 253402300800) {
		r.err = malformed("%s: not a time in seconds", name)
		return time.Time{}
	}
	return time.UnixMilli(int64(seconds * 1000))
}

func malformed(format string, args ...any) error {
	return &TokenError{TokenMalformed, fmt.Sprintf(format, args...)}
}
