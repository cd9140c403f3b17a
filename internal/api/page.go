package api

import (
	"encoding/json"
	"fmt"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

// Listing is one call of an operation that lists page by page.
type Listing struct {
	Operation string
	Query     any    // what narrows the list; made into JSON
	NextToken string // as the caller gave it, empty for the first page
	Size      int    // of the page
}

// List reads a page of a list and makes the token that leads to the next one,
// empty at the end. The token is a position that read returned, sealed: it is
// good for the same operation with the same query only, and Invalid otherwise.
func List[T any](sealer *auth.Sealer, l Listing, read func(resource.Page) ([]T, string, error)) (items []T, nextToken string, err error) {
	query, err := json.Marshal(l.Query)
	if err != nil {
		return nil, "", fmt.Errorf("encode query of %s: %w", l.Operation, err)
	}
	purpose := "page " + l.Operation + " " + string(query)
	page := resource.Page{Size: l.Size}
	if l.NextToken != "" {
		after, err := sealer.Open(purpose, l.NextToken)
		if err != nil {
			return nil, "", invalid("nextToken", "is not a token of this list")
		}
		page.After = string(after)
	}
	items, next, err := read(page)
	if err != nil || next == "" {
		return items, "", err
	}
	return items, sealer.Seal(purpose, []byte(next)), nil
}
