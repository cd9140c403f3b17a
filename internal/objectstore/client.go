// Package objectstore keeps objects in buckets, over S3.
//
//	recorder → Client ──────────────────────────→ AWS S3, MinIO, Ceph, …
//	                  └→ Serve: proxy → gateway → <Dir>/<bucket>/<key>
//
// There is one way to store: the S3 protocol. [Serve] is an S3 endpoint inside
// this process, for those who have no other; a [Client] speaks to it as to any
// other, and needs to know only that it must sync the files itself.
package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Config says which store a [Client] speaks to, and as whom.
type Config struct {
	// Endpoint is the store's base URL; empty for AWS itself.
	Endpoint string
	// Region is the store's region; empty for what the AWS_REGION variable or
	// the shared configuration says.
	Region string
	// AccessKeyID and the two after it are static credentials. When
	// AccessKeyID is empty the SDK reads its environment for credentials and
	// all that is not given here.
	AccessKeyID, SecretAccessKey, SessionToken string
	// PathStyle puts the bucket in the path, not in the host name.
	PathStyle bool
	// Root is the folder of an embedded store's buckets, an absolute path. Put
	// syncs what it wrote there. Empty for any other store.
	Root string
}

// Bounds of one exchange with a store.
const (
	dialTimeout     = 10 * time.Second
	responseTimeout = time.Minute // from the request's last byte to the answer's first
	writeBuffer     = 256 << 10   // of a connection: it goes out within responseTimeout at 5 kB/s
)

// Client is an S3 client. Its methods may be called from several goroutines
// at once. [Refused] tells what an error means for a later attempt.
type Client struct {
	s3     *s3.Client
	root   string
	region string
	sums   sync.Map // the buckets whose ETags are MD5 sums
}

// New makes a client; it does not speak to the store yet.
func New(ctx context.Context, cfg Config) (*Client, error) {
	loaded := aws.Config{
		Region:      cfg.Region,
		Credentials: credentials.NewStaticCredentialsProvider(cfg.AccessKeyID, cfg.SecretAccessKey, cfg.SessionToken),
	}
	if cfg.AccessKeyID == "" {
		var err error
		if loaded, err = config.LoadDefaultConfig(ctx, config.WithRegion(cfg.Region)); err != nil {
			return nil, fmt.Errorf("load AWS configuration: %w", err)
		}
	}
	if loaded.Region == "" {
		return nil, errors.New("no region is set for S3")
	}
	loaded.HTTPClient = awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			dial := t.DialContext
			t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				if tcp, ok := conn.(*net.TCPConn); ok {
					// Else the kernel takes megabytes at once, and what is slow
					// looks as if it had stalled.
					_ = tcp.SetWriteBuffer(writeBuffer)
				}
				return conn, err
			}
			t.ResponseHeaderTimeout = responseTimeout
			if cfg.Root != "" {
				t.Proxy = nil // it is this process
			}
		})
	// Many S3-compatible stores know nothing of the newer checksums.
	loaded.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	loaded.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		o.UsePathStyle = cfg.PathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
		if cfg.Root != "" {
			// Nothing between this process and itself falsifies bytes. Hashing
			// them, here and there, would be a tenth of what a recording costs.
			o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		}
	})
	return &Client{s3: client, root: cfg.Root, region: loaded.Region}, nil
}

// Get opens the object under key. The caller closes it.
func (c *Client) Get(ctx context.Context, bucket, key string) (io.ReadCloser, error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("get object %s/%s: %w", bucket, key, err)
	}
	return out.Body, nil
}

// Object is an entry of a list.
type Object struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// List lists the objects whose keys begin with prefix, in the keys' order.
func (c *Client) List(ctx context.Context, bucket, prefix string) (objects []Object, err error) {
	err = c.Walk(ctx, bucket, prefix, func(o Object) bool {
		objects = append(objects, o)
		return true
	})
	return objects, err
}

// CreateBucket makes a bucket in the client's region. It is no error when the
// caller owns one of that name.
func (c *Client) CreateBucket(ctx context.Context, bucket string) error {
	in := &s3.CreateBucketInput{Bucket: &bucket}
	// us-east-1 is the one region that must not be named.
	if c.region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(c.region),
		}
	}
	_, err := c.s3.CreateBucket(ctx, in)
	var owned *types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &owned) {
		return fmt.Errorf("create bucket %s: %w", bucket, err)
	}
	if err := c.sync(bucket); err != nil {
		return fmt.Errorf("sync bucket %s: %w", bucket, err)
	}
	return nil
}

// sync makes a file of the embedded store durable, and its name: the entry in
// each folder up to the root, any of which the store may have just made.
func (c *Client) sync(name string) error {
	if c.root == "" {
		return nil
	}
	root, err := os.OpenRoot(c.root)
	if err != nil {
		return err
	}
	defer root.Close()
	for ; ; name = path.Dir(name) {
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil || name == "." {
			return err
		}
	}
}
