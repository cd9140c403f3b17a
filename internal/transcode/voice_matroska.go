package transcode

import (
	"encoding/binary"
	"math"

	"anabranch/internal/media"
)

// Opus goes into ffmpeg as Matroska (RFC 9559), which has a time stamp for each
// packet, of any precision, and can be read as it comes. Each packet is a cluster of
// its own.

// The elements that are written, by their IDs (RFC 9559 §5.1, RFC 8794 §11.2).
const (
	ebmlHeader        = 0x1A45DFA3
	ebmlDocType       = 0x4282
	mkvSegment        = 0x18538067
	mkvInfo           = 0x1549A966
	mkvTimestampScale = 0x2AD7B1
	mkvTracks         = 0x1654AE6B
	mkvTrackEntry     = 0xAE
	mkvTrackNumber    = 0xD7
	mkvTrackUID       = 0x73C5
	mkvTrackType      = 0x83
	mkvCodecID        = 0x86
	mkvCodecPrivate   = 0x63A2
	mkvAudio          = 0xE1
	mkvSamplingRate   = 0xB5
	mkvChannels       = 0x9F
	mkvCluster        = 0x1F43B675
	mkvTimestamp      = 0xE7
	mkvSimpleBlock    = 0xA3
)

// matroskaRate is how many ticks a second time stamps have: those of a sample are
// not a whole number of nanoseconds.
const matroskaRate = 1_000_000

// matroskaHeader is what comes before the packets: one track of Opus, of which
// nothing is to be skipped (RFC 7845 §5.1), in a segment that ends when it ends.
var matroskaHeader = func() []byte {
	opusHead := append([]byte("OpusHead"), 1, 2, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0) // 48 kHz, two channels
	audio := appendElement(nil, mkvSamplingRate, binary.BigEndian.AppendUint64(nil, math.Float64bits(voiceRate)))
	audio = appendElement(audio, mkvChannels, []byte{2})

	track := appendElement(nil, mkvTrackNumber, []byte{1})
	track = appendElement(track, mkvTrackUID, []byte{1})
	track = appendElement(track, mkvTrackType, []byte{2}) // sound
	track = appendElement(track, mkvCodecID, []byte("A_OPUS"))
	track = appendElement(track, mkvCodecPrivate, opusHead)
	track = appendElement(track, mkvAudio, audio)

	scale := binary.BigEndian.AppendUint32(nil, 1_000_000_000/matroskaRate)
	b := appendElement(nil, ebmlHeader, appendElement(nil, ebmlDocType, []byte("matroska")))
	b = append(appendID(b, mkvSegment), 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF) // of unknown size
	b = appendElement(b, mkvInfo, appendElement(nil, mkvTimestampScale, scale))
	return appendElement(b, mkvTracks, appendElement(nil, mkvTrackEntry, track))
}()

// appendCluster writes a packet that begins at a time in samples, 0 at least.
func appendCluster(dst []byte, at media.Ticks, packet []byte) []byte {
	const stamp, head = 1 + 8 + 8, 4 // the timestamp's element; what a block begins with
	dst = appendSize(appendID(dst, mkvCluster), stamp+1+8+head+len(packet))
	dst = appendSize(appendID(dst, mkvTimestamp), 8)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.Rescale(voiceRate, matroskaRate)))
	dst = appendSize(appendID(dst, mkvSimpleBlock), head+len(packet))
	dst = append(dst, 0x81, 0, 0, 0x80) // track 1, at the cluster's timestamp, a key frame
	return append(dst, packet...)
}

// appendElement writes an element of EBML (RFC 8794 §3).
func appendElement(dst []byte, id uint32, body []byte) []byte {
	return append(appendSize(appendID(dst, id), len(body)), body...)
}

// appendID writes an ID, whose length is in its first bits.
func appendID(dst []byte, id uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if id>>shift > 0 {
			dst = append(dst, byte(id>>shift))
		}
	}
	return dst
}

// appendSize writes an element's size in eight bytes.
func appendSize(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint64(dst, 1<<56|uint64(n))
}
