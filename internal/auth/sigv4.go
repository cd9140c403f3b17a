package auth

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SigV4 verifies AWS Signature Version 4 as the Authorization header carries
// it.
//
// The verifier builds the canonical request from what came over the wire, byte
// for byte: path and query as they were sent, and the headers that the client
// says it signed. Only for comparing are they brought into one form, the same
// one the client signed.
type SigV4 struct {
	Region  string // such as "us-east-1"; signatures for others are refused
	Service string // the signing name, such as "ivs"
	// Secret finds the secret of an access key. It may be called from several
	// goroutines at once.
	Secret func(accessKeyID string) (secret string, ok bool)
}

// SignatureError says why a request was not let in. Its text is meant for who
// sent it.
type SignatureError struct {
	Exception string // one of the exception names below
	Msg       string
}

func (e *SignatureError) Error() string { return e.Msg }

// The exceptions of a [SignatureError].
const (
	MissingAuthenticationToken = "MissingAuthenticationTokenException" // no signature at all
	IncompleteSignature        = "IncompleteSignatureException"        // one that cannot be read
	UnrecognizedClient         = "UnrecognizedClientException"         // an unknown access key
	InvalidSignature           = "InvalidSignatureException"           // the wrong one, or not now
)

func refuse(exception, format string, args ...any) error {
	return &SignatureError{Exception: exception, Msg: fmt.Sprintf(format, args...)}
}

// maxSkew is how far a request's time may be from ours.
const maxSkew = 15 * time.Minute

// Verify tells who signed r, whose body it is given, by their access key id.
// An error is a *[SignatureError].
func (v *SigV4) Verify(r *http.Request, body []byte) (accessKeyID string, err error) {
	switch len(r.Header["Authorization"]) {
	case 0:
		return "", refuse(MissingAuthenticationToken, "Missing Authentication Token")
	case 1:
	default:
		return "", refuse(IncompleteSignature, "Authorization header: more than one")
	}
	sig, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return "", refuse(IncompleteSignature, "Authorization header: %v", err)
	}
	at, err := signingTime(r)
	if err != nil {
		return "", err
	}
	bodyHash := sha256.Sum256(body)
	hash := hex.EncodeToString(bodyHash[:])
	if told, ok := r.Header["X-Amz-Content-Sha256"]; ok && (len(told) != 1 || told[0] != hash) {
		return "", refuse(InvalidSignature, "x-amz-content-sha256 is not the SHA-256 hash of the body")
	}
	if err := v.verify(r, sig, at, hash); err != nil {
		return "", err
	}
	return sig.accessKeyID, nil
}

// verify checks a signature made at a time over r and its body's hash.
func (v *SigV4) verify(r *http.Request, sig *signature, at time.Time, bodyHash string) error {
	secret, ok := v.Secret(sig.accessKeyID)
	if !ok {
		return refuse(UnrecognizedClient, "The security token included in the request is invalid: unknown access key id")
	}
	if err := v.checkScope(sig, at); err != nil {
		return err
	}
	if err := checkSigned(r, sig.signedHeaders); err != nil {
		return err
	}
	headers, err := canonicalHeaders(r, sig.signedHeaders)
	if err != nil {
		return err
	}
	path, rawQuery := requestTarget(r)
	queries, err := canonicalQueries(rawQuery)
	if err != nil {
		return refuse(InvalidSignature, "query: %v", err)
	}

	key := signingKey(secret, sig.date, sig.region, sig.service)
	for _, query := range queries {
		canonical := strings.Join([]string{
			r.Method, escape(path, '/'), query, headers, strings.Join(sig.signedHeaders, ";"), bodyHash,
		}, "\n")
		hash := sha256.Sum256([]byte(canonical))
		want := hex.EncodeToString(mac(key, strings.Join([]string{
			algorithm, at.Format(timeFormat), sig.scope(), hex.EncodeToString(hash[:]),
		}, "\n")))
		if subtle.ConstantTimeCompare([]byte(want), []byte(sig.hex)) == 1 {
			return nil
		}
	}
	return refuse(InvalidSignature, "The request signature we calculated does not match the signature you provided. "+
		"Check your secret access key and signing method.")
}

