package auth

import (
	"errors"
	"fmt"
	"strings"
)

// signature is what an Authorization header says:
//
//	AWS4-HMAC-SHA256 Credential=<access key id>/<date>/<region>/<service>/aws4_request,
//	                 SignedHeaders=<name>;<name>;…, Signature=<64 hex digits>
type signature struct {
	accessKeyID   string
	date          string // YYYYMMDD
	region        string
	service       string
	signedHeaders []string // lower case, ascending
	hex           string   // lower case
}

// scope is the credential scope, as it is signed.
func (s *signature) scope() string {
	return strings.Join([]string{s.date, s.region, s.service, terminator}, "/")
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
	if scheme != algorithm {
		return nil, fmt.Errorf("does not begin with %s", algorithm)
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

	s := &signature{hex: params["Signature"]}
	if err := s.readCredential(params["Credential"]); err != nil {
		return nil, err
	}
	s.signedHeaders = strings.Split(params["SignedHeaders"], ";")
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
	if len(parts) != 5 || parts[4] != terminator {
		return errors.New("the Credential is not of the form <access key id>/YYYYMMDD/<region>/<service>/" + terminator)
	}
	s.accessKeyID, s.date, s.region, s.service = parts[0], parts[1], parts[2], parts[3]
	if s.accessKeyID == "" || len(s.accessKeyID) > 128 {
		return errors.New("the access key id in Credential does not have 1 to 128 characters")
	}
	if len(s.date) != 8 || strings.Trim(s.date, "0123456789") != "" {
		return errors.New("the date in Credential is not of the form YYYYMMDD")
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
