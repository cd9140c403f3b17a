package packager

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"anabranch/internal/media"
)

// Packet identifiers and stream ids (ISO/IEC 13818-1 §2.4.3), as in IVS's
// recordings.
const (
	patPID   = 0x0000
	pmtPID   = 0x1000
	audioPID = 0x0100
	videoPID = 0x0101
	tagPID   = 0x0102

	audioStreamID = 0xC0
	videoStreamID = 0xE0
	tagStreamID   = 0xBD // private_stream_1
)

const (
	packetSize = 188
	packetBody = packetSize - 4

	// pcrLead is how far the program clock runs behind the DTS: what a decoder
	// has to receive a frame in before it decodes it.
	pcrLead = media.VideoRate / 2
	// pcrInterval is the longest time between clock references (§2.7.2).
	pcrInterval = media.VideoRate / 10

	// audioPES bounds the payload of a PES packet of audio, so that it stays
	// within the decoder's buffer of 3584 bytes (§2.4.2.3) and fills 16
	// transport packets.
	audioPES = 16*packetBody - pesHeader
	// pesHeader is the size of a PES header with a PTS alone.
	pesHeader = 14
)

// TSState is where a transport stream goes on, so that a recording does across
// a restart: the continuity counters (§2.4.3.3), each the one of the next packet,
// and how many live segments have begun.
type TSState struct {
	PAT, PMT, Video, Audio, Tag uint8

	Segments uint32
}

// TS writes chunks as an MPEG transport stream (ISO/IEC 13818-1): H.264 in
// Annex B form with access unit delimiters, AAC as ADTS, and ID3 tags as timed
// metadata (Apple: Timed Metadata for HTTP Live Streaming).
//
//	PAT PMT ID3 │ ID3 …         │ video video …  │ audio audio …  │ video …
//	once a        one of each     one PES packet   one of several   in the order of
//	segment       [Metadata]      per picture      frames           decoding times
//
// PTS and DTS are those of the frames, modulo 2³³. The clock reference goes with
// every picture, and by itself where pictures are further apart than 100 ms. Without
// a video track it goes with the sound.
type TS struct {
	state  TSState
	tables bool        // PAT and PMT have been written
	pcr    media.Ticks // DTS at the last clock reference
	tag    []byte      // reused
}

// NewTS makes a writer that goes on from s; the zero state begins a stream.
func NewTS(s TSState) *TS { return &TS{state: s} }

// State is what a writer must be made with to go on after the last chunk.
func (t *TS) State() TSState { return t.state }

// Append appends c to dst. It fails, leaving dst as it was, if c's tracks cannot
// be told in a transport stream: a sample rate that ADTS does not know.
func (t *TS) Append(dst []byte, c *Chunk) ([]byte, error) {
	var adts adtsHeader
	if len(c.Audio) > 0 {
		var err error
		if adts, err = newADTS(c.Params.Audio); err != nil {
			return dst, err
		}
	}
	dst = slices.Grow(dst, tsSize(c))
	if c.Segment || !t.tables {
		dst = t.appendTables(dst, c.Params)
	}
	if c.Segment {
		var number [10]byte // digits of 2³²
		t.tag = segmentTag(t.tag, strconv.AppendUint(number[:0], uint64(t.state.Segments), 10), c)
		t.state.Segments++
		dst = t.appendTag(dst, t.tag, c.firstPTS())
	}
	for i := range c.Metadata {
		m := &c.Metadata[i]
		t.tag = appendMetadataTag(t.tag[:0], m.Payload)
		dst = t.appendTag(dst, t.tag, m.PTS)
	}
	w := tsChunk{TS: t, dst: dst, rate: c.Params.Rate(media.Audio), adts: adts, clocked: media.Video}
	start, end, before := c.Start, c.End(), media.Ticks(pcrInterval)
	if c.Params.Video == nil {
		w.clocked = media.Audio
		before = max(before, media.Ticks(media.SamplesPerFrame).Rescale(w.rate, media.VideoRate)+1)
		if start, end = t.pcr, t.pcr; len(c.Audio) > 0 {
			start, end = w.at(&c.Audio[0]), w.at(&c.Audio[len(c.Audio)-1])+1
		}
	}
	// A clock reference before this chunk was not far before, or belongs to
	// another time.
	if t.pcr > start || t.pcr < start-before {
		t.pcr = start - pcrInterval
	}
	if !c.Discontinuity {
		w.audio = c.Audio
	}
	for i := range c.Video {
		w.advance(c.Video[i].DTS)
		w.picture(&c.Video[i])
	}
	if c.Discontinuity {
		// Behind a join Chromium's own player places sound and picture by what it
		// reads first, and takes in some pictures before it reads one. With B-frames
		// it places them anew at the first picture, whose DTS is not just behind the
		// last: no sound must have come before.
		w.audio = c.Audio
	}
	w.advance(end)
	for len(w.audio) > 0 {
		w.sound()
	}
	return w.dst, nil
}

