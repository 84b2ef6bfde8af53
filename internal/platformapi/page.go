package platformapi

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// listSize is the length of a plain list where the client names none.
	listSize = 1000
	// pageSize is that of a page.
	pageSize = 20
)

// A PageQuery names a part of a list. Embed it into the input of a route.
type PageQuery struct {
	Page int `query:"page" minimum:"0" maximum:"1000000" doc:"The number of the page; the first is 0."`
	Size int `query:"size" minimum:"1" maximum:"1000" doc:"How many elements a page has. Absent: 1000 of a plain list, and 20 of a page document."`

	address url.URL
}

// Resolve implements [huma.Resolver].
func (q *PageQuery) Resolve(ctx huma.Context) []error {
	q.address = ctx.URL()
	return nil
}

// Bounds are the first element of the page, and how many it has at most. The size is the
// default of a page document where the client names none.
func (q *PageQuery) Bounds() (offset, limit int) { return q.bounds(pageSize) }

func (q *PageQuery) bounds(size int) (offset, limit int) {
	if q.Size > 0 {
		size = q.Size
	}
	return q.Page * size, size
}

// A List is an answer with a plain list: a part of a longer one, which the headers
// describe.
type List[T any] struct {
	Total int    `header:"X-Total-Count" doc:"How many elements there are on all pages."`
	Link  string `header:"Link" doc:"The addresses of the pages before and after, as RFC 8288 has it."`
	Body  []T
}

// ListOf answers with the part of a list that the query names.
func ListOf[T any](q *PageQuery, all []T) *List[T] {
	offset, limit := q.bounds(listSize)
	first := min(offset, len(all))
	return list(q, all[first:min(first+limit, len(all))], len(all), limit)
}

// ListBounds are those of a plain list.
func (q *PageQuery) ListBounds() (offset, limit int) { return q.bounds(listSize) }

// ListPart answers with a part that was read by [PageQuery.ListBounds].
func ListPart[T any](q *PageQuery, part []T, total int) *List[T] {
	_, limit := q.bounds(listSize)
	return list(q, part, total, limit)
}

func list[T any](q *PageQuery, part []T, total, limit int) *List[T] {
	answer := &List[T]{Total: total, Body: append([]T{}, part...)}
	if q.Page > 0 {
		answer.Link = q.link(q.Page-1, limit, "prev")
	}
	if (q.Page+1)*limit < total {
		if answer.Link != "" {
			answer.Link += ", "
		}
		answer.Link += q.link(q.Page+1, limit, "next")
	}
	return answer
}

// link names a page by its address on this server.
func (q *PageQuery) link(page, size int, relation string) string {
	query := q.address.Query()
	query.Set("page", strconv.Itoa(page))
	query.Set("size", strconv.Itoa(size))
	return fmt.Sprintf(`<%s?%s>; rel=%q`, q.address.EscapedPath(), query.Encode(), relation)
}

// A Page is an answer with a page document, whose members the published clients all
// need.
type Page[T any] struct {
	Content          []T  `json:"content"`
	Page             int  `json:"page"`
	Size             int  `json:"size"`
	TotalElements    int  `json:"totalElements"`
	TotalPages       int  `json:"totalPages"`
	First            bool `json:"first"`
	Last             bool `json:"last"`
	Number           int  `json:"number" doc:"The same as page."`
	NumberOfElements int  `json:"numberOfElements"`
	Empty            bool `json:"empty"`
}

// PageOf answers with a page that was read by [PageQuery.Bounds].
func PageOf[T any](q *PageQuery, part []T, total int) *Body[Page[T]] {
	_, size := q.Bounds()
	pages := (total + size - 1) / size
	return &Body[Page[T]]{Page[T]{
		Content: append([]T{}, part...), Page: q.Page, Size: size, TotalElements: total, TotalPages: pages,
		First: q.Page == 0, Last: q.Page >= pages-1, Number: q.Page, NumberOfElements: len(part), Empty: len(part) == 0,
	}}
}
