package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// signer makes playback tokens.
type signer struct{ *ecdsa.PrivateKey }

func newSigner(t testing.TB, curve elliptic.Curve) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

// sign makes a token of a header and claims, as they are.
func (s signer) sign(t testing.TB, header, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sig, err := jwt.SigningMethodES384.Sign(text, s.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const es384 = `{"alg":"ES384","typ":"JWT"}`

// tokenNow is when the tokens of the tests are shown.
var tokenNow = time.Unix(1_800_000_000, 0)

// claimCases are the claims beside aws:channel-arn and exp, which is in ten
// minutes, and the text of the refusal, or "" for none.
var claimCases = []struct {
	claims string
	fault  TokenFault
	says   string
	want   PlaybackClaims // but for channel and expiry
}{
	{``, 0, "", PlaybackClaims{}},
	{`"aws:unknown":{"a":[1]},"sub":"x"`, 0, "", PlaybackClaims{}},
	{`"aws:viewer-id":null,"aws:single-use-uuid":null,"nbf":null`, 0, "", PlaybackClaims{}},
	{`"aws:channel-arn":"arn:other"`, 0, "", PlaybackClaims{ChannelARN: "arn:other"}},
	{`"aws:channel-arn":""`, TokenMalformed, "aws:channel-arn: missing", PlaybackClaims{}},
	{`"aws:channel-arn":null`, TokenMalformed, "aws:channel-arn: missing", PlaybackClaims{}},
	{`"aws:channel-arn":7`, TokenMalformed, "aws:channel-arn: not a string", PlaybackClaims{}},
	{`"aws:channel-arn":["arn"]`, TokenMalformed, "aws:channel-arn: not a string", PlaybackClaims{}},
	{`"AWS:Channel-ARN":"arn:other"`, 0, "", PlaybackClaims{}},

	{`"aws:access-control-allow-origin":"https://a.example"`, 0, "", PlaybackClaims{Origins: []string{"https://a.example"}}},
	{`"aws:access-control-allow-origin":" https://a.example , https://*.b.example:8443"`, 0, "", PlaybackClaims{Origins: []string{"https://a.example", "https://*.b.example:8443"}}},
	{`"aws:access-control-allow-origin":""`, 0, "", PlaybackClaims{}},
	{`"aws:access-control-allow-origin":"https://a.example/"`, TokenMalformed, "aws:access-control-allow-origin", PlaybackClaims{}},
	{`"aws:access-control-allow-origin":"a.example"`, TokenMalformed, "aws:access-control-allow-origin", PlaybackClaims{}},
	{`"aws:access-control-allow-origin":"https://a.example,"`, TokenMalformed, "aws:access-control-allow-origin", PlaybackClaims{}},
	{`"aws:access-control-allow-origin":["https://a.example"]`, TokenMalformed, "aws:access-control-allow-origin: not a string", PlaybackClaims{}},
	{`"aws:strict-origin-enforcement":true`, 0, "", PlaybackClaims{Strict: true}},
	{`"aws:strict-origin-enforcement":"true"`, TokenMalformed, "aws:strict-origin-enforcement: not a boolean", PlaybackClaims{}},
	{`"aws:strict-origin-enforcement":1`, TokenMalformed, "aws:strict-origin-enforcement: not a boolean", PlaybackClaims{}},
	{`"aws:strict-origin-enforcement":true,"aws:access-control-allow-origin":"http://a,http://b,http://c,http://d,http://e"`, 0, "",
		PlaybackClaims{Strict: true, Origins: []string{"http://a", "http://b", "http://c", "http://d", "http://e"}}},
	{`"aws:strict-origin-enforcement":true,"aws:access-control-allow-origin":"http://a,http://b,http://c,http://d,http://e,http://f"`,
		TokenMalformed, "more than 5 origins", PlaybackClaims{}},
	{`"aws:access-control-allow-origin":"http://a,http://b,http://c,http://d,http://e,http://f"`, 0, "",
		PlaybackClaims{Origins: []string{"http://a", "http://b", "http://c", "http://d", "http://e", "http://f"}}},

	{`"aws:single-use-uuid":"0E5B7A5C-9D1F-4C7B-8B9E-0F1A2B3C4D5E"`, 0, "", PlaybackClaims{SingleUse: "0e5b7a5c-9d1f-4c7b-8b9e-0f1a2b3c4d5e"}},
	{`"aws:single-use-uuid":"0e5b7a5c9d1f4c7b8b9e0f1a2b3c4d5e"`, TokenMalformed, "aws:single-use-uuid: not a UUID", PlaybackClaims{}},
	{`"aws:single-use-uuid":"{0e5b7a5c-9d1f-4c7b-8b9e-0f1a2b3c4d5e}"`, TokenMalformed, "aws:single-use-uuid: not a UUID", PlaybackClaims{}},
	{`"aws:single-use-uuid":""`, TokenMalformed, "aws:single-use-uuid: not a UUID", PlaybackClaims{}},
	{`"aws:single-use-uuid":1`, TokenMalformed, "aws:single-use-uuid: not a string", PlaybackClaims{}},
	{`"aws:single-use-uuid":"0e5b7a5c-9d1f-4c7b-8b9e-0f1a2b3c4d5e","exp":1800000631`, TokenMalformed, "exp: more than 10 minutes", PlaybackClaims{}},

	{`"aws:viewer-id":"alice","aws:viewer-session-version":9223372036854775807`, 0, "", PlaybackClaims{ViewerID: "alice", Version: 1<<63 - 1}},
	{`"aws:viewer-id":"` + strings.Repeat("é", 40) + `"`, 0, "", PlaybackClaims{ViewerID: strings.Repeat("é", 40)}},
	{`"aws:viewer-id":"` + strings.Repeat("é", 41) + `"`, TokenMalformed, "aws:viewer-id: not of 1 to 40", PlaybackClaims{}},
	{`"aws:viewer-id":""`, TokenMalformed, "aws:viewer-id: not of 1 to 40", PlaybackClaims{}},
	{`"aws:viewer-id":"a\u0000"`, TokenMalformed, "aws:viewer-id: not of 1 to 40", PlaybackClaims{}},
	{`"aws:viewer-id":1`, TokenMalformed, "aws:viewer-id: not a string", PlaybackClaims{}},
	{`"aws:viewer-id":"alice","exp":1800000631`, TokenMalformed, "exp: more than 10 minutes", PlaybackClaims{}},
	{`"aws:viewer-id":"alice","exp":1800000631,"iat":1800000025`, 0, "", PlaybackClaims{ViewerID: "alice"}},
	{`"aws:viewer-id":"alice","exp":1800000300,"iat":1799999000`, TokenMalformed, "exp: more than 10 minutes", PlaybackClaims{}},
	{`"exp":1900000000`, 0, "", PlaybackClaims{}},
	{`"aws:viewer-session-version":-1`, TokenMalformed, "aws:viewer-session-version", PlaybackClaims{}},
	{`"aws:viewer-session-version":9223372036854775808`, TokenMalformed, "aws:viewer-session-version", PlaybackClaims{}},
	{`"aws:viewer-session-version":1.0`, TokenMalformed, "aws:viewer-session-version", PlaybackClaims{}},
	{`"aws:viewer-session-version":1e3`, TokenMalformed, "aws:viewer-session-version", PlaybackClaims{}},
	{`"aws:viewer-session-version":"1"`, TokenMalformed, "aws:viewer-session-version: not a number", PlaybackClaims{}},

	{`"aws:maximum-resolution":"SD"`, 0, "", PlaybackClaims{MaximumResolution: "SD"}},
	{`"aws:maximum-resolution":"FULL_HD"`, 0, "", PlaybackClaims{MaximumResolution: "FULL_HD"}},
	{`"aws:maximum-resolution":"sd"`, TokenMalformed, "aws:maximum-resolution: not SD", PlaybackClaims{}},
	{`"aws:maximum-resolution":480`, TokenMalformed, "aws:maximum-resolution: not a string", PlaybackClaims{}},

	{`"exp":null`, TokenMalformed, "exp: missing", PlaybackClaims{}},
	{`"exp":"1800000600"`, TokenMalformed, "exp: not a number", PlaybackClaims{}},
	{`"exp":1800000600000`, TokenMalformed, "exp: not a time in seconds", PlaybackClaims{}},
	{`"exp":-1`, TokenMalformed, "exp: not a time in seconds", PlaybackClaims{}},
	{`"exp":1e400`, TokenMalformed, "exp: not a time in seconds", PlaybackClaims{}},
	{`"exp":1800000000`, TokenExpired, "expired", PlaybackClaims{}},
	{`"exp":1800000000.5`, 0, "", PlaybackClaims{}},
	{`"exp":1799999999`, TokenExpired, "expired", PlaybackClaims{}},
	{`"nbf":1800000030`, 0, "", PlaybackClaims{}},
	{`"nbf":1800000031`, TokenEarly, "not valid yet", PlaybackClaims{}},
	{`"iat":1800000031`, TokenEarly, "not valid yet", PlaybackClaims{}},
	{`"nbf":"soon"`, TokenMalformed, "nbf: not a number", PlaybackClaims{}},
	{`"iat":true`, TokenMalformed, "iat: not a number", PlaybackClaims{}},
}

// withClaims puts claims behind those that every token has; the last of a name
// counts.
func withClaims(claims string) string {
	if claims != "" {
		claims = "," + claims
	}
	return fmt.Sprintf(`{"aws:channel-arn":"arn:mine","exp":%d%s}`, tokenNow.Add(10*time.Minute).Unix(), claims)
}

func TestPlaybackClaims(t *testing.T) {
	key := newSigner(t, elliptic.P384())
	other := newSigner(t, elliptic.P384())
	keys := []*ecdsa.PublicKey{&other.PublicKey, &key.PublicKey}
	for _, tt := range claimCases {
		got, err := VerifyPlaybackToken(key.sign(t, es384, withClaims(tt.claims)), keys, tokenNow)
		if tt.says != "" {
			checkFault(t, tt.claims, err, tt.fault, tt.says)
			continue
		}
		if tt.want.ChannelARN == "" {
			tt.want.ChannelARN = "arn:mine"
		}
		tt.want.Expires = got.Expires
		if err != nil || !reflect.DeepEqual(got, tt.want) || !got.Expires.After(tokenNow) {
			t.Errorf("%s: %+v %v, want %+v", tt.claims, got, err, tt.want)
		}
	}
}

func checkFault(t *testing.T, name string, err error, fault TokenFault, says string) {
	t.Helper()
	var refused *TokenError
	if !errors.As(err, &refused) || refused.Fault != fault || !strings.Contains(refused.Reason, says) {
		t.Errorf("%s: %v, want fault %d with %q", name, err, fault, says)
	}
}

// A token is refused that is not signed, with the one algorithm, by a key that
// is known.
func TestPlaybackTokenSignature(t *testing.T) {
	key, other, small := newSigner(t, elliptic.P384()), newSigner(t, elliptic.P384()), newSigner(t, elliptic.P256())
	keys := []*ecdsa.PublicKey{&key.PublicKey}
	good := key.sign(t, es384, withClaims(""))
	parts := strings.Split(good, ".")
	hmac := func() string {
		der, _ := key.PublicKey.Bytes()
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS384, jwt.MapClaims{"aws:channel-arn": "arn:mine"}).SignedString(der)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}()
	es256, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"aws:channel-arn": "arn:mine"}).SignedString(small.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name, token string
		keys        []*ecdsa.PublicKey
		fault       TokenFault
		says        string
	}{
		{"empty", "", keys, TokenMalformed, "token contains an invalid number of segments"},
		{"one segment", "abc", keys, TokenMalformed, "token contains an invalid number of segments"},
		{"four segments", good + ".x", keys, TokenMalformed, "token contains an invalid number of segments"},
		{"too long", good + strings.Repeat("A", 2048), keys, TokenMalformed, "longer than 2048"},
		{"line break", good[:20] + "\n" + good[20:], keys, TokenMalformed, "line break"},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], keys, TokenMalformed, "header"},
		{"header not JSON", encode("x") + "." + parts[1] + "." + parts[2], keys, TokenMalformed, "header"},
		{"header null", encode("null") + "." + parts[1] + "." + parts[2], keys, TokenMalformed, "alg"},
		{"claims not JSON", parts[0] + "." + encode("[1]") + "." + parts[2], keys, TokenMalformed, "claim"},
		{"no signature", parts[0] + "." + parts[1] + ".", keys, TokenUnverified, "not signed with a key pair"},
		{"alg none", encode(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".", keys, TokenMalformed, "not with ES384"},
		{"alg missing", encode(`{"typ":"JWT"}`) + "." + parts[1] + "." + parts[2], keys, TokenMalformed, "alg"},
		{"alg not a string", encode(`{"alg":["ES384"]}`) + "." + parts[1] + "." + parts[2], keys, TokenMalformed, "alg"},
		{"alg in lower case", encode(`{"alg":"es384"}`) + "." + parts[1] + "." + parts[2], keys, TokenMalformed, "alg"},
		{"HMAC with the public key", hmac, keys, TokenMalformed, "HS384, not with ES384"},
		{"ES256", es256, keys, TokenMalformed, "ES256, not with ES384"},
		{"another type", key.sign(t, `{"alg":"ES384","typ":"dpop+jwt"}`, withClaims("")), keys, TokenMalformed, "typ"},
		{"extension", key.sign(t, `{"alg":"ES384","crit":["b64"],"b64":false}`, withClaims("")), keys, TokenMalformed, "crit"},
		{"key unknown", other.sign(t, es384, withClaims("")), keys, TokenUnverified, "not signed with a key pair"},
		{"no keys at all", good, nil, TokenUnverified, "not signed with a key pair"},
		{"claims changed", parts[0] + "." + encode(withClaims(`"x":1`)) + "." + parts[2], keys, TokenUnverified, "not signed with a key pair"},
		{"header changed", encode(`{"alg":"ES384"}`) + "." + parts[1] + "." + parts[2], keys, TokenUnverified, "not signed with a key pair"},
		{"half a signature", parts[0] + "." + parts[1] + "." + parts[2][:64], keys, TokenUnverified, "not signed with a key pair"},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + strings.Repeat("A", 128), keys, TokenUnverified, "not signed with a key pair"},
		{"expired and unverified", other.sign(t, es384, withClaims(`"exp":1`)), keys, TokenUnverified, "not signed with a key pair"},
	} {
		_, err := VerifyPlaybackToken(tt.token, tt.keys, tokenNow)
		checkFault(t, tt.name, err, tt.fault, tt.says)
	}
	for _, header := range []string{es384, `{"alg":"ES384"}`, `{"alg":"ES384","typ":"jwt","kid":"x"}`} {
		if _, err := VerifyPlaybackToken(key.sign(t, header, withClaims("")), keys, tokenNow); err != nil {
			t.Errorf("%s: %v", header, err)
		}
	}
}

// Whatever is signed, what is accepted keeps to the bounds of claims; whatever
// is not signed is refused.
func FuzzPlaybackToken(f *testing.F) {
	key := newSigner(f, elliptic.P384())
	keys := []*ecdsa.PublicKey{&key.PublicKey}
	for _, tt := range claimCases {
		f.Add(es384, withClaims(tt.claims))
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		token := key.sign(t, header, claims)
		c, err := VerifyPlaybackToken(token, keys, tokenNow)
		var refused *TokenError
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("error without a fault: %v", err)
		}
		if err == nil {
			if c.ChannelARN == "" || !c.Expires.After(tokenNow) || c.Version < 0 || len([]rune(c.ViewerID)) > 40 ||
				c.Strict && len(c.Origins) > 5 || len(token) > 2048 || !json.Valid([]byte(header)) {
				t.Fatalf("accepted %+v of %s %s", c, header, claims)
			}
			if _, err := VerifyPlaybackToken(token, nil, tokenNow); err == nil {
				t.Fatal("accepted without a key")
			}
		}
		if _, err := VerifyPlaybackToken(header+"."+claims, keys, tokenNow); err == nil {
			t.Fatalf("accepted %q", header+"."+claims)
		}
	})
}
