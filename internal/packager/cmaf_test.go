package packager

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"anabranch/internal/media"
)

// packCMAF writes an init section and all chunks.
func packCMAF(t testing.TB, p media.Params, cs chunks) []byte {
	t.Helper()
	file, err := CMAFInit(p)
	if err != nil {
		t.Fatal(err)
	}
	var m CMAF
	for i := range cs {
		if file, err = m.Append(file, &cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// Players read the very frames and times that the encoder made.
func TestCMAFPlays(t *testing.T) {
	for _, src := range realSources(t) {
		t.Run(src.name, func(t *testing.T) {
			cs := cut(t, src.params, src.frames)
			cs.check(t)
			packets, streams := probe(t, "a.mp4", packCMAF(t, src.params, cs))

			v := streams["video"]
			if v.CodecTag != "avc1" || v.TimeBase != "1/90000" || v.Width != 320 || v.Height != 180 || v.ID != "0x1" {
				t.Errorf("video stream is %+v", v)
			}
			comparePackets(t, packets["video"], cs.video())
			if v.FramesRead != strconv.Itoa(len(cs.video())) {
				t.Errorf("%s pictures decoded of %d", v.FramesRead, len(cs.video()))
			}
			if src.params.Audio == nil {
				return
			}
			a, rate := streams["audio"], strconv.Itoa(src.params.Audio.SampleRate)
			if a.CodecTag != "mp4a" || a.TimeBase != "1/"+rate || a.SampleRate != rate ||
				a.Channels != src.params.Audio.Channels || a.Profile != "LC" || a.ID != "0x2" {
				t.Errorf("audio stream is %+v", a)
			}
			comparePackets(t, packets["audio"], cs.audio())

			cs = soundOnly(cs)
			p := media.Params{Audio: src.params.Audio}
			packets, streams = probe(t, "a.mp4", packCMAF(t, p, cs))
			if a := streams["audio"]; len(streams) != 1 || a.ID != "0x2" || a.FramesRead != strconv.Itoa(len(cs.audio())) {
				t.Errorf("sound alone is %+v", streams)
			}
			comparePackets(t, packets["audio"], cs.audio())
		})
	}
}

// soundOnly are chunks without pictures.
func soundOnly(cs chunks) (alone chunks) {
	for i := range cs {
		var c Chunk
		alone = append(alone, *cs[i].SoundOnly(&c))
	}
	return alone
}

// comparePackets compares what ffprobe saw with what was written.
func comparePackets(t *testing.T, got []packet, want []media.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d packets, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.PTS != w.PTS || g.DTS != w.DTS || g.Key != w.Key || g.Size != len(w.Payload) {
			t.Fatalf("%v packet %d is %+v, want DTS %d, PTS %d, key %v, %d bytes", w.Kind, i, g, w.DTS, w.PTS, w.Key, len(w.Payload))
		}
	}
}

// The boxes are what another implementation reads and would write.
func TestCMAFBoxes(t *testing.T) {
	for _, src := range realSources(t) {
		t.Run(src.name, func(t *testing.T) {
			cs := cut(t, src.params, src.frames)
			data := packCMAF(t, src.params, cs)
			file, err := mp4.DecodeFile(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			var again bytes.Buffer
			if err := file.Encode(&again); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.Bytes(), data) {
				t.Error("encoding what was decoded gives other bytes")
			}

			i := 0
			for _, s := range file.Segments {
				for _, fragment := range s.Fragments {
					if n := fragment.Moof.Mfhd.SequenceNumber; n != uint32(i+1) {
						t.Errorf("fragment %d has sequence number %d", i, n)
					}
					c := cs[i]
					i++
					tracks := map[uint32][]media.Frame{videoTrack: c.Video, audioTrack: c.Audio}
					for _, traf := range fragment.Moof.Trafs {
						id := traf.Tfhd.TrackID
						trex, _ := file.Init.Moov.Mvex.GetTrex(id)
						samples, err := fragment.GetFullSamples(trex)
						if len(fragment.Moof.Trafs) > 1 {
							samples, err = samplesOf(fragment, traf, trex)
						}
						if err != nil {
							t.Fatal(err)
						}
						compareSamples(t, samples, tracks[id])
						delete(tracks, id)
					}
					for id, frames := range tracks {
						if len(frames) > 0 {
							t.Errorf("fragment %d lacks track %d", i-1, id)
						}
					}
				}
			}
			if i != len(cs) {
				t.Errorf("%d fragments, want %d", i, len(cs))
			}
		})
	}
}

// samplesOf reads one track of a fragment with several.
func samplesOf(fragment *mp4.Fragment, traf *mp4.TrafBox, trex *mp4.TrexBox) ([]mp4.FullSample, error) {
	moof := fragment.Moof
	dflt := traf.Tfhd
	traf.Trun.AddSampleDefaultValues(dflt, trex)
	offset := moof.StartPos + uint64(traf.Trun.DataOffset)
	start := fragment.Mdat.PayloadAbsoluteOffset()
	if offset < start {
		return nil, fmt.Errorf("data offset %d lies before mdat", offset)
	}
	return traf.Trun.GetFullSamples(uint32(offset-start), traf.Tfdt.BaseMediaDecodeTime(), fragment.Mdat), nil
}

func compareSamples(t *testing.T, got []mp4.FullSample, want []media.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if media.Ticks(g.DecodeTime) != w.DTS || media.Ticks(g.PresentationTime()) != w.PTS || media.Ticks(g.Dur) != w.Duration ||
			mp4.IsSyncSampleFlags(g.Flags) != w.Key || !bytes.Equal(g.Data, w.Payload) {
			t.Fatalf("%v sample %d is %d/%d +%d, want %d/%d +%d", w.Kind, i,
				g.DecodeTime, g.PresentationTime(), g.Dur, w.DTS, w.PTS, w.Duration)
		}
	}
}

// Chunks without pictures, or without any frame, disturb no reader.
func TestCMAFGaps(t *testing.T) {
	src := realSources(t)[0]
	for _, audio := range []bool{true, false} {
		t.Run(fmt.Sprintf("audio %v", audio), func(t *testing.T) {
			p, frames := src.params, []media.Frame(nil)
			for _, f := range src.frames {
				if f.Kind == media.Video && f.DTS > Origin+2*90_000 && f.DTS < Origin+35*9000 && !f.Key {
					continue
				}
				if audio || f.Kind == media.Video {
					frames = append(frames, f)
				}
			}
			if !audio {
				p.Audio = nil
			}
			cs := cut(t, p, frames)
			cs.check(t)
			packets, _ := probe(t, "a.mp4", packCMAF(t, p, cs))
			comparePackets(t, packets["video"], cs.video())
			comparePackets(t, packets["audio"], cs.audio())
		})
	}
}

// What the cutter puts in for missing sound decodes to silence.
func TestCMAFSilence(t *testing.T) {
	src := realSources(t)[3]
	for _, config := range [][]byte{{0x11, 0x90}, {0x12, 0x08}, {0x13, 0x90}, {0x10, 0x10}} {
		p := media.Params{Video: src.params.Video, Audio: must(media.ParseAAC(config))}
		cs := cut(t, p, src.frames)
		cs.check(t)
		path := filepath.Join(t.TempDir(), "a.mp4")
		if err := os.WriteFile(path, packCMAF(t, p, cs), 0o600); err != nil {
			t.Fatal(err)
		}
		samples, err := run("ffmpeg", "-v", "warning", "-xerror", "-i", path, "-vn", "-f", "s16le", "-")
		if err != nil {
			t.Fatal(err)
		}
		if n := len(cs.audio()) * media.SamplesPerFrame * p.Audio.Channels * 2; len(samples) != n || len(bytes.Trim(samples, "\x00")) > 0 {
			t.Errorf("config %x: %d bytes of sound, want %d of zeros", config, len(samples), n)
		}
	}
}

func TestCMAFInit(t *testing.T) {
	for _, p := range []media.Params{
		testParams,
		{Video: testVideo},
		{Video: testVideo, Audio: testMono},
		{Video: testVideo, Audio: must(media.ParseAAC([]byte{0x10, 0x10}))}, // 96 kHz
	} {
		b, err := CMAFInit(p)
		if err != nil {
			t.Fatal(err)
		}
		file, err := mp4.DecodeFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		moov := file.Init.Moov
		stsd := moov.Traks[0].Mdia.Minf.Stbl.Stsd
		if avcC := stsd.AvcX.AvcC; !bytes.Equal(avcC.SPSnalus[0], p.Video.SPS) || !bytes.Equal(avcC.PPSnalus[0], p.Video.PPS) {
			t.Error("parameter sets differ")
		}
		if p.Audio == nil {
			if len(moov.Traks) != 1 {
				t.Errorf("%d tracks, want 1", len(moov.Traks))
			}
			continue
		}
		mp4a := moov.Traks[1].Mdia.Minf.Stbl.Stsd.Mp4a
		if config := mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig; !bytes.Equal(config, p.Audio.Config) {
			t.Errorf("AudioSpecificConfig is %x, want %x", config, p.Audio.Config)
		}
		if n := moov.Traks[1].Mdia.Mdhd.Timescale; n != uint32(p.Audio.SampleRate) || int(mp4a.ChannelCount) != p.Audio.Channels {
			t.Errorf("timescale %d, %d channels; want %d, %d", n, mp4a.ChannelCount, p.Audio.SampleRate, p.Audio.Channels)
		}
		for _, trak := range moov.Traks {
			if trak.Edts != nil {
				t.Error("there is an edit list")
			}
		}
	}
}

func TestCMAFRange(t *testing.T) {
	frame := media.Frame{DTS: Origin, PTS: Origin, Duration: 3000, Key: true, Payload: []byte{1}}
	for name, change := range map[string]func(*media.Frame){
		"offset":            func(f *media.Frame) { f.PTS = f.DTS + math.MaxInt32 + 1 },
		"negative offset":   func(f *media.Frame) { f.PTS = f.DTS + math.MinInt32 - 1 },
		"duration":          func(f *media.Frame) { f.Duration = math.MaxUint32 + 1 },
		"negative duration": func(f *media.Frame) { f.Duration = -1 },
		"negative time":     func(f *media.Frame) { f.DTS = -1 },
	} {
		f := frame
		change(&f)
		dst := []byte{42}
		b, err := new(CMAF).Append(dst, &Chunk{Params: testParams, Video: []media.Frame{f}})
		if err == nil || !bytes.Equal(b, dst) {
			t.Errorf("%s: error %v, %d bytes", name, err, len(b))
		}
	}
	frame.PTS = frame.DTS - 90_000 // before its DTS, as no encoder should
	if _, err := new(CMAF).Append(nil, &Chunk{Params: testParams, Video: []media.Frame{frame}}); err != nil {
		t.Error(err)
	}
}

// FuzzCMAFInit takes the parameter sets and configurations that publishers send.
func FuzzCMAFInit(f *testing.F) {
	f.Add(testVideo.SPS, testVideo.PPS, testStereo.Config)
	f.Add(testVideo.SPS[:12], []byte{0x68}, testMono.Config)
	f.Fuzz(func(t *testing.T, sps, pps, config []byte) {
		video, err := media.ParseH264(sps, pps)
		if err != nil {
			return
		}
		p := media.Params{Video: video}
		p.Audio, _ = media.ParseAAC(config)
		b, err := CMAFInit(p)
		if err != nil {
			return
		}
		if _, err := mp4.DecodeFile(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkCMAF(b *testing.B) {
	cs := benchmarkChunks(b)
	var m CMAF
	var dst []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var err error
		if dst, err = m.Append(dst[:0], &cs[i%len(cs)]); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(dst)))
	}
}

// benchmarkChunks are four seconds of 60 fps at 6 Mbit/s.
func benchmarkChunks(b *testing.B) chunks {
	video, audio := pictures(240, 60, 120, false, 0), sounds(187, 48000, Origin)
	for i := range video {
		video[i].Payload = append([]byte{0, 0, 48, 208}, make([]byte, 12_496)...)
	}
	for i := range audio {
		audio[i].Payload = make([]byte, 340)
	}
	return cut(b, testParams, interleave(video, audio, 48000))
}

func BenchmarkCutter(b *testing.B) {
	frames := interleave(pictures(240, 60, 120, false, 0), sounds(188, 48000, Origin), 48000)
	c := NewCutter(Origin, func(*Chunk) error { return nil })
	c.Begin(testParams)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f := frames[i%len(frames)]
		if round := media.Ticks(i / len(frames)); f.Kind == media.Audio {
			f.DTS += round * 188 * 1024
		} else {
			f.DTS += round * 4 * 90_000
		}
		if err := c.Write(f); err != nil {
			b.Fatal(err)
		}
	}
}
