package realtime_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"
)

// lists are all that have items.
func (f *fixture) lists() []apitest.List {
	made := func(operation, body, noun string) func() string {
		return func() string {
			f.t.Helper()
			return apitest.Object(f.post(operation, body), noun)["arn"].(string)
		}
	}
	deleted := func(operation string) func(string) {
		return func(arn string) {
			f.t.Helper()
			f.post(operation, `{"arn":"`+arn+`"}`)
		}
	}
	stage, full := f.stage(nil).Stage.Arn, f.stage(nil).Stage.Arn
	session := f.join(full, resource.Participant{ID: "ana"})
	inSession := `"stageArn":"` + *full + `","sessionId":"` + session + `",`
	participants := 0
	join := func(userID string) func() string {
		return func() string {
			participants++
			id := fmt.Sprint("p", participants)
			f.join(full, resource.Participant{ID: id, UserID: userID})
			return id
		}
	}
	list := func(operation, query, items, id string, make func() string, remove func(string)) apitest.List {
		return apitest.List{Operation: operation, Query: query, Items: items, ID: id, Make: make, Remove: remove}
	}
	ingest := made("CreateIngestConfiguration", `{"ingestProtocol":"RTMPS","stageArn":"`+*stage+`"}`, "ingestConfiguration")
	return []apitest.List{
		list("ListStageSessions", `"stageArn":"`+*stage+`",`, "stageSessions", "sessionId", func() string {
			id := f.join(stage, resource.Participant{ID: "ana"})
			if err := f.store.EndStageSession(f.ctx, resource.ARN(*stage), id, time.Now()); err != nil {
				f.t.Fatal(err)
			}
			return id
		}, nil),
		list("ListParticipants", inSession, "participants", "participantId", join("one"), nil),
		list("ListParticipants", inSession+`"filterByUserId":"two",`, "participants", "participantId", join("two"), nil),
		list("ListPublicKeys", ``, "publicKeys", "arn", func() string {
			return made("ImportPublicKey", `{"publicKeyMaterial":`+f.newPublicKey()+`}`, "publicKey")()
		}, deleted("DeletePublicKey")),
		list("ListIngestConfigurations", ``, "ingestConfigurations", "arn", ingest, deleted("DeleteIngestConfiguration")),
		list("ListIngestConfigurations", `"filterByStageArn":"`+*stage+`",`, "ingestConfigurations", "arn", ingest, deleted("DeleteIngestConfiguration")),
		list("ListEncoderConfigurations", ``, "encoderConfigurations", "arn",
			made("CreateEncoderConfiguration", ``, "encoderConfiguration"), deleted("DeleteEncoderConfiguration")),
		list("ListStorageConfigurations", ``, "storageConfigurations", "arn",
			made("CreateStorageConfiguration", `{"s3":{"bucketName":"bucket"}}`, "storageConfiguration"), deleted("DeleteStorageConfiguration")),
		// Last, as those of the lists above go too.
		list("ListStages", ``, "stages", "arn", made("CreateStage", ``, "stage"), deleted("DeleteStage")),
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

// What happened to a participant has no id but its place, so its pages are
// counted.
func TestPagesOfEvents(t *testing.T) {
	f := newFixture(t)
	stage := f.stage(nil).Stage.Arn
	session := f.join(stage, resource.Participant{ID: "ana", FirstJoinTime: came})
	for i := range 120 {
		f.change(stage, session, "ana", nil, resource.ParticipantEvent{Name: resource.SubscribeError, EventTime: came, RemoteParticipantID: fmt.Sprint(i)})
	}
	named := `{"stageArn":"` + *stage + `","sessionId":"` + session + `","participantId":"ana"`
	read := func(more string, told map[any]int) (n int, next string) {
		answer := f.post("ListParticipantEvents", named+more+`}`)
		events := answer["events"].([]any)
		for _, e := range events {
			told[e.(map[string]any)["remoteParticipantId"]]++
		}
		next, _ = answer["nextToken"].(string)
		return len(events), next
	}
	told := make(map[any]int)
	first, next := read(``, told)
	second, next2 := read(`,"maxResults":100,"nextToken":"`+next+`"`, told)
	if first != 50 || second != 71 || next2 != "" || len(told) != 121 {
		t.Errorf("pages of %d and %d, %d different events, then %q", first, second, len(told), next2)
	}
}

func TestTokens(t *testing.T) {
	f := newFixture(t)
	other := *f.stage(nil).Stage.Arn
	session := f.join(&other, resource.Participant{ID: "ana"})
	inSession := `"stageArn":"` + other + `","sessionId":"` + session + `",`
	apitest.Tokens(t, f.Server, append(f.lists(),
		apitest.List{Operation: "ListStageSessions", Query: `"stageArn":"` + other + `",`},
		apitest.List{Operation: "ListParticipants", Query: inSession},
		apitest.List{Operation: "ListParticipants", Query: inSession + `"filterByPublished":false,`},
		apitest.List{Operation: "ListParticipantEvents", Query: inSession + `"participantId":"ana",`},
		apitest.List{Operation: "ListParticipantReplicas", Query: `"sourceStageArn":"` + other + `","participantId":"ana",`},
		apitest.List{Operation: "ListIngestConfigurations", Query: `"filterByState":"INACTIVE",`},
		apitest.List{Operation: "ListCompositions"}))
}

// Without a size a page is as long as the API says.
func TestPageSizes(t *testing.T) {
	f := newFixture(t)
	for _, l := range f.lists() {
		want := 50
		if l.Operation == "ListEncoderConfigurations" || l.Operation == "ListStorageConfigurations" {
			want = 100
		}
		for range want + 1 {
			l.Make()
		}
		query := l.Query
		if query != "" {
			query = query[:len(query)-1]
		}
		answer := f.post(l.Operation, `{`+query+`}`)
		if got := len(answer[l.Items].([]any)); got != want || answer["nextToken"] == nil {
			t.Errorf("a page of %s has %d items, want %d", l.Operation, got, want)
		}
	}
}
