package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"anabranch/internal/resource"
)

// recipe has a member of every sort.
type recipe struct {
	base
	ID     string   `json:"id" shape:"ID,required,path"`
	Flags  []string `json:"flags" shape:"Flags,query"`
	Name   *string  `json:"name" shape:"Name"`
	Course *course  `json:"course" shape:"Course"`
	Oven   *struct {
		Degrees int   `json:"degrees" shape:"Degrees,required"`
		Fan     *bool `json:"fan"`
	} `json:"oven"`
	Steps  []step            `json:"steps" shape:"Steps,required"`
	Tags   map[string]string `json:"tags" shape:"Tags"`
	Note   string            `json:"note" shape:"Note"`
	Litres *float64          `json:"litres" shape:"Litres"`
}

type base struct {
	Serves *int `json:"serves" shape:"Serves"`
}

type step struct {
	Text string `json:"text" shape:"Text,required"`
}

type course string

var recipeShapes = Shapes{
	"ID":       {Min: 3, Max: 3},
	"Flags":    {Max: 2, Of: "Flag"},
	"Flag":     {Pattern: `[a-z]+`},
	"Name":     {Max: 5, Pattern: `[a-zé-]*`},
	"Course":   {Enum: []string{"SOUP", "CAKE"}},
	"Degrees":  {Min: 50, Max: 300},
	"Serves":   {Min: 1},
	"Steps":    {Min: 1, Max: 3},
	"Text":     {Min: 1, Pattern: `^$|^a.*b$`},
	"Tags":     {Max: 2, Keys: "TagKey", Of: "TagValue"},
	"TagKey":   {Min: 1, Max: 4, Pattern: `[\p{L}]*`},
	"TagValue": {Max: 3},
	"Note":     {},
	"Litres":   {Min: 1, Max: 60},
}

var recipePlan = recipeShapes.plan((*recipe)(nil))

// body puts members in front of the one that is required.
func body(members string) string {
	if members != "" {
		members += ","
	}
	return `{` + members + `"steps":[{"text":"ab"}]}`
}

