package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signature is what a request says of its own signature: in the header, with
// the time in X-Amz-Date,
//
//	AWS4-HMAC-SHA256 Credential=<access key id>/<date>/<region>/<service>/aws4_request,
//	                 SignedHeaders=<name>;<name>;…, Signature=<64 hex digits>
//
// or as parameters of the query (a presigned URL): X-Amz-Algorithm,
// X-Amz-Credential, X-Amz-SignedHeaders, X-Amz-Signature, X-Amz-Date and
// X-Amz-Expires.
type signature struct {
	accessKeyID   string
	date          string // YYYYMMDD
	region        string
	service       string
	terminator    string
	signedHeaders []string // lower case, ascending
	hex           string   // lower case
	at            time.Time
	expires       time.Duration // how long after at it is good; 0 for one in the header
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// scope is the credential scope, as it is signed.
func (s *signature) scope() string {
	return strings.Join([]string{s.date, s.region, s.service, s.terminator}, "/")
}

// checkSigned refuses requests that leave open what must be signed: a header
// that is not could be changed by whoever carries the request. Content-Type may
// be left open, because nothing here depends on it.
func (s *signature) checkSigned(r *http.Request) error {
	must := []string{"host"}
	for name := range r.Header {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			must = append(must, name)
		}
	}
	for _, name := range must {
		if !slices.Contains(s.signedHeaders, name) {
			return refuse(InvalidSignature, "header %q must be signed", name)
		}
	}
	return nil
}

// readSignature reads the signature of r, whose query is given too.
func readSignature(r *http.Request, query url.Values) (*signature, error) {
	headers, presigned := r.Header["Authorization"], inQuery(query)
	switch {
	case len(headers) == 0 && !presigned:
		return nil, refuse(MissingAuthenticationToken, "Missing Authentication Token")
	case len(headers) > 0 && presigned:
		return nil, refuse(IncompleteSignature, "the request is signed in the Authorization header and in the query; it must be one of them")
	case presigned:
		s, err := parsePresigned(query)
		if err != nil {
			return nil, refuse(IncompleteSignature, "query: %v", err)
		}
		return s, nil
	case len(headers) > 1:
		return nil, refuse(IncompleteSignature, "Authorization header: more than one")
	}
	s, err := parseAuthorization(headers[0])
	if err != nil {
		return nil, refuse(IncompleteSignature, "Authorization header: %v", err)
	}
	if len(r.Header["X-Amz-Date"]) != 1 {
		return nil, refuse(IncompleteSignature, "a signed request needs one X-Amz-Date header")
	}
	if err := s.readTime(r.Header.Get("X-Amz-Date")); err != nil {
		return nil, refuse(IncompleteSignature, "%v", err)
	}
	return s, nil
}

// inQuery says whether a query has a part of a signature.
func inQuery(query url.Values) bool {
	return query["X-Amz-Algorithm"] != nil || query["X-Amz-Credential"] != nil || query["X-Amz-Signature"] != nil
}

// maxAuthorization bounds the header; those of SDKs have about 300 bytes.
const maxAuthorization = 4096

// parseAuthorization reads an Authorization header. It takes exactly one
// spelling of each part, so that no two headers mean the same but for spaces.
func parseAuthorization(header string) (*signature, error) {
	if len(header) > maxAuthorization {
		return nil, fmt.Errorf("longer than %d bytes", maxAuthorization)
	}
	scheme, rest, _ := strings.Cut(header, " ")
	if err := checkAlgorithm(scheme); err != nil {
		return nil, fmt.Errorf("the algorithm %w", err)
	}
	params := make(map[string]string, 3)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.Trim(part, " "), "=")
		if _, again := params[name]; again || !ok {
			return nil, errors.New("not a list of different name=value pairs")
		}
		params[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if params[name] == "" {
			return nil, fmt.Errorf("has no %s", name)
		}
	}
	if len(params) != 3 {
		return nil, errors.New("has more than Credential, SignedHeaders and Signature")
	}
	return newSignature(params["Credential"], params["SignedHeaders"], params["Signature"])
}

// maxExpires is how long at most a signature in the query is good.
const maxExpires = 7 * 24 * time.Hour

// parsePresigned reads the signature in a query.
func parsePresigned(query url.Values) (*signature, error) {
	for _, name := range []string{
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
	} {
		if len(query[name]) != 1 {
			return nil, fmt.Errorf("a presigned request needs one %s", name)
		}
	}
	if err := checkAlgorithm(query.Get("X-Amz-Algorithm")); err != nil {
		return nil, fmt.Errorf("X-Amz-Algorithm %w", err)
	}
	s, err := newSignature(query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Signature"))
	if err != nil {
		return nil, err
	}
	if err := s.readTime(query.Get("X-Amz-Date")); err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseUint(query.Get("X-Amz-Expires"), 10, 32)
	s.expires = time.Duration(seconds) * time.Second
	if err != nil || s.expires == 0 || s.expires > maxExpires {
		return nil, fmt.Errorf("X-Amz-Expires must be a number of seconds from 1 to %d", maxExpires/time.Second)
	}
	return s, nil
}

func checkAlgorithm(name string) error {
	switch {
	case name == algorithm:
		return nil
	case strings.HasPrefix(name, "AWS4-ECDSA-"):
		return errors.New("is of SigV4A, which signs for several regions; this server has one: sign with " + algorithm)
	}
	return errors.New("is not " + algorithm)
}

// newSignature reads the parts that both forms have.
func newSignature(credential, signedHeaders, hex string) (*signature, error) {
	s := &signature{hex: hex}
	if err := s.readCredential(credential); err != nil {
		return nil, err
	}
	s.signedHeaders = strings.Split(signedHeaders, ";")
	for i, name := range s.signedHeaders {
		if !isHeaderName(name) || i > 0 && name <= s.signedHeaders[i-1] {
			return nil, errors.New("the SignedHeaders are not lower-case names in ascending order")
		}
	}
	if len(s.hex) != 64 || strings.Trim(s.hex, "0123456789abcdef") != "" {
		return nil, errors.New("the Signature is not 64 lower-case hex digits")
	}
	return s, nil
}

func (s *signature) readCredential(c string) error {
	parts := strings.Split(c, "/")
	if len(parts) != 5 {
		return errors.New("the Credential is not of the form <access key id>/YYYYMMDD/<region>/<service>/" + terminator)
	}
	s.accessKeyID, s.date, s.region, s.service, s.terminator = parts[0], parts[1], parts[2], parts[3], parts[4]
	if s.accessKeyID == "" || len(s.accessKeyID) > 128 {
		return errors.New("the access key id in Credential does not have 1 to 128 characters")
	}
	if len(s.date) != 8 || strings.Trim(s.date, "0123456789") != "" {
		return errors.New("the date in Credential is not of the form YYYYMMDD")
	}
	return nil
}

func (s *signature) readTime(told string) (err error) {
	s.at, err = time.Parse(timeFormat, told)
	if err != nil || s.at.Format(timeFormat) != told { // Parse takes fractions of a second, too
		return errors.New("X-Amz-Date must be of the form YYYYMMDDTHHMMSSZ")
	}
	return nil
}

// isHeaderName says whether name is a header's in lower case, RFC 9110 §5.1.
func isHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return name != ""
}
