package packager

import (
	"encoding/binary"

	"anabranch/internal/media"
)

// Metadata is timed metadata: what a viewer's player hands to the page when
// playback comes to a place.
type Metadata struct {
	// PTS is that place on the run timeline, in 90 kHz ticks.
	PTS media.Ticks
	// Payload is the broadcaster's. It is never written to and may be kept.
	Payload []byte
}

// maxMetadata bounds what waits for its part to end. Only a publisher who
// stalls lets so much come together.
const maxMetadata = 64

// PutMetadata puts payload where the newest picture is decoded, the earliest
// place that no viewer has seen yet. It goes out with the part that is cut there,
// no sooner or later because of it; before the first picture, with the first part.
// Later payloads never have earlier places. It is false when too many wait
// already. The payload must not be written to any more.
func (c *Cutter) PutMetadata(payload []byte) bool {
	n := len(c.metadata)
	if n == maxMetadata {
		return false
	}
	at := c.newest
	if n > 0 {
		at = max(at, c.metadata[n-1].PTS)
	}
	c.metadata = append(c.metadata, Metadata{at, payload})
	return true
}

// metadataUntil returns the metadata whose places are before end, those before
// start moved there. They stay queued.
func (c *Cutter) metadataUntil(start, end media.Ticks) []Metadata {
	n := 0
	for n < len(c.metadata) && c.metadata[n].PTS < end {
		c.metadata[n].PTS = max(c.metadata[n].PTS, start)
		n++
	}
	return c.metadata[:n]
}

// metadataOwner says, in an ID3 tag, whose payload follows. Players of IVS look
// for it.
const metadataOwner = "metadata.live-video.net\x00"

// appendMetadataTag appends an ID3v2.4 tag with a private frame (§4.27).
//
//	"ID3" 4 0 0 size │ "PRIV" size 0 0  owner 0 payload
func appendMetadataTag(dst, payload []byte) []byte {
	frame := len(metadataOwner) + len(payload)
	start := len(dst)
	dst = append(dst, 'I', 'D', '3', 4, 0, 0, 0, 0, 0, 0)
	putID3Size(dst[start+6:], id3Header+frame)
	dst = append(dst, 'P', 'R', 'I', 'V', 0, 0, 0, 0, 0, 0)
	putID3Size(dst[start+id3Header+4:], frame)
	return append(append(dst, metadataOwner...), payload...)
}

func metadataTagSize(payload []byte) int { return 2*id3Header + len(metadataOwner) + len(payload) }

// An event message of version 1 (ISO/IEC 23009-1 §5.10.3.3) with an ID3 tag
// (AOM, Carriage of ID3 Timed Metadata in CMAF). The scheme and the empty value
// each end in a NUL.
const (
	eventScheme  = "https://aomedia.org/emsg/ID3\x00\x00"
	eventHeader  = boxHeader + 4 + 4 + 8 + 4 + 4 // bytes before the scheme
	eventTime    = 4 + 4                         // where presentation_time is in the box's content
	eventID      = eventTime + 8 + 4
	eventMinSize = eventHeader - boxHeader // of the content
)

// appendEvents appends the ID3 tags of c as emsg boxes. The first is its segment's,
// if it begins one: with hls.js 1.7 in Chromium the first tag of all is lost to
// whoever listens for cues, which must not be the broadcaster's.
func appendEvents(dst, segment []byte, c *Chunk) []byte {
	if len(segment) > 0 {
		dst = append(appendEvent(dst, c.firstPTS(), 0, len(segment)), segment...)
	}
	for i := range c.Metadata {
		m := &c.Metadata[i]
		dst = appendEvent(dst, m.PTS, 1+i, metadataTagSize(m.Payload))
		dst = appendMetadataTag(dst, m.Payload)
	}
	return dst
}

func eventsSize(segment []byte, c *Chunk) int {
	const event = eventHeader + len(eventScheme)
	size := 0
	if len(segment) > 0 {
		size = event + len(segment)
	}
	for i := range c.Metadata {
		size += event + metadataTagSize(c.Metadata[i].Payload)
	}
	return size
}

// appendEvent appends an emsg box but for the tag of so many bytes that follows.
// By the id players know one event from the other, across streams and restarts as
// well; so it is made of the time, and of the place among its chunk's.
func appendEvent(dst []byte, at media.Ticks, place, tag int) []byte {
	const unknown = 0xFFFF_FFFF
	dst = appendFullBox(dst, eventHeader+len(eventScheme)+tag, "emsg", 0x0100_0000)
	dst = binary.BigEndian.AppendUint32(dst, media.VideoRate)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at))
	dst = binary.BigEndian.AppendUint32(dst, unknown) // event_duration
	dst = binary.BigEndian.AppendUint32(dst, uint32(at)+uint32(place))
	return append(dst, eventScheme...)
}
