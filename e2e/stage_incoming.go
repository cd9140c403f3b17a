package e2e

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// incoming is one connection of a subscriber. It writes down every packet.
type incoming struct {
	*peer
	keep  bool      // payloads, too: see peerOptions
	until time.Time // what is sent later may be missing; nothing, when this is zero

	// mu guards what its goroutines write down.
	mu       sync.Mutex
	tracks   map[string]*incomingTrack // by kind
	problems []error
}

// incomingTrack is what came of a kind.
type incomingTrack struct {
	ssrc     webrtc.SSRC
	packets  []gotPacket // in the order of their arrival
	payloads [][]byte    // of these, if they are kept
	reports  []rtcp.SenderReport
}

// gotPacket is a packet that came.
type gotPacket struct {
	sentPacket      // as it came: numbers go on from that of the first
	repaired   bool // by RTX (RFC 4588)
}

// subscribe asks for what another publishes. It must be accepted.
func (g *guest) subscribe(from *guest, options ...peerOptions) *incoming {
	g.t.Helper()
	var o peerOptions
	if len(options) > 0 {
		o = options[0]
	}
	var in *incoming
	eventually(g.t, 10*time.Second, "subscribe", func() (err error) {
		in, err = g.trySubscribe(from, o)
		if err != nil && !strings.Contains(err.Error(), "PUBLISHER_NOT_FOUND") { // it may be about to publish
			g.t.Fatalf("subscribe: %v", err)
		}
		return err
	})
	return in
}

func (g *guest) trySubscribe(from *guest, o peerOptions) (*incoming, error) {
	p, err := g.newPeer(o)
	if err != nil {
		return nil, err
	}
	in := &incoming{peer: p, keep: o.keep, tracks: make(map[string]*incomingTrack)}
	for _, kind := range o.wants() {
		if _, err := p.AddTransceiverFromKind(webrtc.NewRTPCodecType(kind), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return nil, err
		}
	}
	p.OnTrack(in.follow)
	if err := p.negotiate(g.subscribeURL(from), o); err != nil {
		p.close()
		return nil, err
	}
	return in, p.waitConnected()
}

// follow writes down what comes on a track, to its end.
func (in *incoming) follow(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	kind := remote.Kind().String()
	track := &incomingTrack{ssrc: remote.SSRC()}
	in.mu.Lock()
	if had := in.tracks[kind]; had != nil {
		in.problems = append(in.problems, fmt.Errorf("%s has SSRC %d, and then %d", kind, had.ssrc, track.ssrc))
	}
	in.tracks[kind] = track
	in.mu.Unlock()
	go func() { // to the end of the connection
		for {
			all, _, err := receiver.ReadRTCP()
			if err != nil {
				return
			}
			in.mu.Lock()
			for _, p := range all {
				if report, ok := p.(*rtcp.SenderReport); ok && report.SSRC == uint32(track.ssrc) {
					track.reports = append(track.reports, *report)
				}
			}
			in.mu.Unlock()
		}
	}()
	buf := make([]byte, 1500)
	for {
		n, attributes, err := remote.Read(buf)
		now := time.Now()
		if err != nil {
			if !errors.Is(err, io.EOF) && !in.hasGone() {
				in.problem(fmt.Errorf("read %s: %w", kind, err))
			}
			return
		}
		var h rtp.Header
		size, err := h.Unmarshal(buf[:n])
		if err != nil {
			in.problem(fmt.Errorf("read %s: %w", kind, err))
			continue
		}
		payload := buf[size:n]
		in.mu.Lock()
		seq := int64(h.SequenceNumber)
		if len(track.packets) > 0 {
			newest := track.packets[len(track.packets)-1].seq
			seq = newest + int64(int16(h.SequenceNumber-uint16(newest)))
		}
		p := gotPacket{sentPacket: sentPacket{seq, h.Timestamp, h.Marker, payloadSum(payload), len(payload), now}}
		p.repaired = attributes != nil && attributes.Get(webrtc.AttributeRtxSsrc) != nil
		track.packets = append(track.packets, p)
		if in.keep {
			track.payloads = append(track.payloads, slices.Clone(payload))
		}
		in.mu.Unlock()
	}
}

func (in *incoming) problem(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.problems = append(in.problems, err)
}

// list is what has come of a kind, in the order of its arrival.
func (in *incoming) list(kind string) []gotPacket {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.tracks[kind] == nil {
		return nil
	}
	return slices.Clone(in.tracks[kind].packets)
}

// waitGot waits until n more packets of a kind have come.
func (in *incoming) waitGot(kind string, n int) {
	in.t.Helper()
	had := len(in.list(kind))
	eventually(in.t, 20*time.Second, fmt.Sprintf("%d more packets of %s have come to %s", n, kind, in.guest.id), func() error {
		if got := len(in.list(kind)) - had; got < n {
			return fmt.Errorf("%d have", got)
		}
		return nil
	})
}

// delivery compares what came with what was sent.
type delivery struct {
	got, missing, repaired, duplicates, late int // packets; late ones came behind one with a higher number
	seams                                    []seam
	delays                                   series // ms
}

