package objectstore

import (
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// publicPrefix is where recordings lie in a bucket.
const publicPrefix = "ivs/"

// listParameters are what a public list may ask for.
var listParameters = map[string]bool{
	"list-type": true, "prefix": true, "delimiter": true, "max-keys": true,
	"continuation-token": true, "start-after": true, "encoding-type": true,
}

// anonymousRead says whether r carries no signature and only reads what
// recordings hold: one object, or a list (ListObjectsV2).
func anonymousRead(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	query := r.URL.Query()
	if r.Header.Get("Authorization") != "" || query.Has("X-Amz-Algorithm") || query.Has("AWSAccessKeyId") {
		return false
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket == "" {
		return false
	}
	if key != "" {
		// Each other parameter names another resource, such as ?tagging.
		return r.URL.RawQuery == "" && strings.HasPrefix(key, publicPrefix) && path.Clean("/"+key) == "/"+key
	}
	for name := range query {
		if !listParameters[name] {
			return false
		}
	}
	return query.Get("list-type") == "2" && strings.HasPrefix(query.Get("prefix"), publicPrefix)
}

// sign signs r as the store's own account.
func (cfg *ServeConfig) sign(r *http.Request) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			r.Header.Del(name)
		}
	}
	const unsigned = "UNSIGNED-PAYLOAD"
	r.Header.Set("X-Amz-Content-Sha256", unsigned)
	who := aws.Credentials{AccessKeyID: cfg.AccessKeyID, SecretAccessKey: cfg.SecretAccessKey}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(r.Context(), who, r, unsigned, "s3", cfg.Region, time.Now()); err != nil {
		// Unsigned as it is, the gateway refuses it.
		cfg.Log.Warn("public read of a recording cannot be signed", "error", err)
	}
}
