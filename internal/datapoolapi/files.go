package datapoolapi

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

type fileView struct {
	ID            string `json:"id"`
	DataPoolID    string `json:"dataPoolId"`
	Name          string `json:"name" doc:"The last part of fullPath."`
	FullPath      string `json:"fullPath" doc:"The path in the data pool, with slashes."`
	ContentType   string `json:"contentType"`
	ContentLength int64  `json:"contentLength"`
	CreatedAt     string `json:"createdAt"`
	SHA256        string `json:"sha256" doc:"The checksum of the content, in hexadecimal."`
	Version       int64  `json:"version" doc:"It grows by one with each new content."`
}

func asFile(f datapool.File) fileView {
	return fileView{
		ID: f.ID, DataPoolID: f.Pool, Name: path.Base(f.Name), FullPath: f.Name, ContentType: f.ContentType,
		ContentLength: f.Size, CreatedAt: text(f.CreatedAt), SHA256: f.SHA256, Version: f.Version,
	}
}

// ByFile names a file of a data pool in the address.
type ByFile struct {
	ByID
	File string `path:"fileId" maxLength:"64" doc:"The id of the file."`
}

// FileQuery describes a file that comes as a whole.
type FileQuery struct {
	ByID
	Filename string `query:"filename" doc:"The path in the data pool. Absent: the name of the part."`
	SHA256   string `query:"sha256" pattern:"^[0-9a-fA-F]{64}$" doc:"The checksum that the file must have, in hexadecimal."`
}

func (r routes) files(api *platformapi.API) {
	const files = base + "/{id}/files"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: files, ID: "getDataPoolFiles", Tag: tag, Right: access.ReadPools, Summary: "List the files of a data pool",
	}, func(ctx context.Context, in *struct {
		ByID
		platformapi.PageQuery
	}) (*platformapi.List[fileView], error) {
		all, err := r.Files(ctx, access.From(ctx), in.ID)
		if err != nil {
			return nil, err
		}
		return platformapi.ListOf(&in.PageQuery, list(all, asFile)), nil
	})

	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodPost, Path: files, ID: "addDataPoolFile", Tag: tag, Right: access.WritePools, Status: http.StatusCreated,
		Summary: "Upload a file to a data pool", Description: "A file of the same name is replaced.",
		Takes: platformapi.MultipartFile(), Gives: platformapi.JSONOf[fileView](),
		Errors: []int{http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
	}, r.upload)

	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodGet, Path: files + "/{fileId}", ID: "getDataPoolFile", Tag: tag, Right: access.ReadPools,
		Summary:     "Download a file of a data pool",
		Description: "It has the type of the file. Parts of it can be asked for by Range, and If-None-Match gives 304. ETag and Repr-Digest have its checksum.",
		Gives:       []platformapi.Content{{Type: "*/*"}},
	}, r.download)

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: files + "/{fileId}", ID: "deleteDataPoolFile", Tag: tag, Right: access.WritePools,
		Summary: "Delete a file of a data pool",
	}, func(ctx context.Context, in *ByFile) (*none, error) {
		return nil, r.DeleteFile(ctx, access.From(ctx), in.ID, in.File)
	})
}

// filePart is the part named file of a multipart body.
func filePart(w http.ResponseWriter, r *http.Request) (*multipart.Part, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || parameters["boundary"] == "" {
		return nil, platformapi.NewProblem(http.StatusUnsupportedMediaType, "The body must be multipart/form-data with one part named file.")
	}
	reader := multipart.NewReader(body{platformapi.Patient(w, r.Body)}, parameters["boundary"])
	const most = 10 // parts that are passed over
	for range most {
		part, err := reader.NextPart()
		if err != nil {
			break
		}
		if part.FormName() == "file" {
			return part, nil
		}
	}
	return nil, platformapi.NewProblem(http.StatusBadRequest, "The body has no part named file.")
}

func (r routes) upload(ctx context.Context, in *FileQuery, w http.ResponseWriter, request *http.Request) error {
	part, err := filePart(w, request)
	if err != nil {
		return err
	}
	name := cmp.Or(in.Filename, part.FileName(), "upload")
	file, err := r.Put(ctx, access.From(ctx), in.ID, name, part.Header.Get("Content-Type"), in.SHA256, part)
	if err != nil {
		return r.explain(err)
	}
	w.Header().Set("Location", base+"/"+in.ID+"/files/"+file.ID)
	return platformapi.WriteJSON(w, http.StatusCreated, asFile(file))
}

// patient is an answer that takes as long as its client reads.
type patient struct {
	http.ResponseWriter
	to io.Writer
}

// Write implements [io.Writer].
func (p patient) Write(b []byte) (int, error) { return p.to.Write(b) }

func (r routes) download(ctx context.Context, in *ByFile, w http.ResponseWriter, request *http.Request) error {
	file, object, err := r.Open(ctx, access.From(ctx), in.ID, in.File)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	h := w.Header()
	h.Set("Content-Type", file.ContentType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(file.Name)}))
	h.Set("ETag", `"`+file.SHA256+`"`)
	if sum, err := hex.DecodeString(file.SHA256); err == nil {
		digest := base64.StdEncoding.EncodeToString(sum)
		h.Set("Digest", "sha-256="+digest)
		h.Set("Repr-Digest", "sha-256=:"+digest+":")
	}
	http.ServeContent(patient{w, platformapi.PatientWriter(w)}, request, "", file.CreatedAt, object)
	return nil
}