// tsSize is about how large c becomes, never much less.
func tsSize(c *Chunk) int {
	packets := 12
	for i := range c.Video {
		packets += len(c.Video[i].Payload)/packetBody + 2
	}
	for i := range c.Audio {
		packets += len(c.Audio[i].Payload)/packetBody + 1
	}
	for i := range c.Metadata {
		packets += (pesHeader+metadataTagSize(c.Metadata[i].Payload))/packetBody + 1
	}
	return packets * packetSize
}

// tsChunk is the writing of one chunk.
type tsChunk struct {
	*TS
	dst   []byte
	audio []media.Frame // not written yet
	rate  int           // of audio
	adts  adtsHeader

	clocked media.Kind // the track that the clock goes with
}

// at is the time of an audio frame in 90 kHz ticks.
func (w *tsChunk) at(f *media.Frame) media.Ticks { return f.PTS.Rescale(w.rate, media.VideoRate) }

// advance writes the audio and the clock references that come before dts.
func (w *tsChunk) advance(dts media.Ticks) {
	for {
		clock := w.pcr + pcrInterval
		if len(w.audio) > 0 {
			if sound := w.at(&w.audio[0]); sound < dts && sound <= clock {
				w.sound()
				continue
			}
		}
		if clock >= dts {
			return
		}
		w.clock(clock)
	}
}

// clock writes a packet with a clock reference and nothing else.
func (w *tsChunk) clock(dts media.Ticks) {
	w.pcr = dts
	pid, counter := byte(videoPID&0xFF), w.state.Video
	if w.clocked == media.Audio {
		pid, counter = audioPID&0xFF, w.state.Audio
	}
	// A packet without payload repeats the counter of the one before it.
	w.dst = append(w.dst, syncByte, videoPID>>8, pid, 0x20|(counter-1)&0x0F, packetBody-1, flagPCR)
	w.dst = appendPCR(w.dst, dts)
	w.dst = appendStuffing(w.dst, packetBody-8)
}

// picture writes one video frame.
func (w *tsChunk) picture(f *media.Frame) {
	// Start codes are as long as the lengths they replace.
	size := len(accessUnitDelimiter)
	for nal, rest := nextNAL(f.Payload); nal != nil; nal, rest = nextNAL(rest) {
		if nal[0]&0x1F != nalDelimiter {
			size += 4 + len(nal)
		}
	}
	p := pes{dst: w.dst, pid: videoPID, counter: &w.state.Video, pcr: f.DTS, flags: flagPCR}
	if f.Key {
		p.flags |= flagRandomAccess
	}
	w.pcr = f.DTS
	p.begin(videoStreamID, size, f.PTS, f.DTS)
	p.write(accessUnitDelimiter)
	for nal, rest := nextNAL(f.Payload); nal != nil; nal, rest = nextNAL(rest) {
		if nal[0]&0x1F != nalDelimiter {
			p.write(startCode)
			p.write(nal)
		}
	}
	w.dst = p.dst
}

// sound writes as many audio frames as one PES packet holds, or as the clock can do
// without another reference. Only the first has a PTS, the others must follow
// without a hole.
func (w *tsChunk) sound() {
	n, size := 0, 0
	pts := w.at(&w.audio[0])
	p := pes{dst: w.dst, pid: audioPID, counter: &w.state.Audio}
	until := w.audio[len(w.audio)-1].PTS
	if w.clocked == media.Audio {
		p.pcr, p.flags, w.pcr = pts, flagPCR|flagRandomAccess, pts
		until = w.audio[0].PTS + media.Ticks(pcrInterval).Rescale(media.VideoRate, w.rate) - media.SamplesPerFrame
	}
	for n < len(w.audio) {
		frame := adtsSize + len(w.audio[n].Payload)
		if n > 0 && (size+frame > audioPES || w.audio[n-1].Duration != media.SamplesPerFrame || w.audio[n].PTS > until) {
			break
		}
		n, size = n+1, size+frame
	}
	p.begin(audioStreamID, size, pts, pts)
	for i := range w.audio[:n] {
		w.adts.setSize(len(w.audio[i].Payload))
		p.write(w.adts[:])
		p.write(w.audio[i].Payload)
	}
	w.dst, w.audio = p.dst, w.audio[n:]
}

