package hls

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// watchModel has a checker watch a model for d of virtual time.
func watchModel(t *testing.T, d time.Duration, adjust ...func(*model)) (found []Complaint, c *Checker) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		for _, f := range adjust {
			f(m)
		}
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		c = New(Config{URL: "http://model/master.m3u8", Client: &http.Client{Transport: m}, Away: m.wasAway, Keep: true})
		c.Run(ctx)
		found = c.Complaints()
	})
	return found, c
}

// Of a stream that keeps all rules there is nothing to complain.
func TestGoodStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		adjust func(*model)
		ends   bool
	}{
		{"goes on", func(*model) {}, false},
		{"ends", func(m *model) { m.ends = 50 * time.Second }, true},
		{"without parts", func(m *model) { m.normal = true }, false},
		{"has reports", report("live.m3u8", 0), false},
		{"server away", func(m *model) { leave(m, true) }, false},
		{"has a gap", hole(8, 18), false},
		{"gap of segments alone", func(m *model) { m.normal = true; hole(12, 24)(m) }, false},
		{"two renditions", master("live.m3u8\n", second), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found, c := watchModel(t, time.Minute, tt.adjust)
			for _, complaint := range found {
				t.Errorf("%v", complaint)
			}
			if c.Seen() < 45*time.Second || c.Joins() != 1 || c.Newest().Ended != tt.ends || len(c.Media()) != 1 {
				t.Errorf("seen were %v with %d joins, ended: %t", c.Seen(), c.Joins(), c.Newest().Ended)
			}
		})
	}
}

// second is a second variant, behind the first, with the same media.
const second = "live.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=90000,AVERAGE-BANDWIDTH=60000,CODECS=\"avc1.42C00B,mp4a.40.2\"," +
	"RESOLUTION=320x180,FRAME-RATE=6.000\nlow/live.m3u8\n"

// hole makes the parts from one on to another a gap.
func hole(from, to int) func(*model) {
	return func(m *model) { m.hole = func(k int) bool { return k >= from && k < to } }
}

// A rendition that comes later is watched, too.
func TestLateRendition(t *testing.T) {
	t.Parallel()
	found, c := watchModel(t, 30*time.Second, func(m *model) {
		m.master = func(text string) string {
			if m.parts() > 30 {
				text = strings.ReplaceAll(text, "live.m3u8\n", second)
			}
			return text
		}
	})
	for _, complaint := range found {
		t.Errorf("%v", complaint)
	}
	var names []string
	for _, r := range c.Renditions() {
		names = append(names, r.Name())
		if r.Seen() < 10*time.Second || len(r.Media()) != 1 || r.Newest() == nil || len(r.Segments()) < 9 {
			t.Errorf("of %s %v were seen", r.Name(), r.Seen())
		}
	}
	if !slices.Equal(names, []string{"/live.m3u8", "low/live.m3u8"}) {
		t.Errorf("the renditions are %q", names)
	}
}

// leave has a server be away from the 8th to the 12th second. told says that
// the checker knows.
func leave(m *model, told bool) {
	within := func(since time.Duration) bool { return since > 8*time.Second && since < 12*time.Second }
	m.away = func() bool { return within(time.Since(m.began)) }
	if told {
		m.wasAway = func(since time.Time) bool {
			return m.away() || since.Before(m.began.Add(12*time.Second)) && time.Since(m.began) >= 12*time.Second
		}
	}
}

