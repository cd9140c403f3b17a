package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"

	"github.com/Eyevinn/mp4ff/mp4"
)

// A sound recording has no problem, and is measured.
func TestSound(t *testing.T) {
	for _, fragmented := range []bool{false, true} {
		b := sample(fragmented)
		report, err := Run(t.Context(), b, ended(), true)
		if err != nil {
			t.Fatal(err)
		}
		size := int64(0)
		for _, content := range b {
			size += int64(len(content))
		}
		if len(report.Problems) > 0 || report.Objects != len(b) || report.Bytes != size || report.Duration != 20*time.Second {
			t.Errorf("fragmented %v: %+v", fragmented, report)
		}
	}
}

// replace is a change of one object's text.
func replace(name, from, to string) func(bucket) {
	return func(b bucket) {
		if !bytes.Contains(b[name], []byte(from)) {
			panic(name + " does not contain " + from)
		}
		b[name] = bytes.Replace(b[name], []byte(from), []byte(to), 1)
	}
}

func remove(name string) func(bucket) { return func(b bucket) { delete(b, name) } }

func put(name string, content []byte) func(bucket) { return func(b bucket) { b[name] = content } }

const (
	whole       = folder + "/playlist.m3u8"
	ranges      = folder + "/byte-range-variant.m3u8"
	endedJSON   = "events/recording-ended.json"
	startedJSON = "events/recording-started.json"
	failedJSON  = "events/recording-failed.json"
)

