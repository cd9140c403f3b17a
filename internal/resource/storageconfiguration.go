package resource

// StorageConfiguration names a bucket for the recordings of stages. It never
// changes but for its tags.
type StorageConfiguration struct {
	ARN  ARN                    `json:"arn"`
	Name string                 `json:"name"`
	S3   S3StorageConfiguration `json:"s3"`
	Tags Tags                   `json:"tags"`
}

// S3StorageConfiguration names a bucket.
type S3StorageConfiguration struct {
	BucketName string `json:"bucketName"`
}

// FillDefaults sets every member left empty to its documented default.
func (c *StorageConfiguration) FillDefaults() {
	if c.Tags == nil {
		c.Tags = Tags{}
	}
}
