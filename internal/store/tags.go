package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// maxTags is how many tags a resource may have.
const maxTags = 50

// tagged says where the resources that have tags are stored: each keeps its own
// in its row.
var tagged = map[string]string{
	resource.KindChannel:                   "channels",
	resource.KindStreamKey:                 "stream_keys",
	resource.KindRecordingConfiguration:    "recording_configurations",
	resource.KindPlaybackKeyPair:           "playback_key_pairs",
	resource.KindPlaybackRestrictionPolicy: "playback_restriction_policies",
	resource.KindAdConfiguration:           "ad_configurations",
	resource.KindStage:                     "stages",
	resource.KindPublicKey:                 "public_keys",
	resource.KindIngestConfiguration:       "ingest_configurations",
	resource.KindEncoderConfiguration:      "encoder_configurations",
	resource.KindStorageConfiguration:      "storage_configurations",
}

// Tags reads the tags of any resource; NotFound when there is none.
func (s *Store) Tags(ctx context.Context, arn resource.ARN) (resource.Tags, error) {
	tags, err := findTags(ctx, s.reader, arn)
	return tags, explain(err, fmt.Sprintf("read tags of %s", arn))
}

// TagResource adds tags to a resource, replacing those with the same key. More
// than 50 in sum are Invalid.
func (s *Store) TagResource(ctx context.Context, arn resource.ARN, tags resource.Tags) error {
	return s.changeTags(ctx, arn, func(have resource.Tags) error {
		maps.Copy(have, tags)
		if len(have) > maxTags {
			return resource.Errorf(resource.Invalid,
				"tags: %s would have %d, and may have %d", arn, len(have), maxTags)
		}
		return nil
	})
}

// UntagResource removes the tags with the given keys; those it does not have
// are ignored.
func (s *Store) UntagResource(ctx context.Context, arn resource.ARN, keys []string) error {
	return s.changeTags(ctx, arn, func(have resource.Tags) error {
		for _, k := range keys {
			delete(have, k)
		}
		return nil
	})
}

func (s *Store) changeTags(ctx context.Context, arn resource.ARN, change func(resource.Tags) error) error {
	return s.change(ctx, fmt.Sprintf("change tags of %s", arn), func(ctx context.Context, tx bun.Tx) error {
		tags, err := findTags(ctx, tx, arn)
		if err != nil {
			return err
		}
		if err := change(tags); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Table(tagged[arn.Kind()]).Set("tags = ?", tags).Where("arn = ?", arn).Exec(ctx)
		return err
	})
}

func findTags(ctx context.Context, db bun.IDB, arn resource.ARN) (resource.Tags, error) {
	table, ok := tagged[arn.Kind()]
	if !ok {
		return nil, resource.NotFoundError(arn)
	}
	var row struct {
		Tags resource.Tags `bun:"tags"`
	}
	err := db.NewSelect().Table(table).Column("tags").Where("arn = ?", arn).Scan(ctx, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, resource.NotFoundError(arn)
	}
	return row.Tags, err
}

// someTags is t, or no tags when it is nil, which would be stored as NULL.
func someTags(t resource.Tags) resource.Tags {
	if t == nil {
		return resource.Tags{}
	}
	return t
}
