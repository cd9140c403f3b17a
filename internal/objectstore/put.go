package objectstore

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// stallTimeout is how long a Put or a Read goes on without progress.
const stallTimeout = time.Minute

var errStalled = fmt.Errorf("no progress for %v", stallTimeout)

// Put stores body under key, replacing what was there. body is read from where
// it stands to its end, more than once and never whole into memory. After a nil
// error the object is durable, and the store has the bytes that were sent; after
// any other, readers see the old object or the new one, never a mixture. Put
// makes a few attempts, and gives up when nothing has moved for a minute: what
// is slow may take as long as it takes.
func (c *Client) Put(ctx context.Context, bucket, key, contentType string, body io.ReadSeeker) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stalled.Stop()
	in := &s3.PutObjectInput{
		Bucket:      &bucket,
		Key:         &key,
		ContentType: &contentType,
		Body:        &moving{body, stalled},
	}
	if err := c.put(ctx, in); err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = errStalled
		}
		return fmt.Errorf("put object %s/%s: %w", bucket, key, err)
	}
	if err := c.sync(path.Join(bucket, key)); err != nil {
		return fmt.Errorf("sync object %s/%s: %w", bucket, key, err)
	}
	return nil
}

// put makes the request of a Put. Stores that do not look at the hash that is
// signed look at Content-MD5, and so does S3 where objects are locked.
func (c *Client) put(ctx context.Context, in *s3.PutObjectInput) error {
	if c.root != "" { // it is this process
		_, err := c.s3.PutObject(ctx, in)
		return err
	}
	sum, err := md5Of(in.Body.(io.ReadSeeker))
	if err != nil {
		return err
	}
	in.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(sum))
	out, err := c.s3.PutObject(ctx, in)
	if err != nil {
		return err
	}
	return c.compare(*in.Bucket, aws.ToString(out.ETag), string(out.ServerSideEncryption), sum)
}

// md5Of is the checksum of what is left of body, which stands where it stood
// afterwards.
func md5Of(body io.ReadSeeker) ([]byte, error) {
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("find start of object: %w", err)
	}
	h := md5.New()
	if _, err := io.Copy(h, body); err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	if _, err := body.Seek(start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind object: %w", err)
	}
	return h.Sum(nil), nil
}

// compare is an error when the ETag of a stored object says that it has other
// bytes than were sent. Many stores' ETags are MD5 sums and some only look like
// them, so a bucket's ETag counts once another has matched.
func (c *Client) compare(bucket, etag, encryption string, sum []byte) error {
	got := strings.Trim(etag, `"`)
	switch {
	case len(got) != hex.EncodedLen(md5.Size) || encryption != "" && encryption != "AES256":
		return nil
	case strings.EqualFold(got, hex.EncodeToString(sum)):
		c.sums.Store(bucket, true)
		return nil
	}
	if _, sums := c.sums.Load(bucket); !sums {
		return nil
	}
	return fmt.Errorf("the store has other bytes than were sent: ETag %s, not %x", got, sum)
}

// moving is a body that puts off the end of a Put while it is read.
type moving struct {
	io.ReadSeeker
	stalled *time.Timer
}

func (m *moving) Read(b []byte) (int, error) {
	m.stalled.Reset(stallTimeout)
	return m.ReadSeeker.Read(b)
}
