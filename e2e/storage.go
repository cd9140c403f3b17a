package e2e

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// storage is an S3-compatible store besides the one in the server under test.
type storage struct {
	endpoint                     string // such as http://127.0.0.1:9000
	accessKeyID, secretAccessKey string
	dir                          string // of its buckets; empty when they must be fetched
}

// external is the storage that the environment names, nil when it names none.
var external *storage

// findExternal reads the environment.
func findExternal() (*storage, error) {
	endpoint := os.Getenv("S3_ENDPOINT")
	if endpoint == "" {
		return nil, nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("S3_ENDPOINT is %q, not such as http://127.0.0.1:9000", endpoint)
	}
	return &storage{
		endpoint:    strings.TrimRight(endpoint, "/"),
		accessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), secretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}, nil
}

// address is the storage's host and port.
func (st *storage) address() string { return strings.TrimPrefix(st.endpoint, "http://") }

// environment is what a program must know to use the storage.
func (st *storage) environment() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + st.accessKeyID, "AWS_SECRET_ACCESS_KEY=" + st.secretAccessKey, "AWS_EC2_METADATA_DISABLED=true"}
}

// otherStorage is a storage besides the one in the server under test: the
// environment's, else that of another server.
func otherStorage(t testing.TB) *storage {
	t.Helper()
	if external != nil {
		return external
	}
	s := startServer(t)
	who, err := s.config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &storage{"http://" + s.at.S3, who.AccessKeyID, who.SecretAccessKey, filepath.Join(s.dir, "buckets")}
}

// bucketDir is the server's bucket as a folder, with all below a prefix as it
// is now.
func (s *server) bucketDir(prefix string) string {
	s.t.Helper()
	switch {
	case s.storage == nil:
		return filepath.Join(s.dir, "buckets", s.bucket)
	case s.storage.dir != "":
		return filepath.Join(s.storage.dir, s.bucket)
	}
	dir := filepath.Join(s.dir+".mirror", s.bucket)
	s.mirror(prefix, dir)
	return dir
}

// mirror brings a folder in line with the bucket.
func (s *server) mirror(prefix, dir string) {
	s.t.Helper()
	client := s.s3()
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range page.Contents {
			path := filepath.Join(dir, filepath.FromSlash(*o.Key))
			// What is stored again is newer; S3 tells the time in seconds.
			if info, err := os.Stat(path); err == nil && info.Size() == *o.Size && info.ModTime().After(o.LastModified.Add(2*time.Second)) {
				continue
			}
			got, err := client.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: o.Key})
			if err != nil {
				s.t.Fatal(err)
			}
			text, err := io.ReadAll(got.Body)
			got.Body.Close()
			if err == nil {
				err = os.MkdirAll(filepath.Dir(path), 0o700)
			}
			if err == nil {
				err = os.WriteFile(path, text, 0o600)
			}
			if err != nil {
				s.t.Fatal(err)
			}
		}
	}
}
