package e2e

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// stretch is what a recording has between two discontinuities, decoded. Its
// times are ticks from its beginning, which was at a time of day.
type stretch struct {
	sight
	at    time.Time
	lasts time.Duration // as the playlist tells
}

// stretches decodes all of a recording. ffmpeg must find nothing to complain of,
// and every segment with pictures must begin with a key frame, where the one
// before ended.
func (r take) stretches(t testing.TB, p *hls.Playlist) (all []stretch) {
	t.Helper()
	folder := filepath.Join(r.dir, "media", "hls", "high")
	for from := 0; from < len(p.Segments); {
		to := from + 1
		for to < len(p.Segments) && !p.Segments[to].Discontinuity {
			to++
		}
		one := stretch{at: p.Segments[from].Time}
		media := r.read(t, folder, p.Segments[from].Init)
		for _, s := range p.Segments[from:to] {
			media = append(media, r.read(t, folder, s.URI)...)
			one.lasts += s.Duration
		}
		path := filepath.Join(t.TempDir(), fmt.Sprintf("stretch-%d.mp4", len(all)))
		if err := os.WriteFile(path, media, 0o600); err != nil {
			t.Fatal(err)
		}
		one.sight = probe(t, path)
		if len(one.sound) == 0 {
			t.Errorf("a stretch of %s has no sound", r.prefix)
			return all
		}
		one.hear(t, path)
		begin := one.sound[0].at
		if len(one.pictures) > 0 {
			one.readShots(t, path)
			begin = one.pictures[0].at
		}
		one.shift(-begin)
		one.checkSegments(t, p.Segments[from:to], p.Target)
		all = append(all, one)
		from = to
	}
	return all
}

