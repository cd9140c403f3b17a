package lowlatency_test

import (
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

func TestGetStream(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{})
	_, err := f.GetStream(f.ctx, &ivs.GetStreamInput{ChannelArn: made.Channel.Arn})
	apitest.Fails(t, err, "ChannelNotBroadcasting", "Channel: "+*made.Channel.Arn+" is not currently online")

	session := f.live(made, resource.Starving)
	f.onAir.viewers[session.ChannelARN] = 42
	got := apitest.Must[*ivs.GetStreamOutput](t)(f.GetStream(f.ctx, &ivs.GetStreamInput{ChannelArn: made.Channel.Arn})).Stream
	if *got.ChannelArn != *made.Channel.Arn || *got.StreamId != session.StreamID || *got.PlaybackUrl != *made.Channel.PlaybackUrl ||
		got.State != "LIVE" || got.Health != "STARVING" || got.ViewerCount != 42 || !got.StartTime.Equal(resource.Time(session.StartTime)) {
		t.Errorf("got %+v", got)
	}
	_, _, answer := f.Post("ListStreams", "")
	streams, _ := answer["streams"].([]any)
	if len(streams) != 1 {
		t.Fatalf("listed %v", answer)
	}
	if got := strings.Join(apitest.Members(streams[0].(map[string]any)), " "); got != "channelArn health startTime state streamId viewerCount" {
		t.Errorf("a summary has %s", got)
	}
	if got := streams[0].(map[string]any)["viewerCount"]; got != 42.0 {
		t.Errorf("a summary tells %v viewers", got)
	}
}

func TestStopStream(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{})
	stop := &ivs.StopStreamInput{ChannelArn: made.Channel.Arn}
	_, err := f.StopStream(f.ctx, stop)
	apitest.Fails(t, err, "ChannelNotBroadcasting", "not currently online")
	_, err = f.StopStream(f.ctx, &ivs.StopStreamInput{ChannelArn: aws.String(string(place.ARN(resource.KindChannel, "none")))})
	apitest.Fails(t, err, "ResourceNotFoundException")

	f.live(made, resource.Healthy)
	if status, _, answer := f.Post("StopStream", `{"channelArn":"`+*made.Channel.Arn+`"}`); status != http.StatusOK || answer == nil || len(answer) != 0 {
		t.Errorf("answered %d %v", status, answer)
	}
	_, err = f.GetStream(f.ctx, &ivs.GetStreamInput{ChannelArn: made.Channel.Arn})
	apitest.Fails(t, err, "ChannelNotBroadcasting")
}

// Pages of a filtered list are full until the last, and miss nothing.
func TestListStreams(t *testing.T) {
	f := newFixture(t)
	var all, starving []string
	for i := range 9 {
		health := resource.Healthy
		if i%4 == 3 {
			health = resource.Starving
		}
		id := f.live(f.channel(&ivs.CreateChannelInput{}), health).StreamID
		all = append(all, id)
		if health == resource.Starving {
			starving = append(starving, id)
		}
	}
	for _, tt := range []struct {
		in    *ivs.ListStreamsInput
		want  []string
		pages int
	}{
		{&ivs.ListStreamsInput{}, all, 1},
		{&ivs.ListStreamsInput{MaxResults: aws.Int32(4)}, all, 3},
		{&ivs.ListStreamsInput{FilterBy: &types.StreamFilters{}, MaxResults: aws.Int32(100)}, all, 1},
		{&ivs.ListStreamsInput{FilterBy: &types.StreamFilters{Health: "STARVING"}}, starving, 1},
		{&ivs.ListStreamsInput{FilterBy: &types.StreamFilters{Health: "STARVING"}, MaxResults: aws.Int32(3)}, starving, 1},
		{&ivs.ListStreamsInput{FilterBy: &types.StreamFilters{Health: "STARVING"}, MaxResults: aws.Int32(1)}, starving, 3}, // the last is empty
		{&ivs.ListStreamsInput{FilterBy: &types.StreamFilters{Health: "UNKNOWN"}, MaxResults: aws.Int32(1)}, nil, 1},
	} {
		var got []string
		pages := 0
		for p := ivs.NewListStreamsPaginator(f, tt.in); p.HasMorePages(); pages++ {
			for _, s := range apitest.Must[*ivs.ListStreamsOutput](t)(p.NextPage(f.ctx)).Streams {
				got = append(got, *s.StreamId)
			}
		}
		if !slices.Equal(got, tt.want) || pages != tt.pages {
			t.Errorf("%+v: %d pages with %v, want %d with %v", tt.in, pages, got, tt.pages, tt.want)
		}
	}
}

