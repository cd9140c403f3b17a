package rtc

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"anabranch/internal/resource"
)

// offer is a session description (RFC 8866) of a client, as far as it matters here.
// Nothing of it is believed that was not checked: it comes from outside, and parts
// of it are repeated in the answer.
type offer struct {
	bundle   []string // the mids of a=group:BUNDLE; nil without one
	sections []section
	ice      credentials   // of the bundle's transport
	prints   []fingerprint // any of which the client's certificate may have
}

// section is one m= line with its attributes.
type section struct {
	media     string // audio, video, application …
	port      string
	proto     string
	formats   []string
	mid       string
	direction direction
	rejected  bool // port 0: the client does not use it
	rtcpMux   bool
	rsize     bool // a=rtcp-rsize
	setup     string
	ice       credentials
	prints    []fingerprint
	maps      map[uint8]codec // a=rtpmap with a=fmtp and a=rtcp-fb, by payload type
	exts      map[string]uint8
	rids      []string          // a=rid:… send
	simulcast bool              // a=simulcast:send …: rids are its layers
	ssrcs     []uint32          // a=ssrc, in order
	repairs   map[uint32]uint32 // a=ssrc-group:FID: RTX's SSRC → the SSRC it repairs
}

// codec is what one payload type means in a section.
type codec struct {
	name     string // lower case
	clock    int    // Hz
	channels int    // of sound; 0 when not told
	params   map[string]string
	feedback []string // "nack", "nack pli", "ccm fir" …
}

// credentials are of ICE (RFC 8839 §5.4): they authenticate checks.
type credentials struct{ ufrag, pwd string }

// fingerprint is the hash of a certificate (RFC 8122).
type fingerprint struct {
	hash string // lower case: sha-256 …
	sum  []byte
}

type direction string

const (
	sendrecv direction = "sendrecv"
	sendonly direction = "sendonly"
	recvonly direction = "recvonly"
	inactive direction = "inactive"
)

// What a description may hold at most. Chromium's longest, with all its codecs and
// six sections, has 20 KB and 600 lines.
const (
	maxOffer    = 64 << 10
	maxLines    = 2000
	maxLine     = 4096
	maxSections = 16
	maxFormats  = 96
	maxSSRCs    = 32 // of a section
	maxRIDs     = 4
)

// refuse says what is wrong with a description, for the client.
func refuse(format string, args ...any) error {
	return resource.Errorf(resource.Invalid, "offer: "+format, args...)
}

// parseOffer reads and checks a description. Its error names the line or attribute.
func parseOffer(text []byte) (*offer, error) {
	o := &offer{}
	session := section{direction: sendrecv}
	at := &session
	err := eachLine(text, func(kind byte, value string) error {
		switch kind {
		case 'm':
			if len(o.sections) == maxSections {
				return fmt.Errorf("more than %d m= lines", maxSections)
			}
			s, err := parseMedia(value, session.direction)
			if err != nil {
				return err
			}
			o.sections = append(o.sections, s)
			at = &o.sections[len(o.sections)-1]
			return nil
		case 'a':
			name, value, _ := strings.Cut(value, ":")
			if at == &session && name == "group" {
				return o.group(value)
			}
			return at.attribute(name, value)
		}
		return nil
	})
	if err != nil {
		return nil, refuse("%v", err)
	}
	if err := o.check(&session); err != nil {
		return nil, refuse("%v", err)
	}
	return o, nil
}

