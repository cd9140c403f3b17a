package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Reading says which part of an object is wanted, and under which conditions
// (RFC 9110 §13 and §14). Members left empty ask for all of it, whatever it is.
type Reading struct {
	Range                string // such as "bytes=0-99"
	IfMatch, IfNoneMatch string // entity tags
	HeadOnly             bool   // without the body
}

// Piece is what there is of an object.
type Piece struct {
	Body     io.ReadCloser // empty with [Reading.HeadOnly]; the caller closes it
	Size     int64         // of Body, or of what it would be; -1 where the store does not tell
	Range    string        // Content-Range, when it is a part of the object
	ETag     string
	Modified time.Time
}

// Why there is no piece of an object.
var (
	ErrNotFound    = errors.New("there is no such object")
	ErrNotModified = errors.New("the object has the entity tag of If-None-Match")
	ErrChanged     = errors.New("the object does not have the entity tag of If-Match")
	ErrRange       = errors.New("the object ends before the range")
)

// Read opens an object or a part of it, which is not read ahead. Reading it is
// given up when the store sends nothing for a minute.
func (c *Client) Read(ctx context.Context, bucket, key string, want Reading) (*Piece, error) {
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	if want.HeadOnly {
		out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{
			Bucket: &bucket, Key: &key,
			Range: optional(want.Range), IfMatch: optional(want.IfMatch), IfNoneMatch: optional(want.IfNoneMatch),
		})
		if err != nil {
			return nil, fmt.Errorf("read object %s/%s: %w", bucket, key, readError(err))
		}
		return &Piece{http.NoBody, length(out.ContentLength), aws.ToString(out.ContentRange),
			aws.ToString(out.ETag), aws.ToTime(out.LastModified)}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &bucket, Key: &key,
		Range: optional(want.Range), IfMatch: optional(want.IfMatch), IfNoneMatch: optional(want.IfNoneMatch),
	})
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("read object %s/%s: %w", bucket, key, readError(err))
	}
	stalled := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	stalled.Stop() // until something is waited for
	return &Piece{&arriving{out.Body, ctx, cancel, stalled}, length(out.ContentLength), aws.ToString(out.ContentRange),
		aws.ToString(out.ETag), aws.ToTime(out.LastModified)}, nil
}

// arriving is a body that ends with errStalled where the store stalls.
type arriving struct {
	io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stalled *time.Timer
}

func (a *arriving) Read(b []byte) (int, error) {
	a.stalled.Reset(stallTimeout)
	defer a.stalled.Stop()
	n, err := a.ReadCloser.Read(b)
	if err != nil && errors.Is(context.Cause(a.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (a *arriving) Close() error {
	defer a.cancel(nil)
	return a.ReadCloser.Close()
}

func length(told *int64) int64 {
	if told == nil {
		return -1
	}
	return *told
}

// Walk tells f of the objects whose keys begin with prefix, in the keys' order,
// until f returns false.
func (c *Client) Walk(ctx context.Context, bucket, prefix string, f func(Object) bool) error {
	pages := s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list objects %s/%s: %w", bucket, prefix, err)
		}
		for _, o := range page.Contents {
			if !f(Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}) {
				return nil
			}
		}
	}
	return nil
}

// readError is the reason behind a store's answer, err itself if it is none of
// those above.
func readError(err error) error {
	switch status(err) {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusNotModified:
		return ErrNotModified
	case http.StatusPreconditionFailed:
		return ErrChanged
	case http.StatusRequestedRangeNotSatisfiable:
		return ErrRange
	}
	return err
}