var decodings = []struct {
	name  string
	body  string
	query string
	want  string // the error, empty for none
}{
	{"least", body(``), "", ""},
	{"all", `{"serves":2,"litres":1.5,"name":"a-é","course":"CAKE","oven":{"degrees":50,"fan":true},"steps":[{"text":"ab"},{"text":"a b"}],"tags":{"k":"v","l":""}}`, "flags=a&flags=b", ""},
	{"null is absent", body(`"name":null,"oven":null,"tags":null`), "", ""},
	{"unknown members", body(`"other":[{"x":1}],"oven":{"degrees":60,"x":[]}`), "", ""},
	{"names are case-sensitive", body(`"NAME":7,"Oven":7`), "", ""},
	{"members in place of path and query", body(`"id":7,"flags":7`), "", ""},
	{"the last of two counts", body(`"name":"A","name":"a"`), "", ""},
	{"code points, not bytes", body(`"name":"ééééé"`), "", ""},
	{"white space around", " \n" + body(``) + "\t\r\n", "", ""},

	{"empty body", ``, "", "steps: required"},
	{"no JSON", `{"a"}`, "", "the body is not JSON"},
	{"cut off", `{"a":[`, "", "the body is not JSON"},
	{"two values", `{} {}`, "", "the body goes on behind its JSON value"},
	{"two values, the second broken", `{} x`, "", "the body goes on behind its JSON value"},
	{"a list", `[]`, "", "the body must be a JSON object"},
	{"null", `null`, "", "the body must be a JSON object"},
	{"not UTF-8", body("\"name\":\"\xff\""), "", "the body is not UTF-8"},
	{"not UTF-8, where nobody looks", body("\"other\":\"\xed\xa0\x80\""), "", "the body is not UTF-8"},
	{"byte order mark", "\ufeff" + body(``), "", "the body is not JSON"},
	{"UTF-16", "{\x00}\x00", "", "the body is not JSON"},
	{"compressed", "\x1f\x8b\x08\x00", "", "the body is not UTF-8"},
	{"comment", body(`/* */`), "", "the body is not JSON"},
	{"a string", `"a"`, "", "the body must be a JSON object"},
	{"a line break in a string", body("\"name\":\"\n\""), "", `the body is not JSON: invalid character '\n' in string literal`},
	{"surrogate pair", body(`"tags":{"k":"\ud840\udc00"}`), "", ""}, // one code point, a letter
	{"escapes that are no pair", body(`"x":"\\ud800\"\ud840\udc00\\"`), "", ""},
	{"high surrogate", body(`"x":"\ud800"`), "", "the body has half of a surrogate pair at byte 6"},
	{"low surrogate", body(`"x":"\uDC00"`), "", "the body has half of a surrogate pair at byte 6"},
	{"two high surrogates", body(`"x":"\ud800\ud800"`), "", "the body has half of a surrogate pair at byte 6"},
	{"surrogate and letter", body(`"x":"\ud800\u0041"`), "", "the body has half of a surrogate pair at byte 6"},
	{"surrogate in a name", body(`"\ud800":1`), "", "the body has half of a surrogate pair at byte 2"},
	{"surrogate and the end", `{"\ud800`, "", "the body has half of a surrogate pair at byte 2"},
	{"escape and the end", `{"\`, "", "the body is not JSON"},
	{"NUL", body("\"name\":\"\x00\""), "", "the body is not JSON"},
	{"escaped NUL", body(`"name":"\u0000"`), "", "name: must match [a-zé-]*"},
	{"as deep as may be", body(`"x":` + nested(31)), "", ""},
	{"too deep", body(`"x":` + nested(32)), "", "the body must not be nested deeper than 32"},
	{"far too deep", body(`"x":` + nested(100_000)), "", "the body must not be nested deeper than 32"},
	{"too deep, and cut off", strings.Repeat(`{"x":`, 33), "", "the body must not be nested deeper than 32"},
	{"as many as may be", body(`"x":[` + strings.Repeat(`"",`, maxValues-10) + `""]`), "", ""},
	{"too many", body(`"x":[` + strings.Repeat(`"",`, maxValues) + `""]`), "", "the body must not have more than 10000 values"},
	{"wide, not deep", body(`"x":[` + strings.Repeat("[],", 1000) + `[]],"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[":"[\"[["`), "", ""},

	{"required is null", `{"steps":null}`, "", "steps: required"},
	{"required inside", body(`"oven":{}`), "", "oven.degrees: required"},
	{"required in a list", `{"steps":[{"text":"ab"},{}]}`, "", "steps[1].text: required"},
	{"number for a string", body(`"name":7`), "", "name: must be a string"},
	{"string for a number", body(`"serves":"7"`), "", "serves: must be a whole number"},
	{"fraction", body(`"serves":1.5`), "", "serves: must be a whole number"},
	{"fraction of zero", body(`"serves":1.0`), "", "serves: must be a whole number"},
	{"exponent", body(`"serves":1e3`), "", "serves: must be a whole number"},
	{"immense number", body(`"serves":9223372036854775808`), "", "serves: must be a whole number"},
	{"largest number", body(`"serves":9223372036854775807`), "", ""},
	{"least number", body(`"serves":-9223372036854775808`), "", "serves: must be at least 1"},
	{"negative zero", body(`"serves":-0`), "", "serves: must be at least 1"},
	{"string for a fraction", body(`"litres":"7"`), "", "litres: must be a number"},
	{"fractions", body(`"litres":29.97`), "", ""},
	{"whole fraction", body(`"litres":60`), "", ""},
	{"exponent of a fraction", body(`"litres":6.0e1`), "", ""},
	{"fraction, just above", body(`"litres":60.000001`), "", "litres: must be between 1 and 60"},
	{"fraction, just below", body(`"litres":0.999999`), "", "litres: must be between 1 and 60"},
	{"immense fraction", body(`"litres":1e400`), "", "litres: must be a number"},
	{"hexadecimal", body(`"serves":0x1`), "", "the body is not JSON"},
	{"leading zero", body(`"serves":01`), "", "the body is not JSON"},
	{"sign", body(`"serves":+1`), "", "the body is not JSON"},
	{"no number", body(`"serves":NaN`), "", "the body is not JSON"},
	{"string for a boolean", body(`"oven":{"degrees":60,"fan":"true"}`), "", "oven.fan: must be true or false"},
	{"list for an object", body(`"oven":[]`), "", "oven: must be an object"},
	{"object for a list", `{"steps":{}}`, "", "steps: must be a list"},
	{"list for a map", body(`"tags":[]`), "", "tags: must be an object"},
	{"null in a list", `{"steps":[null]}`, "", "steps[0]: must be an object"},
	{"null in a map", body(`"tags":{"k":null}`), "", "tags.k: must be a string"},

	{"length", body(`"name":"aaaaaa"`), "", "name: length must be at most 5"},
	{"length before pattern", body(`"name":"AAAAAA"`), "", "name: length must be at most 5"},
	{"pattern", body(`"name":"A"`), "", "name: must match [a-zé-]*"},
	{"pattern matches all of it", body(`"name":"aAa"`), "", "name: must match [a-zé-]*"},
	{"pattern and a line break", body(`"name":"a\n"`), "", "name: must match [a-zé-]*"},
	{"pattern with its own anchors", `{"steps":[{"text":"xab"}]}`, "", "steps[0].text: must match ^$|^a.*b$"},
	{"least length", `{"steps":[{"text":""}]}`, "", "steps[0].text: length must be at least 1"},
	{"enum", body(`"course":"Soup"`), "", "course: must be one of SOUP, CAKE"},
	{"range, below", body(`"oven":{"degrees":49}`), "", "oven.degrees: must be between 50 and 300"},
	{"range, above", body(`"oven":{"degrees":301}`), "", "oven.degrees: must be between 50 and 300"},
	{"least value", body(`"serves":0`), "", "serves: must be at least 1"},
	{"list too short", `{"steps":[]}`, "", "steps: must have between 1 and 3 items"},
	{"list too long", `{"steps":[{},{},{},{}]}`, "", "steps: must have between 1 and 3 items"},
	{"map too large", body(`"tags":{"a":"","b":"","c":""}`), "", "tags: must have at most 2 entries"},
	{"key of a map", body(`"tags":{"":""}`), "", `tags key "": length must be between 1 and 4`},
	{"key's pattern", body(`"tags":{"1":""}`), "", `tags key "1": must match [\p{L}]*`},
	{"key too long to tell", body(`"tags":{"` + strings.Repeat(`\n`, 1000) + `":""}`), "", `tags key "` + strings.Repeat(`\n`, 40) + `": length must be between 1 and 4`},
	{"value of a map", body(`"tags":{"b":"","a":"aaaa"}`), "", "tags.a: length must be at most 3"},
	{"query's values", body(``), "flags=A", "flags[0]: must match [a-z]+"},
	{"query that is not UTF-8", body(``), "flags=%ff", "flags[0]: must be UTF-8"},
	{"query's number", body(``), "flags=a&flags=b&flags=c", "flags: must have at most 2 items"},
}

// nested is lists inside one another.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestDecode(t *testing.T) {
	for _, tt := range decodings {
		t.Run(tt.name, func(t *testing.T) {
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			err = recipePlan.decode(new(recipe), source{body: []byte(tt.body), path: "abc", query: query})
			var e *resource.Error
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (!errors.As(err, &e) || e.Kind != resource.Invalid || !strings.HasPrefix(e.Msg, tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if err := recipePlan.decode(new(recipe), source{body: []byte(body(``)), path: "abcd"}); err == nil || err.Error() != "id: length must be 3 characters" {
		t.Errorf("path of four letters: %v", err)
	}
}

// What was given arrives, in its place and type.
func TestDecodeValues(t *testing.T) {
	var got recipe
	src := source{body: []byte(decodings[1].body), path: "abc", query: url.Values{"flags": {"a", "b"}}}
	if err := recipePlan.decode(&got, src); err != nil {
		t.Fatal(err)
	}
	if *got.Serves != 2 || *got.Litres != 1.5 || got.ID != "abc" || !slices.Equal(got.Flags, []string{"a", "b"}) || *got.Name != "a-é" ||
		*got.Course != "CAKE" || got.Oven.Degrees != 50 || !*got.Oven.Fan ||
		!slices.Equal(got.Steps, []step{{"ab"}, {"a b"}}) || !reflect.DeepEqual(got.Tags, map[string]string{"k": "v", "l": ""}) {
		t.Errorf("got %+v", got)
	}
	got = recipe{}
	if err := recipePlan.decode(&got, source{body: []byte(body(`"name":null`)), path: "abc"}); err != nil {
		t.Fatal(err)
	}
	if got.Name != nil || got.Oven != nil || got.Tags != nil {
		t.Errorf("what was not given is %+v", got)
	}
}

// A mistake in an input's tags is found when the server starts.
func TestPlanMistakes(t *testing.T) {
	for name, in := range map[string]any{
		"no shape": (*struct {
			A string `json:"a"`
		})(nil),
		"unknown shape": (*struct {
			A string `json:"a" shape:"Nobody"`
		})(nil),
		"shape too much": (*struct {
			A bool `json:"a" shape:"Name"`
		})(nil),
		"no name": (*struct {
			A string `shape:"Name"`
		})(nil),
		"odd name": (*struct {
			A string `json:"a,omitempty" shape:"Name"`
		})(nil),
		"odd word": (*struct {
			A string `json:"a" shape:"Name,needed"`
		})(nil),
		"odd type": (*struct {
			A float32 `json:"a" shape:"Name"`
		})(nil),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			recipeShapes.plan(in)
		}()
	}
}

// FuzzDecode checks that nothing is accepted that breaks a constraint, and that
// what is accepted means the same when written back.
func FuzzDecode(f *testing.F) {
	for _, tt := range decodings {
		if len(tt.body) < 1000 {
			f.Add([]byte(tt.body), "abc", tt.query)
		}
	}
	f.Add([]byte(body(`"note":"\ud840\udc00 \ufffd \\ud800"`)), "abc", "")
	f.Fuzz(func(t *testing.T, body []byte, path, rawQuery string) {
		query, _ := url.ParseQuery(rawQuery)
		var in recipe
		err := recipePlan.decode(&in, source{body: body, path: path, query: query})
		if err != nil {
			var e *resource.Error
			if !errors.As(err, &e) || e.Kind != resource.Invalid {
				t.Fatalf("error %v is not Invalid", err)
			}
			return
		}
		if lost := strings.ContainsRune(in.Note, utf8.RuneError); lost && !bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`)) &&
			!bytes.ContainsRune(body, utf8.RuneError) {
			t.Fatalf("%q became %q", body, in.Note)
		}
		if broken := broken(&in); broken != "" {
			t.Fatalf("%s is broken by %q, %q, %q", broken, body, path, rawQuery)
		}
		again, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var second recipe
		if err := recipePlan.decode(&second, source{body: again, path: path, query: query}); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if !reflect.DeepEqual(in, second) {
			t.Fatalf("%+v became %+v", in, second)
		}
	})
}

