package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// recording is one as the recorder hands it over.
func recording(ch resource.Channel, streams ...string) resource.Recording {
	id := resource.NewID()
	return resource.Recording{
		ID: id, SessionID: resource.NewID(), ChannelARN: ch.ARN, ChannelName: ch.Name,
		RecordingConfigurationARN: place.ARN(resource.KindRecordingConfiguration, "rc"),
		Bucket:                    "vod-bucket", Prefix: "ivs/v1/111122223333/" + ch.ID() + "/2026/3/1/12/0/" + id,
		ContainerFormat: resource.TS, StreamIDs: streams, ReconnectWindow: 90 * time.Second,
		State: resource.RecordingStarted, StartedAt: noon,
	}
}

// Two streams merged into one recording: one start, one end, told where each
// belongs.
func TestMergedRecording(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	ch, key := f.channel("studio-a")
	first := f.begin(key, noon)
	r := recording(ch, first.StreamID)
	f.must(f.StartRecording(ctx, r))
	f.end(first, noon.Add(time.Minute))
	second := f.begin(key, noon.Add(2*time.Minute))
	f.must(f.JoinRecording(ctx, r.ID, resource.RecordedStream{ID: second.StreamID}))

	r.StreamIDs = append(r.StreamIDs, second.StreamID)
	if got, err := f.OpenRecordings(ctx); err != nil || !reflect.DeepEqual(got, []resource.Recording{r}) {
		t.Errorf("open recordings are\n%+v, %v; want\n%+v", got, err, r)
	}
	f.end(second, noon.Add(3*time.Minute))
	r.Media = resource.RecordedMedia{
		Renditions: []resource.RecordedRendition{{Name: "720p30", Width: 1280, Height: 720}, {Name: "audio_only"}},
		Thumbnail:  "media/thumbnails/thumb0.jpg",
	}
	for range 2 {
		f.must(f.DescribeRecording(ctx, r.ID, r.Media))
	}
	f.must(f.EndRecording(ctx, r.ID, noon.Add(5*time.Minute), 87_412*time.Millisecond))

	r.State, r.EndedAt, r.Duration = resource.RecordingEnded, noon.Add(5*time.Minute), 87_412*time.Millisecond
	if got, err := f.Recording(ctx, r.ID); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("recording is\n%+v, %v; want\n%+v", got, err, r)
	}
	if got, err := f.OpenRecordings(ctx); err != nil || len(got) > 0 {
		t.Errorf("open recordings are %+v, %v", got, err)
	}

	var details []string
	events, err := f.Events(ctx, 0, 100)
	f.must(err)
	for _, e := range events {
		if e.DetailType == resource.RecordingStateChange {
			details = append(details, detail(e))
		}
	}
	form := `{"recording_status":"%s","recording_status_reason":"","recording_s3_bucket_name":"vod-bucket","recording_s3_key_prefix":"` + r.Prefix +
		`","recording_duration_ms":%d,"channel_name":"studio-a","stream_id":"%s","recording_session_id":"` + r.SessionID + `","recording_session_stream_ids":[%s]}`
	want := []string{
		fmt.Sprintf(form, "Recording Start", 0, first.StreamID, `"`+first.StreamID+`"`),
		fmt.Sprintf(form, "Recording End", 87412, second.StreamID, `"`+first.StreamID+`","`+second.StreamID+`"`),
	}
	if !slices.Equal(details, want) {
		t.Errorf("details are\n%q, want\n%q", details, want)
	}
	for id, want := range map[string][]string{
		first.StreamID:  {resource.SessionEnded, resource.StreamEnd, resource.RecordingStart, resource.SessionCreated},
		second.StreamID: {resource.RecordingEnd, resource.SessionEnded, resource.StreamEnd, resource.SessionCreated},
	} {
		got, err := f.StreamSession(ctx, ch.ARN, id)
		f.must(err)
		if told := names(got.TruncatedEvents, func(e resource.StreamEvent) string { return e.Name }); !slices.Equal(told, want) {
			t.Errorf("session tells %v, want %v", told, want)
		}
	}
}

