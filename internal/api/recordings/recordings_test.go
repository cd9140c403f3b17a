package recordings

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

// ids are those of a list.
func (l *listResponse) ids() string {
	var ids []string
	for _, r := range l.Recordings {
		ids = append(ids, strings.TrimLeft(r.ID, "0"))
	}
	return strings.Join(ids, " ")
}

const (
	a = "00000000000a"
	b = "00000000000b"
	c = "00000000000c"
	d = "00000000000d"
)

func TestList(t *testing.T) {
	f := newFixture(t)
	f.spool[c] = recorder.Progress{}
	f.spool[d] = recorder.Progress{}
	f.add(a, "one", noon)
	f.add(b, "two", noon.Add(time.Hour))
	f.add(c, "one", noon.Add(2*time.Hour))
	f.add(d, "two", noon.Add(3*time.Hour))
	f.must(f.store.FailRecording(t.Context(), d, noon.Add(4*time.Hour), 0, resource.RecordingFailure{Reason: "the disk is gone"}))

	for query, want := range map[string]string{
		"":            "d c b a",
		"channel=one": "c a",
		"channel=arn:aws:ivs:eu-west-1:111122223333:channel/one":             "c a",
		"channel=arn%3Aaws%3Aivs%3Aeu-west-1%3A111122223333%3Achannel%2Fone": "c a",
		"channel=arn:aws:ivs:eu-west-1:999999999999:channel/one":             "",
		"channel=three":                        "",
		"state=started":                        "c",
		"state=ended":                          "b a",
		"state=failed":                         "d",
		"from=2026-03-01T13:00:00Z":            "d c b",
		"to=2026-03-01T13:00:00Z":              "a",
		"from=2026-03-01T14:00:00%2B01:00":     "d c b",
		"from=2026-03-01T13:00:00.5Z":          "d c",
		"from=2026-03-02T00:00:00Z":            "",
		"state=ended&channel=two&maxResults=1": "b",
		"nextToken=":                           "d c b a",
	} {
		var got listResponse
		if status := f.get("/v1/recordings?"+query, &got); status != 200 || got.ids() != want || got.NextToken != "" {
			t.Errorf("%s: %d %q %s, want %q", query, status, got.ids(), got.NextToken, want)
		}
	}
	for query, want := range map[string]string{
		"channel=":                                       "channel: length",
		"channel=a/b":                                    "channel: must match",
		"channel=one&channel=two":                        "channel: must be given once",
		"channel=one&stage=one":                          "stage: cannot be given with channel",
		"channel=one&session=st-0123456789abC":           "session: cannot be given with channel",
		"channel=one&participant=p":                      "participant: cannot be given with channel",
		"stage=":                                         "stage: length",
		"kind=stage":                                     "kind: must be one of channel, participant",
		"kind=channel&stage=one":                         "stage: cannot be given with kind channel",
		"kind=participant&channel=one":                   "channel: cannot be given with kind participant",
		"stage=a%20b":                                    "stage: must match",
		"stage=arn:aws:ivs:eu-west-1:1:channel/one":      "stage: must match",
		"session=st-0":                                   "session: length",
		"session=sess-23456789abc":                       "session: must match",
		"participant=":                                   "participant: length",
		"participant=..%2Fx":                             "participant: must match",
		"channel=" + strings.Repeat("a", 129):            "channel: length",
		"channel=arn:aws:ivs:eu-west-1:1:stream-key/one": "channel: must match",
		"state=RECORDING_ENDED":                          "state: must be one of started, ended, failed",
		"state=":                                         "state: must be one of",
		"from=yesterday":                                 "from: must be a time",
		"from=":                                          "from: length",
		"to=2026-03-01":                                  "to: must be a time",
		"to=" + strings.Repeat("1", 1000):                "to: length",
		"maxResults=0":                                   "maxResults: must be between 1 and 100",
		"maxResults=x":                                   "maxResults: must be a whole number",
		"nextToken=x":                                    "nextToken: is not a token of this list",
		"nextToken=%22":                                  "nextToken: must match",
	} {
		var got struct{ Message string }
		if status := f.get("/v1/recordings?"+query, &got); status != 400 || !strings.HasPrefix(got.Message, want) {
			t.Errorf("%s: %d %q, want %q", query, status, got.Message, want)
		}
	}
}