// Whatever is done to a recording is found, and found to be what it is.
func TestDamage(t *testing.T) {
	failed := func(b bucket) {
		delete(b, endedJSON)
		b.tell(resource.RecordingFailed, `"duration_ms":20000,`)
	}
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string // one problem a line
	}{
		{"object gone", remove(folder + "/1.ts"), "object-missing 1.ts"},
		{"object cut", func(b bucket) { b[folder+"/1.ts"] = b[folder+"/1.ts"][:10*tsPacket] }, "media-broken 2.ts\nobject-size 1.ts"},
		{"object empty", put(folder+"/2.ts", nil), "media-broken 2.ts\nobject-size 2.ts"},
		{"object of somebody", put("notes.txt", []byte("x")), "object-foreign notes.txt"},
		{"object too many", put(folder+"/3.ts", []byte("x")), "object-foreign 3.ts"},
		{"object with an odd name", put(folder+"/x.ts", []byte("x")), "object-foreign x.ts"},

		{"no end", replace(whole, "#EXT-X-ENDLIST\n", ""), "playlist-end playlist.m3u8"},
		{"join untold", replace(whole, "#EXT-X-DISCONTINUITY\n", ""), "playlist-mismatch byte-range-variant.m3u8"},
		{"another length", replace(whole, "#EXTINF:4.000", "#EXTINF:5.000"), "duration-mismatch events/recording-ended.json\nmedia-gap 2.ts\nplaylist-mismatch byte-range-variant.m3u8"},
		{"another date", replace(whole, dates[1], "2026-03-01T12:00:10.510Z"), "playlist-mismatch byte-range-variant.m3u8"},
		{"dates in disorder", func(b bucket) {
			for _, name := range []string{whole, ranges} {
				replace(name, dates[1], "2026-03-01T11:00:00.000Z")(b)
			}
		}, "playlist-invalid playlist.m3u8"},
		{"number left out", func(b bucket) {
			for _, name := range []string{whole, ranges} {
				b[name] = bytes.ReplaceAll(b[name], []byte("\n1.ts\n"), []byte("\n4.ts\n"))
				b[name] = bytes.ReplaceAll(b[name], []byte("\n2.ts\n"), []byte("\n5.ts\n"))
			}
			b[folder+"/4.ts"], b[folder+"/5.ts"] = b[folder+"/1.ts"], b[folder+"/2.ts"]
			delete(b, folder+"/1.ts")
			delete(b, folder+"/2.ts")
		}, "number-gap playlist.m3u8"},
		{"numbers in disorder", replace(whole, "\n1.ts\n", "\n0.ts\n"), "media-broken 0.ts\nnumber-gap playlist.m3u8\nobject-foreign 1.ts\nobject-size 0.ts\nplaylist-mismatch byte-range-variant.m3u8"},
		{"path out", replace(whole, "\n1.ts", "\n../../1.ts"), "playlist-invalid playlist.m3u8"},
		{"URL", replace(whole, "\n1.ts", "\nhttps://example.com/1.ts"), "playlist-invalid playlist.m3u8"},
		{"odd duration", replace(whole, "#EXTINF:4.000", "#EXTINF:NaN"), "playlist-invalid playlist.m3u8"},
		{"no date", replace(whole, "#EXT-X-PROGRAM-DATE-TIME:"+dates[1]+"\n", ""), "playlist-invalid playlist.m3u8"},
		{"no playlist", put(whole, []byte("<html>")), "playlist-invalid playlist.m3u8"},
		{"empty playlist", put(whole, nil), "playlist-invalid playlist.m3u8"},
		{"playlist gone", remove(whole), "playlist-missing playlist.m3u8"},
		{"both playlists gone", func(b bucket) { delete(b, whole); delete(b, ranges) }, "playlist-missing byte-range-variant.m3u8\nplaylist-missing playlist.m3u8"},
		{"playlist gone, and an object", func(b bucket) { delete(b, whole); delete(b, folder+"/1.ts") }, "object-missing 1.ts\nplaylist-missing playlist.m3u8"},

		{"range left out", replace(ranges, "BYTERANGE:100@0", "BYTERANGE:99@0"), "object-size 0.ts\nplaylist-invalid byte-range-variant.m3u8"},
		{"range too short", replace(ranges, "@100\n1.ts", "@101\n1.ts"), "playlist-invalid byte-range-variant.m3u8"},
		{"first range too late", replace(ranges, "#EXT-X-BYTERANGE:100@0\n0.ts", "#EXT-X-BYTERANGE:99@1\n0.ts"), "object-size 0.ts\nplaylist-invalid byte-range-variant.m3u8\nplaylist-invalid byte-range-variant.m3u8"},
		{"no range", replace(ranges, "BYTERANGE:100@0", "BYTERANGE:0@0"), "playlist-invalid byte-range-variant.m3u8"},
		{"ranges gone", remove(ranges), "playlist-missing byte-range-variant.m3u8"},
		{"ranges of fewer objects", func(b bucket) { b[ranges] = b[ranges][:bytes.Index(b[ranges], []byte("#EXT-X-DISC"))] }, "playlist-mismatch byte-range-variant.m3u8"},

		{"leads astray", replace("media/hls/master.m3u8", "720p30/", "480p30/"), "playlist-mismatch media/hls/master.m3u8\nplaylist-mismatch media/hls/master.m3u8"},
		{"master gone", remove("media/hls/master.m3u8"), "playlist-missing media/hls/master.m3u8"},
		{"master of ranges gone", remove("media/hls/byte-range-multivariant.m3u8"), "playlist-missing media/hls/byte-range-multivariant.m3u8"},
		{"no master", put("media/hls/master.m3u8", []byte("x")), "playlist-invalid media/hls/master.m3u8\nplaylist-mismatch media/hls/master.m3u8"},

		{"end untold", remove(endedJSON), "metadata-missing " + endedJSON},
		{"start untold", remove(startedJSON), "metadata-missing " + startedJSON},
		{"no JSON", put(endedJSON, []byte("x")), "metadata-invalid " + endedJSON},
		{"paths out", replace(endedJSON, `"720p30"`, `"../720p30"`), "metadata-invalid " + endedJSON},
		{"another state", replace(endedJSON, "RECORDING_ENDED", "RECORDING_STARTED"), "state-mismatch " + endedJSON},
		{"failed, too", func(b bucket) { b.tell(resource.RecordingFailed, `"duration_ms":20000,`) }, "state-mismatch " + failedJSON},
		{"failed", failed, "metadata-missing " + endedJSON + "\nstate-mismatch " + failedJSON},
		{"another duration", replace(endedJSON, "20000", "20001"), "duration-mismatch " + endedJSON},
		{"far another duration", replace(endedJSON, "20000", "21000"), "duration-mismatch " + endedJSON + "\nduration-mismatch " + endedJSON},
		{"no duration", replace(endedJSON, `"duration_ms":20000,`, ""), "duration-mismatch " + endedJSON},

		{"no packet", func(b bucket) { b[folder+"/1.ts"][3*tsPacket] = 0 }, "media-broken 1.ts"},
		{"half a packet", func(b bucket) {
			b[folder+"/1.ts"] = b[folder+"/1.ts"][:10*tsPacket+50]
		}, "media-broken 1.ts\nobject-size 1.ts"},
		{"packet missing", func(b bucket) {
			o := b[folder+"/1.ts"]
			copy(o[4*tsPacket:], o[5*tsPacket:6*tsPacket])
		}, "media-broken 1.ts"},
		{"gap", func(b bucket) { b[folder+"/2.ts"] = object(b, "2.ts", 24100*time.Millisecond, 24100*time.Millisecond) }, "media-gap 2.ts"},
		{"overlap", func(b bucket) { b[folder+"/2.ts"] = object(b, "2.ts", 23990*time.Millisecond, 23990*time.Millisecond) }, "media-gap 2.ts"},
		{"rounding", func(b bucket) { b[folder+"/2.ts"] = object(b, "2.ts", 24001*time.Millisecond, 24001*time.Millisecond) }, ""},
		{"late sound", func(b bucket) { b[folder+"/2.ts"] = object(b, "2.ts", 24*time.Second, 24050*time.Millisecond) }, "media-skew 2.ts"},
		{"early sound", func(b bucket) {
			b[folder+"/2.ts"] = object(b, "2.ts", 24*time.Second, 24*time.Second-lead-41*time.Millisecond)
		}, "media-skew 2.ts"},
		{"sound with what is decoded", func(b bucket) {
			b[folder+"/2.ts"] = object(b, "2.ts", 24*time.Second, 24*time.Second-lead-39*time.Millisecond)
		}, ""},
		{"sound on its grid", func(b bucket) { b[folder+"/2.ts"] = object(b, "2.ts", 24*time.Second, 24021*time.Millisecond) }, ""},
		{"wrap", func(b bucket) {
			// From 5 s before the 33 bits end.
			w := writerOf(false)
			at := ticks(tsWrap) - 5*time.Second
			for i, length := range lengths {
				b[fmt.Sprint(folder, "/", i, ".ts")] = w(at, at, length)
				at += length
			}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := sample(false)
			tt.damage(b)
			if got := found(t, b, ended()); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// object makes an object of the sample anew, at other times.
func object(b bucket, name string, video, audio time.Duration) []byte {
	w := writerOf(false)
	w(0, 0, lengths[0])
	w(0, 0, lengths[1])
	return w(video, audio, lengths[number(name)])
}

func TestFragmentDamage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string
	}{
		{"initialization gone", remove(folder + "/init-0.mp4"), "media-broken init-0.mp4\nobject-missing init-0.mp4"},
		{"initialization of nothing", put(folder+"/init-0.mp4", []byte("x")), "media-broken init-0.mp4"},
		{"another initialization", put(folder+"/init-2.mp4", initSegment()), "object-foreign init-2.mp4"},
		{"initialization of a stream without media", put(folder+"/init-1.mp4", initSegment()), ""},
		{"track missing", func(b bucket) {
			init := mp4.CreateEmptyInit()
			init.AddEmptyTrack(90_000, "video", "und")
			b[folder+"/init-0.mp4"] = encoded(init)
		}, "media-broken 0.mp4\nmedia-broken 1.mp4\nmedia-broken 2.mp4"},
		{"gap between objects", put(folder+"/2.mp4", fragments(24100*time.Millisecond, 24100*time.Millisecond, lengths[2])), "media-gap 2.mp4"},
		{"late sound", put(folder+"/2.mp4", fragments(24*time.Second, 24050*time.Millisecond, lengths[2])), "media-skew 2.mp4"},
		{"gap between fragments", func(b bucket) {
			o := b[folder+"/2.mp4"]
			b[folder+"/2.mp4"] = append(fragments(24*time.Second, 24*time.Second, 3*time.Second), fragments(28*time.Second, 28*time.Second, 3*time.Second)...)
			if len(o) != len(b[folder+"/2.mp4"]) {
				panic("another size")
			}
		}, "media-broken 2.mp4"},
		{"cut", func(b bucket) { b[folder+"/2.mp4"] = b[folder+"/2.mp4"][:3000] }, "media-broken 2.mp4\nobject-size 2.mp4"},
		{"a box without size", func(b bucket) { copy(b[folder+"/2.mp4"], "\x00\x00\x00\x01") }, "media-broken 2.mp4"},
		{"an immense moof", func(b bucket) { copy(b[folder+"/2.mp4"], "\x7f\xff\xff\xff") }, "media-broken 2.mp4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := sample(true)
			tt.damage(b)
			if got := found(t, b, ended()); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// The journal knows what should be there, as long as there is one.
func TestJournal(t *testing.T) {
	stored := func() (all []Object) {
		for i, length := range lengths {
			at, err := time.Parse(time.RFC3339, dates[i])
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint(i, ".ts")
			all = append(all, Object{Name: name, Size: int64(len(sample(false)[folder+"/"+name])), Duration: length, Time: at, Discontinuity: i == 2})
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		change func([]Object) []Object
		damage func(bucket)
		want   string
	}{
		{"agrees", func(o []Object) []Object { return o }, nil, ""},
		{"is behind", func(o []Object) []Object { return o[:2] }, nil, ""},
		{"is ahead of the playlists", func(o []Object) []Object { return o }, func(b bucket) {
			for _, name := range []string{whole, ranges} {
				b[name] = b[name][:bytes.Index(b[name], []byte("#EXT-X-DISC"))]
			}
		}, ""},
		{"is ahead of the bucket", func(o []Object) []Object {
			return append(o, Object{Name: "3.ts", Size: 5, Duration: time.Second, Time: o[2].Time.Add(time.Hour)})
		}, nil, "object-missing 3.ts"},
		{"another size", func(o []Object) []Object { o[1].Size++; return o }, nil, "object-size 1.ts"},
		{"another duration", func(o []Object) []Object { o[1].Duration += 3 * time.Millisecond; return o }, nil, "playlist-mismatch playlist.m3u8"},
		{"another date", func(o []Object) []Object { o[1].Time = o[1].Time.Add(time.Second); return o }, nil, "playlist-mismatch playlist.m3u8"},
		{"no join", func(o []Object) []Object { o[2].Discontinuity = false; return o }, nil, "playlist-mismatch playlist.m3u8"},
		{"another number", func(o []Object) []Object { o[2].Name = "5.ts"; return o }, nil, "playlist-mismatch playlist.m3u8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := sample(false)
			if tt.damage != nil {
				tt.damage(b)
			}
			r := ended()
			r.Open, r.Stored = true, map[string][]Object{single.name: tt.change(stored())}
			if got := found(t, b, r); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// What is not there yet is no problem while a recording goes on, what is wrong
// is one all the same.
func TestOpen(t *testing.T) {
	going := func(b bucket) {
		delete(b, endedJSON)
		for _, name := range []string{whole, ranges} {
			b[name] = b[name][:bytes.Index(b[name], []byte("#EXT-X-DISC"))]
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string
	}{
		{"going on", going, ""},
		{"being closed", func(b bucket) {}, ""},
		{"ranges lag behind", func(b bucket) {
			going(b)
			b[ranges] = b[ranges][:bytes.Index(b[ranges], []byte("#EXT-X-PROGRAM-DATE-TIME:"+dates[1]))]
		}, ""},
		{"no ranges yet", func(b bucket) { going(b); delete(b, ranges); delete(b, "media/hls/byte-range-multivariant.m3u8") }, ""},
		{"not announced", func(b bucket) { clear(b); b["events/ivs-check"] = nil }, ""},
		{"announced", func(b bucket) { clear(b); b.tell(resource.RecordingStarted, "") }, ""},
		{"the first object", func(b bucket) { clear(b); b.tell(resource.RecordingStarted, ""); b[folder+"/0.ts"] = []byte("x") }, ""},
		{"nothing", func(b bucket) { clear(b) }, ""},
		{"an object gone", func(b bucket) { going(b); delete(b, folder+"/1.ts") }, "object-missing 1.ts"},
		{"of somebody", func(b bucket) { going(b); b["x"] = []byte("x") }, "object-foreign x"},
		{"between the others", func(b bucket) {
			going(b)
			b[whole] = bytes.Replace(b[whole], []byte("#EXTINF:10.000,\n0.ts\n#EXT-X-PROGRAM-DATE-TIME:"+dates[1]+"\n"), nil, 1)
			delete(b, ranges)
		}, "object-foreign 0.ts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := sample(false)
			tt.damage(b)
			r := ended()
			r.Open, r.State, r.Duration = true, resource.RecordingStarted, 0
			if got := found(t, b, r); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	// Without a journal nothing will come any more.
	r := ended()
	r.State, r.Duration = resource.RecordingStarted, 0
	b := sample(false)
	going(b)
	if got := found(t, b, r); got != "object-foreign 2.ts" {
		t.Errorf("found %s", got)
	}
}

// A failed recording is as whole as one that ended; its metadata does not name
// byte ranges, and it need not have begun.
func TestFailed(t *testing.T) {
	r := ended()
	r.State = resource.RecordingFailed
	b := sample(false)
	delete(b, endedJSON)
	b.tell(resource.RecordingFailed, `"duration_ms":20000,`)
	b[failedJSON] = bytes.ReplaceAll(b[failedJSON], []byte(`"byte_range_playlist"`), []byte(`"x"`))
	if got := found(t, b, r); got != "" {
		t.Errorf("found %s", got)
	}
	r.Duration = 0
	empty := bucket{failedJSON: []byte(`{"recording_status":"RECORDING_ENDED_WITH_FAILURE","media":{"hls":{"duration_ms":0,"path":"media/hls","playlist":"master.m3u8","renditions":[]}}}`)}
	if got := found(t, empty, r); got != "" {
		t.Errorf("without media found %s", got)
	}
	if got := found(t, bucket{}, r); got != "metadata-missing "+failedJSON {
		t.Errorf("without anything found %s", got)
	}
}

// Media is missing where numbers are, and the playlist says so.
func TestToldGap(t *testing.T) {
	b := sample(false)
	for _, name := range []string{whole, ranges} {
		b[name] = bytes.ReplaceAll(b[name], []byte("\n2.ts\n"), []byte("\n3.ts\n"))
	}
	b[folder+"/3.ts"] = object(b, "2.ts", time.Hour, time.Hour)
	delete(b, folder+"/2.ts")
	if got := found(t, b, ended()); got != "" {
		t.Errorf("found %s", got)
	}
}

// However much is wrong, so much is told.
func TestManyProblems(t *testing.T) {
	b := sample(false)
	for i := range 1000 {
		b[fmt.Sprint("x", i)] = []byte("x")
	}
	report, err := Run(t.Context(), b, ended(), false)
	if err != nil || len(report.Problems) != MaxProblems {
		t.Errorf("%d problems, %v", len(report.Problems), err)
	}
}

// Hostile objects are read without harm.
func FuzzPlaylist(f *testing.F) {
	for name, content := range recorded(true, ladder...) {
		if strings.HasSuffix(name, ".m3u8") {
			f.Add(content, false)
		}
	}
	f.Add(guest()[high+"/playlist.m3u8"], true)
	f.Fuzz(func(t *testing.T, text []byte, stretches bool) {
		p, err := parsePlaylist(text, stretches)
		if err != nil {
			return
		}
		var total time.Duration
		for _, o := range p.objects(func(string) {}) {
			if first, _ := o.first(); o.absent() > o.Duration || first > o.absent() {
				t.Fatalf("%+v from %q", o, text)
			}
			if total += o.Duration; number(o.Name) < 0 || o.Duration <= 0 || o.Time.IsZero() {
				t.Fatalf("%+v from %q", o, text)
			}
		}
		for kind, lost := range p.lost() {
			if kind != lostSound && kind != lostPictures || lost <= 0 && len(p.losses) < 1000 {
				t.Fatalf("%v of %s from %q", lost, kind, text)
			}
		}
	})
}

func FuzzMedia(f *testing.F) {
	f.Add(sample(false)[folder+"/0.ts"][:4*tsPacket], false)
	f.Add(fragments(0, 0, time.Second), true)
	f.Fuzz(func(t *testing.T, content []byte, fragmented bool) {
		var r mediaReader = new(tsReader)
		if fragmented {
			m := &fmp4Reader{torn: true}
			if err := m.init(initSegment()); err != nil {
				t.Fatal(err)
			}
			r = m
		}
		var flaw flaw
		if _, _, err := r.read(bufio.NewReader(bytes.NewReader(content))); err != nil && !errors.As(err, &flaw) {
			t.Fatal(err)
		}
	})
}
