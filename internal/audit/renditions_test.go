package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// A recording of several renditions has no problem, though some have holes;
// what lies in them is told.
func TestRenditions(t *testing.T) {
	for _, fragmented := range []bool{false, true} {
		b := recorded(fragmented, ladder...)
		report, err := Run(t.Context(), b, ended(), true)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Problems) > 0 || report.Objects != len(b) || report.Duration != 20*time.Second || report.Thumbnails != 3 {
			t.Errorf("fragmented %v: %+v", fragmented, report)
		}
		want := []Rendition{{Name: "720p30"}, {Name: "480p30", Absent: 5500 * time.Millisecond}, {Name: "audio_only", Absent: 10 * time.Second}}
		for i := range want {
			for name, content := range b {
				if strings.HasPrefix(name, "media/hls/"+want[i].Name) && number(name[strings.LastIndex(name, "/")+1:]) >= 0 && !strings.Contains(name, "init") {
					want[i].Bytes += int64(len(content))
				}
			}
		}
		if !slices.Equal(report.Renditions, want) {
			t.Errorf("fragmented %v: renditions are %+v, want %+v", fragmented, report.Renditions, want)
		}
	}
}

const (
	lower       = "media/hls/480p30"
	lowerWhole  = lower + "/playlist.m3u8"
	lowerRanges = lower + "/byte-range-variant.m3u8"
	sound       = "media/hls/audio_only"
	master      = "media/hls/master.m3u8"
	thumb1      = "media/thumbnails/thumb1.jpg"
	latest      = "media/latest_thumbnail/thumb.jpg"
)

// both is a change of both playlists of the lower rendition.
func both(from, to string) func(bucket) {
	return func(b bucket) {
		replace(lowerWhole, from, to)(b)
		replace(lowerRanges, from, to)(b)
	}
}

// leave takes the lower rendition out of a multivariant playlist.
func leave(b bucket) {
	at := bytes.Index(b[master], []byte("#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=852x480"))
	end := at + bytes.Index(b[master][at:], []byte(".m3u8\n")) + len(".m3u8\n")
	b[master] = slices.Concat(b[master][:at], b[master][end:])
}