// Each call may come again, and in any order that a crash of the recorder can
// make of them.
func TestRecordingStates(t *testing.T) {
	start := func(f *fixture, r resource.Recording) error { return f.StartRecording(f.t.Context(), r) }
	join := func(stream string) step {
		return func(f *fixture, r resource.Recording) error {
			return f.JoinRecording(f.t.Context(), r.ID, resource.RecordedStream{ID: stream})
		}
	}
	end := func(f *fixture, r resource.Recording) error {
		return f.EndRecording(f.t.Context(), r.ID, noon.Add(time.Minute), 42*time.Second)
	}
	fail := func(f *fixture, r resource.Recording) error {
		return f.FailRecording(f.t.Context(), r.ID, noon.Add(time.Hour), time.Second, resource.RecordingFailure{Reason: "InternalServerException"})
	}
	for _, c := range []struct {
		name    string
		steps   []step
		kind    resource.Kind // of the last step's error, if any
		state   resource.RecordingState
		streams []string
		told    []string
	}{
		{name: "started", steps: []step{start},
			state: resource.RecordingStarted, streams: []string{"st-1"}, told: []string{resource.RecordingStart}},
		{name: "started twice", steps: []step{start, start},
			state: resource.RecordingStarted, streams: []string{"st-1"}, told: []string{resource.RecordingStart}},
		{name: "joined", steps: []step{start, join("st-2"), join("st-3")},
			state: resource.RecordingStarted, streams: []string{"st-1", "st-2", "st-3"}, told: []string{resource.RecordingStart}},
		{name: "joined twice", steps: []step{start, join("st-2"), join("st-2"), join("st-1")},
			state: resource.RecordingStarted, streams: []string{"st-1", "st-2"}, told: []string{resource.RecordingStart}},
		{name: "started again after a join", steps: []step{start, join("st-2"), start},
			state: resource.RecordingStarted, streams: []string{"st-1", "st-2"}, told: []string{resource.RecordingStart}},
		{name: "ended", steps: []step{start, end},
			state: resource.RecordingEnded, streams: []string{"st-1"}, told: []string{resource.RecordingStart, resource.RecordingEnd}},
		{name: "ended twice", steps: []step{start, end, end},
			state: resource.RecordingEnded, streams: []string{"st-1"}, told: []string{resource.RecordingStart, resource.RecordingEnd}},
		{name: "failed", steps: []step{start, fail},
			state: resource.RecordingFailed, streams: []string{"st-1"}, told: []string{resource.RecordingStart, resource.RecordingEndFailure}},
		{name: "failed after its end", steps: []step{start, end, fail},
			state: resource.RecordingEnded, streams: []string{"st-1"}, told: []string{resource.RecordingStart, resource.RecordingEnd}},
		{name: "ended after its failure", steps: []step{start, fail, end},
			state: resource.RecordingFailed, streams: []string{"st-1"}, told: []string{resource.RecordingStart, resource.RecordingEndFailure}},
		{name: "started after its end", steps: []step{start, end, start},
			state: resource.RecordingEnded, streams: []string{"st-1"}, told: []string{resource.RecordingStart, resource.RecordingEnd}},
		{name: "a join replayed after its end", steps: []step{start, join("st-2"), end, join("st-2")},
			state: resource.RecordingEnded, streams: []string{"st-1", "st-2"}, told: []string{resource.RecordingStart, resource.RecordingEnd}},
		{name: "joined after its end", steps: []step{start, end, join("st-2")}, kind: resource.Conflict,
			state: resource.RecordingEnded, streams: []string{"st-1"}, told: []string{resource.RecordingStart, resource.RecordingEnd}},
		{name: "never started, joined", steps: []step{join("st-2")}, kind: resource.NotFound},
		{name: "never started, ended", steps: []step{end}, kind: resource.NotFound},
		{name: "never started, failed", steps: []step{fail}, kind: resource.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			ch, _ := f.channel("")
			r := recording(ch, "st-1")
			for i, do := range c.steps {
				err := do(f, r)
				if c.kind != resource.Internal && i == len(c.steps)-1 {
					wantKind(t, err, c.kind)
				} else if err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			if got := f.told(); !slices.Equal(got, c.told) {
				t.Errorf("events are %v, want %v", got, c.told)
			}
			got, err := f.Recording(t.Context(), r.ID)
			if c.state == "" {
				wantKind(t, err, resource.NotFound)
				return
			}
			f.must(err)
			if got.State != c.state || !slices.Equal(got.StreamIDs, c.streams) {
				t.Errorf("recording is %+v", got)
			}
			if reason := map[bool]string{true: "InternalServerException"}[c.state == resource.RecordingFailed]; got.StatusMessage != reason {
				t.Errorf("status message is %q, want %q", got.StatusMessage, reason)
			}
		})
	}
}

type step = func(*fixture, resource.Recording) error

func TestFailedRecordingSaysWhy(t *testing.T) {
	f := open(t)
	ch, _ := f.channel("studio-a")
	r := recording(ch, "st-1")
	f.must(f.StartRecording(t.Context(), r))
	f.must(f.FailRecording(t.Context(), r.ID, noon.Add(time.Minute), 10*time.Second, resource.RecordingFailure{Reason: "spool is gone"}))
	events, err := f.Events(t.Context(), 0, 10)
	f.must(err)
	want := `{"recording_status":"Recording End Failure","recording_status_reason":"spool is gone","recording_s3_bucket_name":"vod-bucket","recording_s3_key_prefix":"` +
		r.Prefix + `","recording_duration_ms":10000,"channel_name":"studio-a","stream_id":"st-1","recording_session_id":"` + r.SessionID +
		`","recording_session_stream_ids":["st-1"]}`
	if got := events[1]; detail(got) != want || !got.Time.Equal(noon.Add(time.Minute)) || got.Resource != ch.ARN {
		t.Errorf("event is %+v\n%s, want\n%s", got, detail(got), want)
	}
}

