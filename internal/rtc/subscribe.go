package rtc

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
)

// subscription is a session that a source's media goes out on.
type subscription struct {
	session *Session
	source  *Source
	outs    map[kind]outbound
	senders []*sender // once begun; guarded by the session's srtpIn
}

// newOutbounds chooses the SSRCs of a session, all different.
func newOutbounds() map[kind]outbound {
	base := rand.Uint32()
	return map[kind]outbound{
		audio: {kind: audio, ssrc: base},
		video: {kind: video, ssrc: base + 1, rtxSSRC: base + 2},
	}
}

func newSubscription(s *Session, src *Source, outs map[kind]outbound) *subscription {
	return &subscription{session: s, source: src, outs: outs}
}

// begin joins the lanes that were agreed on. What is not published yet comes later.
func (sub *subscription) begin() {
	s := sub.session
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.in.ctx == nil {
		return // closed meanwhile
	}
	for _, l := range s.plan.lanes {
		out := sub.outs[l.kind]
		out.payloadType, out.rtxPayloadType = l.payloadType, l.rtx
		if l.rtx == 0 {
			out.rtxSSRC = 0
		}
		out.mid, out.cname, out.extensions = l.mid, "stage", l.extensions
		out.write, out.writeRTCP = s.write, s.writeRTCP
		sub.senders = append(sub.senders, sub.source.subscribe(out))
	}
}

// rtp drops what a subscriber sends: it has nothing to say.
func (sub *subscription) rtp([]byte, time.Time) {}

func (sub *subscription) rtcp(packets []rtcp.Packet, _ time.Time) {
	for _, sn := range sub.senders {
		sn.feedback(packets)
	}
}

func (sub *subscription) end() {
	for _, sn := range sub.taken() {
		sn.close()
	}
}

func (sub *subscription) taken() []*sender {
	sub.session.in.mu.Lock()
	defer sub.session.in.mu.Unlock()
	return sub.senders
}

func (sub *subscription) stats() Stats {
	var st Stats
	for _, sn := range sub.taken() {
		had := sn.stats()
		f := Flow{
			Packets: had.Packets, Bytes: had.Bytes, Lost: had.Lost,
			Repaired: had.Repaired, Skipped: had.Skipped,
		}
		if sn.out.kind == audio {
			st.Audio = f
		} else {
			st.Video = f
		}
		st.RoundTrip = max(st.RoundTrip, had.RoundTrip)
	}
	return st
}
