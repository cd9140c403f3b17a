package lowlatency_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// newPublicKey makes the PEM text of a new public key.
func newPublicKey(t *testing.T, curve elliptic.Curve) *string {
	t.Helper()
	key := apitest.Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(curve, rand.Reader))
	der := apitest.Must[[]byte](t)(x509.MarshalPKIXPublicKey(&key.PublicKey))
	return aws.String(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

// keyPair imports a new key.
func (f *fixture) keyPair(in ivs.ImportPlaybackKeyPairInput) *types.PlaybackKeyPair {
	f.t.Helper()
	if in.PublicKeyMaterial == nil {
		in.PublicKeyMaterial = newPublicKey(f.t, elliptic.P384())
	}
	return apitest.Must[*ivs.ImportPlaybackKeyPairOutput](f.t)(f.ImportPlaybackKeyPair(f.ctx, &in)).KeyPair
}

func TestPlaybackKeyPairs(t *testing.T) {
	f := newFixture(t)
	plain := f.keyPair(ivs.ImportPlaybackKeyPairInput{})
	named := f.keyPair(ivs.ImportPlaybackKeyPairInput{Name: aws.String("web-1"), Tags: map[string]string{"a": "b"}})
	if *plain.Name != "" || plain.Tags == nil || !strings.HasPrefix(*plain.Arn, "arn:aws:ivs:eu-west-1:111122223333:playback-key/") {
		t.Errorf("made %+v", plain)
	}
	got := apitest.Must[*ivs.GetPlaybackKeyPairOutput](t)(f.GetPlaybackKeyPair(f.ctx, &ivs.GetPlaybackKeyPairInput{Arn: named.Arn})).KeyPair
	for i, pair := range []*types.PlaybackKeyPair{named, got} {
		if *pair.Name != "web-1" || pair.Tags["a"] != "b" || *pair.Arn != *named.Arn || *pair.Fingerprint != *named.Fingerprint ||
			!regexp.MustCompile(`^[0-9a-f]{2}(:[0-9a-f]{2}){15}$`).MatchString(*pair.Fingerprint) {
			t.Errorf("key pair %d is %+v", i, pair)
		}
	}

	_, _, answer := f.Post("GetPlaybackKeyPair", `{"arn":"`+*plain.Arn+`"}`)
	if got := strings.Join(apitest.Members(apitest.Object(answer, "keyPair")), " "); got != "arn fingerprint name tags" {
		t.Errorf("a key pair has %s", got)
	}
	_, _, answer = f.Post("ListPlaybackKeyPairs", "")
	pairs, _ := answer["keyPairs"].([]any)
	if len(pairs) != 2 || answer["nextToken"] != nil {
		t.Fatalf("listed %v", answer)
	}
	if got := strings.Join(apitest.Members(pairs[0].(map[string]any)), " "); got != "arn name tags" {
		t.Errorf("a summary has %s", got)
	}
	var arns []string
	for p := ivs.NewListPlaybackKeyPairsPaginator(f, &ivs.ListPlaybackKeyPairsInput{MaxResults: aws.Int32(1)}); p.HasMorePages(); {
		for _, pair := range apitest.Must[*ivs.ListPlaybackKeyPairsOutput](t)(p.NextPage(f.ctx)).KeyPairs {
			arns = append(arns, *pair.Arn)
		}
	}
	if !slices.Equal(arns, []string{*plain.Arn, *named.Arn}) {
		t.Errorf("listed %v", arns)
	}

	_, err := f.TagResource(f.ctx, &ivs.TagResourceInput{ResourceArn: named.Arn, Tags: map[string]string{"c": "d"}})
	if err != nil {
		t.Fatal(err)
	}
	tags := apitest.Must[*ivs.ListTagsForResourceOutput](t)(f.ListTagsForResource(f.ctx, &ivs.ListTagsForResourceInput{ResourceArn: named.Arn})).Tags
	if !maps.Equal(tags, map[string]string{"a": "b", "c": "d"}) {
		t.Errorf("tags are %v", tags)
	}
}

// A key is imported once, and can be again when it is deleted.
func TestImportPlaybackKeyPairTwice(t *testing.T) {
	f := newFixture(t)
	key := newPublicKey(t, elliptic.P384())
	first := f.keyPair(ivs.ImportPlaybackKeyPairInput{PublicKeyMaterial: key})
	_, err := f.ImportPlaybackKeyPair(f.ctx, &ivs.ImportPlaybackKeyPairInput{PublicKeyMaterial: aws.String(*key + "\r\n"), Name: aws.String("other")})
	apitest.Fails(t, err, "ConflictException", "publicKeyMaterial: ", *first.Arn)

	if status, _, answer := f.Post("DeletePlaybackKeyPair", `{"arn":"`+*first.Arn+`"}`); status != http.StatusOK || answer == nil || len(answer) != 0 {
		t.Errorf("answered %d %v", status, answer)
	}
	second := f.keyPair(ivs.ImportPlaybackKeyPairInput{PublicKeyMaterial: key})
	if *second.Arn == *first.Arn || *second.Fingerprint != *first.Fingerprint {
		t.Errorf("made %+v, was %+v", second, first)
	}
}

func TestPlaybackKeyMaterialRefused(t *testing.T) {
	f := newFixture(t)
	good := *newPublicKey(t, elliptic.P384())
	for name, text := range map[string]string{
		"nothing":  "",
		"garbage":  "key",
		"P-256":    *newPublicKey(t, elliptic.P256()),
		"two keys": good + good,
	} {
		_, err := f.ImportPlaybackKeyPair(f.ctx, &ivs.ImportPlaybackKeyPairInput{PublicKeyMaterial: &text})
		t.Log(name, err)
		apitest.Fails(t, err, "ValidationException", "publicKeyMaterial: ")
	}
	if pairs, err := f.store.AllPlaybackKeyPairs(f.ctx); err != nil || len(pairs) > 0 {
		t.Errorf("stored %v, %v", pairs, err)
	}
}

func TestPlaybackKeyPairNotFound(t *testing.T) {
	f := newFixture(t)
	arn := aws.String(string(place.ARN(resource.KindPlaybackKeyPair, "none")))
	_, err := f.GetPlaybackKeyPair(f.ctx, &ivs.GetPlaybackKeyPairInput{Arn: arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *arn)
	_, err = f.DeletePlaybackKeyPair(f.ctx, &ivs.DeletePlaybackKeyPairInput{Arn: arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *arn)

	pair := f.keyPair(ivs.ImportPlaybackKeyPairInput{})
	if _, err := f.DeletePlaybackKeyPair(f.ctx, &ivs.DeletePlaybackKeyPairInput{Arn: pair.Arn}); err != nil {
		t.Fatal(err)
	}
	_, err = f.GetPlaybackKeyPair(f.ctx, &ivs.GetPlaybackKeyPairInput{Arn: pair.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *pair.Arn)
}
