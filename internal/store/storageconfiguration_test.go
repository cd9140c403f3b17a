package store

import (
	"reflect"
	"testing"

	"anabranch/internal/resource"
)

func (f *fixture) storage(name string) resource.StorageConfiguration {
	f.t.Helper()
	c := resource.StorageConfiguration{
		ARN:  place.ARN(resource.KindStorageConfiguration, resource.NewID()),
		Name: name,
		S3:   resource.S3StorageConfiguration{BucketName: "vod-bucket"},
		Tags: resource.Tags{},
	}
	f.must(f.CreateStorageConfiguration(f.t.Context(), c))
	return c
}

// That a stage keeps its storage configuration is among the tests of stages.
func TestStorageConfigurations(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	a, b := f.storage(""), f.storage("it's")
	for _, want := range []resource.StorageConfiguration{a, b} {
		if got, err := f.StorageConfiguration(ctx, want.ARN); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("storage configuration is\n%+v, %v; want\n%+v", got, err, want)
		}
	}
	f.must(f.DeleteStorageConfiguration(ctx, a.ARN))
	wantKind(t, f.DeleteStorageConfiguration(ctx, a.ARN), resource.NotFound)
	_, err := f.StorageConfiguration(ctx, a.ARN)
	wantKind(t, err, resource.NotFound)
}