// checkScope checks what the signature is good for.
func (v *SigV4) checkScope(sig *signature, at time.Time) error {
	now := time.Now().UTC()
	switch {
	case sig.date != at.Format(dateFormat):
		return refuse(InvalidSignature, "Date in Credential scope does not match YYYYMMDD from X-Amz-Date")
	case sig.region != v.Region:
		return refuse(InvalidSignature, "Credential should be scoped to region %q", v.Region)
	case sig.service != v.Service:
		return refuse(InvalidSignature, "Credential should be scoped to service %q", v.Service)
	case at.Before(now.Add(-maxSkew)):
		return refuse(InvalidSignature, "Signature expired: %s is more than 15 min. before %s",
			at.Format(timeFormat), now.Format(timeFormat))
	case at.After(now.Add(maxSkew)):
		return refuse(InvalidSignature, "Signature not yet current: %s is more than 15 min. after %s",
			at.Format(timeFormat), now.Format(timeFormat))
	}
	return nil
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// signingTime is when r says that it was signed.
func signingTime(r *http.Request) (time.Time, error) {
	told := r.Header["X-Amz-Date"]
	if len(told) != 1 {
		return time.Time{}, refuse(IncompleteSignature, "a signed request needs one X-Amz-Date header")
	}
	at, err := time.Parse(timeFormat, told[0])
	if err != nil || at.Format(timeFormat) != told[0] { // Parse takes fractions of a second, too
		return time.Time{}, refuse(IncompleteSignature, "X-Amz-Date must be of the form YYYYMMDDTHHMMSSZ")
	}
	return at, nil
}

// checkSigned refuses requests that leave open what must be signed: a header
// that is not could be changed by whoever carries the request.
func checkSigned(r *http.Request, signed []string) error {
	must := []string{"host", "x-amz-date"}
	for name := range r.Header {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			must = append(must, name)
		}
	}
	for _, name := range must {
		if !slices.Contains(signed, name) {
			return refuse(InvalidSignature, "header %q must be signed", name)
		}
	}
	return nil
}

// canonicalHeaders has a line for each signed header; several values of one
// are joined, and runs of white space become one space.
func canonicalHeaders(r *http.Request, signed []string) (string, error) {
	var b strings.Builder
	for _, name := range signed {
		values := r.Header[http.CanonicalHeaderKey(name)]
		switch {
		case name == "host": // net/http takes it out of the headers
			values = []string{r.Host}
		case name == "content-length" && len(values) == 0 && r.ContentLength >= 0:
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		case len(values) == 0:
			return "", refuse(InvalidSignature, "header %q is signed but was not sent", name)
		}
		b.WriteString(name)
		for i, value := range values {
			b.WriteByte(":,"[min(i, 1)])
			b.WriteString(strings.Join(strings.Fields(value), " "))
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// requestTarget is path and query as they were sent.
func requestTarget(r *http.Request) (path, query string) {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, query, _ = strings.Cut(r.RequestURI, "?")
		return path, query
	}
	return r.URL.EscapedPath(), r.URL.RawQuery // a proxy's absolute form
}

// canonicalQueries are the forms in which a query may have been signed: its
// pairs are ordered by name and value once they are escaped, but some SDKs
// order them before, and send them so.
func canonicalQueries(raw string) ([]string, error) {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, err
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{escape(name, 0), escape(value, 0)})
	}
	join := func() string {
		var b strings.Builder
		for i, p := range pairs {
			if i > 0 {
				b.WriteByte('&')
			}
			b.WriteString(p.name + "=" + p.value)
		}
		return b.String()
	}
	asSent := join()
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	return slices.Compact([]string{join(), asSent}), nil
}

// escape writes every byte as %XX but RFC 3986's unreserved characters and
// keep. A path arrives escaped and is escaped once more: only S3 does not.
func escape(s string, keep byte) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for _, c := range []byte(s) {
		if isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 || c == keep && keep != 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// signingKey is good for a day, a region and a service, and tells nothing of
// the secret.
func signingKey(secret, date, region, service string) []byte {
	key := []byte("AWS4" + secret)
	for _, step := range []string{date, region, service, terminator} {
		key = mac(key, step)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
