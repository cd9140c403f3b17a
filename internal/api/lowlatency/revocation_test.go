package lowlatency_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// revoked tells what is revoked, as "<viewer> <version>".
func (f *fixture) revoked(channel string) (viewers []string) {
	f.t.Helper()
	all, _, err := f.store.Revocations(f.ctx, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range all {
		if since := time.Since(r.At); since < 0 || since > time.Minute {
			f.t.Errorf("%s was revoked %v ago", r.ViewerID, since)
		}
		if string(r.ChannelARN) == channel {
			viewers = append(viewers, fmt.Sprint(r.ViewerID, " ", r.Version))
		}
	}
	return viewers
}

func TestStartViewerSessionRevocation(t *testing.T) {
	f := newFixture(t)
	arn := *f.channel(&ivs.CreateChannelInput{}).Channel.Arn
	for _, tt := range []struct{ members, want string }{
		{`"viewerId":"zoë 1"`, "zoë 1 0"},
		{`"viewerId":"zoë 1","viewerSessionVersionsLessThanOrEqualTo":7`, "zoë 1 7"},
		{`"viewerId":"zoë 1"`, "zoë 1 7"},
		{`"viewerId":"a","viewerSessionVersionsLessThanOrEqualTo":0`, "a 0"},
		{fmt.Sprintf(`"viewerId":"`+strings.Repeat("ü", 40)+`","viewerSessionVersionsLessThanOrEqualTo":%d`, math.MaxInt64),
			fmt.Sprint(strings.Repeat("ü", 40), " ", math.MaxInt64)},
	} {
		status, _, answer := f.Post("StartViewerSessionRevocation", `{"channelArn":"`+arn+`",`+tt.members+`}`)
		if status != http.StatusOK || answer == nil || len(answer) != 0 {
			t.Errorf("%s: answered %d %v", tt.members, status, answer)
		}
		if got := f.revoked(arn); len(got) == 0 || got[len(got)-1] != tt.want {
			t.Errorf("%s: revoked are %q, want %q", tt.members, got, tt.want)
		}
	}

	none := string(place.ARN(resource.KindChannel, "none"))
	_, err := f.StartViewerSessionRevocation(f.ctx, &ivs.StartViewerSessionRevocationInput{ChannelArn: &none, ViewerId: aws.String("a")})
	apitest.Fails(t, err, "ResourceNotFoundException", none)
	if got := f.revoked(none); len(got) > 0 {
		t.Errorf("revoked are %q", got)
	}
}

// What can be revoked is, and the rest is told with its reason, in order.
func TestBatchStartViewerSessionRevocation(t *testing.T) {
	f := newFixture(t)
	one, two := f.channel(&ivs.CreateChannelInput{}).Channel.Arn, f.channel(&ivs.CreateChannelInput{}).Channel.Arn
	none := aws.String(string(place.ARN(resource.KindChannel, "none")))
	session := func(arn *string, viewer string, version int32) types.BatchStartViewerSessionRevocationViewerSession {
		return types.BatchStartViewerSessionRevocationViewerSession{ChannelArn: arn, ViewerId: &viewer, ViewerSessionVersionsLessThanOrEqualTo: version}
	}
	out := apitest.Must[*ivs.BatchStartViewerSessionRevocationOutput](t)(f.BatchStartViewerSessionRevocation(f.ctx, &ivs.BatchStartViewerSessionRevocationInput{
		ViewerSessions: []types.BatchStartViewerSessionRevocationViewerSession{
			session(one, "a", 0), session(none, "a", 0), session(one, "b", 4), session(two, "a", 1), session(none, "b", 0), session(one, "b", 2),
		},
	}))
	var missing []string
	for _, e := range out.Errors {
		missing = append(missing, *e.ViewerId)
		if *e.ChannelArn != *none || *e.Code != "404" || !strings.Contains(*e.Message, *none) {
			t.Errorf("error %+v", e)
		}
	}
	if !slices.Equal(missing, []string{"a", "b"}) {
		t.Errorf("errors of %q", missing)
	}
	if got := f.revoked(*one); !slices.Equal(got, []string{"a 0", "b 4"}) {
		t.Errorf("revoked are %q", got)
	}
	if got := f.revoked(*two); !slices.Equal(got, []string{"a 1"}) {
		t.Errorf("revoked are %q", got)
	}

	all := strings.Repeat(`,{"channelArn":"`+*one+`","viewerId":"c"}`, 20)
	status, _, answer := f.Post("BatchStartViewerSessionRevocation", `{"viewerSessions":[`+all[1:]+`]}`)
	if errors, ok := answer["errors"].([]any); status != http.StatusOK || !ok || len(errors) > 0 {
		t.Errorf("answered %d %v", status, answer)
	}
	status, _, answer = f.Post("BatchStartViewerSessionRevocation", `{"viewerSessions":[{"channelArn":"`+*none+`","viewerId":"c"}]}`)
	if errors, _ := answer["errors"].([]any); status != http.StatusOK || len(errors) != 1 {
		t.Errorf("answered %d %v", status, answer)
	}
}
