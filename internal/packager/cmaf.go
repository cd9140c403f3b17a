package packager

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"

	"anabranch/internal/media"
)

// Tracks of every init section and fragment.
const (
	videoTrack = 1
	audioTrack = 2
)

// Sample flags (ISO/IEC 14496-12 §8.8.3.1).
const (
	syncSample    = 0x0200_0000 // depends on no other sample
	nonSyncSample = 0x0101_0000 // depends on others, is no sync sample
)

// CMAFInit is the init section (ftyp and moov) for the tracks p describes: H.264
// as track 1 at 90 kHz, AAC as track 2 at its sample rate. There are no edit
// lists: a sample's time in a fragment is its time on the run timeline.
func CMAFInit(p media.Params) ([]byte, error) {
	init := mp4.NewMP4Init()
	// cmfc (ISO/IEC 23000-19 §7.2) though both tracks share the file: HLS
	// allows that, and fragments keep to the structural rules otherwise.
	init.AddChild(mp4.NewFtyp("iso6", 0, []string{"iso6", "cmfc", "mp41"}))
	moov := mp4.NewMoovBox()
	init.AddChild(moov)
	moov.AddChild(mp4.CreateMvhd())
	moov.AddChild(mp4.NewMvexBox())
	if p.Video != nil {
		if err := addVideo(moov, p.Video); err != nil {
			return nil, fmt.Errorf("describe video track: %w", err)
		}
	}
	if p.Audio != nil {
		if err := addAudio(moov, p.Audio); err != nil {
			return nil, fmt.Errorf("describe audio track: %w", err)
		}
	}
	moov.Mvhd.NextTrackID = audioTrack + 1
	var b bytes.Buffer
	if err := init.Encode(&b); err != nil {
		return nil, fmt.Errorf("encode init section: %w", err)
	}
	return b.Bytes(), nil
}

func addVideo(moov *mp4.MoovBox, v *media.VideoParams) error {
	if len(v.SPS) > math.MaxUint16 || len(v.PPS) > math.MaxUint16 {
		return fmt.Errorf("parameter sets of %d and %d bytes are too large", len(v.SPS), len(v.PPS))
	}
	avcC, err := mp4.CreateAvcC([][]byte{v.SPS}, [][]byte{v.PPS}, true)
	if err != nil {
		return err
	}
	entry := mp4.CreateVisualSampleEntryBox("avc1", uint16(v.Width), uint16(v.Height), avcC)
	entry.CompressorName = ""
	track := addTrack(moov, videoTrack, media.VideoRate, "video", entry)
	track.Tkhd.Width = mp4.Fixed32(v.Width << 16)
	track.Tkhd.Height = mp4.Fixed32(v.Height << 16)
	return nil
}

func addAudio(moov *mp4.MoovBox, a *media.AudioParams) error {
	const maxConfig = 64 // bytes; two say all there is to say of AAC-LC
	if len(a.Config) > maxConfig {
		return fmt.Errorf("AudioSpecificConfig of %d bytes is too large", len(a.Config))
	}
	rate := uint16(a.SampleRate)
	if a.SampleRate > math.MaxUint16 {
		rate = 0 // does not fit; the AudioSpecificConfig tells
	}
	entry := mp4.CreateAudioSampleEntryBox("mp4a", uint16(a.Channels), 16, rate, mp4.CreateEsdsBox(a.Config))
	addTrack(moov, audioTrack, a.SampleRate, "audio", entry)
	return nil
}

func addTrack(moov *mp4.MoovBox, id uint32, rate int, kind string, entry mp4.Box) *mp4.TrakBox {
	track := mp4.CreateEmptyTrak(id, uint32(rate), kind, "und")
	track.Mdia.Hdlr.Name = kind
	track.Mdia.Minf.Stbl.Stsd.AddChild(entry)
	moov.AddChild(track)
	trex := mp4.CreateTrex(id)
	trex.DefaultSampleFlags = syncSample // video samples carry their own
	moov.Mvex.AddChild(trex)
	return track
}

// CMAF writes chunks as CMAF chunks (ISO/IEC 23000-19 §7.3.2.3): each a movie
// fragment and its media data, both tracks in one, behind its timed metadata.
// Segments are chunks one after the other, with nothing between. The zero value
// is ready to use.
//
//	emsg         ID3 tags: the segment's where it begins, one for each [Metadata]
//	moof ┬ mfhd  sequence number
//	     ├ traf ┬ tfhd  track 1          ┐
//	     │      ├ tfdt  DTS of the first │ left out when the chunk
//	     │      └ trun  sample table     ┘ has no frame of the track
//	     └ traf …       track 2
//	mdat   video frames, audio frames
type CMAF struct {
	sequence uint32
	tag      []byte // reused
}

// Box sizes, header included.
const (
	boxHeader       = 8
	mfhdSize        = 16
	tfhdSize        = 16
	tfdtSize        = 20
	trunHeader      = 20
	videoSampleSize = 16
	audioSampleSize = 8
)