// A recording that could not begin is told once for its stream, and is nowhere
// else.
func TestRefuseRecording(t *testing.T) {
	f := open(t)
	ch, key := f.channel("studio-a")
	session := f.begin(key, noon)
	r := recording(ch, session.StreamID)
	for range 2 {
		f.must(f.RefuseRecording(t.Context(), r, resource.RecordingFailure{Reason: "ValidationException"}))
	}
	if got := f.told(); !slices.Equal(got, []string{resource.SessionCreated, resource.RecordingStartFailure}) {
		t.Fatalf("events are %v", got)
	}
	events, err := f.Events(t.Context(), 0, 10)
	f.must(err)
	want := `{"recording_status":"Recording Start Failure","recording_status_reason":"ValidationException","recording_s3_bucket_name":"vod-bucket",` +
		`"recording_s3_key_prefix":"","recording_duration_ms":0,"channel_name":"studio-a","stream_id":"` + session.StreamID +
		`","recording_session_id":"","recording_session_stream_ids":["` + session.StreamID + `"]}`
	if got := detail(events[1]); got != want {
		t.Errorf("detail is\n%s, want\n%s", got, want)
	}
	_, err = f.Recording(t.Context(), r.ID)
	wantKind(t, err, resource.NotFound)
	if got, err := f.OpenRecordings(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("open recordings are %+v, %v", got, err)
	}
}

func TestOpenRecordingsAreInOrder(t *testing.T) {
	f := open(t)
	ch, _ := f.channel("")
	var want []string
	for i := range 5 {
		r := recording(ch, "st-1")
		f.must(f.StartRecording(t.Context(), r))
		if i == 2 {
			f.must(f.EndRecording(t.Context(), r.ID, noon, 0))
			continue
		}
		want = append(want, r.ID)
	}
	got, err := f.OpenRecordings(t.Context())
	if ids := names(got, func(r resource.Recording) string { return r.ID }); err != nil || !slices.Equal(ids, want) {
		t.Errorf("open recordings are %v, %v; want %v", ids, err, want)
	}
}

// Recordings are listed by their start, the last one first, within bounds of
// every sort; a page stays where it was when others come.
func TestListRecordings(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	a, _ := f.channel("a")
	b, _ := f.channel("b")
	add := func(id string, ch resource.Channel, at time.Time) {
		r := recording(ch, "st-"+id)
		r.ID, r.StartedAt = id, at
		f.must(f.StartRecording(ctx, r))
	}
	add("one", a, noon)
	add("two", b, noon.Add(time.Hour))
	add("late", a, noon.Add(-time.Hour)) // told after those that began later
	add("same", a, noon.Add(time.Hour))
	f.must(f.EndRecording(ctx, "one", noon.Add(time.Minute), time.Minute))
	f.must(f.FailRecording(ctx, "two", noon.Add(2*time.Hour), time.Minute, resource.RecordingFailure{Reason: "the disk is gone"}))
	f.must(f.DeleteChannel(ctx, b.ARN))

	for name, tt := range map[string]struct {
		filter resource.RecordingFilter
		want   string
	}{
		"all":         {resource.RecordingFilter{}, "same two one late"},
		"a channel":   {resource.RecordingFilter{ChannelARN: a.ARN}, "same one late"},
		"a gone one":  {resource.RecordingFilter{ChannelARN: b.ARN}, "two"},
		"no channel":  {resource.RecordingFilter{ChannelARN: "arn"}, ""},
		"started":     {resource.RecordingFilter{State: resource.RecordingStarted}, "same late"},
		"ended":       {resource.RecordingFilter{State: resource.RecordingEnded}, "one"},
		"failed":      {resource.RecordingFilter{State: resource.RecordingFailed}, "two"},
		"from":        {resource.RecordingFilter{From: noon}, "same two one"},
		"to":          {resource.RecordingFilter{To: noon}, "late"},
		"from and to": {resource.RecordingFilter{From: noon, To: noon.Add(time.Hour)}, "one"},
		"everything":  {resource.RecordingFilter{ChannelARN: a.ARN, State: resource.RecordingStarted, From: noon, To: noon.Add(2 * time.Hour)}, "same"},
	} {
		for size := range 4 {
			var ids []string
			for page := (resource.Page{Size: size + 1}); ; {
				items, next, err := f.ListRecordings(ctx, tt.filter, page)
				f.must(err)
				ids = append(ids, names(items, func(r resource.Recording) string { return r.ID })...)
				if page.After = next; next == "" {
					break
				}
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("%s, %d a page: %q, want %q", name, size+1, got, tt.want)
			}
		}
	}

	_, next, err := f.ListRecordings(ctx, resource.RecordingFilter{}, resource.Page{Size: 2})
	f.must(err)
	add("new", a, noon.Add(3*time.Hour))
	add("older", a, noon.Add(-2*time.Hour))
	rest, _, err := f.ListRecordings(ctx, resource.RecordingFilter{}, resource.Page{Size: 10, After: next})
	f.must(err)
	if got := strings.Join(names(rest, func(r resource.Recording) string { return r.ID }), " "); got != "one late older" {
		t.Errorf("the second page is %q", got)
	}
	for _, after := range []string{"x", "5", "5/x", "/"} {
		_, _, err := f.ListRecordings(ctx, resource.RecordingFilter{}, resource.Page{After: after})
		wantKind(t, err, resource.Invalid)
	}
}
