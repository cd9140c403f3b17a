package realtime_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/api/apitest"
	"anabranch/internal/auth"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

// tokenCases are what may be asked of a token, and what it is then.
var tokenCases = []struct {
	name, settings     string
	publish, subscribe bool
	capabilities       string
	minutes            int
	userID             string
	attributes         map[string]string
}{
	{"nothing chosen", ``, true, true, `["PUBLISH","SUBSCRIBE"]`, 720, "", nil},
	{"all chosen", `"duration":1,"userId":"Ana 𠀀","attributes":{"role":"host","":""},"capabilities":["PUBLISH"]`,
		true, false, `["PUBLISH"]`, 1, "Ana 𠀀", map[string]string{"role": "host", "": ""}},
	{"subscribes only", `"capabilities":["SUBSCRIBE"],"duration":20160`, false, true, `["SUBSCRIBE"]`, 20160, "", nil},
	{"neither", `"capabilities":[]`, false, false, `[]`, 720, "", nil},
	{"the other way round", `"capabilities":["SUBSCRIBE","PUBLISH"]`, true, true, `["PUBLISH","SUBSCRIBE"]`, 720, "", nil},
	{"one twice", `"capabilities":["PUBLISH","PUBLISH"]`, true, false, `["PUBLISH"]`, 720, "", nil},
	{"null", `"capabilities":null,"attributes":null,"duration":null`, true, true, `["PUBLISH","SUBSCRIBE"]`, 720, "", nil},
	{"as many attributes as may be", `"attributes":{"` + strings.Repeat("é", 12) + `":"` + strings.Repeat("a", 1000) + `"}`,
		true, true, `["PUBLISH","SUBSCRIBE"]`, 720, "", map[string]string{strings.Repeat("é", 12): strings.Repeat("a", 1000)}},
}

// checkToken checks what was told of a token, and what it says, against a case.
func (f *fixture) checkToken(i int, stage string, told map[string]any) {
	f.t.Helper()
	tt := tokenCases[i]
	id, _ := told["participantId"].(string)
	token, _ := told["token"].(string)
	claims := f.tokens.of(f.t, token)
	if !regexp.MustCompile(`^[0-9A-Za-z]{12}$`).MatchString(id) || id != claims.ID {
		f.t.Errorf("%s: the participant is %q, and in the token %q", tt.name, id, claims.ID)
	}
	expires, err := time.Parse("2006-01-02T15:04:05Z", told["expirationTime"].(string))
	life := time.Until(expires)
	if err != nil || life > time.Duration(tt.minutes)*time.Minute || life < time.Duration(tt.minutes)*time.Minute-30*time.Second {
		f.t.Errorf("%s: it expires %s: %v", tt.name, told["expirationTime"], err)
	}
	if claims.Stage != resource.ARN(stage) || claims.UserID != tt.userID || !maps.Equal(claims.Attributes, tt.attributes) ||
		claims.Publish != tt.publish || claims.Subscribe != tt.subscribe ||
		!claims.ExpiresAt.Equal(expires) || claims.ExpiresAt.Sub(claims.IssuedAt) != time.Duration(tt.minutes)*time.Minute {
		f.t.Errorf("%s: the token says %+v", tt.name, claims)
	}
	attributes := make(map[string]any)
	for k, v := range tt.attributes {
		attributes[k] = v
	}
	if told["userId"] != tt.userID || told["duration"] != float64(tt.minutes) || !reflect.DeepEqual(told["attributes"], any(attributes)) {
		f.t.Errorf("%s: told is %v", tt.name, told)
	}
	same(f.t, tt.name, told["capabilities"], tt.capabilities)
}

func TestCreateParticipantToken(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	for i, tt := range tokenCases {
		comma := ","
		if tt.settings == "" {
			comma = ""
		}
		answer := f.post("CreateParticipantToken", `{"stageArn":"`+stage+`"`+comma+tt.settings+`}`)
		f.checkToken(i, stage, apitest.Object(answer, "participantToken"))
	}
}

// A stage comes with tokens, in the order in which they were asked for.
func TestCreateStageTokens(t *testing.T) {
	f := newFixture(t)
	var settings []string
	for _, tt := range tokenCases {
		settings = append(settings, `{`+tt.settings+`}`)
	}
	answer := f.post("CreateStage", `{"participantTokenConfigurations":[`+strings.Join(settings, ",")+`]}`)
	stage := apitest.Object(answer, "stage")["arn"].(string)
	told := answer["participantTokens"].([]any)
	if len(told) != len(tokenCases) {
		t.Fatalf("%d tokens", len(told))
	}
	ids := make(map[any]bool)
	for i := range told {
		token := told[i].(map[string]any)
		ids[token["participantId"]] = true
		f.checkToken(i, stage, token)
	}
	if len(ids) != len(told) {
		t.Errorf("participants have the same id: %v", ids)
	}
}

