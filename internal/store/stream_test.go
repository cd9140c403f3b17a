package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// A session from its begin to its end, as the API tells it.
func TestStreamSession(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	rc := f.configuration()
	ch, key := f.channel("studio-a", func(ch *resource.Channel) { ch.RecordingConfigurationARN = rc.ARN })
	_, err := f.LiveStream(ctx, ch.ARN)
	wantKind(t, err, resource.NotBroadcasting)

	session := f.begin(key, noon)
	want := resource.StreamSession{
		StreamID: session.StreamID, ChannelARN: ch.ARN, StartTime: noon, Channel: ch, RecordingConfiguration: &rc,
	}
	if !reflect.DeepEqual(session, want) {
		t.Errorf("session is\n%+v, want\n%+v", session, want)
	}

	one := &resource.InputConfiguration{
		Video: &resource.VideoConfiguration{Codec: "avc1.640029", Encoder: "it's an \x00 encoder", VideoHeight: 1080},
		Audio: &resource.AudioConfiguration{Channels: 2, SampleRate: 48000},
	}
	both := &resource.InputConfigurations{Video: []resource.VideoConfiguration{*one.Video}, Audio: []resource.AudioConfiguration{}}
	f.must(f.SetInputConfiguration(ctx, session.StreamID, one, both))
	one.Video.Encoder = `it's an \u0000 encoder` // no SQL string holds a NUL
	both.Video[0].Encoder = one.Video.Encoder
	want.IngestConfiguration, want.IngestConfigurations = one, both
	if got, err := f.LiveStream(ctx, ch.ARN); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("live stream is\n%+v, %v; want\n%+v", got, err, want)
	}
	if got, err := f.OpenStreams(ctx); err != nil || !reflect.DeepEqual(got, []resource.StreamSession{want}) {
		t.Errorf("open streams are\n%+v, %v; want\n%+v", got, err, want)
	}
	f.must(f.AppendEvent(ctx, resource.Event{
		DetailType: resource.StreamStateChange, Time: noon.Add(6 * time.Second), Resource: ch.ARN, StreamID: session.StreamID,
		Detail: resource.StreamStateDetail{EventName: resource.StreamStart, ChannelName: ch.Name, StreamID: session.StreamID},
	}))

	end := noon.Add(time.Minute)
	f.end(session, end)
	_, err = f.LiveStream(ctx, ch.ARN)
	wantKind(t, err, resource.NotBroadcasting)
	// The channel as it was, whatever became of it.
	_, err = f.UpdateChannel(ctx, ch.ARN, func(ch *resource.Channel) error { ch.Name = "renamed"; return nil })
	f.must(err)

	want.EndTime = &end
	state := func(name string, at time.Time) resource.StreamEvent {
		return resource.StreamEvent{Name: name, Type: resource.StreamStateChange, EventTime: at}
	}
	want.TruncatedEvents = []resource.StreamEvent{
		state(resource.SessionEnded, end),
		state(resource.StreamEnd, end),
		state(resource.StreamStart, noon.Add(6*time.Second)),
		state(resource.SessionCreated, noon),
	}
	for _, id := range []string{session.StreamID, ""} {
		if got, err := f.StreamSession(ctx, ch.ARN, id); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("session %q is\n%+v, %v; want\n%+v", id, got, err, want)
		}
	}
	listed, _, err := f.ListStreamSessions(ctx, ch.ARN, resource.Page{Size: 1})
	brief := []resource.StreamSession{{StreamID: session.StreamID, ChannelARN: ch.ARN, StartTime: noon, EndTime: &end}}
	if err != nil || !reflect.DeepEqual(listed, brief) {
		t.Errorf("list is %+v, %v; want %+v", listed, err, brief)
	}
}

