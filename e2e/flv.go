package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/abema/go-mp4"
	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// tag is an FLV tag of H.264 or AAC (Adobe FLV 10.1, annex E.4).
type tag struct {
	video, config, key bool
	dts                time.Duration // as stamped, in whole milliseconds
	reorder            time.Duration // PTS−DTS
	data               []byte        // behind the codec's header
	header             byte          // of audio
	piece              int           // of the stream; stamps of two pieces cannot be compared
}

// readFLV reads the media of an FLV file, which may be torn off.
func readFLV(t testing.TB, path string) (tags []tag) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) < 13 || !bytes.HasPrefix(data, []byte("FLV\x01")) {
		t.Fatalf("%s is no FLV file", path)
	}
	for data = data[13:]; len(data) >= 15; {
		size := int(data[1])<<16 | int(data[2])<<8 | int(data[3])
		stamp := uint32(data[7])<<24 | uint32(data[4])<<16 | uint32(data[5])<<8 | uint32(data[6])
		if len(data) < 15+size {
			break
		}
		if one, ok := parseTag(data[0], data[11:11+size]); ok {
			one.dts = time.Duration(stamp) * time.Millisecond
			tags = append(tags, one)
		}
		data = data[15+size:]
	}
	return tags
}

func parseTag(kind byte, body []byte) (one tag, ok bool) {
	switch {
	case kind == 9 && len(body) > 5 && body[0]&15 == message.CodecH264:
		offset := int32(binary.BigEndian.Uint32([]byte{body[2], body[3], body[4], 0})) >> 8
		return tag{
			video: true, key: body[0]>>4 == 1, config: body[1] == 0,
			reorder: time.Duration(offset) * time.Millisecond, data: body[5:],
		}, body[1] < 2
	case kind == 8 && len(body) > 2 && body[0]>>4 == message.CodecMPEG4Audio:
		return tag{config: body[1] == 0, data: body[2:], header: body[0]}, true
	}
	return one, false
}

// message is the tag as RTMP sends it.
func (g tag) message() (message.Message, error) {
	if !g.video {
		m := &message.Audio{
			ChunkStreamID: message.AudioChunkStreamID, MessageStreamID: 1, DTS: g.dts, Codec: message.CodecMPEG4Audio,
			Rate: message.AudioRate(g.header >> 2 & 3), Depth: message.AudioDepth(g.header >> 1 & 1), IsStereo: g.header&1 != 0,
			AACType: message.AudioAACTypeAU, AU: g.data,
		}
		if g.config {
			m.AACType, m.AACConfig = message.AudioAACTypeConfig, &mpeg4audio.AudioSpecificConfig{}
			return m, m.AACConfig.Unmarshal(g.data)
		}
		return m, nil
	}
	m := &message.Video{
		ChunkStreamID: message.VideoChunkStreamID, MessageStreamID: 1, DTS: g.dts, Codec: message.CodecH264,
		IsKeyFrame: g.key, Type: message.VideoTypeAU, PTSDelta: g.reorder, AU: g.data,
	}
	if g.config {
		m.Type, m.AVCConfig = message.VideoTypeConfig, &mp4.AVCDecoderConfiguration{}
		m.AVCConfig.SetType(mp4.BoxTypeAvcC())
		_, err := mp4.Unmarshal(bytes.NewReader(g.data), uint64(len(g.data)), m.AVCConfig, mp4.Context{})
		return m, err
	}
	return m, nil
}

// timed is a tag and when it is sent.
type timed struct {
	tag
	at time.Duration // after the first
}

// send publishes tags as no ffmpeg would, with any stamps at any time. It
// returns when all are sent.
func send(ctx context.Context, target string, tags []timed) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	c := &gortmplib.Client{URL: u, Publish: true}
	if err := c.Initialize(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	go func() { // acknowledgements, which the client counts
		for {
			if _, err := c.Read(); err != nil {
				return
			}
		}
	}()
	began := time.Now()
	for _, g := range tags {
		if wait := time.Until(began.Add(g.at)); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
		}
		m, err := g.message()
		if err != nil {
			return fmt.Errorf("tag at %v: %w", g.dts, err)
		}
		if err := c.Write(m); err != nil {
			return fmt.Errorf("send tag at %v: %w", g.dts, err)
		}
	}
	return nil
}

// inTime sends each tag at the time it is stamped with.
func inTime(tags []tag) (all []timed) {
	for _, g := range tags {
		all = append(all, timed{g, g.dts - tags[0].dts})
	}
	return all
}
