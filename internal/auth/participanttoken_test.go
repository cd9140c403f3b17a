package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"

	"github.com/golang-jwt/jwt/v5"
)

const (
	hallARN    = resource.ARN("arn:aws:ivs:us-east-1:123456789012:stage/hall")
	keyARN     = resource.ARN("arn:aws:ivs:us-east-1:123456789012:public-key/mine")
	eventsURL  = "wss://live.example/events"
	whipURL    = "https://live.example/whip"
	es384kid   = `{"alg":"ES384","typ":"JWT","kid":"` + string(keyARN) + `"}`
	participID = "guestA1b2C3d"
)

func newParticipantTokens(secret string) *ParticipantTokens {
	return NewParticipantTokens([]byte(secret), func() (string, string) { return eventsURL, whipURL })
}

// imported has one public key under keyARN.
func imported(t testing.TB, key *ecdsa.PublicKey) func(context.Context, resource.ARN) (string, error) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return func(_ context.Context, arn resource.ARN) (string, error) {
		if arn != keyARN {
			return "", resource.NotFoundError(arn)
		}
		return text, nil
	}
}

// said are good claims, changed by others; a nil one is left out.
func said(now time.Time, change map[string]any) string {
	claims := map[string]any{
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": participID, "resource": hallARN, "topic": "hall",
		"events_url": eventsURL, "whip_url": whipURL, "version": "1.0",
		"capabilities": map[string]any{"allow_publish": true, "allow_subscribe": true},
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return string(text)
}

type claims = map[string]any

// participantCases are changes of good claims, and the text of the refusal, or ""
// for none.
var participantCases = []struct {
	change claims
	fault  TokenFault
	says   string
}{
	{nil, 0, ""},
	{claims{"user_id": "ana", "attributes": claims{"role": "host"}, "more": []int{1}}, 0, ""},
	{claims{"user_id": "", "attributes": claims{}}, 0, ""},
	{claims{"user_id": strings.Repeat("ä", 128)}, 0, ""},
	{claims{"user_id": strings.Repeat("ä", 129)}, TokenMalformed, "user_id: longer"},
	{claims{"user_id": "a\x00"}, TokenMalformed, "user_id: longer than 128 characters, or with NUL"},
	{claims{"user_id": 7}, TokenMalformed, "user_id: not a string"},
	{claims{"attributes": claims{"a": strings.Repeat("x", 1023)}}, 0, ""},
	{claims{"attributes": claims{"a": strings.Repeat("x", 1000), "b": strings.Repeat("x", 23)}}, TokenMalformed, "attributes: more than 1024 bytes"},
	{claims{"attributes": claims{"a": 1}}, TokenMalformed, "attributes: not an object of strings"},
	{claims{"attributes": claims{"a": nil}}, TokenMalformed, "attributes: not an object of strings"},
	{claims{"attributes": []string{"a"}}, TokenMalformed, "attributes: not an object of strings"},
	{claims{"attributes": claims{"a": "\x00"}}, TokenMalformed, "attributes: with NUL"},
	{claims{"capabilities": claims{}}, 0, ""},
	{claims{"capabilities": nil}, TokenMalformed, "capabilities: missing"},
	{claims{"capabilities": []string{"PUBLISH"}}, TokenMalformed, "capabilities: missing, or not an object"},
	{claims{"capabilities": claims{"allow_publish": "true"}}, TokenMalformed, "allow_publish: not a boolean"},
	{claims{"capabilities": claims{"allow_subscribe": 1}}, TokenMalformed, "allow_subscribe: not a boolean"},
	{claims{"jti": strings.Repeat("a", 64)}, 0, ""},
	{claims{"jti": "a-_Z9"}, 0, ""},
	{claims{"jti": strings.Repeat("a", 65)}, TokenMalformed, "jti"},
	{claims{"jti": ""}, TokenMalformed, "jti"},
	{claims{"jti": nil}, TokenMalformed, "jti"},
	{claims{"jti": 12}, TokenMalformed, "jti: not a string"},
	{claims{"jti": "a/b"}, TokenMalformed, "jti"},
	{claims{"jti": "ä"}, TokenMalformed, "jti"},
	{claims{"resource": nil}, TokenMalformed, "resource"},
	{claims{"resource": "hall"}, TokenMalformed, "resource"},
	{claims{"resource": strings.Replace(string(hallARN), "stage", "channel", 1)}, TokenMalformed, "resource: not the ARN of a stage"},
	{claims{"resource": hallARN + "x"}, TokenMalformed, "topic: not the stage that resource names"},
	{claims{"topic": "other"}, TokenMalformed, "topic: not the stage that resource names"},
	{claims{"topic": nil}, TokenMalformed, "topic"},
	{claims{"events_url": "wss://elsewhere.example/events"}, TokenMalformed, "events_url: not the stage's"},
	{claims{"events_url": nil}, TokenMalformed, "events_url"},
	{claims{"whip_url": whipURL + "/"}, TokenMalformed, "whip_url: not the stage's"},
	{claims{"whip_url": nil}, TokenMalformed, "whip_url"},
	{claims{"version": nil}, TokenMalformed, "version"},
	{claims{"version": "2.0"}, TokenMalformed, "version"},
	{claims{"version": 1.0}, TokenMalformed, "version: not a string"},
	{claims{"iat": nil}, TokenMalformed, "iat: missing"},
	{claims{"exp": nil}, TokenMalformed, "exp: missing"},
	{claims{"iat": "now"}, TokenMalformed, "iat: not a number"},
	{claims{"exp": 1e300}, TokenMalformed, "exp: not a time"},
	{claims{"exp": -5}, TokenMalformed, "exp: not a time"},
}

// Claims of a token that is signed as it must be: every one is held against its
// rule.
func TestParticipantClaims(t *testing.T) {
	key := newSigner(t, elliptic.P384())
	tokens := newParticipantTokens("secret")
	now := time.Now()
	for _, tt := range participantCases {
		text := said(now, tt.change)
		got, err := tokens.Verify(t.Context(), key.sign(t, es384kid, text), imported(t, &key.PublicKey))
		if tt.says != "" {
			checkFault(t, text, err, tt.fault, tt.says)
			if !reflect.DeepEqual(got, ParticipantClaims{}) {
				t.Errorf("%s: refused with claims %+v", text, got)
			}
		} else if err != nil || got.Stage != hallARN || got.ExpiresAt.Unix() != now.Add(time.Hour).Unix() {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if got, err := tokens.Verify(t.Context(), key.sign(t, es384kid, said(now, claims{
		"capabilities": claims{"allow_subscribe": true}, "user_id": "ana", "attributes": claims{"role": "host"},
	})), imported(t, &key.PublicKey)); err != nil || !reflect.DeepEqual(got, ParticipantClaims{
		ID: participID, Stage: hallARN, UserID: "ana", Attributes: map[string]string{"role": "host"}, Subscribe: true,
		IssuedAt: time.Unix(now.Unix(), 0), ExpiresAt: time.Unix(now.Add(time.Hour).Unix(), 0),
	}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A token is good from iat to exp, which may be 14 days apart; clocks may differ by
// half a minute.
func TestParticipantTokenTimes(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		issued, expires, notBefore time.Duration // from now on; 0 for no nbf
		fault                      TokenFault
		says                       string
	}{
		{0, time.Second, 0, 0, ""},
		{-14*day + 1*time.Second, time.Second, 0, 0, ""},
		{skew, time.Hour, 0, 0, ""},
		{0, 14 * day, 0, 0, ""},
		{0, 14*day + time.Second, 0, TokenMalformed, "exp: not within 14 days"},
		{0, -time.Second, 0, TokenMalformed, "exp: not within 14 days"},
		{-time.Hour, 0, 0, TokenExpired, "token has expired"},
		{skew + time.Second, time.Hour, 0, TokenEarly, "token is not valid yet"},
		{0, time.Hour, time.Minute, TokenEarly, "token is not valid yet"},
	} {
		synctest.Test(t, func(t *testing.T) {
			key, now := newSigner(t, elliptic.P384()), time.Now()
			change := claims{"iat": now.Add(tt.issued).Unix(), "exp": now.Add(tt.expires).Unix()}
			if tt.notBefore != 0 {
				change["nbf"] = now.Add(tt.notBefore).Unix()
			}
			_, err := newParticipantTokens("secret").Verify(t.Context(), key.sign(t, es384kid, said(now, change)), imported(t, &key.PublicKey))
			if tt.says != "" {
				checkFault(t, fmt.Sprint(tt), err, tt.fault, tt.says)
			} else if err != nil {
				t.Errorf("%v: %v", tt, err)
			}
		})
	}
}

// A token is refused that is not signed by the key it names, with the algorithm of
// that key.
func TestParticipantTokenSignature(t *testing.T) {
	tokens, now := newParticipantTokens("secret"), time.Now()
	key, other := newSigner(t, elliptic.P384()), newSigner(t, elliptic.P384())
	good := key.sign(t, es384kid, said(now, nil))
	parts := strings.Split(good, ".")
	minted, err := tokens.Mint(ParticipantClaims{ID: participID, Stage: hallARN, IssuedAt: now, ExpiresAt: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := newParticipantTokens("another secret").Mint(ParticipantClaims{ID: participID, Stage: hallARN, IssuedAt: now, ExpiresAt: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	withHMAC := func(header string, key []byte) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1]
		sig, err := jwt.SigningMethodHS256.Sign(text, key)
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	point, _ := key.PublicKey.Bytes()
	text, err := imported(t, &key.PublicKey)(t.Context(), keyARN)
	if err != nil {
		t.Fatal(err)
	}
	kid := func(kid string) string { return strings.Replace(es384kid, string(keyARN), kid, 1) }
	for name, tt := range map[string]struct {
		token string
		fault TokenFault
		says  string
	}{
		"empty":                   {"", TokenMalformed, "not a JSON Web Token"},
		"two parts":               {parts[0] + "." + parts[1], TokenMalformed, "not a JSON Web Token"},
		"four parts":              {good + ".x", TokenMalformed, "not a JSON Web Token"},
		"signature stripped":      {parts[0] + "." + parts[1] + ".", TokenUnverified, "not signed with the key"},
		"minted, stripped":        {minted[:strings.LastIndex(minted, ".")+1], TokenUnverified, "not signed with the key"},
		"minted elsewhere":        {foreign, TokenUnverified, "not signed with the key"},
		"alg none":                {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".", TokenUnverified, "not signed with the key"},
		"HS256 with the point":    {withHMAC(strings.Replace(es384kid, "ES384", "HS256", 1), point), TokenUnverified, "not signed with the key"},
		"HS256 with the PEM":      {withHMAC(strings.Replace(es384kid, "ES384", "HS256", 1), []byte(text)), TokenUnverified, "not signed with the key"},
		"HS256 with nothing":      {withHMAC(`{"alg":"HS256","typ":"JWT"}`, nil), TokenUnverified, "not signed with the key"},
		"HS384":                   {withHMAC(`{"alg":"HS384","typ":"JWT"}`, tokens.key), TokenUnverified, "not signed with the key"},
		"another's key":           {other.sign(t, es384kid, said(now, nil)), TokenUnverified, "not signed with the key"},
		"no kid":                  {key.sign(t, es384, said(now, nil)), TokenMalformed, "kid"},
		"kid of no key":           {key.sign(t, kid("mine"), said(now, nil)), TokenMalformed, "kid"},
		"kid of a stage":          {key.sign(t, kid(string(hallARN)), said(now, nil)), TokenMalformed, "kid"},
		"kid unknown":             {key.sign(t, kid(string(keyARN)+"x"), said(now, nil)), TokenUnverified, "kid: the public key does not exist"},
		"kid long":                {key.sign(t, kid(string(keyARN)+strings.Repeat("x", 128)), said(now, nil)), TokenMalformed, "kid"},
		"kid no string":           {key.sign(t, `{"alg":"ES384","kid":["`+string(keyARN)+`"]}`, said(now, nil)), TokenMalformed, "kid"},
		"crit":                    {key.sign(t, strings.Replace(es384kid, "{", `{"crit":["x"],`, 1), said(now, nil)), TokenMalformed, "crit"},
		"typ":                     {key.sign(t, strings.Replace(es384kid, `"JWT"`, `"at+jwt"`, 1), said(now, nil)), TokenMalformed, "typ"},
		"claims of another token": {parts[0] + "." + strings.Split(minted, ".")[1] + "." + parts[2], TokenUnverified, "not signed with the key"},
		"line break":              {strings.Replace(good, ".", ".\n", 1), TokenMalformed, "line break"},
		"another spelling":        {minted[:len(minted)-1] + string(next(minted[len(minted)-1])), TokenMalformed, "not a JSON Web Token"},
		"longer than any":         {key.sign(t, es384kid, said(now, claims{"more": strings.Repeat("x", maxParticipantToken)})), TokenMalformed, "longer than"},
		"claims are no object":    {key.sign(t, es384kid, `[]`), TokenMalformed, "not a JSON Web Token"},
	} {
		_, err := tokens.Verify(t.Context(), tt.token, imported(t, &key.PublicKey))
		checkFault(t, name, err, tt.fault, tt.says)
		if err != nil && strings.Contains(err.Error(), participID) {
			t.Errorf("%s: the refusal has something of the token: %v", name, err)
		}
	}

	away := errors.New("the database is away")
	_, err = tokens.Verify(t.Context(), good, func(context.Context, resource.ARN) (string, error) { return "", away })
	if bad := (*TokenError)(nil); !errors.Is(err, away) || errors.As(err, &bad) {
		t.Errorf("while the database is away: %v", err)
	}
}

// next is the base64url digit behind c, which differs from it in its last bit
// alone. At the end of an HS256 signature that bit is spare: a decoder that is not
// strict takes both for the same.
func next(c byte) byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return digits[strings.IndexByte(digits, c)^1]
}

// What is minted is verified, and says the same.
func TestMint(t *testing.T) {
	tokens := newParticipantTokens("secret")
	now := time.Unix(time.Now().Unix(), 0)
	good := ParticipantClaims{ID: participID, Stage: hallARN, IssuedAt: now, ExpiresAt: now.Add(MaxParticipantTokenLife)}
	full := good
	full.UserID, full.Attributes, full.Publish, full.Subscribe = "Ana Ⅰ", map[string]string{"role": "<host>"}, true, true
	for _, want := range []ParticipantClaims{good, full} {
		token, err := tokens.Mint(want)
		if err != nil || strings.Count(token, ".") != 2 {
			t.Fatalf("%q, %v", token, err)
		}
		got, err := tokens.Verify(t.Context(), token, nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
	for name, spoil := range map[string]func(c *ParticipantClaims){
		"no id":           func(c *ParticipantClaims) { c.ID = "" },
		"no stage":        func(c *ParticipantClaims) { c.Stage = keyARN },
		"long attributes": func(c *ParticipantClaims) { c.Attributes = map[string]string{"a": strings.Repeat("x", 1024)} },
		"long life":       func(c *ParticipantClaims) { c.ExpiresAt = c.ExpiresAt.Add(time.Second) },
		"no time":         func(c *ParticipantClaims) { c.IssuedAt = time.Time{} },
	} {
		c := good
		spoil(&c)
		if token, err := tokens.Mint(c); err == nil {
			t.Errorf("%s: minted %s", name, token)
		}
	}
}

// Whatever claims and header are signed: what is accepted keeps to the rules, and
// what is not signed is refused.
func FuzzParticipantToken(f *testing.F) {
	key := newSigner(f, elliptic.P384())
	keys := imported(f, &key.PublicKey)
	tokens, now := newParticipantTokens("secret"), time.Now()
	for _, tt := range participantCases {
		f.Add(es384kid, said(now, tt.change))
	}
	f.Fuzz(func(t *testing.T, header, said string) {
		token := key.sign(t, header, said)
		c, err := tokens.Verify(t.Context(), token, keys)
		var refused *TokenError
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("error without a fault: %v", err)
		}
		if err == nil {
			if c.check() != nil || c.Stage.Kind() != resource.KindStage || !c.ExpiresAt.After(now) || len(token) > maxParticipantToken {
				t.Fatalf("accepted %+v of %s %s", c, header, said)
			}
			again, err := tokens.Mint(c)
			if err != nil {
				t.Fatalf("%+v cannot be minted: %v", c, err)
			}
			if _, err := tokens.Verify(t.Context(), again, nil); err != nil {
				t.Fatalf("%+v minted is refused: %v", c, err)
			}
		}
		for _, bare := range []string{header + "." + said, said} {
			if _, err := tokens.Verify(t.Context(), bare, keys); err == nil {
				t.Fatalf("accepted %q", bare)
			}
		}
	})
}
