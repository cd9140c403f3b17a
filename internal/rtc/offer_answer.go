package rtc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// answer is what an offer is answered with, and what was agreed by it.
type answer struct {
	lanes    []lanePlan // at most one of each kind
	sections []string   // the m= sections, without what is the transport's
	mids     []string   // by section
	bundle   []string   // the mids of the sections in use
	refused  []bool     // by section: port 0
	limit    int        // bit/s a publisher is told not to exceed; 0 is none
}

// lanePlan is a section that carries a lane.
type lanePlan struct {
	kind        kind
	mid         string
	payloadType uint8
	rtx         uint8 // the payload type of RTX (RFC 4588); 0 without
	nack        bool  // what is lost may be asked for (RFC 4585 §6.2.1)
	rids        []string
	repairs     map[uint32]uint32 // see section
	extensions  extensionIDs
	rid         uint8 // header extensions of a publisher that are not passed on
	repairedRID uint8
	transportCC uint8
}

// URIs of the header extensions in use. Others carry what is not needed here.
const (
	extMID         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	extRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	extRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	extTransportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	extAudioLevel  = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	extOrientation = "urn:3gpp:video-orientation"
)

// answerPublisher plans the answer to somebody who sends: the first section of each
// kind that sends is taken, the others are inactive.
func answerPublisher(o *offer, limits Limits) (*answer, error) {
	a := &answer{limit: limits.Bitrate}
	err := a.plan(o, func(s *section, l lanePlan) string {
		var b strings.Builder
		b.WriteString("a=recvonly\r\n")
		b.WriteString(s.codecLines(l, true))
		b.WriteString(s.extensionLines(l, extMID, extAudioLevel, extOrientation, extRID, extRepairedRID, extTransportCC))
		for _, rid := range l.rids {
			fmt.Fprintf(&b, "a=rid:%s recv\r\n", rid)
		}
		if len(l.rids) > 0 {
			fmt.Fprintf(&b, "a=simulcast:recv %s\r\n", strings.Join(l.rids, ";"))
		}
		return b.String()
	}, sendrecv, sendonly)
	if err == nil && len(a.lanes) == 0 {
		err = refuse("m=: no section for sound or pictures that sends")
	}
	return a, err
}

// answerSubscriber plans the answer to somebody who receives. What is not published
// is answered all the same, because it can be any time.
func answerSubscriber(o *offer, outs map[kind]outbound) (*answer, error) {
	a := &answer{}
	err := a.plan(o, func(s *section, l lanePlan) string {
		out := outs[l.kind]
		var b strings.Builder
		b.WriteString("a=sendonly\r\n")
		b.WriteString(s.codecLines(l, false))
		b.WriteString(s.extensionLines(l, extMID, extAudioLevel, extOrientation))
		// One stream and one name for both kinds: the browser keeps them in step.
		fmt.Fprintf(&b, "a=msid:stage %s\r\n", s.media)
		// The first SSRC is the media's: browsers go by the order.
		ssrcs := []uint32{out.ssrc}
		if l.rtx != 0 {
			ssrcs = append(ssrcs, out.rtxSSRC)
			fmt.Fprintf(&b, "a=ssrc-group:FID %d %d\r\n", out.ssrc, out.rtxSSRC)
		}
		for _, ssrc := range ssrcs {
			fmt.Fprintf(&b, "a=ssrc:%d cname:stage\r\na=ssrc:%[1]d msid:stage %s\r\n", ssrc, s.media)
		}
		return b.String()
	}, sendrecv, recvonly)
	if err == nil && len(a.lanes) == 0 {
		err = refuse("m=: no section for sound or pictures that receives")
	}
	return a, err
}

