package lowlatency_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

// list is an operation that lists, and how its items come and go.
type list struct {
	operation string
	query     string // members that narrow it
	items, id string // members of the answer
	make      func() (id string)
	remove    func(id string) // nil: they stay
}

// lists are all of them but ListStreamKeys, as a channel has one key.
func (f *fixture) lists() []list {
	made := func(operation, body, noun string) func() string {
		return func() string {
			f.t.Helper()
			_, exception, answer := f.post(operation, body)
			arn, ok := object(answer, noun)["arn"].(string)
			if !ok {
				f.t.Fatalf("%s: %s %v", operation, exception, answer)
			}
			return arn
		}
	}
	deleted := func(operation string) func(string) {
		return func(arn string) {
			f.t.Helper()
			if status, _, answer := f.post(operation, `{"arn":"`+arn+`"}`); status >= 300 {
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
	return []list{
		{"ListChannels", ``, "channels", "arn", channel, deleted("DeleteChannel")},
		{"ListChannels", `"filterByName":"filtered",`, "channels", "arn", channel, deleted("DeleteChannel")},
		{"ListRecordingConfigurations", ``, "recordingConfigurations", "arn",
			made("CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{"bucketName":"bucket"}}}`, "recordingConfiguration"),
			deleted("DeleteRecordingConfiguration")},
		{"ListPlaybackKeyPairs", ``, "keyPairs", "arn", func() string {
			return made("ImportPlaybackKeyPair", `{"publicKeyMaterial":`+f.newPublicKey()+`}`, "keyPair")()
		}, deleted("DeletePlaybackKeyPair")},
		{"ListPlaybackRestrictionPolicies", ``, "playbackRestrictionPolicies", "arn",
			made("CreatePlaybackRestrictionPolicy", `{}`, "playbackRestrictionPolicy"), deleted("DeletePlaybackRestrictionPolicy")},
		{"ListAdConfigurations", ``, "adConfigurations", "arn",
			made("CreateAdConfiguration", `{`+allOfAnAd+`}`, "adConfiguration"), deleted("DeleteAdConfiguration")},
		{"ListStreams", ``, "streams", "channelArn", live, stop},
		{"ListStreams", `"filterBy":{"health":"HEALTHY"},`, "streams", "channelArn", live, stop},
		{"ListStreamSessions", `"channelArn":"` + *studio.Channel.Arn + `",`, "streamSessions", "streamId", func() string {
			id := f.live(studio, resource.Healthy).StreamID
			if err := f.store.EndStream(f.ctx, id, time.Now(), ""); err != nil {
				f.t.Fatal(err)
			}
			return id
		}, nil},
	}
}

// newPublicKey is a new key for ES384, as a JSON string.
func (f *fixture) newPublicKey() string {
	key := must[*ecdsa.PrivateKey](f.t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	der := must[[]byte](f.t)(x509.MarshalPKIXPublicKey(&key.PublicKey))
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return string(must[[]byte](f.t)(json.Marshal(string(text))))
}

// page reads a page of a list.
func (f *fixture) page(l list, size int, token string) (ids []string, next string) {
	f.t.Helper()
	status, _, answer := f.post(l.operation, fmt.Sprintf(`{%s"maxResults":%d,"nextToken":"%s"}`, l.query, size, token))
	items, ok := answer[l.items].([]any)
	if status != http.StatusOK || !ok {
		f.t.Fatalf("%s: %v", l.operation, answer)
	}
	for _, item := range items {
		id, _ := item.(map[string]any)[l.id].(string)
		ids = append(ids, id)
	}
	next, _ = answer["nextToken"].(string)
	return ids, next
}

// Whatever comes and goes between the pages of a list, each item that was there
// all the while is told once.
func TestPages(t *testing.T) {
	f := newFixture(t)
	for _, l := range f.lists() {
		t.Run(strings.TrimSpace(l.operation+" "+l.query), func(t *testing.T) {
			var there []string
			for range 8 {
				there = append(there, l.make())
			}
			var told []string
			for pages, next := 0, ""; ; pages++ {
				var ids []string
				ids, next = f.page(l, 2, next)
				if len(ids) > 2 || len(ids) < 2 && next != "" {
					t.Errorf("page %d has %d items", pages, len(ids))
				}
				told = append(told, ids...)
				if next == "" {
					break
				}
				if pages > 20 {
					t.Fatal("no end")
				}
				if pages < 3 {
					l.make()
				}
				// Those that go are one that was told, the place of the token, and
				// one that was not.
				if l.remove != nil && pages < 2 {
					gone := there[4+pages]
					if pages == 0 {
						gone = told[len(told)-1]
					}
					l.remove(gone)
					there = slices.DeleteFunc(there, func(id string) bool { return id == gone })
				}
			}
			for _, id := range there {
				if n := count(told, id); n != 1 {
					t.Errorf("%s was told %d times in %v", id, n, told)
				}
			}
			for _, id := range told {
				if count(told, id) != 1 {
					t.Errorf("%s was told %d times", id, count(told, id))
				}
			}
		})
	}
}

func count(list []string, item string) (n int) {
	for _, i := range list {
		if i == item {
			n++
		}
	}
	return n
}

// A token leads on in the list that it was given for, with any page size, and
// in no other.
func TestTokens(t *testing.T) {
	f := newFixture(t)
	lists := f.lists()
	for _, l := range lists {
		for range 3 {
			l.make()
		}
	}
	other := f.channel(&ivs.CreateChannelInput{})
	lists = append(lists,
		list{operation: "ListChannels", query: `"filterByName":"other",`},
		list{operation: "ListStreams", query: `"filterBy":{"health":"STARVING"},`},
		list{operation: "ListStreamSessions", query: `"channelArn":"` + *other.Channel.Arn + `",`},
		list{operation: "ListStreamKeys", query: `"channelArn":"` + *other.Channel.Arn + `",`})
	for i, from := range lists {
		if from.make == nil {
			continue
		}
		first, token := f.page(from, 1, "")
		if token == "" || len(token) > 1024 {
			t.Fatalf("%s %s has the token %q", from.operation, from.query, token)
		}
		if second, _ := f.page(from, 2, token); slices.Contains(second, first[0]) {
			t.Errorf("%s tells %s again", from.operation, first[0])
		}
		for j, to := range lists {
			if i == j {
				continue
			}
			_, exception, answer := f.post(to.operation, `{`+to.query+`"nextToken":"`+token+`"}`)
			if exception != "ValidationException" || answer["message"] != "nextToken: is not a token of this list" {
				t.Errorf("a token of %s %s for %s %s: %s %v", from.operation, from.query, to.operation, to.query, exception, answer)
			}
		}
		for _, bad := range []string{token[1:], token[:len(token)-1], token + "A", token + token, strings.ToUpper(token), "MA==", "A" + token[1:] + "="} {
			_, exception, answer := f.post(from.operation, `{`+from.query+`"nextToken":"`+bad+`"}`)
			if exception != "ValidationException" || answer["message"] != "nextToken: is not a token of this list" {
				t.Errorf("the token %s changed to %s: %s %v", token, bad, exception, answer)
			}
		}
	}
}
