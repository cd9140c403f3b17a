package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"anabranch/e2e/hls"
)

// skew is how far a picture and the sound that was sent with it may be moved
// apart. People notice 45 ms of early sound (EBU R37).
const skew = 40 * time.Millisecond

// digest names a picture by its slices, or an audio frame by all of it.
func digest(video bool, data []byte) (d [sha256.Size]byte) {
	h := sha256.New()
	for video && len(data) > 4 {
		n := min(int(binary.BigEndian.Uint32(data)), len(data)-4)
		if nalu := data[4 : 4+n]; n > 0 && (nalu[0]&31 == 1 || nalu[0]&31 == 5) {
			h.Write(nalu)
		}
		data = data[4+n:]
	}
	h.Write(data)
	return [sha256.Size]byte(h.Sum(nil))
}

// source is a frame as it was sent, in the order of sending.
type source struct {
	tag
	pts time.Duration
}

// sources are the frames among tags, their stamps unfolded where they wrap.
func sources(tags []tag, wrap time.Duration) (all []source) {
	var last, offset time.Duration
	for _, g := range tags {
		if g.config {
			continue
		}
		if wrap > 0 && g.dts < last-wrap/2 {
			offset += wrap
		}
		last = g.dts
		all = append(all, source{g, g.dts + offset + g.reorder})
	}
	return all
}

// compareClocks compares what viewers saw with what was sent: every picture that
// came before the last one seen is there, and sound has not moved against
// pictures. rigid says that pictures have not moved against each other either.
// It returns what is wrong, and what it saw.
func compareClocks(sent []source, seen []hls.Sample, rigid bool) (wrong []string, summary string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	type found struct {
		at    time.Duration
		times int
	}
	known := map[[sha256.Size]byte]found{}
	for _, s := range seen {
		d := digest(s.Video, s.Data)
		known[d] = found{s.PTS, known[d].times + 1}
	}
	repeated := map[[sha256.Size]byte]int{}
	for _, s := range sent {
		repeated[digest(s.video, s.data)]++
	}

	var pictures, lost, matched, frames int
	var alone int      // audio frames that are not sent twice, and can be compared with a picture
	var last, gone int // pictures: the index of the last one seen; how many were missed before it
	var offset, first time.Duration
	var worst time.Duration
	piece, opened, begun, keyed := -1, -1, false, false
	for _, s := range sent {
		f, ok := known[digest(s.video, s.data)]
		once := repeated[digest(s.video, s.data)] == 1
		unique := once && f.times == 1
		if once && !s.video && s.piece == piece {
			alone++
		}
		switch {
		case s.video && !begun && !s.key:
		case s.video:
			begun = true
			pictures++
			if !ok {
				lost++
				continue
			}
			last, gone = pictures, lost
			// With B-frames, a stream's first picture is shown early. Nothing is
			// measured by it, nor by a key frame at which a stream may begin anew.
			began := s.piece != opened || s.key && !rigid && !keyed
			if opened, keyed = s.piece, s.key; began {
				piece = -1
			}
			if began || !unique {
				continue
			}
			offset, piece = f.at-s.pts, s.piece
			if first == 0 {
				first = offset
			}
			if move := (offset - first).Abs(); rigid && move > 2*time.Millisecond {
				complain("the picture stamped %v was moved by %v", s.pts, offset-first)
				rigid = false
			}
		case ok && unique && s.piece == piece:
			matched++
			if move := f.at - s.pts - offset; move.Abs() > worst.Abs() {
				worst = move
			}
			frames++
		default:
			frames++
		}
	}
	summary = fmt.Sprintf("%d of %d pictures were seen, %d missed among them; %d of %d audio frames, at most %v off",
		last-gone, pictures, gone, matched, frames, worst)
	if last-gone < pictures/2 || last < 10 {
		complain("of %d pictures %d were seen", pictures, last-gone)
	}
	if gone > 0 {
		complain("%d pictures of %d are missing", gone, last)
	}
	if alone > 20 && matched < alone/2 {
		complain("of %d audio frames %d were seen", alone, matched)
	}
	if worst.Abs() > skew {
		complain("sound was moved by %v against the pictures", worst)
	}
	return wrong, summary
}