// Page by page everything comes once, and a token is good for its list alone.
func TestPages(t *testing.T) {
	f := newFixture(t)
	for i, id := range []string{a, b, c, d} {
		f.add(id, "one", noon.Add(time.Duration(i)*time.Second))
	}
	var all []string
	query := url.Values{"channel": {"one"}, "maxResults": {"3"}}
	for range 2 {
		var got listResponse
		f.get("/v1/recordings?"+query.Encode(), &got)
		all = append(all, got.ids())
		query.Set("nextToken", got.NextToken)
	}
	if got := strings.Join(all, "|"); got != "d c b|a" || query.Get("nextToken") != "" {
		t.Errorf("pages are %s, then %q", got, query.Get("nextToken"))
	}

	var first listResponse
	f.get("/v1/recordings?channel=one&maxResults=1", &first)
	var refused struct{ Message string }
	if status := f.get("/v1/recordings?channel=two&nextToken="+first.NextToken, &refused); status != 400 {
		t.Errorf("a token of another list: %d %s", status, refused.Message)
	}
	var same listResponse
	if status := f.get("/v1/recordings?channel="+url.QueryEscape("arn:aws:ivs:eu-west-1:111122223333:channel/one")+"&nextToken="+first.NextToken, &same); status != 200 || same.ids() != "c b a" {
		t.Errorf("a token of the same list: %d %s", status, same.ids())
	}
}

// A recording is told as the recorder has it while it goes on, and as the
// database has it afterwards.
func TestTold(t *testing.T) {
	f := newFixture(t)
	f.spool[a] = recorder.Progress{Duration: 7_000_500 * time.Microsecond, Streams: []string{"st-1", "st-2", "st-3"}}
	f.add(a, "one", noon)
	told := func() string {
		var got map[string]json.RawMessage
		if status := f.get("/v1/recordings/"+a, &got); status != 200 {
			t.Fatalf("answered %d %s", status, got)
		}
		text := string(got["recording"])
		before, rest, cut := strings.Cut(text, "/recordings/media/")
		for cut {
			_, after, _ := strings.Cut(rest, "/")
			text = before + "/T/" + after
			before, rest, cut = strings.Cut(text, "/recordings/media/")
		}
		return text
	}
	common := `{"id":"00000000000a","kind":"channel","sessionId":"session00000","channelArn":"arn:aws:ivs:eu-west-1:111122223333:channel/one",` +
		`"channelName":"name-of-one","containerFormat":"TS",`
	lies := `"bucket":"vod","prefix":"ivs/v1/111122223333/one/2026/3/1/12/0/00000000000a",`
	began := `"startedAt":"2026-03-01T12:00:00Z",`
	going := common + `"state":"RECORDING_STARTED",` + lies + `"streamIds":["st-1","st-2","st-3"],` + began + `"duration":7,"fragments":3`
	if got := told(); got != going+`}` {
		t.Errorf("before there is media to play:\n%s", got)
	}
	p := f.spool[a]
	p.Playable = true
	f.spool[a] = p
	if got := told(); got != going+`,"playbackUrl":"https://live.example.com/T/media/hls/master.m3u8"}` {
		t.Errorf("while it goes on:\n%s", got)
	}

	f.must(f.store.EndRecording(t.Context(), a, noon.Add(time.Minute), 12_345*time.Millisecond))
	delete(f.spool, a)
	want := common + `"state":"RECORDING_ENDED",` + lies + `"streamIds":["st-100000000000a","st-200000000000a"],` + began +
		`"endedAt":"2026-03-01T12:01:00Z","duration":12.345,"fragments":2,"playbackUrl":"https://live.example.com/T/media/hls/master.m3u8",` +
		`"byteRangePlaybackUrl":"https://live.example.com/T/media/hls/byte-range-multivariant.m3u8"}`
	if got := told(); got != want {
		t.Errorf("at the end:\n%s, want\n%s", got, want)
	}

	f.spool[b] = recorder.Progress{}
	f.add(b, "one", noon)
	f.must(f.store.FailRecording(t.Context(), b, noon, 0, resource.RecordingFailure{Reason: "the disk is gone"}))
	delete(f.spool, b)
	var failed getResponse
	f.get("/v1/recordings/"+b, &failed)
	if r := failed.Recording; r.State != resource.RecordingFailed || r.StatusMessage != "the disk is gone" || r.PlaybackURL != "" {
		t.Errorf("one that failed before any media: %+v", r)
	}

	// One whose spool was lost while it was being made.
	f.objects.content[failed.Recording.Prefix+"/"+masterPlaylist] = []byte("#EXTM3U\n")
	failed = getResponse{}
	f.get("/v1/recordings/"+b, &failed)
	if r := failed.Recording; !strings.HasSuffix(r.PlaybackURL, "/media/hls/master.m3u8") || r.ByteRangePlaybackURL != "" {
		t.Errorf("one that was abandoned: %+v", r)
	}

	// One that failed, and waits for its bucket.
	f.spool[a] = recorder.Progress{Duration: time.Second, Playable: true}
	failed = getResponse{}
	f.get("/v1/recordings/"+a, &failed)
	if r := failed.Recording; r.PlaybackURL == "" || r.ByteRangePlaybackURL != "" {
		t.Errorf("one that is not all stored: %+v", r)
	}
}

