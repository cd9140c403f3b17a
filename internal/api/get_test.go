package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"anabranch/internal/auth"
)

type shelfInput struct {
	Author string   `json:"author" shape:"Name,query"`
	Most   int      `json:"most" shape:"Most,query"`
	New    *bool    `json:"new" shape:",query"`
	Kinds  []string `json:"kinds" shape:"Anys,query"`
}

type bookInput struct {
	ID string `json:"id" shape:"Name,required,path"`
}

// newLibrary is a fixture of GETs: anybody may look at the shelf and at a book,
// and reading one takes its time. A writeTimeout of 0 is none.
func newLibrary(t *testing.T, writeTimeout time.Duration) *fixture {
	f := &fixture{t: t}
	handler := New(Config{
		Signatures: &auth.SigV4{Region: "eu-west-1", Service: "ivs", Secret: func(id string) (string, bool) {
			return "a secret", id == "AKID"
		}},
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Services: []Service{{
			Shapes: Shapes{"Name": {Min: 1, Max: 5}, "Any": {Max: 1000}, "Anys": {Max: 2, Of: "Any"}, "Most": {Min: 1, Max: 100}},
			Operations: []Operation{
				NewOperation("Book", http.StatusOK, func(_ context.Context, in *bookInput) (*output, error) {
					return &output{"book " + in.ID}, nil
				}).At(http.MethodGet, "/v1/books/{id}").Public(),
				NewOperation("Shelf", http.StatusOK, func(_ context.Context, in *shelfInput) (*output, error) {
					isNew := "unset"
					if in.New != nil {
						isNew = fmt.Sprint(*in.New)
					}
					return &output{fmt.Sprintf("%q %d %s %q", in.Author, in.Most, isNew, in.Kinds)}, nil
				}).At(http.MethodGet, "/v1/books").Public(),
				NewOperation("Read", http.StatusOK, func(_ context.Context, in *bookInput) (*output, error) {
					time.Sleep(10 * time.Millisecond)
					return &output{"read " + in.ID}, nil
				}).At(http.MethodGet, "/v1/books/{id}/pages").Unhurried(),
			},
		}},
	})
	f.Server = httptest.NewUnstartedServer(handler)
	f.Config.WriteTimeout = writeTimeout
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) unsigned(target string) answer {
	f.t.Helper()
	r, err := http.NewRequest("GET", f.URL+target, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.send(r)
}

// What a query gives arrives in the type of its member, whoever asks.
func TestQuery(t *testing.T) {
	f := newLibrary(t, 0)
	for target, want := range map[string]string{
		"/v1/books": `"" 0 unset []`,
		"/v1/books?author=m%C3%A9&most=7&new=true&kinds=a&kinds=&y=z": `"mé" 7 true ["a" ""]`,
		"/v1/books?new=false&":      `"" 0 false []`,
		"/v1/books?AUTHOR=x":        `"" 0 unset []`,
		"/v1/books?author=a%20+%2B": `"a  +" 0 unset []`,
		"/v1/books/dune":            "book dune",
		"/v1/books/d%75ne":          "book dune",
	} {
		quoted := strings.ReplaceAll(want, `"`, `\"`)
		if a := f.unsigned(target); a.StatusCode != 200 || a.body != `{"said":"`+quoted+`"}`+"\n" {
			t.Errorf("%s answered %d %s, want %s", target, a.StatusCode, a.body, want)
		}
		if a := f.call("GET", target, ""); a.StatusCode != 200 {
			t.Errorf("%s signed answered %d %s", target, a.StatusCode, a.body)
		}
	}
	for target, want := range map[string]string{
		"/v1/books?most=0":                      "most: must be between 1 and 100",
		"/v1/books?most=101":                    "most: must be between 1 and 100",
		"/v1/books?most=":                       "most: must be a whole number",
		"/v1/books?most=1.0":                    "most: must be a whole number",
		"/v1/books?most=9999999999999999999999": "most: must be a whole number",
		"/v1/books?new=yes":                     "new: must be true or false",
		"/v1/books?new=":                        "new: must be true or false",
		"/v1/books?author=":                     "author: length must be between 1 and 5",
		"/v1/books?author=longer":               "author: length must be between 1 and 5",
		"/v1/books?author=a&author=b":           "author: must be given once",
		"/v1/books?kinds=a&kinds=b&kinds=c":     "kinds: must have at most 2 items",
		"/v1/books?a=%zz":                       "the query cannot be read",
		"/v1/books?a;b":                         "the query cannot be read",
		"/v1/books/":                            "id: length must be between 1 and 5",
		"/v1/books/dune/dune":                   "id: length must be between 1 and 5",
	} {
		f.failed(f.unsigned(target), 400, "ValidationException", want)
	}
	f.failed(f.unsigned("/v1/books?kinds="+strings.Repeat("a", maxURI)), 414, "ValidationException", "16 KiB")
}

// The longest path that fits is meant, and it alone decides who may call.
func TestLabels(t *testing.T) {
	f := newLibrary(t, 0)
	f.failed(f.unsigned("/v1/books/dune/pages"), 403, "MissingAuthenticationTokenException", "Missing")
	f.failed(f.unsigned("/v1/book/dune"), 404, "UnknownOperationException", "no operation")
	f.failed(f.call("POST", "/v1/books/dune", ""), 404, "UnknownOperationException", "no operation")
	if a := f.unsigned("/v1/books/{id}"); a.body != `{"said":"book {id}"}`+"\n" {
		t.Errorf("a label in braces answered %d %s", a.StatusCode, a.body)
	}
}

// An operation without hurry may take longer than the server allows others to.
func TestUnhurried(t *testing.T) {
	f := newLibrary(t, time.Millisecond)
	if a := f.call("GET", "/v1/books/dune/pages", ""); a.StatusCode != 200 || a.body != `{"said":"read dune"}`+"\n" {
		t.Errorf("answered %d %s", a.StatusCode, a.body)
	}
}

// Who signs is checked even where nobody has to.
func TestPublic(t *testing.T) {
	f := newLibrary(t, 0)
	r, err := http.NewRequest("GET", f.URL+"/v1/books", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer x")
	f.failed(f.send(r), 403, "IncompleteSignatureException", "")
	f.call("GET", "/v1/books", "")
	if log := f.logged(); !strings.Contains(log, "accessKey=AKID") {
		t.Errorf("logged %s", log)
	}
}