// broken names a constraint of recipe that in breaks. It knows nothing of plans.
func broken(in *recipe) string {
	matches := func(s, pattern string) bool { return regexp.MustCompile(`\A(` + pattern + `)\z`).MatchString(s) }
	length := utf8.RuneCountInString
	rules := map[string]bool{
		"id":     length(in.ID) == 3,
		"flags":  len(in.Flags) <= 2,
		"serves": in.Serves == nil || *in.Serves >= 1,
		"name":   in.Name == nil || length(*in.Name) <= 5 && matches(*in.Name, `[a-zé-]*`),
		"course": in.Course == nil || *in.Course == "SOUP" || *in.Course == "CAKE",
		"oven":   in.Oven == nil || 50 <= in.Oven.Degrees && in.Oven.Degrees <= 300,
		"steps":  1 <= len(in.Steps) && len(in.Steps) <= 3,
		"tags":   len(in.Tags) <= 2,
		"litres": in.Litres == nil || 1 <= *in.Litres && *in.Litres <= 60,
	}
	for i, flag := range in.Flags {
		rules[fmt.Sprint("flag", i)] = matches(flag, `[a-z]+`)
	}
	for i, s := range in.Steps {
		rules[fmt.Sprint("step", i)] = matches(s.Text, `a[^\n]*b`)
	}
	for k, v := range in.Tags {
		rules["tag "+k] = 1 <= length(k) && length(k) <= 4 && matches(k, `\pL*`) && length(v) <= 3
	}
	for rule, kept := range rules {
		if !kept {
			return rule
		}
	}
	return ""
}