// The renditions and the thumbnail are told as the recorder knows them, and as
// the database does afterwards.
func TestToldMedia(t *testing.T) {
	f := newFixture(t)
	media := resource.RecordedMedia{
		Renditions: []resource.RecordedRendition{{Name: "720p60", Width: 1280, Height: 720}, {Name: "audio_only"}},
		Thumbnail:  "media/latest_thumbnail/thumb.jpg",
	}
	f.spool[a] = recorder.Progress{Media: media}
	f.add(a, "one", noon)
	told := func() string {
		var got getResponse
		if status := f.get("/v1/recordings/"+a, &got); status != 200 {
			t.Fatalf("answered %d", status)
		}
		var all []string
		for _, r := range got.Recording.Renditions {
			_, path, _ := strings.Cut(r.PlaybackURL, "/media/hls/")
			all = append(all, fmt.Sprint(r.Name, " ", r.Width, "x", r.Height, " ", path))
		}
		_, thumbnail, _ := strings.Cut(got.Recording.ThumbnailURL, "/recordings/media/")
		_, thumbnail, _ = strings.Cut(thumbnail, "/")
		return strings.Join(append(all, thumbnail), ", ")
	}
	const all = "720p60 1280x720 720p60/playlist.m3u8, audio_only 0x0 audio_only/playlist.m3u8, media/latest_thumbnail/thumb.jpg"
	if got := told(); got != "media/latest_thumbnail/thumb.jpg" {
		t.Errorf("before there is media to play: %s", got)
	}
	f.spool[a] = recorder.Progress{Media: media, Playable: true}
	if got := told(); got != all {
		t.Errorf("while it goes on: %s", got)
	}
	f.must(f.store.DescribeRecording(t.Context(), a, media))
	f.must(f.store.EndRecording(t.Context(), a, noon.Add(time.Minute), time.Minute))
	delete(f.spool, a)
	if got := told(); got != all {
		t.Errorf("at the end: %s", got)
	}
	f.add(b, "one", noon)
	var old struct{ Recording map[string]any }
	if f.get("/v1/recordings/"+b, &old); old.Recording["renditions"] != nil || old.Recording["thumbnailUrl"] != nil {
		t.Errorf("one of which nothing is known: %v", old)
	}
}

func TestGetUnknown(t *testing.T) {
	f := newFixture(t)
	for id, want := range map[string]struct {
		status  int
		message string
	}{
		"000000000000":       {404, "Recording: 000000000000 not found"},
		"short":              {400, "id: length"},
		"..%2F..%2F..%2F..a": {400, "id: must match"},
		"00000000000%00":     {400, "id: must match"},
		"00000000000%C3%A9":  {400, "id: must match"},
	} {
		var got struct{ Message string }
		if status := f.get("/v1/recordings/"+id, &got); status != want.status || !strings.HasPrefix(got.Message, want.message) {
			t.Errorf("%s: %d %s", id, status, got.Message)
		}
	}
}

// Without --public-recordings nothing is told without a signature; with it
// what anybody may load anyway.
func TestPublic(t *testing.T) {
	for public, want := range map[bool][3]int{false: {403, 403, 403}, true: {200, 200, 403}} {
		f := newFixture(t, func(cfg *Config) { cfg.Public = public })
		f.add(a, "one", noon)
		for i, path := range []string{"/v1/recordings", "/v1/recordings/" + a, "/v1/recordings/" + a + "/verify"} {
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != want[i] {
				t.Errorf("public %v: %s answered %d %s", public, path, w.Code, w.Body)
			}
		}
	}
}
