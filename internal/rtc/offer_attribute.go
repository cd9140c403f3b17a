package rtc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// attribute takes one a= line of a section, or of the session's part. What is not
// known here is left alone (RFC 8866 §6).
func (s *section) attribute(name, value string) error {
	switch name {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		s.direction = direction(name)
	case "mid":
		if !isToken(value, 32) {
			return errors.New("a=mid: not a token of up to 32 characters")
		}
		s.mid = value
	case "bundle-only":
		s.rejected = false
	case "rtcp-mux":
		s.rtcpMux = true
	case "rtcp-rsize":
		s.rsize = true
	case "setup":
		s.setup = value
	case "ice-lite":
		return errors.New("a=ice-lite: the server is lite itself, somebody has to make checks")
	case "ice-ufrag":
		if !isICE(value, 4) {
			return errors.New("a=ice-ufrag: not 4 to 256 ice-chars")
		}
		s.ice.ufrag = value
	case "ice-pwd":
		if !isICE(value, 22) {
			return errors.New("a=ice-pwd: not 22 to 256 ice-chars")
		}
		s.ice.pwd = value
	case "fingerprint":
		p, err := parseFingerprint(value)
		if err != nil || p == nil {
			return err
		}
		if len(s.prints) == 4 {
			return errors.New("a=fingerprint: more than 4")
		}
		s.prints = append(s.prints, *p)
	case "rtpmap":
		return s.rtpmap(value)
	case "fmtp":
		return s.fmtp(value)
	case "rtcp-fb":
		return s.rtcpFeedback(value)
	case "extmap":
		return s.extmap(value)
	case "rid":
		return s.rid(value)
	case "simulcast":
		// Each layer has its a=rid, and all of them are accepted: RFC 8853's lists of
		// alternatives and pauses say nothing more.
		s.simulcast = strings.Contains(value, "send ")
	case "ssrc":
		return s.ssrc(value)
	case "ssrc-group":
		return s.ssrcGroup(value)
	}
	return nil
}

// payloadType reads the number that value begins with. ok is false where it is none
// of the section's formats: such a line means nothing.
func (s *section) payloadType(name, value string) (pt uint8, rest string, ok bool, err error) {
	number, rest, _ := strings.Cut(value, " ")
	if name == "rtcp-fb" && number == "*" {
		return 0, rest, true, nil
	}
	n, err := strconv.ParseUint(number, 10, 7)
	if err != nil {
		return 0, "", false, fmt.Errorf("a=%s: no payload type from 0 to 127", name)
	}
	return uint8(n), rest, slices.Contains(s.formats, strconv.Itoa(int(n))), nil
}

// rtpmap takes "96 H264/90000" (RFC 8866 §6.6).
func (s *section) rtpmap(value string) error {
	pt, rest, ok, err := s.payloadType("rtpmap", value)
	if err != nil || !ok {
		return err
	}
	f := strings.Split(rest, "/")
	if len(f) < 2 || len(f) > 3 || !isToken(f[0], 32) {
		return errors.New("a=rtpmap: not an encoding's name and its clock rate")
	}
	c := codec{name: strings.ToLower(f[0])}
	if c.clock, err = strconv.Atoi(f[1]); err != nil || c.clock <= 0 {
		return errors.New("a=rtpmap: no clock rate")
	}
	if len(f) == 3 {
		if c.channels, err = strconv.Atoi(f[2]); err != nil || c.channels < 1 {
			return errors.New("a=rtpmap: no number of channels")
		}
	}
	s.change(pt, func(had *codec) { c.params, c.feedback = had.params, had.feedback; *had = c })
	return nil
}

// fmtp takes "96 profile-level-id=42e01f;packetization-mode=1".
func (s *section) fmtp(value string) error {
	pt, rest, ok, err := s.payloadType("fmtp", value)
	if err != nil || !ok {
		return err
	}
	params := map[string]string{}
	for p := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if len(params) == 32 {
			return errors.New("a=fmtp: more than 32 parameters")
		}
		params[strings.ToLower(name)] = value
	}
	s.change(pt, func(c *codec) { c.params = params })
	return nil
}

// rtcpFeedback takes "96 nack pli" or "* transport-cc" (RFC 4585 §4.2).
func (s *section) rtcpFeedback(value string) error {
	pt, rest, ok, err := s.payloadType("rtcp-fb", value)
	if err != nil || !ok {
		return err
	}
	types := []uint8{pt}
	if strings.HasPrefix(value, "*") {
		types = slices.Collect(maps.Keys(s.maps))
	}
	for _, pt := range types {
		if len(s.maps[pt].feedback) < 16 {
			s.change(pt, func(c *codec) { c.feedback = append(c.feedback, strings.ToLower(rest)) })
		}
	}
	return nil
}

// change changes what is known of a payload type.
func (s *section) change(pt uint8, f func(*codec)) {
	if s.maps == nil {
		s.maps = map[uint8]codec{}
	}
	c := s.maps[pt]
	f(&c)
	s.maps[pt] = c
}

// extmap takes "3 urn:…" and "4/sendonly urn:…" (RFC 8285 §5). Ids above 14 need
// another form of header, which the answer does not take up.
func (s *section) extmap(value string) error {
	number, uri, _ := strings.Cut(value, " ")
	uri, _, _ = strings.Cut(uri, " ")
	number, _, _ = strings.Cut(number, "/")
	id, err := strconv.ParseUint(number, 10, 16)
	if err != nil || uri == "" {
		return errors.New("a=extmap: not a number and a URI")
	}
	if id < 1 || id > 14 || len(s.exts) == 32 {
		return nil
	}
	if s.exts == nil {
		s.exts = map[string]uint8{}
	}
	s.exts[uri] = uint8(id)
	return nil
}

// rid takes "hi send" (RFC 8851).
func (s *section) rid(value string) error {
	f := strings.Fields(value)
	if len(f) < 2 || !isRID(f[0]) {
		return errors.New("a=rid: not a name of up to 16 letters and digits with a direction")
	}
	if f[1] != "send" || slices.Contains(s.rids, f[0]) {
		return nil
	}
	if len(s.rids) == maxRIDs {
		return fmt.Errorf("a=rid: more than %d layers", maxRIDs)
	}
	s.rids = append(s.rids, f[0])
	return nil
}

func isRID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 16
}

// ssrc takes "1234 cname:…" (RFC 5576); of each SSRC the first line says it.
func (s *section) ssrc(value string) error {
	number, _, _ := strings.Cut(value, " ")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return errors.New("a=ssrc: no number")
	}
	if slices.Contains(s.ssrcs, uint32(n)) {
		return nil
	}
	if len(s.ssrcs) == maxSSRCs {
		return fmt.Errorf("a=ssrc: more than %d sources", maxSSRCs)
	}
	s.ssrcs = append(s.ssrcs, uint32(n))
	return nil
}

// ssrcGroup takes "FID 1234 5678": the second repairs the first (RFC 4588 §8.8).
func (s *section) ssrcGroup(value string) error {
	f := strings.Fields(value)
	if len(f) != 3 || f[0] != "FID" {
		return nil
	}
	media, err := strconv.ParseUint(f[1], 10, 32)
	repair, err2 := strconv.ParseUint(f[2], 10, 32)
	if err != nil || err2 != nil {
		return errors.New("a=ssrc-group:FID: no numbers")
	}
	if s.repairs == nil {
		s.repairs = map[uint32]uint32{}
	}
	if len(s.repairs) < maxSSRCs {
		s.repairs[uint32(repair)] = uint32(media)
	}
	return nil
}
