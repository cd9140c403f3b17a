package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"anabranch/internal/resource"

	"github.com/golang-jwt/jwt/v5"
)

// ParticipantClaims are what a participant token says: who may join which
// stage, and what they may do there.
type ParticipantClaims struct {
	ID         string // jti: the participant's id, of 1 to 64 letters, digits, "-" and "_"
	Stage      resource.ARN
	UserID     string            // of at most 128 characters
	Attributes map[string]string // of at most 1 KB together
	Publish    bool
	Subscribe  bool
	IssuedAt   time.Time // to the second
	ExpiresAt  time.Time // to the second, at most 14 days later
}

// MaxParticipantTokenLife is how long a participant token is good at most.
const MaxParticipantTokenLife = 14 * 24 * time.Hour

const (
	// maxParticipantToken bounds a token, in bytes: the longest attributes and
	// user id fit, with each character escaped as \u003c is.
	maxParticipantToken = 12 << 10
	maxParticipantID    = 64   // characters
	maxUserID           = 128  // characters
	maxAttributes       = 1024 // bytes, keys and values together
	// participantTokenVersion is the claim version. Its minor part has flags for
	// clients: none is set, so they use ICE as it is, without TURN.
	participantTokenVersion = "1.0"
)

// ParticipantTokens makes and reads the tokens that stages are joined with:
// JSON Web Tokens (RFC 7519), of two kinds. Those made here are signed with
// HS256 and a key of the server's own. Those that applications make are signed
// with ES384 and name, as kid, the public key that was imported for them.
type ParticipantTokens struct {
	key       []byte
	endpoints func() (eventsURL, whipURL string)
}

// NewParticipantTokens makes ParticipantTokens that derive their key from
// secret. Every token names the endpoints it is for, which must be those that
// endpoints tells.
func NewParticipantTokens(secret []byte, endpoints func() (eventsURL, whipURL string)) *ParticipantTokens {
	return &ParticipantTokens{key: mac(secret, "participant token"), endpoints: endpoints}
}

// Mint makes a token. It refuses claims that [ParticipantTokens.Verify] would not
// take.
func (t *ParticipantTokens) Mint(c ParticipantClaims) (string, error) {
	if err := c.check(); err != nil {
		return "", fmt.Errorf("mint participant token: %w", err)
	}
	events, whip := t.endpoints()
	said := jwt.MapClaims{
		"iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(), "jti": c.ID,
		"resource": c.Stage, "topic": c.Stage.ID(), "events_url": events, "whip_url": whip,
		"capabilities": map[string]bool{"allow_publish": c.Publish, "allow_subscribe": c.Subscribe},
		"version":      participantTokenVersion,
	}
	if c.UserID != "" {
		said["user_id"] = c.UserID
	}
	if len(c.Attributes) > 0 {
		said["attributes"] = c.Attributes
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, said).SignedString(t.key)
	if err != nil {
		return "", fmt.Errorf("mint participant token: %w", err)
	}
	return token, nil
}

// participantTokens reads tokens of both kinds; checkTimes is ours.
var participantTokens = jwt.NewParser(jwt.WithJSONNumber(), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding(),
	jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg(), jwt.SigningMethodES384.Alg()}))

// Verify returns what a token says that is signed as it must be, is for these
// endpoints, and is valid now. Whether its stage exists is not looked at. The key
// is asked for the PEM text of an imported public key, which is NotFound when
// there is none. The error is a *[TokenError], or another one when key failed.
// With that of a token that was good until it expired comes what it says.
func (t *ParticipantTokens) Verify(
	ctx context.Context, token string, key func(ctx context.Context, arn resource.ARN) (pem string, err error),
) (ParticipantClaims, error) {
	if len(token) > maxParticipantToken {
		return ParticipantClaims{}, malformed("token is longer than %d bytes", maxParticipantToken)
	}
	if strings.ContainsAny(token, "\r\n") { // which the decoder would skip
		return ParticipantClaims{}, malformed("token contains a line break")
	}
	said := jwt.MapClaims{}
	var refusal error
	_, err := participantTokens.ParseWithClaims(token, said, func(parsed *jwt.Token) (k any, err error) {
		if err := checkHeader(parsed.Header); err != nil {
			refusal = malformed("%v", err)
		} else if parsed.Method == jwt.SigningMethodHS256 {
			return t.key, nil
		} else {
			k, refusal = importedKey(ctx, parsed.Header["kid"], key)
		}
		return k, refusal
	})
	switch {
	case refusal != nil:
		return ParticipantClaims{}, refusal
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ParticipantClaims{}, &TokenError{TokenUnverified, "token is not signed with the key that it names"}
	case err != nil:
		return ParticipantClaims{}, malformed("token is not a JSON Web Token signed with ES384")
	}
	return t.claims(said, time.Now())
}

