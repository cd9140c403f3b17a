package lowlatency_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"testing"
	"time"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

// lists are all of them but ListStreamKeys, as a channel has one key.
func (f *fixture) lists() []apitest.List {
	made := func(operation, body, noun string) func() string {
		return func() string {
			f.t.Helper()
			_, exception, answer := f.Post(operation, body)
			arn, ok := apitest.Object(answer, noun)["arn"].(string)
			if !ok {
				f.t.Fatalf("%s: %s %v", operation, exception, answer)
			}
			return arn
		}
	}
	deleted := func(operation string) func(string) {
		return func(arn string) {
			f.t.Helper()
			if status, _, answer := f.Post(operation, `{"arn":"`+arn+`"}`); status >= 300 {
				f.t.Fatalf("%s: %v", operation, answer)
			}
		}
	}
	channel := made("CreateChannel", `{"name":"filtered"}`, "channel")
	live := func() string {
		return string(f.live(f.channel(&ivs.CreateChannelInput{}), resource.Healthy).ChannelARN)
	}
	stop := func(arn string) {
		if err := f.onAir.Stop(f.ctx, resource.ARN(arn)); err != nil {
			f.t.Fatal(err)
		}
	}
	studio := f.channel(&ivs.CreateChannelInput{})
	list := func(operation, query, items, id string, make func() string, remove func(string)) apitest.List {
		return apitest.List{Operation: operation, Query: query, Items: items, ID: id, Make: make, Remove: remove}
	}
	return []apitest.List{
		list("ListChannels", ``, "channels", "arn", channel, deleted("DeleteChannel")),
		list("ListChannels", `"filterByName":"filtered",`, "channels", "arn", channel, deleted("DeleteChannel")),
		list("ListRecordingConfigurations", ``, "recordingConfigurations", "arn",
			made("CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{"bucketName":"bucket"}}}`, "recordingConfiguration"),
			deleted("DeleteRecordingConfiguration")),
		list("ListPlaybackKeyPairs", ``, "keyPairs", "arn", func() string {
			return made("ImportPlaybackKeyPair", `{"publicKeyMaterial":`+f.newPublicKey()+`}`, "keyPair")()
		}, deleted("DeletePlaybackKeyPair")),
		list("ListPlaybackRestrictionPolicies", ``, "playbackRestrictionPolicies", "arn",
			made("CreatePlaybackRestrictionPolicy", `{}`, "playbackRestrictionPolicy"), deleted("DeletePlaybackRestrictionPolicy")),
		list("ListAdConfigurations", ``, "adConfigurations", "arn",
			made("CreateAdConfiguration", `{`+allOfAnAd+`}`, "adConfiguration"), deleted("DeleteAdConfiguration")),
		list("ListStreams", ``, "streams", "channelArn", live, stop),
		list("ListStreams", `"filterBy":{"health":"HEALTHY"},`, "streams", "channelArn", live, stop),
		list("ListStreamSessions", `"channelArn":"`+*studio.Channel.Arn+`",`, "streamSessions", "streamId", func() string {
			id := f.live(studio, resource.Healthy).StreamID
			if err := f.store.EndStream(f.ctx, id, time.Now(), ""); err != nil {
				f.t.Fatal(err)
			}
			return id
		}, nil),
	}
}

// newPublicKey is a new key for ES384, as a JSON string.
func (f *fixture) newPublicKey() string {
	key := apitest.Must[*ecdsa.PrivateKey](f.t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	der := apitest.Must[[]byte](f.t)(x509.MarshalPKIXPublicKey(&key.PublicKey))
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return string(apitest.Must[[]byte](f.t)(json.Marshal(string(text))))
}

func TestPages(t *testing.T) {
	f := newFixture(t)
	apitest.Pages(t, f.Server, f.lists())
}

func TestTokens(t *testing.T) {
	f := newFixture(t)
	other := f.channel(&ivs.CreateChannelInput{})
	apitest.Tokens(t, f.Server, append(f.lists(),
		apitest.List{Operation: "ListChannels", Query: `"filterByName":"other",`},
		apitest.List{Operation: "ListStreams", Query: `"filterBy":{"health":"STARVING"},`},
		apitest.List{Operation: "ListStreamSessions", Query: `"channelArn":"` + *other.Channel.Arn + `",`},
		apitest.List{Operation: "ListStreamKeys", Query: `"channelArn":"` + *other.Channel.Arn + `",`}))
}
