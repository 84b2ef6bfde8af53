package datapoolapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// The headers of an upload in pieces.
const (
	headerOffset = "Upload-Offset"
	headerLength = "Upload-Length"
)

type uploadView struct {
	ID        string    `json:"id"`
	FullPath  string    `json:"fullPath"`
	Size      int64     `json:"size"`
	Offset    int64     `json:"offset" doc:"How many bytes are stored."`
	PieceSize int64     `json:"pieceSize" doc:"How many bytes are stored at once. A connection that breaks loses less."`
	ExpiresAt string    `json:"expiresAt"`
	File      *fileView `json:"file,omitempty" doc:"The file that the upload became, once it is complete."`
}

func asUpload(p datapool.Progress) uploadView {
	v := uploadView{ID: p.ID, FullPath: p.Name, Size: p.Size, Offset: p.Offset, PieceSize: datapool.PieceSize, ExpiresAt: text(p.ExpiresAt)}
	if p.Done != nil {
		file := asFile(*p.Done)
		v.File = &file
	}
	return v
}

// An uploadAnswer tells how far an upload has come, also to HEAD.
type uploadAnswer struct {
	Location string `header:"Location" doc:"The address of the upload."`
	Offset   int64  `header:"Upload-Offset" doc:"How many bytes are stored."`
	Length   int64  `header:"Upload-Length" doc:"The size of the file."`
	Body     uploadView
}

func uploadOf(p datapool.Progress, err error) (*uploadAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &uploadAnswer{Location: base + "/" + p.Pool + "/uploads/" + p.ID, Offset: p.Offset, Length: p.Size, Body: asUpload(p)}, nil
}

// ByUpload names an upload in the address.
type ByUpload struct {
	ByID
	Upload string `path:"uploadId" maxLength:"64" doc:"The id of the upload."`
}

// PieceQuery names a piece of an upload.
type PieceQuery struct {
	ByUpload
	Range string `header:"Content-Range" doc:"bytes FIRST-LAST/SIZE; without a body bytes */SIZE."`
}

func (r routes) uploads(api *platformapi.API) {
	const uploads = base + "/{id}/uploads"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: uploads, ID: "beginDataPoolUpload", Tag: tag, Right: access.WritePools, Status: http.StatusCreated,
		Summary:     "Begin to upload a file in pieces",
		Description: "Send the pieces with PUT to the address in Location. Nothing of the file is visible before all of it has come.",
		Errors:      []int{http.StatusConflict, http.StatusRequestEntityTooLarge},
	}, func(ctx context.Context, in *struct {
		ByID
		Body struct {
			FullPath    string `json:"fullPath" doc:"The path in the data pool."`
			Size        int64  `json:"size" minimum:"1"`
			SHA256      string `json:"sha256,omitempty" pattern:"^[0-9a-fA-F]{64}$" doc:"The checksum that the file must have, in hexadecimal."`
			ContentType string `json:"contentType,omitempty"`
		}
	}) (*uploadAnswer, error) {
		p, err := r.BeginUpload(ctx, access.From(ctx), datapool.Upload{
			Pool: in.ID, Name: in.Body.FullPath, Size: in.Body.Size, SHA256: in.Body.SHA256, ContentType: in.Body.ContentType,
		})
		return uploadOf(p, r.explain(err))
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: uploads + "/{uploadId}", ID: "getDataPoolUpload", Tag: tag, Right: access.WritePools,
		Summary: "Tell how far an upload has come", Description: "HEAD tells it in the headers.",
	}, func(ctx context.Context, in *ByUpload) (*uploadAnswer, error) {
		return uploadOf(r.Progress(ctx, access.From(ctx), in.ID, in.Upload))
	})

	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodPut, Path: uploads + "/{uploadId}", ID: "continueDataPoolUpload", Tag: tag, Right: access.WritePools,
		Summary:     "Send a piece of an upload",
		Description: "It begins where the upload stands: else the answer is 409, and Upload-Offset says where. The answer to the last piece has the file.",
		Takes:       []platformapi.Content{{Type: "application/octet-stream"}}, Gives: platformapi.JSONOf[uploadView](),
		Errors: []int{http.StatusConflict},
	}, r.piece)

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: uploads + "/{uploadId}", ID: "abandonDataPoolUpload", Tag: tag, Right: access.WritePools,
		Summary: "End an upload that is not complete",
	}, func(ctx context.Context, in *ByUpload) (*none, error) {
		return nil, r.Abandon(ctx, access.From(ctx), in.ID, in.Upload)
	})
}

func (r routes) piece(ctx context.Context, in *PieceQuery, w http.ResponseWriter, request *http.Request) error {
	first, length, size, ok := contentRange(in.Range)
	if !ok || request.ContentLength >= 0 && request.ContentLength != length {
		return platformapi.NewProblem(http.StatusBadRequest, "Content-Range must be bytes FIRST-LAST/SIZE, and the body must be as long.")
	}
	caller := access.From(ctx)
	at, err := r.Progress(ctx, caller, in.ID, in.Upload)
	if err == nil && at.Size != size {
		err = platformapi.NewProblem(http.StatusBadRequest, "Content-Range has another size than the upload.")
	}
	if err != nil {
		return err
	}
	p, err := r.Continue(ctx, caller, in.ID, in.Upload, first, length, body{platformapi.Patient(w, request.Body)})
	w.Header().Set(headerOffset, strconv.FormatInt(p.Offset, 10))
	if errors.Is(err, datapool.ErrStale) {
		return elsewhere(fmt.Sprintf("The upload stands at byte %d; go on there.", p.Offset))
	}
	if errors.Is(err, datapool.ErrUploading) {
		return elsewhere("Another request sends a piece of this upload; ask where it stands.")
	}
	if err != nil {
		return r.explain(err)
	}
	w.Header().Set(headerLength, strconv.FormatInt(p.Size, 10))
	if p.Done != nil {
		w.Header().Set("Location", base+"/"+in.ID+"/files/"+p.Done.ID)
	}
	return platformapi.WriteJSON(w, http.StatusOK, asUpload(p))
}

// TypeElsewhere is the type of the problem of a piece that does not begin where the upload
// stands.
const TypeElsewhere = "urn:qhubctl:problem:upload-stands-elsewhere"

func elsewhere(detail string) *platformapi.Problem {
	p := platformapi.NewProblem(http.StatusConflict, detail)
	p.Type = TypeElsewhere
	return p
}

// contentRange reads "bytes FIRST-LAST/SIZE", and "bytes */SIZE", which has no bytes.
func contentRange(text string) (first, length, size int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes ")
	where, total, found := strings.Cut(text, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || !found || err != nil || size < 1 {
		return 0, 0, 0, false
	}
	if where == "*" {
		return 0, 0, size, true
	}
	from, to, found := strings.Cut(where, "-")
	first, err = strconv.ParseInt(from, 10, 64)
	last, failed := strconv.ParseInt(to, 10, 64)
	if !found || err != nil || failed != nil || first < 0 || last < first || last >= size {
		return 0, 0, 0, false
	}
	return first, last - first + 1, size, true
}