// importedKey finds the public key that the header of a token names.
func importedKey(
	ctx context.Context, kid any, key func(ctx context.Context, arn resource.ARN) (pem string, err error),
) (any, error) {
	name, _ := kid.(string)
	arn := resource.ARN(name)
	if len(name) > maxARN || arn.Kind() != resource.KindPublicKey || !resource.IsID(arn.ID()) {
		return nil, malformed("kid: not the ARN of a public key")
	}
	text, err := key(ctx, arn)
	var kind *resource.Error
	switch {
	case errors.As(err, &kind) && kind.Kind == resource.NotFound:
		return nil, &TokenError{TokenUnverified, "kid: the public key does not exist"}
	case err != nil:
		return nil, fmt.Errorf("read public key %s: %w", arn, err)
	}
	return resource.ParsePublicKey(text)
}

// maxARN bounds an ARN, in bytes.
const maxARN = 128

// claims checks what was said and makes claims of it.
func (t *ParticipantTokens) claims(said jwt.MapClaims, now time.Time) (c ParticipantClaims, err error) {
	r := claimReader{said: said}
	var topic, events, whip, version string
	r.read("jti", &c.ID)
	r.read("resource", &c.Stage)
	r.read("topic", &topic)
	r.read("events_url", &events)
	r.read("whip_url", &whip)
	r.read("version", &version)
	r.read("user_id", &c.UserID)
	c.Publish, c.Subscribe = r.capabilities()
	c.Attributes = r.attributes()
	c.IssuedAt, c.ExpiresAt = r.date("iat"), r.date("exp")
	notBefore := r.date("nbf")
	if r.err != nil {
		return ParticipantClaims{}, r.err
	}
	if err := c.check(); err != nil {
		return ParticipantClaims{}, err
	}
	wantEvents, wantWHIP := t.endpoints()
	switch {
	case topic != c.Stage.ID():
		return ParticipantClaims{}, malformed("topic: not the stage that resource names")
	case events != wantEvents:
		return ParticipantClaims{}, malformed("events_url: not the stage's, which is %s", wantEvents)
	case whip != wantWHIP:
		return ParticipantClaims{}, malformed("whip_url: not the stage's, which is %s", wantWHIP)
	case version != participantTokenVersion:
		return ParticipantClaims{}, malformed("version: not %q", participantTokenVersion)
	case c.IssuedAt.After(now.Add(skew)), notBefore.After(now.Add(skew)):
		return ParticipantClaims{}, &TokenError{TokenEarly, "token is not valid yet"}
	case !now.Before(c.ExpiresAt):
		return c, &TokenError{TokenExpired, "token has expired"}
	}
	return c, nil
}

// check holds the claims against their rules.
func (c *ParticipantClaims) check() error {
	size := 0
	for name, value := range c.Attributes {
		size += len(name) + len(value)
		if strings.ContainsRune(name+value, 0) {
			return malformed("attributes: with NUL")
		}
	}
	life := c.ExpiresAt.Sub(c.IssuedAt)
	switch {
	case len(c.ID) > maxParticipantID, c.ID == "", !isParticipantID(c.ID):
		return malformed("jti: not of 1 to %d letters, digits, \"-\" and \"_\"", maxParticipantID)
	case len(c.Stage) > maxARN, c.Stage.Kind() != resource.KindStage, !resource.IsID(c.Stage.ID()):
		return malformed("resource: not the ARN of a stage")
	case utf8.RuneCountInString(c.UserID) > maxUserID, strings.ContainsRune(c.UserID, 0):
		return malformed("user_id: longer than %d characters, or with NUL", maxUserID)
	case size > maxAttributes:
		return malformed("attributes: more than %d bytes", maxAttributes)
	case c.IssuedAt.IsZero():
		return malformed("iat: missing")
	case c.ExpiresAt.IsZero():
		return malformed("exp: missing")
	case life <= 0, life > MaxParticipantTokenLife:
		return malformed("exp: not within 14 days after iat")
	}
	return nil
}

func isParticipantID(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c != '_' && !resource.IsID(string(c)) }) < 0
}

// capabilities reads an object whose members are true or false. What it does not
// name is not allowed.
func (r *claimReader) capabilities() (publish, subscribe bool) {
	all, ok := r.said["capabilities"].(map[string]any)
	if !ok && r.err == nil {
		r.err = malformed("capabilities: missing, or not an object")
	}
	inner := claimReader{said: all, err: r.err}
	inner.read("allow_publish", &publish)
	inner.read("allow_subscribe", &subscribe)
	r.err = inner.err
	return publish, subscribe
}

// attributes reads an object of strings.
func (r *claimReader) attributes() map[string]string {
	v := r.said["attributes"]
	if v == nil || r.err != nil {
		return nil
	}
	all, ok := v.(map[string]any)
	attributes := make(map[string]string, len(all))
	for name, value := range all {
		text, isText := value.(string)
		attributes[name], ok = text, ok && isText
	}
	if !ok {
		r.err = malformed("attributes: not an object of strings")
	}
	return attributes
}