// Whatever is done to one of several renditions, or to thumbnails, is found.
func TestRenditionDamage(t *testing.T) {
	gap := "#EXT-X-GAP\n"
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string
	}{
		{"object gone", remove(lower + "/2.ts"), "object-missing " + lower + "/2.ts"},
		{"object gone of sound alone", remove(sound + "/1.ts"), "object-missing " + sound + "/1.ts"},
		{"object in a hole", put(lower+"/1.ts", []byte("x")), "object-foreign " + lower + "/1.ts"},
		{"hole untold", replace(lowerWhole, gap, ""), "object-missing " + lower + "/1.ts\nplaylist-mismatch " + lowerRanges},
		{"hole untold, and another told", func(b bucket) {
			replace(lowerWhole, gap, "")(b)
			replace(lowerWhole, "#EXTINF:10.000", gap+"#EXTINF:10.000")(b)
		}, "object-foreign " + lower + "/0.ts\nobject-missing " + lower + "/1.ts\nplaylist-mismatch " + lowerRanges + "\nplaylist-mismatch " + lowerRanges},
		{"hole of what is there", replace(lowerWhole, "#EXTINF:10.000", gap+"#EXTINF:10.000"), "object-foreign " + lower + "/0.ts\nplaylist-mismatch " + lowerRanges},
		{"hole in an old version", replace(lowerWhole, "VERSION:8", "VERSION:3"), "playlist-invalid " + lowerWhole},
		{"range in a hole", replace(lowerRanges, gap, gap+"#EXT-X-BYTERANGE:5@0\n"), "playlist-invalid " + lowerRanges},
		{"hole before what is there", func(b bucket) {
			b[lower+"/2.ts"] = ladder[1].object("2.ts", 24*time.Second, 24*time.Second, 4500*time.Millisecond, b)
		}, "media-gap " + lower + "/2.ts\nrendition-cut " + lower + "/2.ts"},
		{"media begins amid a group", func(b bucket) {
			b[lower+"/2.ts"] = ladder[1].object("2.ts", 25*time.Second, 25*time.Second, 4500*time.Millisecond, b)
		}, "media-gap " + lower + "/2.ts\nrendition-cut " + lower + "/2.ts"},

		{"another length", replace(lowerWhole, "#EXTINF:4.000", "#EXTINF:4.001"), "rendition-cut " + lowerWhole},
		{"another date", both(dates[1], "2026-03-01T12:00:10.501Z"), "rendition-cut " + lowerWhole},
		{"join untold", both("#EXT-X-DISCONTINUITY\n", ""), "rendition-cut " + lowerWhole},
		{"fewer objects", func(b bucket) {
			for _, name := range []string{lowerWhole, lowerRanges} {
				at := bytes.Index(b[name], []byte("#EXT-X-DISC"))
				b[name] = append(slices.Clone(b[name][:at]), "#EXT-X-ENDLIST\n"...)
			}
			delete(b, lower+"/2.ts")
		}, "rendition-cut " + lowerWhole},
		{"another number", func(b bucket) {
			for _, name := range []string{lowerWhole, lowerRanges} {
				b[name] = bytes.ReplaceAll(b[name], []byte("\n2.ts\n"), []byte("\n3.ts\n"))
			}
			b[lower+"/3.ts"] = b[lower+"/2.ts"]
			delete(b, lower+"/2.ts")
		}, "rendition-cut " + lowerWhole},
		{"shifted", func(b bucket) {
			counters := ladder[1].writer(false)
			b[lower+"/0.ts"] = counters(10100*time.Millisecond, 10100*time.Millisecond, lengths[0])
			b[lower+"/2.ts"] = counters(25600*time.Millisecond, 25600*time.Millisecond, lengths[2]-firstPiece)
		}, "rendition-cut " + lower + "/0.ts\nrendition-cut " + lower + "/2.ts"},
		{"sound shifted", func(b bucket) {
			counters := ladder[2].writer(false)
			b[sound+"/1.ts"] = counters(0, 20050*time.Millisecond, lengths[1])
			b[sound+"/2.ts"] = counters(0, 24050*time.Millisecond, lengths[2])
		}, "rendition-cut " + sound + "/1.ts\nrendition-cut " + sound + "/2.ts"},
		{"sound in its grid", func(b bucket) { b[sound+"/2.ts"] = ladder[2].object("2.ts", 0, 24021*time.Millisecond, lengths[2], b) }, ""},
		{"gap in sound", func(b bucket) { b[sound+"/2.ts"] = ladder[2].object("2.ts", 0, 24080*time.Millisecond, lengths[2], b) },
			"media-gap " + sound + "/2.ts\nrendition-cut " + sound + "/2.ts"},
		{"packet missing", func(b bucket) {
			o := b[lower+"/0.ts"]
			copy(o[4*tsPacket:], o[5*tsPacket:6*tsPacket])
		}, "media-broken " + lower + "/0.ts"},

		{"playlist gone", remove(lowerWhole), "playlist-missing " + lowerWhole},
		{"master leaves one out", leave, "playlist-mismatch " + master},
		{"master leads twice", replace(master, "audio_only/playlist.m3u8\n", "audio_only/playlist.m3u8\naudio_only/playlist.m3u8\n"), "playlist-mismatch " + master},
		{"another size in the master", replace(master, "852x480", "854x480"), "playlist-mismatch " + master},
		{"another size at the end", replace(endedJSON, "852", "854"), "metadata-invalid " + endedJSON + "\nplaylist-mismatch media/hls/byte-range-multivariant.m3u8\nplaylist-mismatch " + master},
		{"size of sound alone", replace(master, "BANDWIDTH=1000\naudio", "BANDWIDTH=1000,RESOLUTION=1x1\naudio"), "playlist-mismatch " + master},
		{"untold at the start", func(b bucket) { b.tell(resource.RecordingStarted, "", ladder[0], ladder[2]) }, "metadata-invalid " + endedJSON},
		{"told twice", func(b bucket) {
			b.tell(resource.RecordingEnded, `"duration_ms":20000,`, slices.Insert(slices.Clone(ladder), 1, ladder[1])...)
		}, "metadata-invalid " + endedJSON},
		{"untold at the end", func(b bucket) { b.tell(resource.RecordingEnded, `"duration_ms":20000,`, ladder[0], ladder[2]) },
			"object-foreign " + lower + "/0.ts\nobject-foreign " + lower + "/2.ts\nobject-foreign " + lowerRanges + "\nobject-foreign " + lowerWhole +
				"\nplaylist-mismatch media/hls/byte-range-multivariant.m3u8\nplaylist-mismatch " + master},
		{"one of which nothing came", func(b bucket) {
			b.tell(resource.RecordingStarted, "", append(slices.Clone(ladder), rung{name: "160p30"})...)
		}, ""},
		{"one of which nothing came, at the end", func(b bucket) {
			for _, state := range []resource.RecordingState{resource.RecordingStarted, resource.RecordingEnded} {
				b.tell(state, `"duration_ms":20000,`, append(slices.Clone(ladder), rung{name: "160p30"})...)
			}
		}, "playlist-mismatch media/hls/byte-range-multivariant.m3u8\nplaylist-mismatch " + master +
			"\nplaylist-missing media/hls/160p30/byte-range-variant.m3u8\nplaylist-missing media/hls/160p30/playlist.m3u8"},

		{"thumbnail gone", remove(thumb1), "number-gap media/thumbnails"},
		{"first thumbnail gone", remove("media/thumbnails/thumb0.jpg"), "number-gap media/thumbnails"},
		{"thumbnail empty", put(thumb1, nil), "object-size " + thumb1},
		{"thumbnail of something else", put(thumb1, []byte("<html>")), "thumbnail-broken " + thumb1},
		{"thumbnail torn off", func(b bucket) { b[thumb1] = b[thumb1][:len(b[thumb1])-2] }, "thumbnail-broken " + thumb1},
		{"thumbnail with an odd number", put("media/thumbnails/thumb03.jpg", thumbnail()), "object-foreign media/thumbnails/thumb03.jpg"},
		{"thumbnail of somebody", put("media/thumbnails/face.jpg", thumbnail()), "object-foreign media/thumbnails/face.jpg"},
		{"all thumbnails gone", func(b bucket) {
			for i := range 3 {
				delete(b, fmt.Sprintf("media/thumbnails/thumb%d.jpg", i))
			}
		}, "object-missing media/thumbnails"},
		{"thumbnails untold at the end", replace(endedJSON, `,"latest_thumbnail":{"path":"media/latest_thumbnail/thumb.jpg"}`, ""), "object-foreign " + latest},
		{"no thumbnail came", func(b bucket) {
			replace(endedJSON, `,"thumbnails":{"path":"media/thumbnails"},"latest_thumbnail":{"path":"media/latest_thumbnail/thumb.jpg"}`, "")(b)
			for name := range b {
				if strings.HasSuffix(name, ".jpg") {
					delete(b, name)
				}
			}
		}, ""},
		{"latest gone", remove(latest), "object-missing " + latest},
		{"latest broken", put(latest, []byte("x")), "thumbnail-broken " + latest},
		{"latest of another day", put("media/latest_thumbnail/thumb0.jpg", thumbnail()), "object-foreign media/latest_thumbnail/thumb0.jpg"},
		{"path of thumbnails out", replace(endedJSON, `"media/thumbnails"`, `"../thumbnails"`), "metadata-invalid " + endedJSON},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := recorded(false, ladder...)
			tt.damage(b)
			if got := found(t, b, ended()); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// object makes an object of the sample anew, at other times; its counters go on
// from those that are there.
func (r *rung) object(name string, video, audio, length time.Duration, b bucket) []byte {
	write := r.writer(false)
	for i := range number(name) {
		if r.missing[i] < 2 {
			write(0, 0, lengths[i])
		}
	}
	return write(video, audio, length)
}

// What is not there yet is no problem while several renditions are recorded.
func TestOpenRenditions(t *testing.T) {
	// cut leaves the first n objects of a rendition.
	cut := func(b bucket, name string, n int) {
		for _, playlist := range []string{"playlist.m3u8", "byte-range-variant.m3u8"} {
			path := "media/hls/" + name + "/" + playlist
			text := strings.TrimSuffix(string(b[path]), "#EXT-X-ENDLIST\n")
			if at := strings.Index(text, dates[n]); at >= 0 {
				text = text[:strings.LastIndex(text[:at], "\n#EXT-X-PROG")+1]
			}
			b[path] = []byte(strings.TrimSuffix(text, "#EXT-X-DISCONTINUITY\n"))
		}
	}
	going := func(b bucket) {
		delete(b, endedJSON)
		for _, r := range ladder {
			cut(b, r.name, 2)
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string
	}{
		{"going on", going, ""},
		{"one is behind", func(b bucket) { going(b); cut(b, "480p30", 1) }, ""},
		{"one has no media yet", func(b bucket) {
			going(b)
			for name := range b {
				if strings.HasPrefix(name, lower) {
					delete(b, name)
				}
			}
			leave(b)
		}, ""},
		{"the master is behind", func(b bucket) { going(b); leave(b) }, ""},
		{"no thumbnails yet", func(b bucket) {
			going(b)
			for name := range b {
				if strings.HasSuffix(name, ".jpg") {
					delete(b, name)
				}
			}
		}, ""},
		{"the first media of one", func(b bucket) { going(b); delete(b, lowerWhole); delete(b, lowerRanges) }, ""},
		{"thumbnails without the latest", func(b bucket) { going(b); delete(b, latest) }, ""},
		{"thumbnails that came amid the list", func(b bucket) { going(b); delete(b, thumb1) }, ""},
		{"an object gone", func(b bucket) { going(b); delete(b, lower+"/0.ts") }, "object-missing " + lower + "/0.ts"},
		{"another cut", func(b bucket) { going(b); both(dates[1], "2026-03-01T12:00:10.501Z")(b) }, "rendition-cut " + lowerWhole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := recorded(false, ladder...)
			tt.damage(b)
			r := ended()
			r.Open, r.State, r.Duration = true, resource.RecordingStarted, 0
			if got := found(t, b, r); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// One that was given up tells at the start alone what was to come.
func TestAbandonedRenditions(t *testing.T) {
	b := recorded(false, ladder...)
	b.tell(resource.RecordingStarted, "", append(slices.Clone(ladder), rung{name: "160p30"})...)
	delete(b, endedJSON)
	delete(b, latest)
	r := ended()
	r.State = resource.RecordingFailed
	if got := found(t, b, r); got != "metadata-missing "+failedJSON {
		t.Errorf("found %s", got)
	}
}

// The journal knows each rendition.
func TestJournalOfRenditions(t *testing.T) {
	stored := func() map[string][]Object {
		all := make(map[string][]Object)
		b := recorded(false, ladder...)
		for _, r := range ladder {
			for i, length := range lengths {
				at, err := time.Parse(time.RFC3339, dates[i])
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprint(i, ".ts")
				size := int64(len(b["media/hls/"+r.name+"/"+name]))
				all[r.name] = append(all[r.name], Object{Name: name, Size: size, Duration: length, Time: at, Discontinuity: i == 2, Gap: size == 0})
			}
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		change func(map[string][]Object)
		want   string
	}{
		{"agrees", func(map[string][]Object) {}, ""},
		{"knows no hole", func(o map[string][]Object) { o["480p30"][1].Gap, o["480p30"][1].Size = false, 5 }, "playlist-mismatch " + lowerWhole},
		{"knows of another hole", func(o map[string][]Object) { o["480p30"][0].Gap = true }, "playlist-mismatch " + lowerWhole},
		{"another size", func(o map[string][]Object) { o["480p30"][2].Size++ }, "object-size " + lower + "/2.ts"},
		{"is ahead of the bucket", func(o map[string][]Object) {
			o["audio_only"] = append(o["audio_only"], Object{Name: "3.ts", Size: 5, Duration: time.Second})
		}, "object-missing " + sound + "/3.ts"},
		{"is ahead with a hole", func(o map[string][]Object) {
			o["audio_only"] = append(o["audio_only"], Object{Name: "3.ts", Gap: true, Duration: time.Second})
		}, ""},
		{"has one more", func(o map[string][]Object) { o["160p30"] = []Object{{Name: "0.ts", Size: 5}} }, "metadata-invalid " + endedJSON},
		{"has one more without media", func(o map[string][]Object) { o["160p30"] = []Object{{Name: "0.ts", Gap: true}} }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := recorded(false, ladder...)
			r := ended()
			r.Open, r.Stored = true, stored()
			tt.change(r.Stored)
			if got := found(t, b, r); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// A recording may consist of thumbnails alone.
func TestThumbnailsAlone(t *testing.T) {
	b := bucket{"events/ivs-check": {}, "media/thumbnails/thumb0.jpg": thumbnail(), "media/thumbnails/thumb1.jpg": thumbnail()}
	for _, state := range []resource.RecordingState{resource.RecordingStarted, resource.RecordingEnded} {
		b[stateNames[state]] = []byte(`{"recording_status":"` + string(state) + `","media":{"thumbnails":{"path":"media/thumbnails"}}}`)
	}
	r := ended()
	r.Duration = 0
	if got := found(t, b, r); got != "" {
		t.Errorf("found %s", got)
	}
	delete(b, "media/thumbnails/thumb0.jpg")
	put("media/hls/720p30/0.ts", []byte("x"))(b)
	if got := found(t, b, r); got != "number-gap media/thumbnails\nobject-foreign 0.ts" {
		t.Errorf("found %s", got)
	}
}
