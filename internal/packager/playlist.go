package packager

import (
	"strconv"
	"strings"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// Durations that a playlist's EXT-X-SERVER-CONTROL tells players (RFC 8216bis
// §4.4.3.8). Two and a half parts are between the two that players must keep from
// the end and the three that they should: enough for hls.js to play without a
// stall, and a sixth of a second closer to the broadcaster.
const (
	holdBack     = 3 * TargetDuration // distance from the end, of players that use no parts
	partHoldBack = PartTarget * 5 / 2 // of those that do
	canSkipUntil = 6 * TargetDuration // what lies further back, a delta update leaves out
)

// partsUntil is how far from the end a segment begins that is told in parts
// too. RFC 8216bis §6.2.2 asks for three target durations at most.
const partsUntil = 2 * TargetDuration

// playlist is the Media Playlist, rendered once for all readers and once more
// for each coding that is asked for. skip makes it a delta update.
func (e *edge) playlist(skip bool, coding Coding) []byte {
	v := 2 * int(coding)
	if skip && !e.ended {
		v++
	}
	if t := &e.texts[v]; !t.asked.Load() {
		t.asked.Store(true)
	}
	return e.text(v)
}

// prepare makes what was asked of the edge before, so that thousands of readers
// who wake at once find it, and do not queue behind the first.
func (e *edge) prepare(before *edge) {
	for v := range before.texts {
		if before.texts[v].asked.Load() && !e.closed && !e.empty() {
			e.text(v)
		}
	}
}

// text is the playlist in coding v/2, a delta update where v is odd.
func (e *edge) text(v int) []byte {
	t := &e.texts[v]
	t.once.Do(func() {
		if coding := Coding(v / 2); coding != Identity {
			t.bytes = coding.encode(e.text(v % 2))
			return
		}
		t.bytes = e.render(v%2 == 1)
		metrics.PlaylistRenders.Inc()
	})
	return t.bytes
}

// render writes the Media Playlist (RFC 8216bis §4).
func (e *edge) render(delta bool) []byte {
	segments := e.listed()
	if e.cfg.NoParts {
		segments = e.whole()
	}
	first := segments[0]
	before := first.discontinuities // of the segments that have left
	if first.discontinuity {
		before--
	}
	skipped := 0
	if delta {
		skipped = skippable(segments)
	}
	inParts := len(segments) // index of the first that is told in parts
	if !e.cfg.NoParts {
		inParts = beginsWithin(partsUntil, segments)
	}

	size := 512 // about
	for i, s := range segments[skipped:] {
		size += 96 + len(e.cfg.MediaBase)
		if skipped+i >= inParts {
			size += len(s.parts) * (64 + len(e.cfg.MediaBase))
		}
	}
	p := make(playlist, 0, size)
	p.line("#EXTM3U")
	p.line("#EXT-X-VERSION:9") // EXT-X-SKIP, in some version of each playlist
	p.int("#EXT-X-TARGETDURATION:", int64(TargetDuration/time.Second))
	p.control(e.cfg.NoParts)
	p.int("#EXT-X-MEDIA-SEQUENCE:", first.msn)
	p.int("#EXT-X-DISCONTINUITY-SEQUENCE:", before)
	if skipped > 0 {
		p.int("#EXT-X-SKIP:SKIPPED-SEGMENTS=", int64(skipped))
	}
	var of *initSection
	if skipped > 0 {
		of = segments[skipped-1].init
	}
	told := int64(0) // up to this segment, ad breaks are
	for i, s := range segments[skipped:] {
		if s.discontinuity {
			p.line("#EXT-X-DISCONTINUITY")
		}
		if s.init != of {
			of = s.init
			p = append(p, `#EXT-X-MAP:URI="`...)
			p = append(p, e.cfg.MediaBase...)
			p = append(p, initPrefix...)
			p = strconv.AppendInt(p, of.number, 10)
			p.line(initSuffix + `"`)
		}
		p.adBreaks(e.breaks, told, s.msn)
		told = s.msn
		p = append(p, "#EXT-X-PROGRAM-DATE-TIME:"...)
		p = append(appendDate(p, s.time), '\n')
		if skipped+i >= inParts {
			p.parts(e.cfg.MediaBase, s)
		}
		if !e.open || s != e.last() {
			p.segment(e.cfg.MediaBase, s)
		}
	}
	switch msn, part := e.coming(); {
	case e.ended:
		p.adBreaks(e.breaks, told, noSegment)
		p.line("#EXT-X-ENDLIST")
		return p
	case e.gap:
		// hls.js takes the last segment for the one in the making, and later
		// finds the numbers wrong, unless some line follows it.
		p.line("# publisher is away")
	case !e.cfg.NoParts && !(e.open && e.last().gap()):
		p = append(p, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`...)
		p = appendPartURI(p, e.cfg.MediaBase, msn, part)
		p.line(`"`)
	}
	p.reports(e.sisters)
	return p
}

// skippable is how many of the segments lie, to their end, further from the end
// of the last one than a delta update has to tell.
func skippable(segments []*mediaSegment) int {
	return max(0, beginsWithin(canSkipUntil, segments)-1)
}

// beginsWithin is the index of the first segment that begins d or less before
// the end of the last one.
func beginsWithin(d time.Duration, segments []*mediaSegment) int {
	var behind media.Ticks
	for i := len(segments) - 1; i >= 0; i-- {
		if behind += segments[i].duration(); behind.Duration(media.VideoRate) > d {
			return i + 1
		}
	}
	return 0
}

// playlist is the text of a playlist being written.
type playlist []byte

func (p *playlist) line(s string) { *p = append(append(*p, s...), '\n') }

func (p *playlist) int(tag string, n int64) {
	*p = strconv.AppendInt(append(*p, tag...), n, 10)
	p.line("")
}

// control writes what the server can do for the player.
func (p *playlist) control(noParts bool) {
	b := append(*p, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL="...)
	b = appendSeconds(b, canSkipUntil.Microseconds())
	b = appendSeconds(append(b, ",HOLD-BACK="...), holdBack.Microseconds())
	if !noParts {
		b = appendSeconds(append(b, ",PART-HOLD-BACK="...), partHoldBack.Microseconds())
		b = append(b, "\n#EXT-X-PART-INF:PART-TARGET="...)
		b = appendSeconds(b, PartTarget.Microseconds())
	}
	*p = append(b, '\n')
}

func (p *playlist) parts(base string, s *mediaSegment) {
	b := *p
	for i := range s.parts {
		b = appendSeconds(append(b, "#EXT-X-PART:DURATION="...), s.parts[i].microseconds())
		b = appendPartURI(append(b, `,URI="`...), base, s.msn, i)
		b = append(b, '"')
		if s.parts[i].independent {
			b = append(b, ",INDEPENDENT=YES"...)
		}
		if s.parts[i].gap {
			b = append(b, ",GAP=YES"...)
		}
		b = append(b, '\n')
	}
	*p = b
}

func (p *playlist) segment(base string, s *mediaSegment) {
	var total int64
	for i := range s.parts {
		total += s.parts[i].microseconds()
	}
	b := *p
	if s.gap() {
		b = append(b, "#EXT-X-GAP\n"...)
	}
	b = appendSeconds(append(b, "#EXTINF:"...), total)
	b = append(append(b, ",\n"...), base...)
	b = strconv.AppendInt(b, s.msn, 10)
	*p = append(append(b, segmentSuffix...), '\n')
}

func appendPartURI(b []byte, base string, msn int64, part int) []byte {
	b = strconv.AppendInt(append(b, base...), msn, 10)
	b = strconv.AppendInt(append(b, '.'), int64(part), 10)
	return append(b, segmentSuffix...)
}

// microseconds is the duration as playlists tell it. Rounding where the part
// begins and ends, instead of what lies between, makes the durations of all
// parts add up to the time from the first to the last, however many there are.
func (p *partialSegment) microseconds() int64 {
	return microseconds(p.start+p.duration) - microseconds(p.start)
}

func microseconds(t media.Ticks) int64 { return int64(t) * 100 / 9 }

// appendSeconds writes us microseconds as decimal seconds without trailing
// zeros.
func appendSeconds(b []byte, us int64) []byte {
	b = strconv.AppendInt(b, us/1e6, 10)
	if us %= 1e6; us == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(1e5); us > 0; unit /= 10 {
		b = append(b, '0'+byte(us/unit))
		us %= unit
	}
	return b
}

const (
	initPrefix = "init-"
	initSuffix = ".mp4"
)

// mediaName is a file name in a playlist, taken apart.
type mediaName struct {
	kind   nameKind
	number int64 // of the segment or init section
	part   int
}

type nameKind int

const (
	initName    nameKind = iota // init-<number>.mp4
	segmentName                 // <number>.m4s
	partName                    // <number>.<part>.m4s
)

// parseName takes a file name apart. Each thing has one name: numbers are
// written without sign and leading zeros.
func parseName(name string) (n mediaName, ok bool) {
	if rest, found := strings.CutPrefix(name, initPrefix); found {
		number, found := strings.CutSuffix(rest, initSuffix)
		n.kind = initName
		n.number, ok = parseNumber(number)
		return n, ok && found
	}
	rest, found := strings.CutSuffix(name, segmentSuffix)
	if !found {
		return n, false
	}
	number, index, isPart := strings.Cut(rest, ".")
	n.kind = segmentName
	if n.number, ok = parseNumber(number); !ok || !isPart {
		return n, ok
	}
	part, ok := parseNumber(index)
	n.kind, n.part = partName, int(part)
	return n, ok
}

func parseNumber(s string) (int64, bool) {
	if s == "" || len(s) > 18 || s[0] == '0' && s != "0" {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
