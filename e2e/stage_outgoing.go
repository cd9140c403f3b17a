package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// outgoing is one connection of a publisher, which plays a tape from its
// beginning.
type outgoing struct {
	*peer
	layers []*outgoingLayer // from the best on; one without simulcast
	stop   func()           // sending, and wait; the connection stays

	keyFrames atomic.Int64 // that were asked for
	resends   atomic.Int64 // packets that were asked for again
}

// outgoingLayer is a tape on its way.
type outgoingLayer struct {
	tape  *tape
	rid   string // "" without simulcast
	video *webrtc.TrackLocalStaticRTP
	audio *webrtc.TrackLocalStaticRTP

	next  atomic.Pointer[tape] // to go over to, nil before
	muted sync.Map             // kinds that are not sent

	// mu guards what has been sent.
	mu    sync.Mutex
	sent  map[string][]sentPacket // by kind
	began time.Time               // when stamps were firstStamp
}

// Numbers and stamps wrap soon.
const firstSeq, firstStamp = 65_400, 1<<32 - 90_000

// sentPacket is a packet that was sent, or sent on by the server.
type sentPacket struct {
	seq   int64 // since the first of its connection, without wraps
	stamp uint32
	last  bool // of its picture
	sum   uint64
	size  int
	at    time.Time
}

// publish begins to publish a scene, at a speed of 1. It must be accepted.
func (g *guest) publish(f scene, options ...peerOptions) *outgoing {
	g.t.Helper()
	var o peerOptions
	if len(options) > 0 {
		o = options[0]
	}
	out, err := g.tryPublish(f, 1, o)
	if err != nil {
		g.t.Fatalf("publish: %v", err)
	}
	return out
}

// tryPublish publishes at a speed; below 1 it is slow motion: the same stamps,
// later.
func (g *guest) tryPublish(f scene, speed float64, o peerOptions) (*outgoing, error) {
	o.lean = o.lean || f.beats // reports by itself
	p, err := g.newPeer(o)
	if err != nil {
		return nil, err
	}
	out := &outgoing{peer: p}
	if o.layers == nil {
		o.layers = []scene{f}
	}
	if err := out.addTracks(o); err != nil {
		return nil, err
	}
	if err := p.negotiate(g.publishURL(), o); err != nil {
		p.close()
		return nil, err
	}
	sending, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	out.stop = sync.OnceFunc(func() { cancel(); ended.Wait() })
	g.t.Cleanup(out.stop)
	for _, sender := range p.GetSenders() {
		go out.listen(sender) // until the connection is closed
	}
	if err := p.waitConnected(); err != nil {
		return nil, err
	}
	if f.beats && !o.deaf {
		ended.Go(func() { out.report(sending) })
	}
	for _, l := range out.layers {
		extensions := out.extensions(l.rid)
		ended.Go(func() { l.send(sending, speed, extensions) })
	}
	return out, nil
}

// publishAll begins to publish a scene as each of the guests.
func publishAll(f scene, guests []*guest) (all []*outgoing, err error) {
	for _, g := range guests {
		out, err := g.tryPublish(f, 1, peerOptions{})
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		all = append(all, out)
	}
	return all, nil
}

// rids are names of layers.
var rids = []string{"hi", "mid", "low"}

func (out *outgoing) addTracks(o peerOptions) error {
	stream := "stream-" + out.guest.id
	var sender *webrtc.RTPSender // of the pictures
	for i, f := range o.layers {
		t, err := f.tape()
		if err != nil {
			return err
		}
		l := &outgoingLayer{tape: t, sent: make(map[string][]sentPacket)}
		out.layers = append(out.layers, l)
		if slices.Contains(o.wants(), "audio") && i == 0 {
			if l.audio, err = webrtc.NewTrackLocalStaticRTP(opus.RTPCodecCapability, "audio", stream); err != nil {
				return err
			}
			if _, err = out.AddTransceiverFromTrack(l.audio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
				return err
			}
		}
		if !slices.Contains(o.wants(), "video") {
			continue
		}
		var named []func(*webrtc.TrackLocalStaticRTP)
		if len(o.layers) > 1 {
			l.rid = rids[i]
			named = append(named, webrtc.WithRTPStreamID(l.rid))
		}
		if l.video, err = webrtc.NewTrackLocalStaticRTP(h264.RTPCodecCapability, "video", stream, named...); err != nil {
			return err
		}
		if sender != nil {
			if err := sender.AddEncoding(l.video); err != nil {
				return err
			}
			continue
		}
		added, err := out.AddTransceiverFromTrack(l.video, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return err
		}
		sender = added.Sender()
	}
	return nil
}

// extensions are what tells layers apart: the header extensions for MID and RID
// (RFC 8843 §15, RFC 8852).
func (out *outgoing) extensions(rid string) map[uint8]string {
	all := make(map[uint8]string)
	if rid == "" {
		return all
	}
	for _, transceiver := range out.GetTransceivers() {
		if transceiver.Kind() != webrtc.RTPCodecTypeVideo {
			continue
		}
		for _, e := range transceiver.Sender().GetParameters().HeaderExtensions {
			switch e.URI {
			case "urn:ietf:params:rtp-hdrext:sdes:mid":
				all[uint8(e.ID)] = transceiver.Mid()
			case "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id":
				all[uint8(e.ID)] = rid
			}
		}
	}
	return all
}

