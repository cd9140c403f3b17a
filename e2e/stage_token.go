package e2e

import (
	"crypto/ecdsa"
	"maps"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/golang-jwt/jwt/v5"
)

// stageKey signs participant tokens for a server's stages.
type stageKey struct {
	server *server
	arn    string
	key    *ecdsa.PrivateKey
	public string // in PEM
}

// importStageKey makes a key pair and imports its public key.
func (s *server) importStageKey() *stageKey {
	s.t.Helper()
	key, public := newSigningKey(s.t)
	made, err := s.realtime().ImportPublicKey(s.t.Context(), &ivsrealtime.ImportPublicKeyInput{
		PublicKeyMaterial: &public})
	if err != nil {
		s.t.Fatal(err)
	}
	return &stageKey{s, aws.ToString(made.PublicKey.Arn), key, public}
}

// claims are those of a token for both, good for five minutes; change may make
// others of them.
func (k *stageKey) claims(r *room, id string, change claims) jwt.MapClaims {
	now := time.Now().Unix()
	all := jwt.MapClaims{
		"exp": now + 300, "iat": now, "jti": id, "resource": *r.Arn, "topic": r.id(),
		"events_url": *r.Endpoints.Events, "whip_url": *r.Endpoints.Whip, "user_id": "somebody", "attributes": map[string]string{"role": "guest"},
		"capabilities": map[string]bool{"allow_publish": true, "allow_subscribe": true}, "version": "1.0",
	}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// sign makes a token of claims. header may change what names the key.
func (k *stageKey) sign(all jwt.MapClaims, header claims) string {
	k.server.t.Helper()
	t := jwt.NewWithClaims(jwt.SigningMethodES384, all)
	t.Header["kid"] = k.arn
	maps.Copy(t.Header, header)
	token, err := t.SignedString(k.key)
	if err != nil {
		k.server.t.Fatal(err)
	}
	return token
}

// guest is a participant whose token is signed by an application.
func (k *stageKey) guest(r *room, change claims) *guest {
	k.server.t.Helper()
	id := "guest" + strconv.FormatInt(time.Now().UnixNano(), 36)
	return &guest{r, k.server.t, k.sign(k.claims(r, id, change), nil), id}
}