// eachLine calls f with every line of a description but the first, until it
// returns an error.
func eachLine(text []byte, f func(kind byte, value string) error) error {
	if len(text) > maxOffer {
		return fmt.Errorf("longer than %d bytes", maxOffer)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		switch n++; {
		case n == 1 && line != "v=0":
			return errors.New("the first line is not v=0")
		case n == 1 || line == "":
			continue
		case n > maxLines:
			return fmt.Errorf("more than %d lines", maxLines)
		case len(line) > maxLine:
			return fmt.Errorf("line %d: longer than %d bytes", n, maxLine)
		case len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z':
			return fmt.Errorf("line %d: not of the form x=…", n)
		}
		if err := f(line[0], line[2:]); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if n == 0 {
		return errors.New("the first line is not v=0")
	}
	return nil
}

// group takes a=group. The first BUNDLE counts; other semantics do not concern us.
func (o *offer) group(value string) error {
	names := strings.Fields(value)
	if o.bundle != nil || len(names) == 0 || names[0] != "BUNDLE" {
		return nil
	}
	if len(names) > maxSections+1 {
		return fmt.Errorf("a=group:BUNDLE names more than %d sections", maxSections)
	}
	o.bundle = append([]string{}, names[1:]...)
	return nil
}

// What an m= line may begin with (RFC 8866 §5.14), and what its protocol may be made
// of (RFC 8834, RFC 8841). The answer repeats both, of sections that it refuses, too.
var (
	mediaTypes = []string{"audio", "video", "text", "application", "message"}
	protocols  = []string{"UDP", "TCP", "TLS", "DTLS", "SCTP", "RTP", "AVP", "AVPF", "SAVP", "SAVPF"}
)

// parseMedia reads the value of an m= line.
func parseMedia(value string, d direction) (section, error) {
	f := strings.Fields(value)
	if len(f) < 4 || len(f)-3 > maxFormats {
		return section{}, fmt.Errorf("m=: not media, port, protocol and 1 to %d formats", maxFormats)
	}
	s := section{media: f[0], port: f[1], proto: f[2], formats: f[3:], direction: d}
	port, _, _ := strings.Cut(s.port, "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return section{}, errors.New("m=: no such port")
	}
	if !slices.Contains(mediaTypes, s.media) {
		return section{}, errors.New("m=: no such media")
	}
	for word := range strings.SplitSeq(s.proto, "/") {
		if !slices.Contains(protocols, word) {
			return section{}, errors.New("m=: no protocol of WebRTC")
		}
	}
	for _, word := range s.formats {
		if !isToken(word, 64) {
			return section{}, errors.New("m=: not made of tokens")
		}
	}
	s.rejected = n == 0 // with a=bundle-only it is not: see attribute
	return s, nil
}

// check finds what a description lacks as a whole, and the transport that its
// sections share.
func (o *offer) check(session *section) error {
	seen := map[string]bool{}
	var first *section
	for i := range o.sections {
		s := &o.sections[i]
		s.inherit(session)
		switch {
		case s.rejected:
			continue
		case s.mid != "" && seen[s.mid]:
			return fmt.Errorf("a=mid:%s is there twice", s.mid)
		case o.bundle != nil && !slices.Contains(o.bundle, s.mid), o.bundle == nil && first != nil:
			return fmt.Errorf("a=group:BUNDLE must name every section: m=%s is not among them", s.media)
		}
		seen[s.mid] = true
		if first == nil || o.bundle != nil && s.mid == o.bundle[0] {
			first = s
		}
	}
	if first == nil {
		return errors.New("no m= line that is in use")
	}
	o.ice, o.prints = first.ice, first.prints
	switch {
	case o.ice.ufrag == "" || o.ice.pwd == "":
		return errors.New("a=ice-ufrag or a=ice-pwd is missing")
	case len(o.prints) == 0:
		return errors.New("a=fingerprint with sha-256, sha-384 or sha-512 is missing")
	case first.setup != "actpass" && first.setup != "active":
		return errors.New("a=setup must be actpass or active: the server waits for the client's handshake")
	}
	return nil
}

// inherit takes what the section lacks from the session's part.
func (s *section) inherit(session *section) {
	if s.ice.ufrag == "" {
		s.ice.ufrag = session.ice.ufrag
	}
	if s.ice.pwd == "" {
		s.ice.pwd = session.ice.pwd
	}
	if s.setup == "" {
		s.setup = session.setup
	}
	s.prints = append(s.prints, session.prints...)
}

// isToken tells whether s is a token (RFC 8866 §9) of at most limit bytes, and so
// may be repeated in an answer.
func isToken(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c > '~' || strings.IndexByte(`"(),/:;<=>?@[\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// isICE tells whether s is made of ice-chars (RFC 8839 §5.4), from low to 256.
func isICE(s string, low int) bool {
	if len(s) < low || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/' &&
			c != '-' && c != '_' && c != '=' && c != '#' {
			return false
		}
	}
	return true
}

// parseFingerprint reads the value of a=fingerprint; nil for a hash that is not
// accepted.
func parseFingerprint(value string) (*fingerprint, error) {
	name, sum, ok := strings.Cut(value, " ")
	p := fingerprint{hash: strings.ToLower(name)}
	size := map[string]int{"sha-256": 32, "sha-384": 48, "sha-512": 64}[p.hash]
	if size == 0 && ok {
		return nil, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(sum, ":", ""))
	if err != nil || len(b) != size {
		return nil, errors.New("a=fingerprint: not a hash and its bytes in hex")
	}
	p.sum = b
	return &p, nil
}