// Each rule that a server may break is noticed.
func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	replace := func(old, new string) func(*model) {
		return func(m *model) {
			m.text = func(text string, _ int) string { return strings.ReplaceAll(text, old, new) }
		}
	}
	later := func(after int, old, new string) func(*model) {
		return func(m *model) {
			m.text = func(text string, n int) string {
				if n <= after {
					return text
				}
				return strings.ReplaceAll(text, old, new)
			}
		}
	}
	header := func(name, key, value string) func(*model) {
		return func(m *model) {
			m.header = func(of string, h http.Header) {
				if strings.HasSuffix(of, name) {
					h.Set(key, value)
				}
			}
		}
	}
	content := func(change func(k int, video, audio *[]sample)) func(*model) {
		return func(m *model) { m.content = change }
	}
	for _, tt := range []struct {
		name   string
		breaks func(*model)
		found  string        // in a complaint
		long   time.Duration // how long it takes; 14 s when 0
	}{
		{name: "no playlist", breaks: replace("#EXTM3U", "#EXT"), found: "§4.1"},
		{name: "EXTINF without URI", breaks: replace("100.m4s\n", ""), found: "§4.1"},
		{name: "old version", breaks: replace("VERSION:9", "VERSION:6"), found: "§8"},
		{name: "a tag twice", breaks: replace("#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:2\n#EXT-X-TARGETDURATION:2\n"), found: "§4.1"},
		{name: "no target duration", breaks: replace("#EXT-X-TARGETDURATION:2\n", ""), found: "no EXT-X-TARGETDURATION"},
		{name: "long segment", breaks: replace("EXTINF:2.000", "EXTINF:2.500"), found: "§4.4.3.1: segment 100 lasts 2.5s"},
		{name: "target duration changes", breaks: later(9, "TARGETDURATION:2", "TARGETDURATION:3"), found: "§4.4.3.1: the target"},
		{name: "part target changes", breaks: later(9, "TARGET=0.335", "TARGET=0.34"), found: "§4.4.3.7: the part"},
		{name: "no part target", breaks: replace("#EXT-X-PART-INF:PART-TARGET=0.335\n", ""), found: "§4.4.3.7: parts without"},
		{name: "server control changes", breaks: later(9, "HOLD-BACK=6.0", "HOLD-BACK=7.0"), found: "§4.4.3.8: HOLD-BACK was"},
		{name: "small hold back", breaks: replace("HOLD-BACK=6.0", "HOLD-BACK=5.0"), found: "§4.4.3.8: HOLD-BACK is"},
		{name: "small part hold back", breaks: replace("HOLD-BACK=1.005", "HOLD-BACK=0.669"), found: "§4.4.3.8: PART-HOLD-BACK"},
		{name: "small skip boundary", breaks: replace("UNTIL=12.0", "UNTIL=11.9"), found: "§4.4.3.8: CAN-SKIP-UNTIL"},
		{name: "no blocking", breaks: replace("RELOAD=YES", "RELOAD=NO"), found: "§4.4.3.8: CAN-BLOCK"},
		{name: "long part", breaks: replace("DURATION=0.333333,URI=\"100.2.", "DURATION=0.335001,URI=\"100.2."), found: "§4.4.4.9: a part of 335"},
		{name: "short part", breaks: replace("DURATION=0.333333,URI=\"100.2.", "DURATION=0.28,URI=\"100.2."), found: "§4.4.4.9: a part of 280"},
		{name: "parts are less than their segment", breaks: replace("EXTINF:2.000", "EXTINF:2.010"), found: "§4.4.4.9: segment 100"},
		{name: "no map", breaks: replace("#EXT-X-MAP:URI=\"init.mp4\"\n", ""), found: "§4.4.4.5"},
		{name: "no time", breaks: func(m *model) { m.text = withoutTimes }, found: "§4.4.4.6"},
		{name: "time goes back", breaks: times(func(s int) time.Duration { return -time.Duration(s%2) * 1500 * time.Millisecond }), found: "before segment 100 ends"},
		{name: "time creeps", breaks: times(func(s int) time.Duration { return time.Duration(s) * 50 * time.Millisecond }), found: "50ms after segment"},
		{name: "time ahead", breaks: times(func(int) time.Duration { return 5 * time.Second }), found: "ahead of the clock"},
		{name: "time behind", breaks: times(func(int) time.Duration { return -8 * time.Second }), found: "latency"},
		{name: "short playlist", breaks: func(m *model) { m.listed = 2 }, found: "§6.2.2: 4"},

		{name: "media sequence goes back", breaks: later(80, "SEQUENCE:104", "SEQUENCE:102"), found: "§4.4.3.2", long: 32 * time.Second},
		{name: "discontinuity is forgotten", breaks: replace("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:0"), found: "§4.4.3.3", long: 32 * time.Second},
		{name: "discontinuity sequence goes back", breaks: later(80, "DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:0"),
			found: "§4.4.3.3: the discontinuity sequence number was 1", long: 32 * time.Second},
		{name: "URI changes", breaks: later(9, "100.m4s", "100.m4s?"), found: "§6.2.1: segment"},
		{name: "EXTINF changes", breaks: later(9, "EXTINF:2.000", "EXTINF:2.001"), found: "§6.2.1: segment"},
		{name: "map changes", breaks: later(9, "init.mp4", "init.mp4?"), found: "§6.2.1: segment"},
		{name: "discontinuity vanishes", breaks: later(20, "#EXT-X-DISCONTINUITY\n", ""), found: "§6.2.1: segment"},
		{name: "part changes", breaks: later(9, "100.1.m4s\"", "100.1.m4s?\""), found: "§6.2.1: part 1"},
		{name: "parts vanish", breaks: later(9, "#EXT-X-PART:DURATION=0.333333,URI=\"100.5.m4s\"\n", ""), found: "§6.2.1: segment 100 of 6 parts has 5"},
		{name: "too few parts", breaks: func(m *model) {
			m.text = func(text string, n int) string {
				if n < perSegment {
					return text
				}
				return regexp.MustCompile("#EXT-X-PART:.*\"100\\..*\\n").ReplaceAllString(text, "")
			}
		}, found: "reach back"},
		{name: "two of one name", breaks: replace("101.m4s\n", "100.m4s\n"), found: "two of one name"},
		{name: "two texts of one version", breaks: func(m *model) {
			m.text = func(text string, n int) string {
				return text + fmt.Sprintf("#EXT-X-AT:%d\n", time.Now().UnixMilli()/300)
			}
		}, found: "two texts"},
		{name: "goes back", breaks: func(m *model) {
			m.text = func(text string, n int) string {
				if n%8 == 7 {
					return m.render(n-3, false)
				}
				return text
			}
		}, found: "came after that before"},

		{name: "false hint", breaks: replace("PART,URI=\"101.", "PART,URI=\"111."), found: "§4.4.5.3: the hint for part"},
		{name: "hint of what is there", breaks: replace("PART,URI=\"101.4.", "PART,URI=\"101.3."), found: "§4.4.5.3: the hint is there"},
		{name: "hint that never comes", breaks: func(m *model) {
			m.text = func(text string, n int) string {
				if n == perSegment {
					text = strings.ReplaceAll(text, "#EXTINF:2.000,\n100.m4s\n", "")
					text = strings.ReplaceAll(text, "HINT:TYPE=PART,URI=\"101.0", "HINT:TYPE=PART,URI=\"100.6")
				}
				return text
			}
		}, found: "was hinted at and never came"},
		{name: "hint refused", breaks: func(m *model) {
			m.media = func(name string, times int, b []byte) []byte {
				if times == 1 && strings.Count(name, ".") == 2 {
					return nil
				}
				return b
			}
		}, found: "was refused with status 404"},
		{name: "hint is another part", breaks: func(m *model) {
			m.media = func(name string, times int, b []byte) []byte {
				if times == 1 && strings.HasPrefix(name, "101.3.") {
					return m.part(0)
				}
				return b
			}
		}, found: "§6.2.1: 101.3.m4s is something else"},

		{name: "delta update of others", breaks: func(m *model) {
			m.delta = func(text string, n int) string { return strings.ReplaceAll(text, "102.m4s", "102.mp4") }
		}, found: "§6.2.1: segment"},
		{name: "delta update leaves too much out", breaks: func(m *model) { m.told = 5 }, found: "§6.2.5.1: left out", long: 24 * time.Second},
		{name: "delta update miscounts", breaks: func(m *model) {
			m.delta = func(text string, n int) string {
				return strings.ReplaceAll(text, "SKIPPED-SEGMENTS=1", "SKIPPED-SEGMENTS=12")
			}
		}, found: "§6.2.5.1", long: 24 * time.Second},
		{name: "delta update forgets a discontinuity", breaks: func(m *model) {
			m.delta = func(text string, n int) string { return strings.ReplaceAll(text, "#EXT-X-DISCONTINUITY\n", "") }
		}, found: "§6.2.1", long: 14 * time.Second},
		{name: "delta update nobody asked for", breaks: func(m *model) {
			m.text = func(_ string, n int) string { return m.render(n, true) }
		}, found: "§4.4.5.2", long: 24 * time.Second},

		{name: "answers early", breaks: func(m *model) { m.wait = func(time.Duration) time.Duration { return 0 } }, found: "what does not hold it"},
		{name: "answers late", breaks: func(m *model) { m.wait = func(d time.Duration) time.Duration { return d + 4*time.Second } }, found: "after another reader saw it"},
		{name: "hangs", breaks: func(m *model) { m.wait = func(d time.Duration) time.Duration { return d + 11*time.Second } }, found: "was answered after", long: 24 * time.Second},
		{name: "refuses nothing", breaks: func(m *model) { m.lax = true }, found: "not 400"},
		{name: "server away in secret", breaks: func(m *model) { leave(m, false) }, found: "connection re"},
		{name: "fails", breaks: func(m *model) {
			m.status = func(name string) int { return map[bool]int{name == "live.m3u8" && m.parts() == 20: 500}[true] }
		}, found: "status 500"},
		{name: "multivariant playlist vanishes", breaks: func(m *model) {
			m.status = func(name string) int { return map[bool]int{name == "master.m3u8" && m.parts() > 10: 404}[true] }
		}, found: "multivariant playlist: status 404"},

		{name: "type of playlists", breaks: header(".m3u8", "Content-Type", "text/plain"), found: "Content-Type"},
		{name: "type of media", breaks: header(".m4s", "Content-Type", "text/plain"), found: "Content-Type"},
		{name: "other origins", breaks: header("101.m4s", "Access-Control-Allow-Origin", "http://elsewhere"), found: "CORS"},
		{name: "coding varies in secret", breaks: header("live.m3u8", "Vary", "Cookie"), found: "Vary is"},
		{name: "another coding", breaks: header("live.m3u8", "Content-Encoding", "br"), found: "RFC 9110 §8.4"},
		{name: "playlists kept by caches", breaks: header("live.m3u8", "Cache-Control", "max-age=3"), found: "may be kept for 3s"},
		{name: "playlists kept for ever", breaks: header("live.m3u8", "Cache-Control", "public"), found: "may be kept for"},
		{name: "multivariant kept by caches", breaks: header("master.m3u8", "Cache-Control", "max-age=60"), found: "the multivariant playlist, which"},
		{name: "media not kept by caches", breaks: header("101.m4s", "Cache-Control", "max-age=1"), found: "though it never changes"},
		{name: "one entity tag for all", breaks: header("live.m3u8", "ETag", `"x"`), found: "stands for two texts"},

		{name: "gap within a segment", breaks: hole(8, 9), found: "but the one before is a gap"},
		{name: "gap of parts alone", breaks: func(m *model) { hole(8, 12)(m); replace("#EXT-X-GAP\n", "")(m) }, found: "§4.4.4.7"},
		{name: "gap of a segment alone", breaks: func(m *model) { hole(8, 12)(m); replace(",GAP=YES", "")(m) }, found: "§4.4.4.7"},
		{name: "gap is told late", breaks: func(m *model) {
			hole(8, 12)(m)
			m.text = func(text string, n int) string {
				if n < 11 {
					text = strings.NewReplacer("#EXT-X-GAP\n", "", ",GAP=YES", "").Replace(text)
				}
				return text
			}
		}, found: "§6.2.1: part 2 of segment 101"},
		{name: "back amid a GOP", breaks: func(m *model) {
			m.normal = true
			hole(0, 6)(m)
			content(func(k int, video, _ *[]sample) {
				if k == 6 {
					(*video)[0].Flags, (*video)[0].Data = mp4.NonSyncSampleFlags, nalus([]byte{0x41})
				}
			})(m)
		}, found: "comes after a gap"},
		{name: "variant vanishes", breaks: func(m *model) {
			m.master = func(text string) string {
				if m.parts() < 20 {
					text = strings.ReplaceAll(text, "live.m3u8\n", second)
				}
				return text
			}
		}, found: "the variant of low/live.m3u8 is not told any more"},
		{name: "part is missing", breaks: missing("101.2.m4s", 0), found: "§6.2.2: 101.2.m4s: status 404"},
		{name: "segment is missing", breaks: missing("101.m4s", 0), found: "§6.2.2: 101.m4s: status 404"},
		{name: "segment leaves early", breaks: missing("100.m4s", 1), found: "again 100.m4s: status 404", long: 44 * time.Second},
		{name: "part leaves early", breaks: missing("100.0.m4s", 1), found: "again 100.0.m4s: status 404", long: 24 * time.Second},
		{name: "media changes", breaks: func(m *model) {
			m.media = func(name string, times int, b []byte) []byte {
				if name == "100.m4s" && times > 1 {
					return m.part(0)
				}
				return b
			}
		}, found: "again 100.m4s: it is something else"},
		{name: "segment is not its parts", breaks: func(m *model) {
			m.media = func(name string, times int, b []byte) []byte {
				if name == "101.m4s" {
					return b[:len(b)-len(m.part(11))]
				}
				return b
			}
		}, found: "is not what its 6 parts are"},
		{name: "init section is none", breaks: func(m *model) { m.breaks.init = m.part(0) }, found: "init section"},
		{name: "another init section", breaks: func(m *model) {
			first := regexp.MustCompile("#EXT-X-PART:.*\"101\\.0")
			m.text = func(text string, n int) string {
				return first.ReplaceAllString(text, "#EXT-X-MAP:URI=\"init.mp4?2\"\n$0")
			}
		}, found: "§4.4.4.3: the init section changes"},
		{name: "part is none", breaks: func(m *model) {
			m.media = func(name string, times int, b []byte) []byte {
				return bytes.ReplaceAll(b, []byte("moof"), []byte("free"))
			}
		}, found: "ISO/IEC 14496-12 §8.8"},

		{name: "picture is missing", breaks: content(func(k int, video, audio *[]sample) {
			if k == 8 {
				*video = (*video)[:1]
			}
		}), found: "its pictures until"},
		{name: "pictures overlap", breaks: content(func(k int, video, audio *[]sample) {
			if k == 8 {
				(*video)[0].Dur *= 2
			}
		}), found: "(tfdt)"},
		{name: "picture of another part", breaks: content(func(k int, video, audio *[]sample) {
			if k == 8 {
				(*video)[0].Dur *= 3
			}
		}), found: "but has a picture at"},
		{name: "parts shorter than told", breaks: content(func(k int, video, audio *[]sample) {
			for i := range *video {
				(*video)[i].DecodeTime = (*video)[i].DecodeTime * 99 / 100
				(*video)[i].Dur = (*video)[i].Dur * 99 / 100
			}
		}), found: "its pictures until"},
		{name: "sound ends early", breaks: content(func(k int, video, audio *[]sample) {
			if k == 8 {
				*audio = (*audio)[:len(*audio)-1]
			}
		}), found: "its sound until"},
		{name: "sound begins late", breaks: content(func(k int, video, audio *[]sample) {
			if k == 0 {
				*audio = (*audio)[3:]
			}
		}), found: "after the picture"},
		{name: "sound leaps", breaks: content(func(k int, video, audio *[]sample) {
			if k > 8 {
				for i := range *audio {
					(*audio)[i].DecodeTime += 480
				}
			}
		}), found: "audio goes on at"},
		{name: "no duration", breaks: content(func(k int, video, audio *[]sample) { (*audio)[0].Dur = 0 }), found: "(trun)"},
		{name: "key frame that is none", breaks: content(func(k int, video, audio *[]sample) {
			if k == 9 {
				(*video)[0].Data[4+len(modelSPS)+4+len(modelPPS)+4] = 0x41
			}
		}), found: "INDEPENDENT=YES is true"},
		{name: "sync sample that is none", breaks: content(func(k int, video, audio *[]sample) { (*video)[1].Flags = (*video)[0].Flags }), found: "§8.8.3.1"},
		{name: "key frame without parameter sets", breaks: content(func(k int, video, audio *[]sample) {
			if k == 9 {
				(*video)[0].Data = nalus([]byte{0x65, 0x88})
			}
		}), found: "has no parameter sets"},
		{name: "unknown parameter set", breaks: content(func(k int, video, audio *[]sample) {
			if k == 9 {
				(*video)[0].Data[4+2]++
			}
		}), found: "that its init section does not tell"},
		{name: "independent in secret", breaks: replace(",INDEPENDENT=YES", ""), found: "INDEPENDENT=YES is false"},

		{name: "codecs", breaks: master("42C00B", "42C00D"), found: "§4.4.6.2: CODECS"},
		{name: "resolution", breaks: master("320x180", "640x360"), found: "§4.4.6.2: RESOLUTION"},
		{name: "frame rate", breaks: master("RATE=6", "RATE=8"), found: "§4.4.6.2: FRAME-RATE"},
		{name: "bandwidth", breaks: master("=90000", "=9000"), found: "§4.4.6.2: BANDWIDTH"},
		{name: "average bandwidth", breaks: master("AGE-BANDWIDTH=60000", "AGE-BANDWIDTH=90001"), found: "AVERAGE-BANDWIDTH is greater"},

		{name: "goes on after its end", breaks: func(m *model) {
			m.text = func(text string, n int) string {
				if n == 20 {
					return hint.ReplaceAllString(text, "#EXT-X-ENDLIST\n")
				}
				return text
			}
		}, found: "§4.4.3.4"},
		{name: "end that promises", breaks: func(m *model) {
			m.ends = 10 * time.Second
			m.text = func(text string, _ int) string {
				return strings.ReplaceAll(text, "#EXT-X-ENDLIST", "#EXT-X-ENDLIST\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"105.0.m4s\"")
			}
		}, found: "promises more"},
		{name: "report of nothing", breaks: report("other.m3u8", 0), found: "§4.4.5.4: other.m3u8: status 404"},
		{name: "report that lags", breaks: report("live.m3u8", -8), found: "§4.4.5.4: reported is"},
		{name: "report that leads", breaks: report("live.m3u8", 4), found: "§4.4.5.4: reported is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.long == 0 {
				tt.long = 14 * time.Second
			}
			found, _ := watchModel(t, tt.long, tt.breaks)
			var all strings.Builder
			for _, complaint := range found {
				if strings.Contains(complaint.String(), tt.found) {
					return
				}
				fmt.Fprintln(&all, complaint)
			}
			t.Errorf("nobody complains of %q:\n%s", tt.found, all.String())
		})
	}
}

