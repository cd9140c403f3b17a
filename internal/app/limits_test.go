package app

import (
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"anabranch/internal/api"
	"anabranch/internal/api/lowlatency"
	"anabranch/internal/api/realtime"
	"anabranch/internal/api/tags"
	"anabranch/internal/store"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	smithy "github.com/aws/smithy-go"
)

func TestLimits(t *testing.T) {
	quotas := store.Quotas{
		Channels: 5000, RecordingConfigurations: 20, AdConfigurations: 20, PlaybackKeyPairs: 3,
		PlaybackRestrictionPolicies: 3, ConcurrentStreams: 100,
		Stages: 1000, PublicKeys: 3, IngestConfigurations: 100, EncoderConfigurations: 20, StorageConfigurations: 5,
	}
	fewer := quotas
	fewer.Channels = 50
	for _, tt := range []struct {
		text   string
		quotas store.Quotas
		rates  map[string]int // some of them
		all    int            // how many there are
	}{
		{"aws", quotas, map[string]int{"CreateChannel": 5, "GetAdConfiguration": 3, "InsertAdBreak": 1, "TagResource": 10, "StopComposition": 5, "DeletePublicKey": 3, "CreateParticipantToken": 50, "PutMetadata": 155}, 77},
		{"aws, channels=50 , CreateChannel=20", fewer, map[string]int{"CreateChannel": 20, "GetChannel": 5}, 77},
		{"channels=50,aws", quotas, nil, 77}, // the later one
		{"channels=50", store.Quotas{Channels: 50}, nil, 0},
		{"GetStream=1,GetStream=0", store.Quotas{}, map[string]int{"GetStream": 0}, 1},
		{"", store.Quotas{}, nil, 0},
	} {
		cfg, err := parse(t, "--config", writeFile(t, "limits: \""+tt.text+"\"\n"))
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		rates := cfg.Limits.rates()
		some := maps.Clone(rates)
		maps.DeleteFunc(some, func(name string, _ int) bool { _, ok := tt.rates[name]; return !ok })
		if cfg.Limits.quotas() != tt.quotas || len(rates) != tt.all || !maps.Equal(some, tt.rates) && len(tt.rates) > 0 {
			t.Errorf("%q: %+v and %d rates, among them %v", tt.text, cfg.Limits.quotas(), len(rates), some)
		}
	}
}

// Every operation of the models has a rate.
func TestRates(t *testing.T) {
	rates := documented.rates()
	for _, service := range []api.Service{lowlatency.Service(lowlatency.Config{}), realtime.Service(realtime.Config{}), tags.Service(nil)} {
		for _, o := range service.Operations {
			name := o.Describe().Name
			if rates[name] == 0 {
				t.Errorf("%s has none", name)
			}
			delete(rates, name)
		}
	}
	if len(rates) > 0 {
		t.Errorf("there are rates of %v, which are no operations", rates)
	}
}

// What is over a limit is answered as the SDK expects it.
func TestLimitsOfAPI(t *testing.T) {
	s, _ := startServer(t, filepath.Join(t.TempDir(), "data"), "--limits", "channels=1,ListStreams=1")
	client := s.ivs()
	once := func(o *ivs.Options) { o.Retryer = aws.NopRetryer{} }
	if _, err := client.CreateChannel(t.Context(), &ivs.CreateChannelInput{}); err != nil {
		t.Fatal(err)
	}
	status := func(err error) int {
		var answer *awshttp.ResponseError
		if !errors.As(err, &answer) {
			return http.StatusOK
		}
		return answer.HTTPStatusCode()
	}
	_, err := client.CreateChannel(t.Context(), &ivs.CreateChannelInput{}, once)
	var exceeded *types.ServiceQuotaExceededException
	if !errors.As(err, &exceeded) || status(err) != http.StatusPaymentRequired || !strings.Contains(aws.ToString(exceeded.ExceptionMessage), "there may be 1") {
		t.Errorf("the second channel: %v", err)
	}
	if _, err = client.ListStreams(t.Context(), &ivs.ListStreamsInput{}, once); err != nil {
		t.Fatal(err)
	}
	for range 50 { // a machine may be so slow that more than a second lies between two
		if err == nil {
			_, err = client.ListStreams(t.Context(), &ivs.ListStreamsInput{}, once)
		}
	}
	var throttled smithy.APIError
	if !errors.As(err, &throttled) || throttled.ErrorCode() != "ThrottlingException" || status(err) != http.StatusTooManyRequests {
		t.Errorf("the second call: %v", err)
	}
}