// listen counts what subscribers, through the server, ask of the publisher.
func (out *outgoing) listen(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				out.keyFrames.Add(1)
			case *rtcp.TransportLayerNack:
				for _, pair := range p.Nacks {
					out.resends.Add(int64(len(pair.PacketList())))
				}
			}
		}
	}
}

// send plays the tape until ctx ends. Where the machine is late, all that
// follows is, unless the tape has beats: that keeps its time, and what is late
// comes at once.
func (l *outgoingLayer) send(ctx context.Context, speed float64, extensions map[uint8]string) {
	began := time.Now()
	l.mu.Lock()
	l.began = began
	l.mu.Unlock()
	due := time.NewTimer(0)
	defer due.Stop()
	now := l.tape
	for past := time.Duration(0); ; past += now.lasts {
		for i := 0; i < len(now.packets); i++ {
			p := now.packets[i]
			// Where pictures and sounds begin at once.
			if next := l.next.Load(); next != nil && p.at%(100*time.Millisecond) == 0 && (i == 0 || now.packets[i-1].at < p.at) {
				l.next.Store(nil)
				past, now, i = past+p.at, next, 0
				p = now.packets[0]
			}
			track, clock := l.video, int64(90_000)
			if p.kind == "audio" {
				track, clock = l.audio, 48_000
			}
			if _, muted := l.muted.Load(p.kind); track == nil || muted {
				continue
			}
			at := began.Add(time.Duration(float64(past+p.at) / speed))
			if late := time.Since(at); late > 50*time.Millisecond && !l.tape.beats {
				began = began.Add(late)
			}
			if wait := time.Until(at); wait > 0 {
				due.Reset(wait)
				select {
				case <-due.C:
				case <-ctx.Done():
					return
				}
			}
			if ctx.Err() != nil {
				return
			}
			l.write(track, p, uint32(firstStamp+int64(past+p.at)*clock/int64(time.Second)), firstSeq, extensions)
		}
	}
}

// report tells the server each second of what time the stamps are (RFC 3550
// §6.4.1), as exactly as encoders know, whose packets may be late.
func (out *outgoing) report(ctx context.Context) {
	const toNTP = 2_208_988_800 // seconds from 1900 to 1970
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		l := out.layers[0]
		l.mu.Lock()
		began, now := l.began, time.Now()
		l.mu.Unlock()
		ntp := uint64(now.Unix()+toNTP)<<32 | uint64(now.Nanosecond())<<32/uint64(time.Second)
		for _, sender := range out.GetSenders() {
			track := sender.Track()
			if track == nil || began.IsZero() {
				continue // it is closed, or has not begun
			}
			clock := map[webrtc.RTPCodecType]int64{webrtc.RTPCodecTypeVideo: 90_000, webrtc.RTPCodecTypeAudio: 48_000}[track.Kind()]
			stamp := uint32(firstStamp + int64(now.Sub(began))*clock/int64(time.Second))
			out.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: uint32(sender.GetParameters().Encodings[0].SSRC), NTPTime: ntp, RTPTime: stamp}})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// change goes over to another scene, at its beginning. Numbers and stamps go on.
func (out *outgoing) change(f scene) {
	out.t.Helper()
	t, err := f.tape()
	if err != nil {
		out.t.Fatal(err)
	}
	out.layers[0].next.Store(t)
}

// mute sends nothing of a kind until it is unmuted; stamps go on.
func (out *outgoing) mute(kind string)   { out.layers[0].muted.Store(kind, true) }
func (out *outgoing) unmute(kind string) { out.layers[0].muted.Delete(kind) }

func (l *outgoingLayer) write(track *webrtc.TrackLocalStaticRTP, p tapePacket, stamp uint32, firstSeq int64, extensions map[uint8]string) {
	l.mu.Lock()
	seq := int64(len(l.sent[p.kind]))
	l.sent[p.kind] = append(l.sent[p.kind], sentPacket{seq, stamp, p.last, p.sum, len(p.payload), time.Now()})
	l.mu.Unlock()
	packet := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: p.last, SequenceNumber: uint16(firstSeq + seq), Timestamp: stamp}, Payload: p.payload}
	for id, value := range extensions {
		packet.SetExtension(id, []byte(value))
	}
	track.WriteRTP(packet) // fails when the connection is gone: then nothing comes
}

// list is what has been sent of a kind.
func (l *outgoingLayer) list(kind string) []sentPacket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sent[kind])
}

// waitSent waits until some time's worth of the tape has been sent.
func (out *outgoing) waitSent(d time.Duration) {
	out.t.Helper()
	eventually(out.t, 4*d+20*time.Second, fmt.Sprintf("%v have been sent", d), func() error {
		l := out.layers[0]
		kind, clock := "video", 90_000.
		if l.video == nil {
			kind, clock = "audio", 48_000
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		all := l.sent[kind]
		if len(all) == 0 {
			return fmt.Errorf("nothing has")
		}
		if got := float64(all[len(all)-1].stamp-all[0].stamp) / clock; got < d.Seconds() {
			return fmt.Errorf("it is %.1f s", got)
		}
		return nil
	})
}

// vanish ends the publisher as a network does that is gone.
func (out *outgoing) vanish() {
	out.stop()
	out.peer.vanish()
}
