package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// SigV4 verifies AWS Signature Version 4, in the Authorization header or in
// the query, for every service but S3.
//
// The verifier builds the canonical request from what came over the wire, byte
// for byte: path and query as they were sent, and the headers that the client
// says it signed. Only for comparing are they brought into one form, the same
// one the client signed.
//
// As on AWS, a signed request that somebody copied can be sent again, unchanged,
// until its signature expires: it belongs inside TLS.
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

// IsSigned says whether r claims to be signed, rightly or not.
func IsSigned(r *http.Request) bool {
	return r.Header["Authorization"] != nil || inQuery(r.URL.Query())
}

// Verify tells who signed r, by their access key id. It asks for the body when
// all else is in order but the signature, so that strangers' are not kept. An
// error is a *[SignatureError], or body's.
func (v *SigV4) Verify(r *http.Request, body func() ([]byte, error)) (accessKeyID string, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", refuse(InvalidSignature, "query: %v", err)
	}
	sig, err := readSignature(r, query)
	if err != nil {
		return "", err
	}
	if r.Header["X-Amz-Security-Token"] != nil || query["X-Amz-Security-Token"] != nil {
		return "", refuse(UnrecognizedClient, "The security token included in the request is invalid: "+
			"this server gives out no temporary credentials, so leave X-Amz-Security-Token out")
	}
	secret, ok := v.Secret(sig.accessKeyID)
	if !ok {
		return "", refuse(UnrecognizedClient, "The security token included in the request is invalid: unknown access key id")
	}
	if err := v.checkScope(sig); err != nil {
		return "", err
	}
	if err := sig.checkTime(time.Now().UTC()); err != nil {
		return "", err
	}
	sent, err := body()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(sent)
	bodyHash := hex.EncodeToString(sum[:])
	for _, told := range [][]string{r.Header["X-Amz-Content-Sha256"], query["X-Amz-Content-Sha256"]} {
		if told != nil && (len(told) != 1 || told[0] != bodyHash) {
			return "", refuse(InvalidSignature, "X-Amz-Content-Sha256 is not the SHA-256 hash of the body; the body must be signed")
		}
	}
	if err := sig.verify(r, secret, bodyHash); err != nil {
		return "", err
	}
	return sig.accessKeyID, nil
}

// verify compares the signature with the one that secret makes of r.
func (s *signature) verify(r *http.Request, secret, bodyHash string) error {
	if err := s.checkSigned(r); err != nil {
		return err
	}
	headers, err := canonicalHeaders(r, s.signedHeaders)
	if err != nil {
		return err
	}
	key := signingKey(secret, s.date, s.region, s.service)
	for _, query := range canonicalQueries(r.URL.RawQuery) {
		canonical := strings.Join([]string{
			r.Method, canonicalPath(r), query, headers, strings.Join(s.signedHeaders, ";"), bodyHash,
		}, "\n")
		hash := sha256.Sum256([]byte(canonical))
		want := hex.EncodeToString(mac(key, strings.Join([]string{
			algorithm, s.at.Format(timeFormat), s.scope(), hex.EncodeToString(hash[:]),
		}, "\n")))
		if subtle.ConstantTimeCompare([]byte(want), []byte(s.hex)) == 1 {
			return nil
		}
	}
	return refuse(InvalidSignature, "The request signature we calculated does not match the signature you provided. "+
		"Check your secret access key and signing method. The request came for host %q, which has to be the one that was signed: "+
		"a proxy must not change it.", r.Host)
}

// checkScope checks where the signature is good for.
func (v *SigV4) checkScope(s *signature) error {
	switch {
	case s.terminator != terminator:
		return refuse(InvalidSignature, "Credential should be scoped with a valid terminator: %q", terminator)
	case s.date != s.at.Format(dateFormat):
		return refuse(InvalidSignature, "Date in Credential scope does not match YYYYMMDD from X-Amz-Date")
	case s.region != v.Region:
		return refuse(InvalidSignature, "Credential should be scoped to region %q", v.Region)
	case s.service != v.Service:
		return refuse(InvalidSignature, "Credential should be scoped to service %q", v.Service)
	}
	return nil
}

// maxSkew is how far a request's time may be from ours.
const maxSkew = 15 * time.Minute

// checkTime checks when the signature is good for: one in the query until it
// expires, by its own account.
func (s *signature) checkTime(now time.Time) error {
	switch {
	case s.at.After(now.Add(maxSkew)):
		return refuse(InvalidSignature, "Signature not yet current: %s is more than 15 min. after %s",
			s.at.Format(timeFormat), now.Format(timeFormat))
	case s.expires > 0 && s.at.Add(s.expires).Before(now):
		return refuse(InvalidSignature, "Signature expired: %s and X-Amz-Expires are before %s",
			s.at.Format(timeFormat), now.Format(timeFormat))
	case s.expires == 0 && s.at.Before(now.Add(-maxSkew)):
		return refuse(InvalidSignature, "Signature expired: %s is more than 15 min. before %s",
			s.at.Format(timeFormat), now.Format(timeFormat))
	}
	return nil
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