func TestStreamSessionNotFound(t *testing.T) {
	f := open(t)
	ch, key := f.channel("")
	session := f.begin(key, noon)
	silent, _ := f.channel("")
	missing := place.ARN(resource.KindChannel, "missing")
	for _, c := range []struct {
		name    string
		channel resource.ARN
		stream  string
	}{
		{"no such channel", missing, ""},
		{"no such channel, but stream", missing, session.StreamID},
		{"no such stream", ch.ARN, "st-missing"},
		{"never live", silent.ARN, ""},
		{"another channel's stream", silent.ARN, session.StreamID},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.StreamSession(t.Context(), c.channel, c.stream)
			wantKind(t, err, resource.NotFound)
		})
	}
	_, _, err := f.ListStreamSessions(t.Context(), missing, resource.Page{Size: 1})
	wantKind(t, err, resource.NotFound)
	_, err = f.LiveStream(t.Context(), missing)
	wantKind(t, err, resource.NotFound)
	if got, _, err := f.ListStreamSessions(t.Context(), silent.ARN, resource.Page{Size: 1}); err != nil || len(got) > 0 {
		t.Errorf("sessions of a channel that was never live: %v, %v", got, err)
	}
	wantKind(t, f.SetInputConfiguration(t.Context(), "st-missing", nil, nil), resource.NotFound)
	wantKind(t, f.EndStream(t.Context(), "st-missing", noon, ""), resource.NotFound)
}

