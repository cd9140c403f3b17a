package recordings

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

const (
	firstSession  = "st-0000000000001"
	secondSession = "st-0000000000002"
)

// participant stores a recording of a participant of a stage, that ended unless it
// is in the spool.
func (f *fixture) participant(id, stage, who string, at time.Time, sessions ...string) resource.Recording {
	f.Helper()
	r := resource.Recording{
		ID: id, SessionID: "of-no-event", StageARN: place.ARN(resource.KindStage, stage), StageSessionIDs: sessions[:1], ParticipantID: who, UserID: "user-of-" + who,
		StorageConfigurationARN: place.ARN(resource.KindStorageConfiguration, "storage"),
		Bucket:                  "vod", Prefix: stage + "/" + sessions[0] + "/" + who + "/2026-03-01T12-00-00Z",
		StreamIDs: []string{"pub-0" + id}, StartedAt: at,
	}
	f.must(f.store.StartRecording(f.Context(), r))
	for i, session := range sessions[1:] {
		f.must(f.store.JoinRecording(f.Context(), id, resource.RecordedStream{ID: "pub-" + string(rune('1'+i)) + id, StageSessionID: session}))
	}
	if _, open := f.spool[id]; !open {
		f.must(f.store.EndRecording(f.Context(), id, at.Add(time.Minute), 12_345*time.Millisecond))
	}
	return r
}

// Recordings of both kinds stand in one list, which stage, session and participant
// narrow.
func TestListParticipants(t *testing.T) {
	f := newFixture(t)
	f.add(a, "one", noon)
	f.participant(b, "room", "ana", noon.Add(time.Hour), firstSession, secondSession)
	f.participant(c, "room", "ben", noon.Add(2*time.Hour), secondSession)
	f.participant(d, "hall", "ana", noon.Add(3*time.Hour), "st-0000000000003")
	for query, want := range map[string]string{
		"":                            "d c b a",
		"channel=one":                 "a",
		"kind=channel":                "a",
		"kind=channel&channel=one":    "a",
		"kind=participant":            "d c b",
		"kind=participant&stage=room": "c b",
		"stage=room":                  "c b",
		"stage=" + url.QueryEscape(string(place.ARN(resource.KindStage, "room"))): "c b",
		"stage=arn:aws:ivs:eu-west-1:999999999999:stage/room":                     "",
		"stage=room&session=" + firstSession:                                      "b",
		"stage=room&session=" + secondSession:                                     "c b",
		"session=" + secondSession:                                                "c b",
		"stage=hall&session=" + firstSession:                                      "",
		"participant=ana":                                                         "d b",
		"stage=room&participant=ana":                                              "b",
		"stage=room&participant=ana&session=" + secondSession:                     "b",
		"stage=room&from=2026-03-01T14:00:00Z":                                    "c",
		"participant=an":                                                          "",
	} {
		var got listResponse
		if status := f.get("/v1/recordings?"+query, &got); status != 200 || got.ids() != want || got.NextToken != "" {
			t.Errorf("%s: %d %q %s, want %q", query, status, got.ids(), got.NextToken, want)
		}
	}
	// Page by page, each with the same filter.
	query := url.Values{"stage": {"room"}, "maxResults": {"1"}}
	var first, second listResponse
	f.get("/v1/recordings?"+query.Encode(), &first)
	query.Set("nextToken", first.NextToken)
	f.get("/v1/recordings?"+query.Encode(), &second)
	if first.ids() != "c" || second.ids() != "b" || second.NextToken != "" {
		t.Errorf("pages are %q and %q, then %q", first.ids(), second.ids(), second.NextToken)
	}
	query.Set("stage", "hall")
	var refused struct{ Message string }
	if status := f.get("/v1/recordings?"+query.Encode(), &refused); status != 400 {
		t.Errorf("a token of another list: %d %s", status, refused.Message)
	}
}