// BenchmarkDecode measures inputs as they come, and the worst that a body of
// 1 MiB can be.
func BenchmarkDecode(b *testing.B) {
	type batch struct {
		ARNs []string `json:"arns" shape:"ARNs,required"`
	}
	shapes := Shapes{"ARNs": {Max: 1 << 20, Of: "ARN"}, "ARN": {Max: 128, Pattern: `arn:aws:ivs:[a-z0-9-]+:[0-9]+:channel/[a-zA-Z0-9-]+`}}
	list := func(item string, n int) string { return `{"arns":[` + strings.Repeat(item+",", n) + item + `]}` }
	for _, bb := range []struct {
		name, body string
		plan       *plan
		in         func() any
	}{
		{"recipe", decodings[1].body, recipePlan, func() any { return new(recipe) }},
		{"50 ARNs", list(`"arn:aws:ivs:eu-west-1:111122223333:channel/AbCdEfGhIjKl"`, 49), shapes.plan((*batch)(nil)), func() any { return new(batch) }},
		{"1 MiB of lists", list(`[]`, maxBody/3-10), shapes.plan((*batch)(nil)), func() any { return new(batch) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				_ = bb.plan.decode(bb.in(), source{body: []byte(bb.body), path: "abc"})
			}
		})
	}
}
