package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// probeKey is where Check writes. It lies where recordings do, so that rights
// limited to them suffice.
const probeKey = "ivs/write-check"

// Check finds out whether bucket can be recorded to: it exists, lies in the
// client's region where the store tells one, and takes an object. The error's
// text is a reason a person can act on; [Refused] tells whether it stands.
func (c *Client) Check(ctx context.Context, bucket string) error {
	head, err := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	if err != nil {
		return c.explain(bucket, "read", err)
	}
	if region := aws.ToString(head.BucketRegion); region != "" && region != c.region {
		return c.elsewhere(bucket, region)
	}
	probe := aws.String(probeKey)
	if err := c.put(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: probe, Body: bytes.NewReader(nil)}); err != nil {
		return c.explain(bucket, "written to", err)
	}
	_, err = c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: probe})
	// Recording deletes nothing, so it needs no right to.
	if err != nil && status(err) != http.StatusForbidden && status(err) != http.StatusNotFound {
		return c.explain(bucket, "deleted from", err)
	}
	return nil
}

// Refused says whether err is the store's last word: it understood the request
// and will not do it. False means that a later attempt may succeed: the network
// failed, or the store is overloaded or out of order.
func Refused(err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		return true
	}
	var answer smithy.APIError
	if errors.As(err, &answer) && passing[answer.ErrorCode()] {
		return false
	}
	s := status(err)
	return s >= 300 && s < 500 && s != http.StatusRequestTimeout && s != http.StatusTooManyRequests
}

// NoBucket says whether err tells that a bucket does not exist.
func NoBucket(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == "NoSuchBucket"
}

// passing are refusals that end by themselves: credentials are being renewed, a
// clock is being set, bytes were falsified on their way, a bucket is being made.
var passing = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "InvalidToken": true,
	"RequestTimeTooSkewed": true, "RequestExpired": true, "RequestTimeout": true, "SlowDown": true,
	"BadDigest": true, "XAmzContentSHA256Mismatch": true, "XAmzContentChecksumMismatch": true, "IncompleteBody": true,
	"OperationAborted": true,
}

// refusal is what Check found out itself.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// status is the HTTP status of a store's answer, 0 when there was none.
func status(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// explain words an error of the store for people.
func (c *Client) explain(bucket, what string, err error) error {
	var answer *smithyhttp.ResponseError
	switch s := status(err); {
	case s == 0:
		return fmt.Errorf("the object store cannot be reached: %w", err)
	case s == http.StatusNotFound:
		return fmt.Errorf("bucket %s does not exist: %w", bucket, err)
	case s == http.StatusForbidden:
		return fmt.Errorf("bucket %s must not be %s, access denied: %w", bucket, what, err)
	case s < 500 && errors.As(err, &answer):
		// A request that was signed for another region is redirected or bad.
		if region := answer.Response.Header.Get("X-Amz-Bucket-Region"); region != "" && region != c.region {
			return c.elsewhere(bucket, region)
		}
	}
	return fmt.Errorf("bucket %s cannot be %s: %w", bucket, what, err)
}

func (c *Client) elsewhere(bucket, region string) error {
	return &refusal{fmt.Sprintf("bucket %s is in region %s, not in %s", bucket, region, c.region)}
}