func TestBeginStream(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(f *fixture, key *resource.StreamKey)
		kind   resource.Kind
	}{
		{name: "offline", before: func(*fixture, *resource.StreamKey) {}},
		{name: "after a stream", before: func(f *fixture, key *resource.StreamKey) { f.end(f.begin(*key, noon), noon) }},
		{name: "live", before: func(f *fixture, key *resource.StreamKey) { f.begin(*key, noon) }, kind: resource.Conflict},
		{name: "channel deleted", kind: resource.NotFound, before: func(f *fixture, key *resource.StreamKey) {
			f.must(f.DeleteChannel(f.t.Context(), key.ChannelARN))
		}},
		{name: "key deleted", kind: resource.NotFound, before: func(f *fixture, key *resource.StreamKey) {
			f.must(f.DeleteStreamKey(f.t.Context(), key.ARN))
		}},
		{name: "key replaced", kind: resource.NotFound, before: func(f *fixture, key *resource.StreamKey) {
			f.must(f.DeleteStreamKey(f.t.Context(), key.ARN))
			f.must(f.CreateStreamKey(f.t.Context(), resource.NewStreamKey(place, key.ChannelARN, nil)))
		}},
		{name: "another channel's key", kind: resource.NotFound, before: func(f *fixture, key *resource.StreamKey) {
			_, other := f.channel("")
			key.Value = other.Value
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			_, key := f.channel("")
			c.before(f, &key)
			told := f.told()
			session, err := f.BeginStream(t.Context(), key.ChannelARN, key.Value, resource.NewStreamID(), noon)
			if c.kind != resource.Internal {
				wantKind(t, err, c.kind)
				if strings.Contains(fmt.Sprint(err), key.Value) {
					t.Errorf("error tells the key: %v", err)
				}
				if got := f.told(); !slices.Equal(got, told) {
					t.Errorf("events are %v, want %v", got, told)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if live, err := f.LiveStream(t.Context(), key.ChannelARN); err != nil || live.StreamID != session.StreamID {
				t.Errorf("live stream is %+v, %v", live, err)
			}
			if got := f.told(); !slices.Equal(got, append(told, resource.SessionCreated)) {
				t.Errorf("events are %v", got)
			}
		})
	}
}

// However many publishers arrive at once, a channel has one stream, even when
// they come from several processes.
func TestConcurrentBeginStream(t *testing.T) {
	f := open(t)
	neighbour := openAt(t, f.path)
	_, key := f.channel("")
	const publishers = 12
	won := make(chan string, publishers)
	var wg sync.WaitGroup
	for i := range publishers {
		s := []*Store{f.Store, neighbour.Store}[i%2]
		wg.Go(func() {
			session, err := s.BeginStream(t.Context(), key.ChannelARN, key.Value, resource.NewStreamID(), noon)
			switch {
			case err == nil:
				won <- session.StreamID
			case kind(err) != resource.Conflict:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	var winners []string
	for id := range won {
		winners = append(winners, id)
	}
	if len(winners) != 1 {
		t.Fatalf("%d publishers won: %v", len(winners), winners)
	}
	if live, err := f.LiveStream(t.Context(), key.ChannelARN); err != nil || live.StreamID != winners[0] {
		t.Errorf("live stream is %+v, %v; want %s", live, err, winners[0])
	}
	if got := f.told(); !slices.Equal(got, []string{resource.SessionCreated}) {
		t.Errorf("events are %v", got)
	}
}

// The database keeps it so, whatever the code does.
func TestOneOpenSessionPerChannelIsARuleOfTheTable(t *testing.T) {
	f := open(t)
	_, key := f.channel("")
	session := f.begin(key, noon)
	f.end(session, noon)
	f.begin(key, noon)
	if _, err := f.writer.Exec("UPDATE streams SET ended_at = NULL WHERE stream_id = ?", session.StreamID); err == nil {
		t.Error("a channel has two open sessions")
	}
}

func TestEndStream(t *testing.T) {
	for _, c := range []struct {
		name    string
		failure string
		breach  []resource.LimitBreachDetail
		end     time.Time
		want    []string
		endTime time.Time
	}{
		{name: "ended", end: noon.Add(time.Minute), endTime: noon.Add(time.Minute),
			want: []string{resource.SessionCreated, resource.StreamEnd, resource.SessionEnded}},
		{name: "failed", failure: "Transcode capacity exceeded. Please try again.", end: noon.Add(time.Minute), endTime: noon.Add(time.Minute),
			want: []string{resource.SessionCreated, resource.StreamFailure, resource.StreamEnd, resource.SessionEnded}},
		{name: "over a limit", end: noon.Add(time.Minute), endTime: noon.Add(time.Minute),
			breach: []resource.LimitBreachDetail{{LimitName: resource.IngestResolution, LimitValue: 1920, ExceededBy: 640,
				LimitUnit: resource.PixelsPerEdge, ChannelName: "studio-a", StreamID: "st-1"}},
			want: []string{resource.SessionCreated, resource.IngestResolution, resource.StreamEnd, resource.SessionEnded}},
		{name: "the clock was set back", end: noon.Add(-time.Hour), endTime: noon,
			want: []string{resource.SessionCreated, resource.StreamEnd, resource.SessionEnded}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			ch, key := f.channel("studio-a")
			session := f.begin(key, noon)
			f.must(f.EndStream(t.Context(), session.StreamID, c.end, c.failure, c.breach...))
			f.must(f.EndStream(t.Context(), session.StreamID, c.end.Add(time.Hour), "a second end", c.breach...)) // changes nothing
			if got := f.told(); !slices.Equal(got, c.want) {
				t.Errorf("events are %v, want %v", got, c.want)
			}
			got, err := f.StreamSession(t.Context(), ch.ARN, session.StreamID)
			f.must(err)
			if !got.EndTime.Equal(c.endTime) || got.HasErrorEvent != (c.failure != "" || c.breach != nil) {
				t.Errorf("session is %+v", got)
			}
			events, err := f.Events(t.Context(), 0, 100)
			f.must(err)
			if c.failure != "" {
				want := fmt.Sprintf(`{"event_name":"Stream Failure","channel_name":"studio-a","stream_id":%q,"reason":%q}`, session.StreamID, c.failure)
				if got := detail(events[1]); got != want {
					t.Errorf("detail is %s, want %s", got, want)
				}
			}
			if c.breach != nil {
				want := `{"limit_name":"Ingest Resolution","limit_value":1920,"exceeded_by":640,"limit_unit":"pixels per edge","channel_name":"studio-a","stream_id":"st-1"}`
				if got := detail(events[1]); got != want || events[1].DetailType != resource.LimitBreach || !events[1].Time.Equal(c.endTime) {
					t.Errorf("detail is %s, want %s", got, want)
				}
			}
			last, before := events[len(events)-1], events[len(events)-2]
			if !last.Time.Equal(c.endTime) || !before.Time.Equal(c.endTime) || last.Resource != ch.ARN || last.StreamID != session.StreamID {
				t.Errorf("last events are %+v, %+v", before, last)
			}
		})
	}
}

func TestEventsMarkTheirSession(t *testing.T) {
	for _, c := range []struct {
		detailType, detail string
		want               bool
		event              resource.StreamEvent
	}{
		{resource.StreamStateChange, `{"event_name":"Stream Failure"}`, true, resource.StreamEvent{Name: "Stream Failure"}},
		{resource.StreamStateChange, `{"event_name":"Session Ended","code":"MultitrackInputNotAllowed"}`, false,
			resource.StreamEvent{Name: "Session Ended", Code: "MultitrackInputNotAllowed"}},
		{resource.LimitBreach, `{"limit_name":"Ingest Bitrate","limit_value":8500000}`, true, resource.StreamEvent{Name: "Ingest Bitrate"}},
		{resource.StreamHealthChange, `{"event_name":"Starvation Start"}`, false, resource.StreamEvent{Name: "Starvation Start"}},
		{resource.RecordingStateChange, `{"recording_status":"Recording Start"}`, false, resource.StreamEvent{Name: "Recording Start"}},
	} {
		t.Run(c.event.Name, func(t *testing.T) {
			f := open(t)
			ch, key := f.channel("")
			session := f.begin(key, noon)
			_, other := f.channel("")
			f.begin(other, noon)
			f.must(f.AppendEvent(t.Context(), resource.Event{DetailType: c.detailType, Time: noon, Resource: ch.ARN,
				StreamID: session.StreamID, Detail: rawJSON(c.detail)}))
			got, err := f.StreamSession(t.Context(), ch.ARN, session.StreamID)
			f.must(err)
			want := c.event
			want.Type, want.EventTime = c.detailType, noon
			if got.HasErrorEvent != c.want || got.TruncatedEvents[0] != want {
				t.Errorf("session is %+v", got)
			}
			if got, err := f.LiveStream(t.Context(), other.ChannelARN); err != nil || got.HasErrorEvent {
				t.Errorf("another channel's session is %+v, %v", got, err)
			}
		})
	}
}

func TestASessionTellsItsNewest500Events(t *testing.T) {
	f := open(t)
	ch, key := f.channel("")
	session := f.begin(key, noon)
	events := make([]resource.Event, 0, 520)
	for i := range cap(events) {
		events = append(events, resource.Event{DetailType: resource.StreamHealthChange, Time: noon, Resource: ch.ARN,
			StreamID: session.StreamID, Detail: resource.StreamStateDetail{EventName: fmt.Sprint(i)}})
	}
	f.must(f.change(t.Context(), "append events", appendAll(events)))
	got, err := f.StreamSession(t.Context(), ch.ARN, "")
	f.must(err)
	if n := len(got.TruncatedEvents); n != 500 || got.TruncatedEvents[0].Name != "519" || got.TruncatedEvents[499].Name != "20" {
		t.Errorf("%d events, from %+v to %+v", n, got.TruncatedEvents[0], got.TruncatedEvents[n-1])
	}
}

// Sessions are kept for as long as the caller says; one that is open, always.
func TestDeleteOldSessions(t *testing.T) {
	f := open(t)
	day := 24 * time.Hour
	ch, key := f.channel("")
	old := f.begin(key, noon.Add(-62*day))
	f.end(old, noon.Add(-61*day))
	kept := f.begin(key, noon.Add(-61*day))
	f.end(kept, noon.Add(-60*day))
	_, other := f.channel("")
	long := f.begin(other, noon.Add(-90*day)) // still live
	f.must(f.AppendEvent(t.Context(), resource.Event{Time: noon.Add(-61 * day), Detail: resource.StreamStateDetail{EventName: "of no stream, old"}}))
	f.must(f.AppendEvent(t.Context(), resource.Event{Time: noon, Detail: resource.StreamStateDetail{EventName: "of no stream, new"}}))

	for _, want := range []int{1, 0} {
		n, err := f.DeleteOldSessions(t.Context(), noon.Add(-60*day))
		if err != nil || n != want {
			t.Errorf("deleted %d, %v; want %d", n, err, want)
		}
	}
	_, err := f.StreamSession(t.Context(), ch.ARN, old.StreamID)
	wantKind(t, err, resource.NotFound)
	for _, s := range []resource.StreamSession{kept, long} {
		if got, err := f.StreamSession(t.Context(), s.ChannelARN, s.StreamID); err != nil || len(got.TruncatedEvents) == 0 {
			t.Errorf("session is %+v, %v", got, err)
		}
	}
	want := []string{resource.SessionCreated, resource.StreamEnd, resource.SessionEnded, resource.SessionCreated, "of no stream, new"}
	if got := f.told(); !slices.Equal(got, want) {
		t.Errorf("events are %v, want %v", got, want)
	}
}

func TestListLiveStreamsIsBrief(t *testing.T) {
	f := open(t)
	ch, key := f.channel("")
	session := f.begin(key, noon)
	got, _, err := f.ListLiveStreams(t.Context(), resource.Page{Size: 1})
	want := []resource.StreamSession{{StreamID: session.StreamID, ChannelARN: ch.ARN, StartTime: noon}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("list is %+v, %v; want %+v", got, err, want)
	}
}