func (r take) read(t testing.TB, folder, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkSegments checks that segments begin with key frames, and that sound has
// no hole and reaches as far as the pictures.
func (s *stretch) checkSegments(t testing.TB, segments []hls.Segment, target time.Duration) {
	t.Helper()
	const frame = 1024 * ticks / 48_000
	for i, a := range s.sound[1:] {
		if step := a.at - s.sound[i].at; step < frame-2 || step > frame+2 {
			t.Errorf("sounds begin at %d and at %d", s.sound[i].at, a.at)
		}
	}
	if len(s.pictures) == 0 {
		return
	}
	begin := int64(0)
	for k, one := range segments {
		i := slices.IndexFunc(s.pictures, func(p shown) bool { return p.at >= begin-ticks/500 })
		// Where no key frame came for as long as a segment may last, it cannot be helped.
		forced := k > 0 && segments[k-1].Duration > target-time.Second
		if i < 0 || s.pictures[i].at > begin+ticks/500 || !s.pictures[i].key && !forced {
			t.Errorf("%s does not begin with a key frame at %.3f s; the one before lasts %v, pictures begin at %.3f s", one.URI, float64(begin)/ticks,
				segments[max(k-1, 0)].Duration, float64(s.pictures[max(i, 0)].at)/ticks)
		}
		begin += inTicks(fmt.Sprint(one.Duration.Seconds()))
	}
	// The last picture lasts until the next stretch, whatever ffprobe tells of it.
	ends := s.sound[len(s.sound)-1].end() - inTicks(fmt.Sprint(s.lasts.Seconds()))
	for name, apart := range map[string]int64{"begin": s.sound[0].at, "end": ends} {
		if d := duration(apart).Abs(); d > skew {
			t.Errorf("sound and pictures %s %v apart: %v, %v in the playlist", name, d, &s.sight, s.lasts)
		}
	}
	if last := duration(s.pictures[len(s.pictures)-1].at); last > s.lasts {
		t.Errorf("pictures last %v, the playlist tells %v", last, s.lasts)
	}
}

// readShots decodes the pictures and reads their codes.
func (s *sight) readShots(t testing.TB, path string) {
	t.Helper()
	raw := quietly(t, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1",
		"-vf", fmt.Sprintf("crop=iw:ih*2/9:0:0,scale=%d:2:flags=area,format=gray", shotColumns), "-f", "rawvideo", "-")
	if len(raw) != 2*shotColumns*len(s.pictures) {
		t.Errorf("%s has %d pictures, of which %d are shown", path, len(s.pictures), len(raw)/(2*shotColumns))
	}
	for i := range s.pictures {
		s.pictures[i].number = -1
		if at := 2 * shotColumns * i; at+2*shotColumns <= len(raw) {
			if code, ok := shotOf(raw[at:]); ok {
				s.pictures[i].number = code.piece*shotNumbers + code.number
			}
		}
	}
}

func duration(n int64) time.Duration { return time.Duration(n) * time.Second / ticks }

// tapePictures is how many pictures a tape has before it begins anew.
const tapePictures = int(tapeLasts/time.Second) * tapeRate

// fresh are the pictures of a scene with beats that show what none before them
// did. Left out are those that last on, key frames that are shown again, and a
// first one that stands in for what came before it.
func (s *stretch) fresh() (all []shown) {
	for _, p := range s.pictures {
		again := false
		if n := len(all); n > 0 {
			back := between(p, all[n-1]) + 1 // from the one before, if it is so
			again = p.number == all[n-1].number || back <= 3*tapeRate
		}
		if p.number >= 0 && !again {
			all = append(all, p)
		}
	}
	if len(all) > 1 && between(all[0], all[1]) == 0 && all[1].at-all[0].at > ticks/10 {
		return all[1:]
	}
	return all
}

// between is how many pictures lie between two of a tape.
func between(a, b shown) int {
	return ((b.number-a.number)%shotNumbers+2*tapePictures)%tapePictures - 1
}

// rhythm is how a stretch of a scene with beats keeps time.
type rhythm struct {
	pictures, missing int
	beats             int     // that are heard amid pictures
	skews             series  // of the beats: how much later than their pictures, in s
	early             series  // the same of those in the first second: clocks are being found
	jitter            float64 // s, of pictures against their numbers, at most
}

func (r rhythm) String() string {
	return fmt.Sprintf("%d pictures, %d missing, at most %.1f ms off; %d beeps, %.1f to %.1f ms behind their pictures, in the mean %.1f ms",
		r.pictures, r.missing, 1000*r.jitter, r.beats, 1000*r.skews.at(0), 1000*r.skews.at(1), 1000*r.skews.mean())
}

// rhythm compares beeps with pictures, and pictures with their numbers.
func (s *stretch) rhythm() (r rhythm) {
	pictures := s.fresh()
	var off series // by which each picture is later than the first, less what its number says
	told := 0
	for i, p := range pictures {
		if i > 0 {
			n := between(pictures[i-1], p)
			r.missing += n
			told += n + 1
		}
		off.add(float64(p.at)/ticks - float64(told)/tapeRate)
	}
	r.pictures = len(pictures)
	for _, o := range off {
		r.jitter = max(r.jitter, math.Abs(o-off.at(.5)))
	}
	const amid = tapeRate / 2 // the picture of the beep
	for _, b := range s.beeps {
		i := slices.IndexFunc(pictures, func(p shown) bool { return p.at > b })
		if i <= 0 || pictures[i].at-pictures[i-1].at > ticks/tapeRate*3/2 {
			continue // nothing moves there
		}
		p := pictures[i-1]
		due := float64(p.at)/ticks + float64(amid-p.number%shotNumbers%tapeRate)/tapeRate
		r.beats++
		if off := math.Remainder(float64(b)/ticks-due, 1); b < ticks {
			r.early.add(off)
		} else {
			r.skews.add(off)
		}
	}
	return r
}

// inStep fails where sound and pictures are further apart than people notice.
func (r rhythm) inStep(t testing.TB, beats int) {
	t.Helper()
	if r.beats < beats {
		t.Errorf("%d beeps are heard amid pictures, not %d: %v", r.beats, beats, r)
	}
	if max(-r.skews.at(0), r.skews.at(1)) > skew.Seconds() || max(-r.early.at(0), r.early.at(1)) > 2*skew.Seconds() {
		t.Errorf("sound and pictures are apart: %v", r)
	}
}

// behind is how much later than it was due each fresh picture is by the
// recording's dates, in ms.
func (s *stretch) behind(out *outgoing) (late series) {
	due := out.shots()
	for _, p := range s.fresh() {
		at := s.at.Add(duration(p.at))
		best := time.Duration(math.MaxInt64)
		for k := p.number % shotNumbers; k < len(due); k += tapePictures {
			if d := at.Sub(due[k]); d.Abs() < best.Abs() {
				best = d
			}
		}
		late.add(float64(best.Microseconds()) / 1000)
	}
	return late
}

// shots are when the pictures that were sent were due, by their numbers since
// the tape began.
func (out *outgoing) shots() (due []time.Time) {
	l := out.layers[0]
	all := l.list("video")
	if len(all) == 0 {
		return nil
	}
	last := int64(all[len(all)-1].stamp - uint32(firstStamp&math.MaxUint32))
	for n := range (last*tapeRate+45_000)/90_000 + 1 {
		due = append(due, l.began.Add(time.Duration(n)*time.Second/tapeRate))
	}
	return due
}

// loss is what a playlist tells to be missing for good.
type loss struct {
	kind     string // audio or video
	from, to time.Time
}

func (l loss) String() string {
	return fmt.Sprintf("%s from %s for %v", l.kind, l.from.Format("05.000"), l.to.Sub(l.from))
}

// lossesOf are the marked gaps of a media playlist.
func lossesOf(p *hls.Playlist) (all []loss) {
	for line := range strings.Lines(p.Text) {
		list, ok := strings.CutPrefix(strings.TrimSpace(line), "#EXT-X-DATERANGE:")
		a := hls.ParseAttributes(list)
		if !ok || a["CLASS"] != "anabranch.loss" {
			continue
		}
		from, err := time.Parse(time.RFC3339, a["START-DATE"])
		if err != nil {
			continue
		}
		all = append(all, loss{strings.ToLower(a["X-KIND"]), from, from.Add(a.Seconds("DURATION"))})
	}
	return all
}