// Append appends c to dst. Sample durations, sizes, DTS and PTS are exactly those
// of the frames. It fails, leaving dst as it was, if one does not fit its field:
// a duration of 13 hours, say.
func (m *CMAF) Append(dst []byte, c *Chunk) ([]byte, error) {
	moof := boxHeader + mfhdSize + trafSize(len(c.Video), videoSampleSize) + trafSize(len(c.Audio), audioSampleSize)
	video, err := measure(c.Video)
	if err != nil {
		return dst, err
	}
	audio, err := measure(c.Audio)
	if err != nil {
		return dst, err
	}
	mdat := boxHeader + video + audio
	if moof+mdat > math.MaxInt32 {
		return dst, fmt.Errorf("cmaf chunk of %d bytes is too large", moof+mdat)
	}

	m.sequence++
	m.tag = m.tag[:0]
	if c.Segment {
		m.tag = segmentTag(m.tag, nil, c)
	}
	dst = slices.Grow(dst, eventsSize(m.tag, c)+moof+mdat)
	dst = appendEvents(dst, m.tag, c)
	dst = appendBox(dst, moof, "moof")
	dst = appendFullBox(dst, mfhdSize, "mfhd", 0)
	dst = binary.BigEndian.AppendUint32(dst, m.sequence)
	dst = appendTraf(dst, videoTrack, c.Video, moof+boxHeader)
	dst = appendTraf(dst, audioTrack, c.Audio, moof+boxHeader+video)
	dst = appendBox(dst, mdat, "mdat")
	for i := range c.Video {
		dst = append(dst, c.Video[i].Payload...)
	}
	for i := range c.Audio {
		dst = append(dst, c.Audio[i].Payload...)
	}
	return dst, nil
}

// measure adds up the frames' sizes, and refuses what a trun cannot tell.
func measure(frames []media.Frame) (size int, err error) {
	for i := range frames {
		f := &frames[i]
		if d := f.PTS - f.DTS; d != media.Ticks(int32(d)) {
			return 0, fmt.Errorf("%s frame at %d: composition offset of %d ticks is out of range", f.Kind, f.DTS, d)
		}
		if f.Duration != media.Ticks(uint32(f.Duration)) || f.DTS < 0 {
			return 0, fmt.Errorf("%s frame at %d: duration of %d ticks is out of range", f.Kind, f.DTS, f.Duration)
		}
		size += len(f.Payload)
	}
	return size, nil
}

func trafSize(frames, sampleSize int) int {
	if frames == 0 {
		return 0
	}
	return boxHeader + tfhdSize + tfdtSize + trunHeader + frames*sampleSize
}

// appendTraf appends the track fragment of frames, whose data begins offset
// bytes after the start of moof.
func appendTraf(dst []byte, track uint32, frames []media.Frame, offset int) []byte {
	const (
		defaultBaseIsMoof = 0x02_0000 // tfhd flag
		dataOffset        = 0x00_0001 // trun flags
		sampleDuration    = 0x00_0100
		sampleBytes       = 0x00_0200
		sampleFlags       = 0x00_0400
		sampleOffset      = 0x00_0800
		version1          = 0x0100_0000 // tfdt: 64 bits; trun: signed offsets
	)
	if len(frames) == 0 {
		return dst
	}
	sampleSize, fields := audioSampleSize, uint32(sampleDuration|sampleBytes)
	if track == videoTrack {
		sampleSize, fields = videoSampleSize, fields|sampleFlags|sampleOffset
	}
	dst = appendBox(dst, trafSize(len(frames), sampleSize), "traf")
	dst = appendFullBox(dst, tfhdSize, "tfhd", defaultBaseIsMoof)
	dst = binary.BigEndian.AppendUint32(dst, track)
	dst = appendFullBox(dst, tfdtSize, "tfdt", version1)
	dst = binary.BigEndian.AppendUint64(dst, uint64(frames[0].DTS))
	dst = appendFullBox(dst, trunHeader+len(frames)*sampleSize, "trun", version1|dataOffset|fields)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(frames)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(offset))
	for i := range frames {
		f := &frames[i]
		dst = binary.BigEndian.AppendUint32(dst, uint32(f.Duration))
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Payload)))
		if track != videoTrack {
			continue
		}
		flags := uint32(nonSyncSample)
		if f.Key {
			flags = syncSample
		}
		dst = binary.BigEndian.AppendUint32(dst, flags)
		dst = binary.BigEndian.AppendUint32(dst, uint32(int32(f.PTS-f.DTS)))
	}
	return dst
}

func appendBox(dst []byte, size int, kind string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	return append(dst, kind...)
}

func appendFullBox(dst []byte, size int, kind string, versionFlags uint32) []byte {
	return binary.BigEndian.AppendUint32(appendBox(dst, size, kind), versionFlags)
}
