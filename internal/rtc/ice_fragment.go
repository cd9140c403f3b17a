package rtc

import (
	"errors"
	"fmt"
	"strings"

	"anabranch/internal/resource"
)

// Errors of [Session.Patch], for their own statuses (RFC 9725 §4.3.1).
var (
	ErrPrecondition = errors.New("the entity tag is not that of the present ICE session")        // 412
	ErrNoCondition  = errors.New("the request has no If-Match with an ICE session's entity tag") // 428
)

// Patch takes a fragment of SDP (RFC 8840) from the client: candidates, which have
// no answer, or new ICE credentials, which begin a new ICE session, with an answer
// and another entity tag. ifMatch is the header If-Match, "" without one. The error
// is ErrPrecondition, ErrNoCondition, or a [*resource.Error] about the fragment.
//
// Candidates are checked and forgotten: the server is ICE-lite and answers wherever
// the client's checks come from.
func (s *Session) Patch(ifMatch string, fragment []byte) (answer []byte, etag string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.TrimSpace(ifMatch) == "":
		return nil, s.etag, ErrNoCondition
	case !names(ifMatch, s.etag):
		return nil, s.etag, ErrPrecondition
	}
	remote, err := parseFragment(fragment)
	if err != nil {
		return nil, s.etag, err
	}
	present := s.engine.present(s)
	switch was := present.remote; {
	case (remote.ufrag == "" || remote.ufrag == was.ufrag) && (remote.pwd == "" || remote.pwd == was.pwd):
		return nil, s.etag, nil
	case remote.ufrag == "" || remote.pwd == "" || remote.ufrag == was.ufrag || remote.pwd == was.pwd:
		// RFC 8445 §9: both change, or none.
		return nil, s.etag, resource.Errorf(resource.Invalid,
			"fragment: a=ice-ufrag and a=ice-pwd must both be there and new, or those of the ICE session")
	}
	local, ok := s.engine.restart(s, remote)
	if !ok {
		return nil, s.etag, ErrPrecondition // over
	}
	s.etag = newETag()
	return s.fragment(local), s.etag, nil
}

// names tells whether an If-Match header names a tag: it is *, or a list of tags. The
// star may be in quotes, as the examples of RFC 9725 and of the drafts of WHEP have it.
func names(ifMatch, etag string) bool {
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == `"*"` || tag == etag {
			return true
		}
	}
	return false
}

// parseFragment reads the credentials of a fragment, which all its sections share
// (BUNDLE). There may be none.
func parseFragment(text []byte) (credentials, error) {
	var found credentials
	lines := 0
	if len(text) > maxOffer {
		return found, resource.Errorf(resource.Invalid, "fragment: longer than %d bytes", maxOffer)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		lines++
		if line == "" {
			continue
		}
		if lines > maxLines || len(line) > maxLine || len(line) < 2 || line[1] != '=' {
			return credentials{}, resource.Errorf(resource.Invalid, "fragment: line %d: not of the form x=…", lines)
		}
		name, value, _ := strings.Cut(line[2:], ":")
		var had *string
		low := 4
		switch {
		case line[0] == 'a' && name == "ice-ufrag":
			had = &found.ufrag
		case line[0] == 'a' && name == "ice-pwd":
			had, low = &found.pwd, 22
		default:
			continue
		}
		if !isICE(value, low) || *had != "" && *had != value {
			return credentials{}, resource.Errorf(resource.Invalid,
				"fragment: a=%s: not %d to 256 ice-chars, or not one and the same", name, low)
		}
		*had = value
	}
	return found, nil
}

// fragment answers an ICE restart (RFC 9725 §4.3.3).
func (s *Session) fragment(local credentials) []byte {
	var b strings.Builder
	b.WriteString("a=ice-lite\r\n")
	if len(s.plan.bundle) > 1 || s.plan.bundle[0] != "" {
		fmt.Fprintf(&b, "a=group:BUNDLE %s\r\n", strings.Join(s.plan.bundle, " "))
	}
	for i, section := range s.plan.sections {
		if s.plan.refused[i] {
			continue
		}
		line, _, _ := strings.Cut(section, "\r\n")
		fmt.Fprintf(&b, "%s\r\n", line)
		if mid := s.plan.mids[i]; mid != "" {
			fmt.Fprintf(&b, "a=mid:%s\r\n", mid)
		}
		b.WriteString(s.transport(local, false))
	}
	return []byte(b.String())
}