// plan goes through the offer's sections. Those of the wanted directions are lanes,
// written by write; what cannot be used is inactive or refused.
func (a *answer) plan(o *offer, write func(*section, lanePlan) string, wanted ...direction) error {
	types := map[uint8]bool{}
	for i := range o.sections {
		s := &o.sections[i]
		k, known := map[string]kind{"audio": audio, "video": video}[s.media]
		usable := known && !s.rejected && (s.proto == "UDP/TLS/RTP/SAVPF" || s.proto == "TCP/TLS/RTP/SAVPF" || s.proto == "RTP/SAVPF")
		var l lanePlan
		if usable {
			pt := s.choose(k)
			if pt < 0 && slices.Contains(wanted, s.direction) && !a.has(k) {
				return errors.Join(refuse("m=%s: %v", s.media, codecError(k)), codecError(k))
			}
			usable = pt >= 0
			l = s.lane(k, uint8(max(pt, 0)))
		}
		a.refused = append(a.refused, !usable)
		a.mids = append(a.mids, s.mid)
		if !usable {
			text := fmt.Sprintf("m=%s 0 %s %s\r\nc=IN IP4 0.0.0.0\r\n", s.media, s.proto, strings.Join(s.formats, " "))
			if s.mid != "" {
				text += "a=mid:" + s.mid + "\r\n"
			}
			a.sections = append(a.sections, text+"a=inactive\r\n")
			continue
		}
		if !s.rtcpMux {
			return refuse("m=%s: a=rtcp-mux is missing", s.media)
		}
		text := s.mediaLine(l)
		if slices.Contains(wanted, s.direction) && !a.has(k) {
			if a.limit > 0 && k == video {
				text += fmt.Sprintf("b=TIAS:%d\r\n", a.limit)
			}
			for _, pt := range []uint8{l.payloadType, l.rtx} {
				if pt != 0 && types[pt] {
					return refuse("a=rtpmap:%d means something else in another section", pt)
				}
				types[pt] = true
			}
			a.lanes = append(a.lanes, l)
			text += s.commonLines() + write(s, l)
		} else {
			text += s.commonLines() + "a=inactive\r\n" + s.codecLines(l, true)
		}
		a.bundle = append(a.bundle, s.mid)
		a.sections = append(a.sections, text)
	}
	return nil
}

func (a *answer) has(k kind) bool {
	return slices.ContainsFunc(a.lanes, func(l lanePlan) bool { return l.kind == k })
}

func codecError(k kind) error {
	if k == video {
		return ErrVideoCodec
	}
	return ErrAudioCodec
}

// choose picks the payload type to use: the first that fits, but for H.264 one with
// packetization-mode 1 rather than 0 (RFC 6184 §6.2), because pictures that were
// packed with the one do not fit the other. It is -1 when none fits.
func (s *section) choose(k kind) int {
	chosen := -1
	for _, f := range s.formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		c := s.maps[uint8(pt)]
		switch {
		case k == audio && c.name == "opus" && c.clock == 48000 && c.channels == 2:
			return int(pt)
		case k == video && c.name == "h264" && c.clock == 90000 && isProfile(c.params):
			if c.params["packetization-mode"] == "1" {
				return int(pt)
			}
			if chosen < 0 && (c.params["packetization-mode"] == "" || c.params["packetization-mode"] == "0") {
				chosen = int(pt)
			}
		}
	}
	return chosen
}

// isProfile tells whether profile-level-id is of a profile that every browser
// decodes: (constrained) baseline, main, high. Not told means baseline.
func isProfile(params map[string]string) bool {
	id := params["profile-level-id"]
	if id == "" {
		return true
	}
	n, err := strconv.ParseUint(id, 16, 24)
	return err == nil && len(id) == 6 && slices.Contains([]uint64{0x42, 0x4d, 0x64}, n>>16)
}

// lane collects what the section says of the chosen payload type.
func (s *section) lane(k kind, pt uint8) lanePlan {
	l := lanePlan{
		kind: k, mid: s.mid, payloadType: pt, repairs: s.repairs,
		extensions: extensionIDs{mid: s.exts[extMID]}, nack: slices.Contains(s.maps[pt].feedback, "nack"),
	}
	if k == audio {
		l.extensions.audioLevel = s.exts[extAudioLevel]
	} else {
		l.extensions.orientation = s.exts[extOrientation]
		if s.simulcast && s.exts[extRID] != 0 {
			l.rids, l.rid, l.repairedRID = s.rids, s.exts[extRID], s.exts[extRepairedRID]
		}
		for _, f := range s.formats {
			n, err := strconv.ParseUint(f, 10, 7)
			c := s.maps[uint8(n)]
			if err == nil && c.name == "rtx" && c.params["apt"] == strconv.Itoa(int(pt)) && l.rtx == 0 {
				l.rtx = uint8(n)
			}
		}
	}
	if slices.Contains(s.maps[pt].feedback, "transport-cc") {
		l.transportCC = s.exts[extTransportCC]
	}
	return l
}

// mediaLine begins a section in use.
func (s *section) mediaLine(l lanePlan) string {
	formats := strconv.Itoa(int(l.payloadType))
	if l.rtx != 0 {
		formats += " " + strconv.Itoa(int(l.rtx))
	}
	return fmt.Sprintf("m=%s 9 %s %s\r\nc=IN IP4 0.0.0.0\r\n", s.media, s.proto, formats)
}

