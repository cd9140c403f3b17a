package packager

import (
	"encoding/binary"
	"errors"

	"anabranch/internal/media"
)

// Moved is c as it is by ticks of 90 kHz later, for a writer whose timeline is
// not the run's. It is made in buf, whose frame slices are used again.
func (c *Chunk) Moved(by media.Ticks, buf *Chunk) *Chunk {
	video, audio := append(buf.Video[:0], c.Video...), append(buf.Audio[:0], c.Audio...)
	metadata := append(buf.Metadata[:0], c.Metadata...)
	move(video, by)
	move(audio, by.Rescale(media.VideoRate, c.Params.Rate(media.Audio)))
	for i := range metadata {
		metadata[i].PTS += by
	}
	*buf = *c
	buf.Start, buf.Video, buf.Audio, buf.Metadata = c.Start+by, video, audio, metadata
	if c.NextKey != 0 {
		buf.NextKey += by
	}
	return buf
}

func move(frames []media.Frame, by media.Ticks) {
	for i := range frames {
		frames[i].DTS += by
		frames[i].PTS += by
	}
}

// RetimeTS moves the times in what [TS] wrote, whole transport packets, by ticks
// of 90 kHz.
func RetimeTS(packets []byte, by media.Ticks) {
	const (
		adaptation = 0x20
		unitStart  = 0x40
	)
	for p := packets; len(p) >= packetSize; p = p[packetSize:] {
		payload := 4
		if p[3]&adaptation != 0 {
			if p[4] > 0 && p[5]&flagPCR != 0 {
				base := uint64(binary.BigEndian.Uint32(p[6:]))<<1 | uint64(p[10]>>7)
				appendPCR(p[6:6], media.Ticks(base)+by+pcrLead)
			}
			payload += 1 + int(p[4])
		}
		if p[1]&unitStart == 0 || payload+pesHeader+5 > packetSize {
			continue
		}
		pes := p[payload:packetSize]
		if [3]byte(pes) != [3]byte{0, 0, 1} { // a table
			continue
		}
		if pes[7]&0x80 != 0 {
			retimeStamp(pes[9:], by)
		}
		if pes[7]&0x40 != 0 {
			retimeStamp(pes[14:], by)
		}
	}
}

// retimeStamp moves a PTS or DTS.
func retimeStamp(b []byte, by media.Ticks) {
	at := media.Ticks(b[0]&0x0E)<<29 | media.Ticks(b[1])<<22 | media.Ticks(b[2]&0xFE)<<14 | media.Ticks(b[3])<<7 | media.Ticks(b[4])>>1
	appendStamp(b[:0], b[0]&0xF0, at+by)
}

var errNotCMAF = errors.New("this is not what a CMAF writer wrote")

// RetimeCMAF moves the times in what [CMAF] wrote, whole chunks, by ticks of
// 90 kHz. rate is the clock of the audio track, if there is one.
func RetimeCMAF(chunks []byte, by media.Ticks, rate int) error {
	return eachBox(chunks, func(kind string, content []byte) error {
		switch kind {
		case "emsg":
			return retimeEvent(content, by)
		case "moof":
			return eachBox(content, func(kind string, content []byte) error {
				if kind != "traf" {
					return nil
				}
				return retimeTraf(content, by, rate)
			})
		}
		return nil
	})
}

func retimeTraf(traf []byte, by media.Ticks, rate int) error {
	// The fields of both boxes stand behind a version and flags.
	const track, time = boxHeader + 4, tfhdSize + boxHeader + 4
	if len(traf) < tfhdSize+tfdtSize {
		return errNotCMAF
	}
	step := by
	if binary.BigEndian.Uint32(traf[track:]) == audioTrack {
		step = by.Rescale(media.VideoRate, rate)
	}
	at := binary.BigEndian.Uint64(traf[time:])
	binary.BigEndian.PutUint64(traf[time:], at+uint64(step))
	return nil
}

// retimeEvent moves an event's time, and its id, which is made of that.
func retimeEvent(emsg []byte, by media.Ticks) error {
	if len(emsg) < eventMinSize {
		return errNotCMAF
	}
	at := binary.BigEndian.Uint64(emsg[eventTime:])
	binary.BigEndian.PutUint64(emsg[eventTime:], at+uint64(by))
	id := binary.BigEndian.Uint32(emsg[eventID:])
	binary.BigEndian.PutUint32(emsg[eventID:], id+uint32(by))
	return nil
}

// eachBox calls f for each box in b, with what is in it (ISO/IEC 14496-12 §4.2).
func eachBox(b []byte, f func(kind string, content []byte) error) error {
	for len(b) > 0 {
		if len(b) < boxHeader {
			return errNotCMAF
		}
		size := binary.BigEndian.Uint32(b)
		if size < boxHeader || uint64(size) > uint64(len(b)) {
			return errNotCMAF
		}
		if err := f(string(b[4:boxHeader]), b[boxHeader:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}
