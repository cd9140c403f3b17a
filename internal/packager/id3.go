package packager

import (
	"encoding/binary"
	"strconv"
	"time"

	"anabranch/internal/media"
)

// id3Tag writes a tag as ID3v2.4 has it: a header, then one frame after the
// other.
//
//	"ID3" 4 0 0 size │ "TSSE" size 0 0  3 text 0 │ "TXXX" size 0 0  3 description 0 text 0 │ …
//
// Sizes are four bytes of seven bits, and do not count the header they stand in.
type id3Tag struct{ b []byte }

const id3Header = 10 // bytes, of a tag and of a frame

// beginID3 begins a tag in b, whose content is lost.
func beginID3(b []byte) id3Tag {
	return id3Tag{append(b[:0], 'I', 'D', '3', 4, 0, 0, 0, 0, 0, 0)}
}

// text and time write text frames.
func (t *id3Tag) text(id, value string) {
	start := t.open(id)
	t.b = append(t.b, value...)
	t.close(start)
}

func (t *id3Tag) time(id string, at time.Time) {
	start := t.open(id)
	t.b = at.UTC().AppendFormat(t.b, "2006-01-02T15:04:05")
	t.close(start)
}

// open begins a text frame in UTF-8, close ends it.
func (t *id3Tag) open(id string) (start int) {
	start = len(t.b)
	t.b = append(append(t.b, id...), 0, 0, 0, 0, 0, 0, 3)
	return start
}

func (t *id3Tag) close(start int) {
	t.b = append(t.b, 0)
	putID3Size(t.b[start+4:], len(t.b)-start-id3Header)
}

// bytes is the tag.
func (t *id3Tag) bytes() []byte {
	putID3Size(t.b[6:], len(t.b)-id3Header)
	return t.b
}

func putID3Size(b []byte, n int) {
	binary.BigEndian.PutUint32(b, uint32(n>>21&0x7F)<<24|uint32(n>>14&0x7F)<<16|uint32(n>>7&0x7F)<<8|uint32(n&0x7F))
}

// segmentTag is the tag at the beginning of a live segment, of which c is the
// first part: when its first picture arrived (ingest_r), the date and time it
// begins at (transc_r), both in milliseconds since 1970, and how many seconds
// into the run that is (stream_offset). Players measure their delay by it. The
// segment's number, in decimal, is left out where it is empty.
func segmentTag(buf, number []byte, c *Chunk) []byte {
	written := c.Ready
	if written.IsZero() {
		written = c.Time.Add(c.Duration.Duration(media.VideoRate))
	}
	t := beginID3(buf)
	if len(number) > 0 {
		start := t.open("TRCK")
		t.b = append(t.b, number...)
		t.close(start)
	}
	t.time("TDEN", c.Time)
	t.time("TDTG", written)
	if len(number) > 0 {
		start := t.open("TOFN")
		t.b = append(t.b, "index-"...)
		t.b = append(t.b, "0000000000"[len(number):]...)
		t.b = append(append(t.b, number...), ".ts"...)
		t.close(start)
	}
	t.text("TSSE", "Anabranch")
	start := t.open("TXXX")
	t.b = append(t.b, "segmentmetadata\x00{\"cmd\":\"ld_lat_data\""...)
	if len(c.Video) > 0 {
		t.member("ingest_r", c.Video[0].Captured)
	}
	t.member("transc_r", c.Time)
	t.b = append(t.b, `,"stream_offset":`...)
	t.b = strconv.AppendFloat(t.b, float64(c.Start-Origin)/media.VideoRate, 'f', 3, 64)
	t.b = append(t.b, '}')
	t.close(start)
	return t.bytes()
}

// member writes a member of a JSON object, unless at is not known.
func (t *id3Tag) member(name string, at time.Time) {
	if at.IsZero() {
		return
	}
	t.b = append(append(append(t.b, `,"`...), name...), `":`...)
	t.b = strconv.AppendInt(t.b, at.UnixMilli(), 10)
}