// Attributes are bounded in bytes, wherever they are given.
func TestAttributesTooLong(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	other := *f.stage(nil).Stage.Arn
	long := `"attributes":{"` + strings.Repeat("é", 12) + `":"` + strings.Repeat("a", 1000) + `","b":""}`
	for operation, tt := range map[string][2]string{
		"CreateParticipantToken":      {`{"stageArn":"` + stage + `",` + long + `}`, ``},
		"CreateStage":                 {`{"participantTokenConfigurations":[{},{` + long + `}]}`, `participantTokenConfigurations\[1\]\.`},
		"CreateIngestConfiguration":   {`{"ingestProtocol":"RTMPS",` + long + `}`, ``},
		"StartParticipantReplication": {`{"sourceStageArn":"` + stage + `","destinationStageArn":"` + other + `","participantId":"p",` + long + `}`, ``},
	} {
		f.refused(operation, tt[0], `ValidationException: `+tt[1]+`attributes: must have at most 1024 bytes in keys and values, not 1025`)
	}
	if n := len(apitest.Must[*ivsrealtime.ListStagesOutput](t)(f.ListStages(f.ctx, nil)).Stages); n != 2 {
		t.Errorf("there are %d stages", n)
	}
}

// Whatever the constraints let through makes a token that is taken.
func TestTokensAreTaken(t *testing.T) {
	f := newFixture(t)
	real := auth.NewParticipantTokens([]byte("secret"), func() (string, string) { return endpoints.Events, endpoints.WHIP })
	f.tokens.real = real
	stage := f.stage(nil).Stage.Arn
	for _, letter := range []string{"a", "\x1f", "\"", "<", "\u2028", "é", "𠀀"} {
		wide := strings.Repeat(letter, 1024/len(letter))
		in := &ivsrealtime.CreateParticipantTokenInput{
			StageArn: stage, UserId: new(strings.Repeat(letter, 128)), Duration: new(int32(20160)),
			Attributes: map[string]string{wide[:len(letter)]: wide[len(letter):]},
		}
		out, err := f.Client.CreateParticipantToken(f.ctx, in)
		if err != nil {
			t.Errorf("with %q: %v", letter, err)
			continue
		}
		claims, err := real.Verify(f.ctx, *out.ParticipantToken.Token, nil)
		if err != nil || claims.ID != *out.ParticipantToken.ParticipantId || !maps.Equal(claims.Attributes, in.Attributes) || claims.UserID != *in.UserId {
			t.Errorf("with %q: %v", letter, err)
		}
	}
}

func TestDisconnectParticipant(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	// Self-made tokens have ids with underscores; nobody need have seen them.
	same(t, "DisconnectParticipant", f.post("DisconnectParticipant", `{"stageArn":"`+stage+`","participantId":"a_b-C","reason":"häh?"}`), `{}`)
	same(t, "DisconnectParticipant", f.post("DisconnectParticipant", `{"stageArn":"`+stage+`","participantId":"p"}`), `{}`)
	f.refused("DisconnectParticipant", `{"stageArn":"`+stage+`","participantId":""}`, `ValidationException: participantId: must not be empty`)
	if !slices.Equal(f.rooms.disconnected, []string{"a_b-C häh?", "p "}) {
		t.Errorf("the rooms were told of %q", f.rooms.disconnected)
	}
}

// The SDK reads what is told of tokens.
func TestTokenBySDK(t *testing.T) {
	f := newFixture(t)
	out := f.stage(&ivsrealtime.CreateStageInput{ParticipantTokenConfigurations: []types.ParticipantTokenConfiguration{{
		UserId: new("ana"), Capabilities: []types.ParticipantTokenCapability{types.ParticipantTokenCapabilitySubscribe},
	}}})
	got := out.ParticipantTokens[0]
	if *got.UserId != "ana" || *got.Duration != 720 || time.Until(*got.ExpirationTime) < 11*time.Hour || fmt.Sprint(got.Capabilities) != "[SUBSCRIBE]" {
		t.Errorf("it is %+v", got)
	}
}