var (
	timeTag = regexp.MustCompile(`#EXT-X-PROGRAM-DATE-TIME:.*\n`)
	hint    = regexp.MustCompile(`#EXT-X-PRELOAD-HINT:.*\n`)
)

func withoutTimes(text string, _ int) string { return timeTag.ReplaceAllString(text, "") }

// times moves program date and time by an amount for each segment.
func times(by func(segment int) time.Duration) func(*model) {
	return func(m *model) {
		m.text = func(text string, n int) string {
			segment := max(0, n/perSegment-m.listed)
			return timeTag.ReplaceAllStringFunc(text, func(line string) string {
				_, value, _ := strings.Cut(strings.TrimSpace(line), ":")
				at, err := time.Parse(time.RFC3339, value)
				must(err)
				segment++
				return "#EXT-X-PROGRAM-DATE-TIME:" + at.Add(by(segment-1)).Format("2006-01-02T15:04:05.000Z07:00") + "\n"
			})
		}
	}
}

// missing has a name answered so many times, and not again.
func missing(name string, answered int) func(*model) {
	return func(m *model) {
		m.media = func(of string, times int, b []byte) []byte {
			if of == name && times > answered {
				return nil
			}
			return b
		}
	}
}

func master(old, new string) func(*model) {
	return func(m *model) {
		m.master = func(text string) string { return strings.ReplaceAll(text, old, new) }
	}
}

// report adds a rendition report of a playlist, so many parts off the truth.
func report(uri string, off int) func(*model) {
	return func(m *model) {
		m.text = func(text string, n int) string {
			last := max(n-1+off, 0)
			return text + fmt.Sprintf("#EXT-X-RENDITION-REPORT:URI=%q,LAST-MSN=%d,LAST-PART=%d\n", uri, firstSegment+last/perSegment, last%perSegment)
		}
		m.status = func(name string) int { return map[bool]int{name == "other.m3u8": 404}[true] }
	}
}

// Whatever text claims to be a playlist is read or refused, and what was read
// is the same as itself.
func FuzzParse(f *testing.F) {
	m := newModel()
	for _, n := range []int{1, 20, 100} {
		f.Add(m.render(n, false))
		f.Add(m.render(n, true))
	}
	f.Add("#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=-1\n#EXTINF:NaN,\nx\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if d := difference(p, p); d != "" || p.next().before(p.next()) || p.Told() < 0 {
			t.Errorf("%q is not itself: %s", text, d)
		}
		if full, err := p.Apply(p); err == nil && full.Skipped > 0 {
			t.Errorf("%q is still a delta update", text)
		}
		New(Config{}).checkVersion(p)
	})
}