// seam is where one connection of a publisher follows another.
type seam struct {
	lost   int           // packets of the former that never came
	skips  int64         // what numbers leap by, 0 where they go on
	stamps time.Duration // between the time stamps before and after
	wall   time.Duration // between the sending before and after
}

func (d delivery) String() string {
	text := fmt.Sprintf("%d packets, %d missing, %d repaired by RTX, %d twice, %d late; delay %.1f ms (p50), %.1f ms (p95)",
		d.got, d.missing, d.repaired, d.duplicates, d.late, d.delays.at(.5), d.delays.at(.95))
	if d.seams != nil {
		text += fmt.Sprintf("; seams %+v", d.seams)
	}
	return text
}

// compare compares what came of a kind with what a publisher has sent in one
// connection or several, one after the other. Every packet must be as it was
// sent: payload, marker and, but for a constant, number and time stamp.
func (in *incoming) compare(kind string, sent ...*outgoingLayer) (d delivery, err error) {
	in.mu.Lock()
	err = errors.Join(in.problems...)
	in.mu.Unlock()
	if err != nil {
		return d, err
	}
	got := in.list(kind)
	if len(got) == 0 {
		return d, fmt.Errorf("no %s came", kind)
	}
	d.got = len(got)
	newest := got[0].seq - 1
	for _, p := range got {
		if p.seq < newest {
			d.late++
		}
		newest = max(newest, p.seq)
		if p.repaired {
			d.repaired++
		}
	}
	slices.SortStableFunc(got, func(a, b gotPacket) int { return int(a.seq - b.seq) })
	got = slices.CompactFunc(got, func(a, b gotPacket) bool { return a.seq == b.seq })
	d.duplicates = d.got - len(got)

	var was *sentPacket // the one before
	rest := got
	for i, l := range sent {
		all := l.list(kind)
		n, first, err := fit(rest, all)
		if err != nil {
			return d, fmt.Errorf("%s, connection %d of the publisher: %w", kind, i+1, err)
		}
		if was != nil {
			before := got[len(got)-len(rest)-1]
			clock := time.Duration(map[string]int{"video": 90_000, "audio": 48_000}[kind])
			former := sent[i-1].list(kind)
			d.seams = append(d.seams, seam{
				lost:   len(former) - 1 - int(was.seq),
				skips:  rest[0].seq - before.seq - 1,
				stamps: time.Duration(int32(rest[0].stamp-before.stamp)) * time.Second / clock,
				wall:   all[first].at.Sub(was.at),
			})
		}
		base := rest[0].seq - int64(first)
		due := all[first:] // what must have come
		if i < len(sent)-1 {
			due = due[:rest[n-1].seq-rest[0].seq+1]
		}
		d.missing += len(due)
		for _, p := range rest[:n] {
			was = &all[p.seq-base]
			d.delays.add(float64(p.at.Sub(was.at).Microseconds()) / 1000)
			d.missing--
		}
		for k := range due {
			if in.until.IsZero() || due[k].at.Before(in.until) {
				continue
			}
			if _, came := slices.BinarySearchFunc(rest[:n], due[k].seq+base, func(p gotPacket, seq int64) int { return int(p.seq - seq) }); !came {
				d.missing--
			}
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return d, fmt.Errorf("%d packets of %s are none that were sent, from number %d on", len(rest), kind, rest[0].seq)
	}
	return d, nil
}

// fit finds where the first of what came is in what was sent, and how many
// follow it there.
func fit(got []gotPacket, sent []sentPacket) (n, first int, err error) {
	best := 0
	for i := range sent {
		if len(got) == 0 || sent[i].sum != got[0].sum || sent[i].at.After(got[0].at) {
			continue
		}
		if k := follows(got, sent, i); k >= best && k > 0 {
			best, first = k, i // the tape has been played before
		}
	}
	if best == 0 {
		return 0, 0, fmt.Errorf("none of %d packets is one of the %d that were sent", len(got), len(sent))
	}
	return best, first, nil
}

// follows is how many packets are those that were sent from the i-th on.
func follows(got []gotPacket, sent []sentPacket, i int) (n int) {
	for _, p := range got {
		k := i + int(p.seq-got[0].seq)
		if k >= len(sent) || sent[k].sum != p.sum || sent[k].last != p.last || sent[k].stamp-sent[i].stamp != p.stamp-got[0].stamp {
			return n
		}
		n++
	}
	return n
}

// waitWhole waits until everything that was sent has come, from the
// subscriber's first packet on. Nothing is sent any more, or until says so.
func (in *incoming) waitWhole(kind string, sent ...*outgoing) (d delivery) {
	in.t.Helper()
	layers := make([]*outgoingLayer, len(sent))
	for i, out := range sent {
		layers[i] = out.layers[0]
	}
	eventually(in.t, 10*time.Second, kind+" is whole at "+in.guest.id, func() (err error) {
		if d, err = in.compare(kind, layers...); err == nil && d.missing > 0 {
			err = fmt.Errorf("%v", d)
		}
		return err
	})
	return d
}
