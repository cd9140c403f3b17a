package hls

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"
)

// Sample is one picture or one audio frame, at its time on the playlist's
// timeline.
type Sample struct {
	Video              bool
	DTS, PTS, Duration time.Duration
	Sync               bool   // as the container tells
	Data               []byte // length-prefixed NAL units, or a raw AAC frame
}

// initSection is a Media Initialization Section.
type initSection struct {
	data         []byte
	moov         *mp4.MoovBox
	video, audio *track
}

// track is one track of an init section.
type track struct {
	id            uint32
	rate          uint64 // ticks a second
	codec         string // RFC 6381
	width, height int
	sps, pps      [][]byte
}

// tick is the shortest time the track can tell.
func (k *track) tick() time.Duration { return time.Second / time.Duration(k.rate) }

func (k *track) time(t int64) time.Duration {
	rate := int64(k.rate)
	return time.Duration(t/rate)*time.Second + time.Duration(t%rate*int64(time.Second)/rate)
}

func parseInit(data []byte) (*initSection, error) {
	file, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if file.Ftyp == nil || file.Moov == nil || file.Moov.Mvex == nil || len(file.Segments) > 0 {
		return nil, errors.New("is not ftyp and moov with mvex alone")
	}
	init := &initSection{data: data, moov: file.Moov}
	for _, trak := range file.Moov.Traks {
		k := &track{id: trak.Tkhd.TrackID, rate: uint64(trak.Mdia.Mdhd.Timescale)}
		if _, ok := file.Moov.Mvex.GetTrex(k.id); !ok || k.rate == 0 {
			return nil, fmt.Errorf("track %d has no trex, or no timescale", k.id)
		}
		stsd := trak.Mdia.Minf.Stbl.Stsd
		switch {
		case stsd.AvcX != nil && stsd.AvcX.AvcC != nil && init.video == nil:
			config := stsd.AvcX.AvcC
			k.sps, k.pps, k.width, k.height = config.SPSnalus, config.PPSnalus, int(stsd.AvcX.Width), int(stsd.AvcX.Height)
			if len(k.sps) == 0 || len(k.pps) == 0 {
				return nil, errors.New("avcC without parameter sets")
			}
			sps, err := avc.ParseSPSNALUnit(k.sps[0], false)
			if err != nil {
				return nil, err
			}
			if int(sps.Width) != k.width || int(sps.Height) != k.height {
				return nil, fmt.Errorf("avc1 tells %d×%d, its SPS %d×%d", k.width, k.height, sps.Width, sps.Height)
			}
			k.codec = avc.CodecString("avc1", sps)
			init.video = k
		case stsd.Mp4a != nil && stsd.Mp4a.Esds != nil && init.audio == nil:
			config, err := aac.DecodeAudioSpecificConfig(bytes.NewReader(stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig))
			if err != nil {
				return nil, err
			}
			if config.SamplingFrequency != int(k.rate) {
				return nil, fmt.Errorf("the AudioSpecificConfig tells %d Hz, the timescale is %d", config.SamplingFrequency, k.rate)
			}
			k.codec = fmt.Sprintf("mp4a.40.%d", config.ObjectType)
			init.audio = k
		default:
			return nil, fmt.Errorf("track %d is not the only one of its kind, or not of AVC or AAC", k.id)
		}
	}
	if init.video == nil && init.audio == nil {
		return nil, errors.New("no tracks")
	}
	return init, nil
}

// fragment is a movie fragment and its media data.
type fragment struct{ video, audio []Sample }

// parseFragments takes a part or segment apart.
func parseFragments(init *initSection, data []byte) (all []fragment, err error) {
	file, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if len(file.Segments) == 0 {
		return nil, errors.New("no movie fragment")
	}
	for _, s := range file.Segments {
		for _, f := range s.Fragments {
			one, err := parseFragment(init, f)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

func parseFragment(init *initSection, f *mp4.Fragment) (one fragment, err error) {
	if f.Moof == nil || f.Mdat == nil {
		return one, errors.New("moof without mdat")
	}
	size := uint64(0)
	for _, traf := range f.Moof.Trafs {
		id := traf.Tfhd.TrackID
		trex, ok := init.moov.Mvex.GetTrex(id)
		if !ok || traf.Tfdt == nil {
			return one, fmt.Errorf("fragment of track %d, which has no trex, or without tfdt", id)
		}
		isVideo := init.video != nil && init.video.id == id
		k := init.audio
		if isVideo {
			k = init.video
		}
		at := traf.Tfdt.BaseMediaDecodeTime()
		for _, run := range traf.Truns {
			run.AddSampleDefaultValues(traf.Tfhd, trex)
			offset := int64(run.DataOffset) - int64(f.Moof.Size()) - int64(f.Mdat.HeaderSize())
			size += run.SizeOfData()
			if offset < 0 || uint64(offset)+run.SizeOfData() > uint64(len(f.Mdat.Data)) {
				return one, fmt.Errorf("the samples of track %d lie outside of mdat", id)
			}
			for _, s := range run.GetFullSamples(uint32(offset), at, f.Mdat) {
				at = s.DecodeTime + uint64(s.Dur)
				begin, end := k.time(int64(s.DecodeTime)), k.time(int64(at))
				sample := Sample{
					Video: isVideo, DTS: begin, PTS: k.time(s.PresentationTime()), Duration: end - begin,
					Sync: !mp4.DecodeSampleFlags(s.Flags).SampleIsNonSync, Data: s.Data,
				}
				if isVideo {
					one.video = append(one.video, sample)
				} else {
					one.audio = append(one.audio, sample)
				}
			}
		}
	}
	if size != uint64(len(f.Mdat.Data)) {
		return one, fmt.Errorf("mdat has %d bytes, its samples %d", len(f.Mdat.Data), size)
	}
	return one, nil
}

// picture is what the NAL units of a sample are.
type picture struct {
	idr      bool
	sps, pps [][]byte // before the first slice
}

func parsePicture(data []byte) (p picture, err error) {
	nalus, err := avc.GetNalusFromSample(data)
	if err != nil {
		return p, err
	}
	slices := 0
	for _, n := range nalus {
		if len(n) == 0 {
			return p, errors.New("an empty NAL unit")
		}
		switch avc.GetNaluType(n[0]) {
		case avc.NALU_SPS:
			p.sps = append(p.sps, n)
		case avc.NALU_PPS:
			p.pps = append(p.pps, n)
		case avc.NALU_IDR:
			p.idr = true
			slices++
		case avc.NALU_NON_IDR:
			slices++
		}
	}
	if slices == 0 {
		return p, errors.New("no slice")
	}
	return p, nil
}