// commonLines are those of every section in use.
func (s *section) commonLines() string {
	text := "a=rtcp-mux\r\n"
	if s.mid != "" {
		text = "a=mid:" + s.mid + "\r\n" + text
	}
	if s.rsize {
		text += "a=rtcp-rsize\r\n"
	}
	return text
}

// startBitrate has Chromium begin at 1,500 kbit/s, not 300: with pictures of half the
// size rather than a quarter, and whole ones after some seconds rather than ten. Its
// bandwidth estimate corrects it within a second where the network is slower.
const startBitrate = ";x-google-start-bitrate=1500"

// codecLines describe the chosen payload type. A publisher may send any level of its
// profile where it allows that: the limits are told of, not the level.
func (s *section) codecLines(l lanePlan, receive bool) string {
	var b strings.Builder
	c := s.maps[l.payloadType]
	feedbacks := []string{"nack", "nack pli", "ccm fir"}
	if l.kind == audio {
		feedbacks = feedbacks[:1]
		fmt.Fprintf(&b, "a=rtpmap:%d opus/48000/2\r\na=fmtp:%[1]d %s\r\n", l.payloadType, opusParams(c.params))
	} else {
		id := c.params["profile-level-id"]
		if id == "" {
			id = "42000a"
		}
		asymmetry := ""
		if c.params["level-asymmetry-allowed"] == "1" {
			asymmetry = "level-asymmetry-allowed=1;"
			if receive {
				id = id[:4] + "2a" // 4.2: 1080p60
			}
		}
		mode := "0"
		if c.params["packetization-mode"] == "1" {
			mode = "1"
		}
		start := ""
		if receive && l.transportCC != 0 {
			start = startBitrate
		}
		fmt.Fprintf(&b, "a=rtpmap:%d H264/90000\r\na=fmtp:%[1]d %spacketization-mode=%s;profile-level-id=%s%s\r\n",
			l.payloadType, asymmetry, mode, id, start)
	}
	for _, feedback := range feedbacks {
		if slices.Contains(c.feedback, feedback) {
			fmt.Fprintf(&b, "a=rtcp-fb:%d %s\r\n", l.payloadType, feedback)
		}
	}
	if receive && l.transportCC != 0 {
		fmt.Fprintf(&b, "a=rtcp-fb:%d transport-cc\r\n", l.payloadType)
	}
	if l.rtx != 0 {
		fmt.Fprintf(&b, "a=rtpmap:%d rtx/90000\r\na=fmtp:%[1]d apt=%d\r\n", l.rtx, l.payloadType)
	}
	return b.String()
}

// opusParams repeats what the client said of its Opus (RFC 7587 §6.1): stereo, FEC
// and DTX are its choice.
func opusParams(params map[string]string) string {
	var took []string
	for _, name := range []string{
		"minptime", "useinbandfec", "usedtx", "stereo", "sprop-stereo", "cbr", "maxaveragebitrate", "maxplaybackrate",
	} {
		if n, err := strconv.ParseUint(params[name], 10, 20); err == nil {
			took = append(took, fmt.Sprintf("%s=%d", name, n))
		}
	}
	if len(took) == 0 {
		return "minptime=10;useinbandfec=1"
	}
	return strings.Join(took, ";")
}

// extensionLines take up those of the header extensions that the lane uses.
func (s *section) extensionLines(l lanePlan, uris ...string) string {
	used := map[string]uint8{
		extMID: l.extensions.mid, extAudioLevel: l.extensions.audioLevel, extOrientation: l.extensions.orientation,
		extRID: l.rid, extRepairedRID: l.repairedRID, extTransportCC: l.transportCC,
	}
	text := ""
	for _, uri := range uris {
		if used[uri] != 0 {
			text += fmt.Sprintf("a=extmap:%d %s\r\n", used[uri], uri)
		}
	}
	return text
}

// text is the whole answer: its sections share one transport.
func (a *answer) text(session uint64, transport string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", session>>1)
	if len(a.bundle) > 1 || a.bundle[0] != "" {
		fmt.Fprintf(&b, "a=group:BUNDLE %s\r\n", strings.Join(a.bundle, " "))
	}
	b.WriteString("a=ice-lite\r\na=msid-semantic:WMS *\r\n")
	for i, s := range a.sections {
		b.WriteString(s)
		if !a.refused[i] {
			b.WriteString(transport)
		}
	}
	return []byte(b.String())
}