// A participant's recording is told with whose it is and its own playlist, and
// never with one of byte ranges.
func TestToldParticipant(t *testing.T) {
	f := newFixture(t)
	media := resource.RecordedMedia{
		Renditions: []resource.RecordedRendition{{Name: "high", Width: 640, Height: 360}}, Thumbnail: "media/thumbnails/high/2.jpg",
	}
	f.spool[a] = recorder.Progress{Duration: 7 * time.Second, Streams: []string{"pub-0", "pub-1"}, Playable: true, Media: media}
	r := f.participant(a, "room", "ana", noon, firstSession, secondSession)
	told := func() string {
		var got map[string]json.RawMessage
		if status := f.get("/v1/recordings/"+a, &got); status != 200 {
			t.Fatalf("answered %d %s", status, got)
		}
		text := string(got["recording"])
		_, path, _ := strings.Cut(text, "/recordings/media/")
		token, _, _ := strings.Cut(path, "/")
		return strings.ReplaceAll(text, token, "T")
	}
	whose := `{"id":"00000000000a","kind":"participant","stageArn":"arn:aws:ivs:eu-west-1:111122223333:stage/room",` +
		`"stageSessionIds":["` + firstSession + `","` + secondSession + `"],"participantId":"ana","userId":"user-of-ana",`
	lies := `"bucket":"vod","prefix":"` + r.Prefix + `",`
	base := `"https://live.example.com/recordings/media/T/media/`
	plays := `"playbackUrl":` + base + `hls/multivariant.m3u8","renditions":[{"name":"high","width":640,"height":360,"playbackUrl":` + base +
		`hls/high/playlist.m3u8"}],"thumbnailUrl":` + base + `thumbnails/high/2.jpg"}`
	want := whose + `"state":"RECORDING_STARTED",` + lies + `"streamIds":["pub-0","pub-1"],"startedAt":"2026-03-01T12:00:00Z","duration":7,"fragments":2,` + plays
	if got := told(); got != want {
		t.Errorf("while it goes on:\n%s, want\n%s", got, want)
	}
	f.must(f.store.DescribeRecording(t.Context(), a, media))
	f.must(f.store.EndRecording(t.Context(), a, noon.Add(time.Minute), 12_345*time.Millisecond))
	delete(f.spool, a)
	want = whose + `"state":"RECORDING_ENDED",` + lies + `"streamIds":["pub-000000000000a","pub-100000000000a"],"startedAt":"2026-03-01T12:00:00Z",` +
		`"endedAt":"2026-03-01T12:01:00Z","duration":12.345,"fragments":2,` + plays
	if got := told(); got != want {
		t.Errorf("at the end:\n%s, want\n%s", got, want)
	}

	// One whose spool was lost while it was being made.
	f.spool[b] = recorder.Progress{}
	lost := f.participant(b, "room", "ben", noon, firstSession)
	f.must(f.store.FailRecording(t.Context(), b, noon, 0, resource.RecordingFailure{Reason: "the disk is gone"}))
	delete(f.spool, b)
	f.objects.content[lost.Prefix+"/"+multivariantPlaylist] = []byte("#EXTM3U\n")
	var got getResponse
	if f.get("/v1/recordings/"+b, &got); !strings.HasSuffix(got.Recording.PlaybackURL, "/media/hls/multivariant.m3u8") {
		t.Errorf("one that was abandoned: %+v", got.Recording)
	}
}

// Everything that a player loads of a participant's recording is served, also
// while it is made: what may change then is not kept.
func TestParticipantMedia(t *testing.T) {
	f := newFixture(t)
	f.spool[a] = recorder.Progress{Duration: time.Second, Playable: true}
	r := f.participant(a, "room", "ana", noon, firstSession)
	for _, tt := range []struct {
		name, contentType string
		changes           bool
	}{
		{"media/hls/multivariant.m3u8", "application/vnd.apple.mpegurl", true},
		{"media/hls/high/playlist.m3u8", "application/vnd.apple.mpegurl", true},
		{"media/hls/high/init-0.mp4", "video/mp4", false},
		{"media/hls/high/17.mp4", "video/mp4", false},
		{"media/thumbnails/high/1.jpg", "image/jpeg", false},
		{"media/latest_thumbnail/high/thumb.jpg", "image/jpeg", true},
	} {
		f.objects.content[r.Prefix+"/"+tt.name] = []byte(tt.name)
		w := f.load("GET", f.mediaPath(a, time.Now())+tt.name)
		if w.Code != 200 || w.Body.String() != tt.name || w.Header().Get("Content-Type") != tt.contentType {
			t.Errorf("%s: %d %s %s", tt.name, w.Code, w.Header(), w.Body)
		}
		if kept := w.Header().Get("Cache-Control"); (kept == "no-cache") != tt.changes {
			t.Errorf("%s: Cache-Control is %q", tt.name, kept)
		}
	}
	f.objects.content[r.Prefix+"/events/recording-started.json"] = []byte("{}")
	if w := f.load("GET", f.mediaPath(a, time.Now())+"events/recording-started.json"); w.Code != 404 {
		t.Errorf("metadata: %d", w.Code)
	}
}