// appendTag appends an ID3 tag that takes effect at pts.
func (t *TS) appendTag(dst, tag []byte, pts media.Ticks) []byte {
	p := pes{dst: dst, pid: tagPID, counter: &t.state.Tag}
	p.begin(tagStreamID, len(tag), pts, pts)
	p.write(tag)
	return p.dst
}

// The program map (§2.4.4.8): its streams, and the descriptors by which players
// know the third for ID3 tags (§2.6.58, §2.6.60).
var (
	mapHead = []byte{
		0xE0 | videoPID>>8, videoPID & 0xFF, 0xF0, 17, // PCR PID, length of the program's descriptors
		0x25, 15, // metadata_pointer_descriptor
		0xFF, 0xFF, 'I', 'D', '3', ' ', // application format
		0xFF, 'I', 'D', '3', ' ', // metadata format
		0, 0x1F, 0, 1, // service 0; carried in this transport stream, program 1
	}
	mapAudio = []byte{0x0F, 0xE0 | audioPID>>8, audioPID & 0xFF, 0xF0, 0} // AAC in ADTS
	mapVideo = []byte{0x1B, 0xE0 | videoPID>>8, videoPID & 0xFF, 0xF0, 0} // H.264
	mapTag   = []byte{
		0x15, 0xE0 | tagPID>>8, tagPID & 0xFF, 0xF0, 15, // metadata in PES packets
		0x26, 13, // metadata_descriptor
		0xFF, 0xFF, 'I', 'D', '3', ' ',
		0xFF, 'I', 'D', '3', ' ',
		0, 0x0F, // service 0; no decoder configuration
	}
)

// appendTables appends PAT and PMT, a packet each.
func (t *TS) appendTables(dst []byte, p media.Params) []byte {
	t.tables = true
	dst = appendSection(dst, patPID, &t.state.PAT, []byte{
		0x00, 0xB0, 13, // table id, section length
		0x00, 0x01, 0xC1, 0, 0, // transport stream id, version 0, current
		0x00, 0x01, 0xE0 | pmtPID>>8, pmtPID & 0xFF, // program 1
	})
	// The version, 0 to 2, tells a set of streams from another, so it needs no
	// memory of which came before.
	pmt := append(make([]byte, 0, packetBody), 0x02, 0xB0, 0, 0x00, 0x01, 0xC1, 0, 0)
	pmt = append(pmt, mapHead...)
	if p.Audio != nil {
		pmt = append(pmt, mapAudio...)
	}
	if p.Video != nil {
		pmt = append(pmt, mapVideo...)
	}
	switch {
	case p.Video == nil:
		pmt[5] |= 2 << 1
		pmt[9] = audioPID & 0xFF // carries the clock
	case p.Audio == nil:
		pmt[5] |= 1 << 1
	}
	pmt = append(pmt, mapTag...)
	pmt[2] = byte(len(pmt) - 3 + 4) // what follows, checksum included
	return appendSection(dst, pmtPID, &t.state.PMT, pmt)
}

// appendSection appends a packet with a section, its checksum and stuffing.
func appendSection(dst []byte, pid uint16, counter *uint8, section []byte) []byte {
	start := len(dst)
	dst = append(dst, syncByte, 0x40|byte(pid>>8), byte(pid), 0x10|*counter&0x0F, 0)
	*counter = (*counter + 1) & 0x0F
	dst = append(dst, section...)
	dst = binary.BigEndian.AppendUint32(dst, crc32MPEG(section))
	return appendStuffing(dst, packetSize-(len(dst)-start))
}

// adtsSize is the size of an ADTS header without checksum, in bytes.
const adtsSize = 7

// adtsHeader is an ADTS header (ISO/IEC 14496-3 §1.A.2.2) but for its frame's
// size.
type adtsHeader [adtsSize]byte

var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

func newADTS(a *media.AudioParams) (adtsHeader, error) {
	rate := slices.Index(adtsRates[:], a.SampleRate)
	if rate < 0 {
		return adtsHeader{}, fmt.Errorf("adts has no index for a sample rate of %d Hz", a.SampleRate)
	}
	const profileLC = 1
	channels := byte(a.Channels)
	return adtsHeader{
		0xFF, 0xF1, // sync word, MPEG-4, no checksum
		profileLC<<6 | byte(rate)<<2 | channels>>2,
		channels << 6,
		0, 0x1F, 0xFC, // buffer fullness: variable rate; one block
	}, nil
}

// setSize puts in the size of a frame whose payload has n bytes.
func (h *adtsHeader) setSize(n int) {
	n += adtsSize
	h[3] = h[3]&0xC0 | byte(n>>11)&0x03
	h[4] = byte(n >> 3)
	h[5] = byte(n)<<5 | 0x1F
}
