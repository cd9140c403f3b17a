package hls

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/andybalholm/brotli"
)

// model is a server of a stream in which every moment is computed: a picture
// each sixth of a second, two in a part, six parts in a segment, and a gap. It
// keeps all rules but the one that a test has it break.
type model struct {
	breaks
	began   time.Time
	ends    time.Duration        // after which EXT-X-ENDLIST comes
	listed  int                  // whole segments in the playlist
	away    func() bool          // now; may be nil
	wasAway func(time.Time) bool // what the checker is told
	lax     bool                 // nothing is refused
	normal  bool                 // no parts are told
	told    int                  // of which, in a delta update, this many
	hole    func(k int) bool     // part k is a gap; may be nil
	mu      sync.Mutex
	before  map[string]int // how often each was asked for, under mu
}

// breaks are ways to break rules. Each may be nil.
type breaks struct {
	text    func(text string, n int) string               // of a Media Playlist with n parts so far
	delta   func(text string, n int) string               // of a delta update, besides
	master  func(text string) string                      // of the Multivariant Playlist
	content func(k int, video, audio *[]sample)           // of part k
	media   func(name string, times int, b []byte) []byte // of what is asked for the so manieth time; nil is a 404
	header  func(name string, h http.Header)
	wait    func(d time.Duration) time.Duration // how long a reload is blocked
	status  func(name string) int               // 0, or what is answered
	init    []byte
}

type sample = mp4.FullSample

const (
	partLength   = time.Second / 3
	perSegment   = 6
	firstSegment = 100
	gapBefore    = 3 * perSegment  // the part behind the gap
	gap          = 2 * time.Second // of wall time, not of media
	modelWait    = 3 * time.Second
)

// at is when part k is whole.
func (m *model) at(k int) time.Time {
	t := m.began.Add(time.Duration(k+1) * time.Second / 3)
	if k >= gapBefore {
		t = t.Add(gap)
	}
	return t
}

// parts is how many parts are whole now.
func (m *model) parts() (n int) {
	for m.ends > 0 && n < int(m.ends/partLength) || m.ends == 0 {
		if time.Now().Before(m.at(n)) {
			break
		}
		n++
	}
	return n
}

func (m *model) ended() bool { return m.ends > 0 && m.parts() == int(m.ends/partLength) }