// A session tells what was, as it was.
func TestGetStreamSession(t *testing.T) {
	f := newFixture(t)
	rc := f.recording(resource.Active)
	made := f.channel(&ivs.CreateChannelInput{Name: aws.String("then"), RecordingConfigurationArn: rc.Arn})
	arn := made.Channel.Arn
	_, err := f.GetStreamSession(f.ctx, &ivs.GetStreamSessionInput{ChannelArn: arn})
	apitest.Fails(t, err, "ResourceNotFoundException")

	session := f.live(made, resource.Healthy)
	video := resource.VideoConfiguration{Codec: "avc1.64001f", AVCLevel: "3.1", AVCProfile: "High", VideoWidth: 1280, VideoHeight: 720, TargetBitrate: 2_000_000, Track: "Track0"}
	err = f.store.SetInputConfiguration(f.ctx, session.StreamID,
		&resource.InputConfiguration{Video: &video}, &resource.InputConfigurations{Video: []resource.VideoConfiguration{video}, Audio: []resource.AudioConfiguration{}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, answer := f.Post("GetStreamSession", `{"channelArn":"`+*arn+`"}`)
	told := apitest.Object(answer, "streamSession")
	if _, has := told["endTime"]; has {
		t.Errorf("a live session ended: %v", told)
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", told["startTime"].(string))
	if err != nil || !at.Equal(resource.Time(session.StartTime)) {
		t.Errorf("begun at %v, %v", told["startTime"], err)
	}

	if err := f.onAir.Stop(f.ctx, resource.ARN(*arn)); err != nil {
		t.Fatal(err)
	}
	_, err = f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: arn, Name: aws.String("now")})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []*string{nil, &session.StreamID} {
		got := apitest.Must[*ivs.GetStreamSessionOutput](t)(f.GetStreamSession(f.ctx, &ivs.GetStreamSessionInput{ChannelArn: arn, StreamId: id})).StreamSession
		if *got.StreamId != session.StreamID || got.EndTime == nil || got.EndTime.Nanosecond() != 0 || *got.Channel.Name != "then" ||
			*got.Channel.PlaybackUrl != *made.Channel.PlaybackUrl || *got.Channel.IngestEndpoint != "ingest.test" || *got.Channel.Srt.Endpoint != "srt.test" ||
			*got.RecordingConfiguration.Arn != *rc.Arn || *got.IngestConfiguration.Video.AvcProfile != "High" ||
			got.IngestConfigurations.VideoConfigurations[0].VideoWidth != 1280 {
			t.Errorf("got %+v", got)
		}
		var names []string
		for _, e := range got.TruncatedEvents {
			names = append(names, *e.Name)
			if *e.Type != resource.StreamStateChange || e.EventTime.Nanosecond() != 0 {
				t.Errorf("event %+v", e)
			}
		}
		if !slices.Equal(names, []string{"Session Ended", "Stream End", "Session Created"}) {
			t.Errorf("events %v", names)
		}
	}
	_, err = f.GetStreamSession(f.ctx, &ivs.GetStreamSessionInput{ChannelArn: arn, StreamId: aws.String(resource.NewStreamID())})
	apitest.Fails(t, err, "ResourceNotFoundException")
}

func TestListStreamSessions(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{})
	arn := *made.Channel.Arn
	first := f.live(made, resource.Healthy)
	if err := f.store.EndStream(f.ctx, first.StreamID, time.Now(), "it broke"); err != nil {
		t.Fatal(err)
	}
	second := f.live(made, resource.Healthy)

	_, _, answer := f.Post("ListStreamSessions", `{"channelArn":"`+arn+`","maxResults":1}`)
	sessions, _ := answer["streamSessions"].([]any)
	if len(sessions) != 1 {
		t.Fatalf("listed %v", answer)
	}
	newest := sessions[0].(map[string]any)
	if got := strings.Join(apitest.Members(newest), " "); got != "hasErrorEvent startTime streamId" || newest["streamId"] != second.StreamID {
		t.Errorf("the newest is %v", newest)
	}
	var ids []string
	for p := ivs.NewListStreamSessionsPaginator(f, &ivs.ListStreamSessionsInput{ChannelArn: &arn, MaxResults: aws.Int32(1)}); p.HasMorePages(); {
		for _, s := range apitest.Must[*ivs.ListStreamSessionsOutput](t)(p.NextPage(f.ctx)).StreamSessions {
			ids = append(ids, *s.StreamId)
			if ended := *s.StreamId == first.StreamID; (s.EndTime != nil) != ended || s.HasErrorEvent != ended {
				t.Errorf("listed %+v", s)
			}
		}
	}
	if !slices.Equal(ids, []string{second.StreamID, first.StreamID}) {
		t.Errorf("listed %v", ids)
	}
	_, err := f.ListStreamSessions(f.ctx, &ivs.ListStreamSessionsInput{ChannelArn: aws.String(string(place.ARN(resource.KindChannel, "none")))})
	apitest.Fails(t, err, "ResourceNotFoundException")
}
