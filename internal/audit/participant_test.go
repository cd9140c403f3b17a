package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// A sound recording of a participant has no problem; what was lost on its way is
// told.
func TestGuest(t *testing.T) {
	for name, tracks := range map[string][]uint32{"with pictures": {1, 2}, "sound alone": {2}} {
		b := guestOf(tracks...)
		report, err := Run(t.Context(), b, guestRow(), true)
		if err != nil {
			t.Fatal(err)
		}
		want := Rendition{Name: "high", LostSound: 40 * time.Millisecond, LostPictures: 2250 * time.Millisecond}
		for i := range guestCuts {
			want.Bytes += int64(len(b[fmt.Sprint(high, "/", i, ".mp4")]))
		}
		if len(report.Problems) > 0 || report.Objects != len(b) || report.Duration != guestLength || report.Thumbnails != 2 ||
			!slices.Equal(report.Renditions, []Rendition{want}) {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// media makes an object anew: its tracks begin so much later than they should, and
// last so long.
func guestObject(n int, video, audio, length time.Duration) func(bucket) {
	at := time.Hour
	for _, c := range guestCuts[:n] {
		at += c.lasts
	}
	return put(fmt.Sprint(high, "/", n, ".mp4"), guestMedia(at+video, at+audio, length, 1, 2))
}

// Whatever is done to a participant's recording is found, and found to be what it
// is.
func TestGuestDamage(t *testing.T) {
	ms := time.Millisecond
	insert := func(before, text string) func(bucket) { return replace(highMedia, before, text+before) }
	objects := func(edit func(text string) string) func(bucket) {
		return func(b bucket) { b[highMedia] = []byte(edit(string(b[highMedia]))) }
	}
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string // one problem a line
	}{
		{"object gone", remove(high + "/1.mp4"), "object-missing 1.mp4"},
		{"object empty", put(high+"/1.mp4", nil), "media-broken 1.mp4\nobject-size 1.mp4"},
		{"object cut", func(b bucket) { b[high+"/1.mp4"] = b[high+"/1.mp4"][:1000] }, "media-broken 1.mp4"},
		{"object cut at a fragment", guestObject(1, 0, 0, 4*time.Second), "media-broken 2.mp4\nmedia-gap 1.mp4\nmedia-gap 1.mp4"},
		{"object of somebody", put("notes.txt", []byte("x")), "object-foreign notes.txt"},
		{"object too many", put(high+"/6.mp4", []byte("x")), "object-foreign 6.mp4"},
		{"byte-range playlist", put("media/hls/byte-range-multivariant.m3u8", []byte("#EXTM3U\n")), "object-foreign media/hls/byte-range-multivariant.m3u8"},
		{"probe of the bucket", put("events/ivs-check", nil), ""},
		{"initialization gone", remove(high + "/init-1.mp4"), "media-broken init-1.mp4\nobject-missing init-1.mp4"},
		{"initialization of a stretch without media", put(high+"/init-3.mp4", guestInit(guestCuts[0].size, 1, 2)), ""},
		{"initialization too many", put(high+"/init-4.mp4", guestInit(guestCuts[0].size, 1, 2)), "object-foreign init-4.mp4"},
		{"initialization without sound", put(high+"/init-1.mp4", guestInit(guestCuts[0].size, 1)), "media-broken init-1.mp4"},

		{"no end", replace(highMedia, "#EXT-X-ENDLIST\n", ""), "playlist-end playlist.m3u8\nplaylist-invalid playlist.m3u8"},
		{"an end, but EVENT", replace(highMedia, "TYPE:VOD", "TYPE:EVENT"), "playlist-invalid playlist.m3u8"},
		{"version of gaps", replace(highMedia, "VERSION:7", "VERSION:8"), "playlist-invalid playlist.m3u8"},
		{"a gap", insert("#EXTINF:5.000", "#EXT-X-GAP\n"), "playlist-invalid playlist.m3u8"},
		{"a byte range", insert("#EXTINF:5.000", "#EXT-X-BYTERANGE:5@0\n"), "playlist-invalid playlist.m3u8"},
		{"odd target", replace(highMedia, "DURATION:8", "DURATION:9"), "playlist-invalid playlist.m3u8"},
		{"no target", replace(highMedia, "#EXT-X-TARGETDURATION:8\n", ""), "playlist-invalid playlist.m3u8"},
		{"target too short", replace(highMedia, "DURATION:8", "DURATION:4"), "playlist-invalid playlist.m3u8\nplaylist-invalid playlist.m3u8"},
		{"target too long", replace(highMedia, "DURATION:8", "DURATION:12"), "object-short playlist.m3u8\nobject-short playlist.m3u8"},
		{"another target", replace(highMedia, "DURATION:8", "DURATION:10"), "object-short playlist.m3u8"},
		{"no date of a stretch", replace(highMedia, "#EXT-X-PROGRAM-DATE-TIME:"+guestCuts[3].date+"\n", ""), "playlist-invalid playlist.m3u8"},
		{"a date within a stretch", insert("#EXTINF:5.000", "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:04.500Z\n"), "playlist-invalid playlist.m3u8"},
		{"no map of a stretch", replace(highMedia, "#EXT-X-MAP:URI=\"init-1.mp4\"\n", ""), "playlist-invalid playlist.m3u8"},
		{"a map within a stretch", insert("#EXTINF:5.000", "#EXT-X-MAP:URI=\"init-1.mp4\"\n"), "playlist-invalid playlist.m3u8"},
		{"one map for two stretches", func(b bucket) {
			replace(highMedia, "init-1.mp4", "init-0.mp4")(b)
			delete(b, high+"/init-1.mp4")
		}, "playlist-invalid playlist.m3u8"},
		{"dates in disorder", replace(highMedia, guestCuts[4].date, "2026-03-01T12:00:10.000Z"), "object-short playlist.m3u8\nplaylist-invalid playlist.m3u8\nplaylist-invalid playlist.m3u8\nplaylist-invalid playlist.m3u8"},
		{"join untold", replace(highMedia, "#EXT-X-DISCONTINUITY\n", ""), "playlist-invalid playlist.m3u8"},
		{"number left out", func(b bucket) {
			replace(highMedia, "\n5.mp4\n", "\n6.mp4\n")(b)
			b[high+"/6.mp4"] = b[high+"/5.mp4"]
			delete(b, high+"/5.mp4")
		}, "number-gap playlist.m3u8"},
		{"another length", replace(highMedia, "#EXTINF:5.000", "#EXTINF:4.900"), "duration-mismatch " + endedJSON +
			"\nmedia-gap 1.mp4\nmedia-gap 1.mp4\nmedia-gap 2.mp4"},
		{"path out", replace(highMedia, "\n1.mp4", "\n../1.mp4"), "playlist-invalid playlist.m3u8"},
		{"playlist gone", remove(highMedia), "playlist-missing playlist.m3u8"},
		{"no playlist", put(highMedia, []byte("<html>")), "playlist-invalid playlist.m3u8"},
		{"master gone", remove(highMaster), "playlist-missing " + highMaster},
		{"leads astray", replace(highMaster, "high/", "low/"), "playlist-mismatch " + highMaster + "\nplaylist-mismatch " + highMaster},
		{"resolution of the smaller pictures", replace(highMaster, "640x360", "320x180"), "playlist-mismatch playlist.m3u8"},
		{"resolution of pictures that did not come", replace(highMaster, "640x360", "1280x720"), ""},
		{"no resolution", replace(highMaster, ",RESOLUTION=640x360", ""), "playlist-mismatch playlist.m3u8"},

		// The publisher did not leave after the third object, but after the fourth.
		{"stretch too short", func(b bucket) {
			replace(highMedia, guestCuts[4].date, "2026-03-01T12:00:11.500Z")(b)
			b[highMedia] = bytes.ReplaceAll(b[highMedia], []byte("12:00:52.000Z"), []byte("12:00:12.000Z"))
		}, "object-short playlist.m3u8"},

		{"loss of something", replace(highMedia, `X-KIND="video"`, `X-KIND="smell"`), "playlist-invalid playlist.m3u8"},
		{"loss of nothing", replace(highMedia, "DURATION=0.750", "DURATION=0"), "playlist-invalid playlist.m3u8"},
		{"loss of ages", replace(highMedia, "DURATION=0.750", "DURATION=1e300"), "playlist-invalid playlist.m3u8"},
		{"loss sometime", replace(highMedia, "2026-03-01T12:00:06.250Z", "yesterday"), "playlist-invalid playlist.m3u8"},
		{"loss without a name", replace(highMedia, `ID="loss-1",`, ""), "playlist-invalid playlist.m3u8"},
		{"loss of another class", replace(highMedia, "anabranch.loss", "x"), "playlist-invalid playlist.m3u8"},
		{"loss elsewhere", replace(highMedia, "2026-03-01T12:00:06.250Z", "2026-03-01T12:00:11.000Z"), "playlist-invalid playlist.m3u8"},
		{"two losses of one name", replace(highMedia, "loss-3", "loss-1"), "playlist-invalid playlist.m3u8"},
		{"two losses in an object", replace(highMedia, loss2, strings.ReplaceAll(loss3, "loss-3", "loss-2")), "playlist-invalid playlist.m3u8"},
		{"loss behind the end", objects(func(text string) string {
			return strings.Replace(text, "#EXT-X-ENDLIST", strings.ReplaceAll(loss1, "loss-1", "loss-4")+"#EXT-X-ENDLIST", 1)
		}), "playlist-invalid playlist.m3u8"},

		{"gap in pictures", guestObject(1, 100*ms, 0, 5*time.Second), "media-broken 1.mp4"},
		{"pictures a tick apart", func(b bucket) {
			guestObject(1, 20*time.Microsecond, 0, 5*time.Second)(b)
		}, "media-broken 1.mp4"},
		{"sound overlaps", guestObject(1, 0, -20*ms, 5*time.Second), "media-broken 1.mp4"},
		{"sound on its grid, in a new stretch", func(b bucket) {
			guestObject(4, 0, 21*ms, 6*time.Second)(b)
			guestObject(5, 0, 21*ms, 3*time.Second)(b)
		}, ""},
		{"gap between stretches", func(b bucket) {
			guestObject(4, 100*ms, 100*ms, 6*time.Second)(b)
			guestObject(5, 100*ms, 100*ms, 3*time.Second)(b)
		}, "media-gap 4.mp4"},
		{"no pictures in an object", func(b bucket) { b[high+"/5.mp4"] = guestMedia(0, time.Hour+17*time.Second, 3*time.Second, 2) }, "media-gap 5.mp4"},
		{"no sound in an object", func(b bucket) { b[high+"/5.mp4"] = guestMedia(time.Hour+17*time.Second, 0, 3*time.Second, 1) }, "media-gap 5.mp4"},
		{"sound that ends early", func(b bucket) {
			at := time.Hour + 17*time.Second
			b[high+"/5.mp4"] = slices.Concat(guestMedia(at, at, 2500*ms, 1, 2), guestMedia(at+2500*ms, 0, 500*ms, 1))
		}, "media-gap 5.mp4"},
		{"no key frame where a stretch begins", func(b bucket) {
			at := time.Hour + 11*time.Second
			whole := guestMedia(at-500*ms, at-500*ms, 6500*ms, 1, 2)
			b[high+"/4.mp4"] = whole[len(guestMedia(0, 0, 500*ms, 1, 2)):]
		}, "media-broken 4.mp4"},
		{"no key frame where none came in time", func(b bucket) {
			// The object before is as long as one may be.
			b[highMedia] = bytes.Replace(b[highMedia], []byte("TARGETDURATION:8"), []byte("TARGETDURATION:6"), 1)
			at := time.Hour + 17*time.Second
			whole := guestMedia(at-500*ms, at-500*ms, 3500*ms, 1, 2)
			b[high+"/5.mp4"] = whole[len(guestMedia(0, 0, 500*ms, 1, 2)):]
		}, ""},

		{"end untold", remove(endedJSON), "metadata-missing " + endedJSON},
		{"start untold", remove(startedJSON), "metadata-missing " + startedJSON},
		{"no JSON", put(endedJSON, []byte("x")), "metadata-invalid " + endedJSON},
		{"another version", replace(endedJSON, `"v1"`, `"v2"`), "metadata-invalid " + endedJSON},
		{"another stage", replace(endedJSON, "stage/Qw3", "stage/Xw3"), "metadata-invalid " + endedJSON},
		{"another session", replace(endedJSON, "st-0000000000002", "st-0000000000003"), "metadata-invalid " + endedJSON},
		{"no session", replace(endedJSON, `"session_id":"st-0000000000002",`, ""), "metadata-invalid " + endedJSON},
		{"another participant", replace(endedJSON, "guestA1b2C3d", "guest"), "metadata-invalid " + endedJSON},
		{"another start", replace(startedJSON, "12:00:00Z", "12:00:01Z"), "metadata-invalid " + startedJSON},
		{"times with fractions", replace(startedJSON, "12:00:00Z", "12:00:00.500Z"), "metadata-invalid " + startedJSON},
		{"another end", replace(endedJSON, "12:02:00Z", "12:02:01Z"), "metadata-invalid " + endedJSON},
		{"an end at the start", replace(startedJSON, `"recording_status"`, `"recording_ended_at":"2026-03-01T12:02:00Z","recording_status"`), "metadata-invalid " + startedJSON},
		{"a message without failure", replace(endedJSON, `"recording_status"`, `"recording_status_message":"","recording_status"`), "metadata-invalid " + endedJSON},
		{"a member too many", replace(endedJSON, `"version"`, `"channel_arn":"x","version"`), "metadata-invalid " + endedJSON},
		{"another state", replace(endedJSON, "RECORDING_ENDED", "RECORDING_STARTED"), "state-mismatch " + endedJSON},
		{"another duration", replace(endedJSON, "20000", "20001"), "duration-mismatch " + endedJSON},
		{"no duration", replace(endedJSON, `"duration_ms":20000,`, ""), "duration-mismatch " + endedJSON},
		{"a duration at the start", replace(startedJSON, `"path":"media/hls"`, `"duration_ms":0,"path":"media/hls"`), "metadata-invalid " + startedJSON},
		{"a resolution", replace(endedJSON, `"playlist":"playlist.m3u8"`, `"playlist":"playlist.m3u8","resolution_width":640`), "metadata-invalid " + endedJSON + "\nmetadata-invalid " + endedJSON},
		{"another rendition", func(b bucket) {
			for _, name := range []string{startedJSON, endedJSON} {
				replace(name, `"path":"high","playlist"`, `"path":"low","playlist"`)(b)
			}
			replace(highMaster, "high/", "low/")(b)
			for name, content := range b {
				if file, found := strings.CutPrefix(name, high+"/"); found {
					b["media/hls/low/"+file] = content
					delete(b, name)
				}
			}
		}, "metadata-invalid " + endedJSON + "\nmetadata-invalid " + startedJSON},
		{"paths out", replace(endedJSON, `"path":"high"}]},"latest`, `"path":"../high"}]},"latest`), "metadata-invalid " + endedJSON},

		{"first thumbnail gone", remove("media/thumbnails/high/1.jpg"), "number-gap media/thumbnails"},
		{"all thumbnails gone", func(b bucket) { delete(b, still2); delete(b, "media/thumbnails/high/1.jpg") }, "object-missing media/thumbnails"},
		{"a thumbnail 0", put("media/thumbnails/high/0.jpg", thumbnail()), "object-foreign media/thumbnails/high/0.jpg"},
		{"a channel's thumbnail", put("media/thumbnails/thumb0.jpg", thumbnail()), "object-foreign media/thumbnails/thumb0.jpg"},
		{"a thumbnail with an odd number", put("media/thumbnails/high/03.jpg", thumbnail()), "object-foreign media/thumbnails/high/03.jpg"},
		{"thumbnail empty", put(still2, nil), "object-size " + still2},
		{"thumbnail of something else", put(still2, []byte("<html>")), "thumbnail-broken " + still2},
		{"latest gone", remove(lastStill), "object-missing " + lastStill},
		{"latest broken", put(lastStill, []byte("x")), "thumbnail-broken " + lastStill},
		{"latest untold", replace(endedJSON, `,"latest_thumbnail":{"path":"media/latest_thumbnail","renditions":[{"path":"high"}]}`, ""), "object-foreign " + lastStill},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := guest()
			tt.damage(b)
			if got := short(found(t, b, guestRow())); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// Pictures in a recording that says to have sound alone are a problem, and the
// other way round.
func TestGuestTracks(t *testing.T) {
	b := guestOf(2)
	replace(highMaster, "BANDWIDTH=1000", "BANDWIDTH=1000,RESOLUTION=640x360")(b)
	if got := short(found(t, b, guestRow())); got != "playlist-mismatch playlist.m3u8" {
		t.Errorf("found %s", got)
	}
	b = guestOf(1)
	if got := short(found(t, b, guestRow())); !strings.HasPrefix(got, "media-gap 0.mp4\nmedia-gap 1.mp4") {
		t.Errorf("without sound found %s", got)
	}
}

// Who leaves amid an object and is back at once leaves one that is short, and no
// gap between the dates: as often as the recording has publications but the first.
func TestGuestBackAtOnce(t *testing.T) {
	b := guest()
	replace(highMedia, guestCuts[4].date, "2026-03-01T12:00:11.500Z")(b)
	b[highMedia] = bytes.ReplaceAll(b[highMedia], []byte("12:00:52.000Z"), []byte("12:00:12.000Z"))
	for streams, want := range map[int]string{1: "object-short playlist.m3u8", 2: ""} {
		r := guestRow()
		r.StreamIDs = slices.Repeat([]string{"st-1"}, streams)
		if got := short(found(t, b, r)); got != want {
			t.Errorf("of %d publications found %q, want %q", streams, got, want)
		}
	}
}

// The prefix is of the session that the recording began in.
func TestGuestPrefix(t *testing.T) {
	r := guestRow()
	r.StageSessionIDs = []string{"st-0000000000002", "st-0000000000001"}
	if got := found(t, guest(), r); got != "metadata-invalid " {
		t.Errorf("found %s", got)
	}
}

// What is not there yet is no problem while a participant is recorded, what is
// wrong is one all the same.
func TestOpenGuest(t *testing.T) {
	// going is as it was when so many objects were stored.
	going := func(b bucket, n int) {
		delete(b, endedJSON)
		text := strings.Replace(string(b[highMedia]), "TYPE:VOD", "TYPE:EVENT", 1)
		end := fmt.Sprintf("\n%d.mp4\n", n-1)
		b[highMedia] = []byte(text[:strings.Index(text, end)+len(end)])
	}
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string
	}{
		{"going on", func(b bucket) { going(b, 3) }, ""},
		{"amid a stretch", func(b bucket) { going(b, 5) }, ""},
		{"being closed", func(bucket) {}, ""},
		{"closed, and not told", func(b bucket) { delete(b, endedJSON) }, ""},
		{"announced", func(b bucket) { clear(b); b[startedJSON] = []byte(guestTold(resource.RecordingStarted)) }, ""},
		{"nothing", func(b bucket) { clear(b) }, ""},
		{"a loss in the object to come", func(b bucket) { going(b, 1); b[highMedia] = append(b[highMedia], loss1...) }, ""},
		{"closed too early", func(b bucket) { going(b, 3); replace(highMedia, "EVENT", "VOD")(b) }, "playlist-invalid playlist.m3u8"},
		{"an object gone", func(b bucket) { going(b, 3); delete(b, high+"/1.mp4") }, "object-missing 1.mp4"},
		{"of somebody", func(b bucket) { going(b, 3); b["x"] = []byte("x") }, "object-foreign x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := guest()
			tt.damage(b)
			r := guestRow()
			r.Open, r.State, r.Duration, r.EndedAt = true, resource.RecordingStarted, 0, time.Time{}
			if got := short(found(t, b, r)); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// A failure tells why, in the words of the database.
func TestFailedGuest(t *testing.T) {
	r := guestRow()
	r.State, r.StatusMessage = resource.RecordingFailed, "bucket vod refuses writes"
	failed := strings.Replace(guestTold(resource.RecordingFailed), `"media"`, `"recording_status_message":"bucket vod refuses writes","media"`, 1)
	for text, want := range map[string]string{
		failed: "",
		strings.Replace(failed, "vod refuses", "vod takes no", 1):                                 "metadata-invalid " + failedJSON,
		strings.Replace(failed, `"recording_status_message":"bucket vod refuses writes",`, "", 1): "metadata-invalid " + failedJSON,
	} {
		b := guest()
		delete(b, endedJSON)
		b[failedJSON] = []byte(text)
		if got := found(t, b, r); got != want {
			t.Errorf("%s: found %s, want %s", text, got, want)
		}
	}
	// One that failed before any media was stored.
	r.Duration = 0
	var m map[string]any
	if err := json.Unmarshal([]byte(failed), &m); err != nil {
		t.Fatal(err)
	}
	m["media"] = map[string]any{"hls": map[string]any{"duration_ms": 0, "path": "media/hls", "playlist": "multivariant.m3u8", "renditions": []any{}}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := found(t, bucket{startedJSON: []byte(guestTold(resource.RecordingStarted)), failedJSON: text}, r); got != "" {
		t.Errorf("without media found %s", got)
	}
}

// A recording of thumbnails alone has no media.
func TestGuestThumbnailsAlone(t *testing.T) {
	b := guest()
	for name := range b {
		if strings.HasPrefix(name, "media/hls/") {
			delete(b, name)
		}
	}
	for _, name := range []string{startedJSON, endedJSON} {
		text := string(b[name])
		from, to := strings.Index(text, `"hls"`), strings.Index(text, `"thumbnails"`)
		b[name] = []byte(text[:from] + text[to:])
	}
	r := guestRow()
	r.Duration = 0
	if got := found(t, b, r); got != "" {
		t.Errorf("found %s", got)
	}
}

// The journal dates every object; the playlist only the first of a stretch.
func TestJournalOfGuest(t *testing.T) {
	stored := func() (all []Object) {
		b, at := guest(), time.Time{}
		for i, c := range guestCuts {
			if c.date != "" {
				var err error
				if at, err = time.Parse(time.RFC3339, c.date); err != nil {
					t.Fatal(err)
				}
			}
			name := fmt.Sprint(i, ".mp4")
			all = append(all, Object{Name: name, Size: int64(len(b[high+"/"+name])), Duration: c.lasts, Time: at, Discontinuity: c.date != "" && i > 0})
			at = at.Add(c.lasts)
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		change func([]Object)
		want   string
	}{
		{"agrees", func([]Object) {}, ""},
		{"rounding", func(o []Object) { o[2].Time = o[2].Time.Add(1500 * time.Microsecond) }, ""},
		{"another date in a stretch", func(o []Object) { o[2].Time = o[2].Time.Add(4 * time.Millisecond) }, "playlist-mismatch playlist.m3u8"},
		{"another date of a stretch", func(o []Object) { o[3].Time = o[3].Time.Add(time.Millisecond) }, "playlist-mismatch playlist.m3u8"},
		{"another size", func(o []Object) { o[2].Size++ }, "object-size 2.mp4"},
		{"no join", func(o []Object) { o[3].Discontinuity = false }, "playlist-mismatch playlist.m3u8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := guestRow()
			objects := stored()
			tt.change(objects)
			r.Open, r.Stored = true, map[string][]Object{"high": objects}
			if got := short(found(t, guest(), r)); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// What could not be stored is left out by the playlist, which goes on behind a
// discontinuity with the same initialization segment.
func TestGuestWithoutObject(t *testing.T) {
	b := guest()
	replace(highMedia, loss1+"#EXTINF:5.000,\n1.mp4\n", "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-0.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:09.500Z\n")(b)
	replace(endedJSON, "20000", "15000")(b)
	delete(b, high+"/1.mp4")
	r := guestRow()
	r.Duration = 15 * time.Second
	if got := short(found(t, b, r)); got != "" {
		t.Errorf("found %s", got)
	}
	r.Open, r.Stored = true, map[string][]Object{"high": {{Name: "0.mp4", Duration: 4 * time.Second, Time: r.StartedAt}, {Name: "1.mp4", Gap: true},
		{Name: "2.mp4", Duration: 1500 * time.Millisecond, Time: r.StartedAt.Add(9 * time.Second)}}}
	if got := short(found(t, b, r)); got != "" {
		t.Errorf("beside the journal found %s", got)
	}
}