// RoundTrip answers at once, or after the time that a blocked request waits.
func (m *model) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.away != nil && m.away() {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	m.serve(w, r)
	if m.away != nil && m.away() {
		return nil, errors.New("connection reset")
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func (m *model) serve(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/"), "low/") // where a second rendition is
	m.mu.Lock()
	m.before[name]++
	times := m.before[name]
	m.mu.Unlock()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	var body []byte
	switch {
	case name == "master.m3u8":
		if m.parts() < perSegment {
			http.NotFound(w, r)
			return
		}
		h.Set("Content-Type", playlistType)
		h.Set("Cache-Control", "no-store")
		body = []byte(m.multivariant())
	case name == "live.m3u8":
		text, status := m.playlist(w, r)
		if status != 200 {
			http.Error(w, "no", status)
			return
		}
		body = []byte(text)
	default:
		h.Set("Content-Type", "video/mp4")
		h.Set("Cache-Control", "max-age=3600")
		if body = m.file(r, name, times); body == nil {
			http.NotFound(w, r)
			return
		}
	}
	if m.header != nil {
		m.header(name, h)
	}
	if m.status != nil {
		if status := m.status(name); status != 0 {
			http.Error(w, "broken", status)
			return
		}
	}
	w.Write(encoded(h, r.Header.Get("Accept-Encoding"), body))
}

func encoded(h http.Header, accepted string, body []byte) []byte {
	var b bytes.Buffer
	switch accepted {
	case "gzip":
		z := gzip.NewWriter(&b)
		z.Write(body)
		z.Close()
	case "br":
		z := brotli.NewWriter(&b)
		z.Write(body)
		z.Close()
	default:
		return body
	}
	if h.Get("Content-Encoding") == "" {
		h.Set("Content-Encoding", accepted)
	}
	if h.Get("Vary") == "" {
		h.Set("Vary", "Accept-Encoding")
	}
	return b.Bytes()
}

func (m *model) multivariant() string {
	text := "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=90000,AVERAGE-BANDWIDTH=60000,CODECS=\"avc1.42C00B,mp4a.40.2\"," +
		"RESOLUTION=320x180,FRAME-RATE=6.000\nlive.m3u8\n"
	if m.master != nil {
		text = m.master(text)
	}
	return text
}

// playlist answers a request for the Media Playlist.
func (m *model) playlist(w http.ResponseWriter, r *http.Request) (text string, status int) {
	want, blocks, ok := directives(r.URL.Query())
	if !m.lax && (!ok || blocks && want/perSegment > m.parts()/perSegment+2) {
		return "", http.StatusBadRequest
	}
	held := true
	if blocks && !m.ended() && m.parts() <= want {
		d := time.Until(m.at(want))
		if d > modelWait {
			d, held = modelWait, false
		}
		if m.wait != nil {
			d = m.wait(d)
		}
		if !pause(r.Context(), d) {
			return "", http.StatusServiceUnavailable
		}
	}
	h := w.Header()
	h.Set("Content-Type", playlistType)
	h.Set("Cache-Control", "no-cache")
	if blocks && held {
		h.Set("Cache-Control", "max-age=12")
	}
	n := m.parts()
	delta := r.URL.Query().Get("_HLS_skip") == "YES"
	text = m.render(n, delta)
	if m.text != nil {
		text = m.text(text, n)
	}
	if delta && m.delta != nil {
		text = m.delta(text, n)
	}
	return text, 200
}

// directives tell the part that is waited for.
func directives(q url.Values) (part int, blocks, ok bool) {
	if !q.Has("_HLS_msn") {
		return 0, false, !q.Has("_HLS_part")
	}
	msn, err := strconv.ParseUint(q.Get("_HLS_msn"), 10, 63)
	if err != nil {
		return 0, true, false
	}
	part = (int(msn)-firstSegment)*perSegment + perSegment - 1
	if q.Has("_HLS_part") {
		n, err := strconv.ParseUint(q.Get("_HLS_part"), 10, 16)
		if err != nil {
			return 0, true, false
		}
		part = (int(msn)-firstSegment)*perSegment + int(n)
	}
	return part, true, true
}

// render writes the playlist of the first n parts.
func (m *model) render(n int, delta bool) string {
	whole := n / perSegment
	first := max(0, whole-m.listed)
	skipped := 0
	if delta && !m.ended() {
		skipped = max(0, whole-first-m.told)
	}
	if m.normal {
		n = whole * perSegment
	}
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n" +
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.005\n#EXT-X-PART-INF:PART-TARGET=0.335\n")
	discontinuities := 0
	if first > gapBefore/perSegment {
		discontinuities = 1
	}
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", firstSegment+first, discontinuities)
	if skipped > 0 {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", skipped)
	}
	for s := first + skipped; s*perSegment < n; s++ {
		if s == gapBefore/perSegment {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if s == first {
			b.WriteString("#EXT-X-MAP:URI=\"init.mp4\"\n")
		}
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", m.at(s*perSegment).Add(-partLength).Format("2006-01-02T15:04:05.000Z07:00"))
		for k := s * perSegment; k < min(n, (s+1)*perSegment) && s > whole-3; k++ {
			fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.333333,URI=\"%d.%d.m4s\"", firstSegment+s, k%perSegment)
			if k%3 == 0 {
				b.WriteString(",INDEPENDENT=YES")
			}
			if m.misses(k, 1) {
				b.WriteString(",GAP=YES")
			}
			b.WriteString("\n")
		}
		if s < whole {
			if m.misses(s*perSegment, perSegment) {
				b.WriteString("#EXT-X-GAP\n")
			}
			fmt.Fprintf(&b, "#EXTINF:2.000,\n%d.m4s\n", firstSegment+s)
		}
	}
	switch {
	case m.ended():
		b.WriteString("#EXT-X-ENDLIST\n")
	case n != gapBefore:
		fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%d.%d.m4s\"\n", firstSegment+n/perSegment, n%perSegment)
	}
	if m.normal {
		return partTags.ReplaceAllString(b.String(), "")
	}
	return b.String()
}

var partTags = regexp.MustCompile(`(?m)#EXT-X-(PART|PRELOAD).*\n|,PART-HOLD-BACK=[0-9.]*`)

// misses says whether any of n parts, from k on, is a gap.
func (m *model) misses(k, n int) bool {
	return m.hole != nil && n > 0 && (m.hole(k) || m.misses(k+1, n-1))
}

// file is a part, which is waited for, a segment, or the init section.
func (m *model) file(r *http.Request, name string, times int) (data []byte) {
	var s, part int
	switch {
	case name == "init.mp4":
		return m.breaks.init
	case strings.Count(name, ".") == 2:
		fmt.Sscanf(name, "%d.%d.m4s", &s, &part)
		k := (s-firstSegment)*perSegment + part
		if d := time.Until(m.at(k)); d > modelWait || !pause(r.Context(), max(d, 0)) {
			return nil
		}
		if m.misses(k, 1) {
			return nil
		}
		data = m.part(k)
	default:
		fmt.Sscanf(name, "%d.m4s", &s)
		if m.misses((s-firstSegment)*perSegment, perSegment) {
			return nil
		}
		for k := range perSegment {
			data = append(data, m.part((s-firstSegment)*perSegment+k)...)
		}
	}
	// Nine segments of the playlist, that which grows, and the segment's own.
	if m.at((s-firstSegment+1+2*m.listed+2)*perSegment).Before(time.Now()) && !m.ended() {
		return nil
	}
	if m.media != nil {
		return m.media(name, times, data)
	}
	return data
}

// The tracks of the model.
const (
	modelVideo = 1
	modelAudio = 2
	videoRate  = 90000
	audioRate  = 48000
)

var modelSPS, modelPPS = unhex("6742c00bda05067e7c044000000300400000030303c50aa8"), unhex("68ce0fc8")

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func newModel() *model {
	init := mp4.CreateEmptyInit()
	video, audio := init.AddEmptyTrack(videoRate, "video", "und"), init.AddEmptyTrack(audioRate, "audio", "und")
	must(video.SetAVCDescriptor("avc1", [][]byte{modelSPS}, [][]byte{modelPPS}, true))
	must(audio.SetAACDescriptor(aac.AAClc, audioRate))
	var data bytes.Buffer
	must(init.Encode(&data))
	// Seven segments of 2 s are more than the 12 s of CAN-SKIP-UNTIL.
	return &model{breaks: breaks{init: data.Bytes()}, began: time.Now(), listed: 9, told: 7, before: map[string]int{}}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// part makes the media of part k.
func (m *model) part(k int) []byte {
	var video, audio []sample
	for i := 2 * k; i < 2*k+2; i++ {
		s := sample{Sample: mp4.Sample{Flags: mp4.NonSyncSampleFlags, Dur: videoRate / 6}, DecodeTime: uint64(i * videoRate / 6)}
		s.Data = nalus([]byte{0x41, 0x9a, byte(i), byte(i >> 8)})
		if i%6 == 0 {
			s.Flags, s.Data = mp4.SyncSampleFlags, nalus(modelSPS, modelPPS, []byte{0x65, 0x88, byte(i), byte(i >> 8)})
		}
		video = append(video, s)
	}
	const perPart = audioRate / 3
	for i := (k*perPart + 1023) / 1024; i < ((k+1)*perPart+1023)/1024; i++ {
		audio = append(audio, sample{Sample: mp4.Sample{Flags: mp4.SyncSampleFlags, Dur: 1024}, DecodeTime: uint64(i * 1024), Data: []byte{0x21, byte(i)}})
	}
	if m.content != nil {
		m.content(k, &video, &audio)
	}
	f, err := mp4.CreateMultiTrackFragment(uint32(k+1), []uint32{modelVideo, modelAudio})
	must(err)
	addSamples(f, modelVideo, video)
	addSamples(f, modelAudio, audio)
	var b bytes.Buffer
	must(f.Encode(&b))
	return b.Bytes()
}

func addSamples(f *mp4.Fragment, id uint32, samples []sample) {
	for _, s := range samples {
		s.Size = uint32(len(s.Data))
		must(f.AddFullSampleToTrack(s, id))
	}
}

func nalus(all ...[]byte) (b []byte) {
	for _, n := range all {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(n))), n...)
	}
	return b
}
