package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const poolsPath = "/qc-catalog/datapools"

// A DataPool is a set of files for executions.
type DataPool struct {
	ID               string   `json:"id"`
	Name             string   `json:"name"`
	ShortDescription string   `json:"shortDescription"`
	Description      string   `json:"description"`
	Tags             []string `json:"tags"`
	CreatedAt        string   `json:"createdAt"`
	Permission       string   `json:"currentUserPermission"`
}

// A DataPoolFile is a file of a data pool.
type DataPoolFile struct {
	ID            string `json:"id"`
	DataPoolID    string `json:"dataPoolId"`
	FullPath      string `json:"fullPath"`
	ContentType   string `json:"contentType"`
	ContentLength int64  `json:"contentLength"`
	CreatedAt     string `json:"createdAt"`
	SHA256        string `json:"sha256"`
	Version       int64  `json:"version"`
}

// DataPools are those that the account can reach, by name.
func (p *Platform) DataPools(ctx context.Context) ([]DataPool, error) {
	all := []DataPool{}
	for page := 0; ; page++ {
		var part []DataPool
		const size = 1000
		if err := p.Call(ctx, http.MethodGet, fmt.Sprintf("%s?size=%d&page=%d", poolsPath, size, page), nil, &part); err != nil {
			return nil, err
		}
		if all = append(all, part...); len(part) < size {
			return all, nil
		}
	}
}

// DataPool finds a data pool by its id or its name.
func (p *Platform) DataPool(ctx context.Context, idOrName string) (DataPool, error) {
	all, err := p.DataPools(ctx)
	if err != nil {
		return DataPool{}, err
	}
	var found []DataPool
	for _, pool := range all {
		if pool.ID == idOrName {
			return pool, nil
		}
		if pool.Name == idOrName {
			found = append(found, pool)
		}
	}
	switch len(found) {
	case 0:
		return DataPool{}, fmt.Errorf("there is no data pool %q for this account", idOrName)
	case 1:
		return found[0], nil
	default:
		return DataPool{}, fmt.Errorf("%d data pools have the name %q; give the id", len(found), idOrName)
	}
}

// DataPoolFiles are the files of a data pool, by path.
func (p *Platform) DataPoolFiles(ctx context.Context, pool string) ([]DataPoolFile, error) {
	files := []DataPoolFile{}
	err := p.Call(ctx, http.MethodGet, Path(poolsPath+"/", pool, "/files"), nil, &files)
	return files, err
}

// A ChecksumError says that a file has changed on its way.
type ChecksumError struct{ Want, Got string }

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("the file has the checksum %s, and must have %s", e.Got, e.Want)
}

// wholeUpload is the largest file that is sent as a whole.
const wholeUpload = 4 << 20

// attempts is how often a transfer that brings nothing is tried again. Progress resets the
// count.
const attempts = 8

// maxPause is the longest pause between two attempts.
const maxPause = 8 * time.Second

// Upload sends a file to a data pool under a name, and verifies its checksum. A connection
// that breaks is made again, and an upload that was interrupted goes on. progress is called
// with the bytes that were sent so far.
func (p *Platform) Upload(ctx context.Context, pool, name string, content io.ReaderAt, size int64, progress func(sent int64)) (DataPoolFile, error) {
	hashed := sha256.New()
	if _, err := io.Copy(hashed, io.NewSectionReader(content, 0, size)); err != nil {
		return DataPoolFile{}, err
	}
	sum := hex.EncodeToString(hashed.Sum(nil))
	var file DataPoolFile
	var err error
	if size <= wholeUpload {
		file, err = p.uploadWhole(ctx, pool, name, sum, content, size)
	} else {
		file, err = p.uploadPieces(ctx, pool, name, sum, content, size, progress)
	}
	if err == nil && file.SHA256 != sum {
		err = &ChecksumError{sum, file.SHA256}
	}
	return file, err
}

func (p *Platform) uploadWhole(ctx context.Context, pool, name, sum string, content io.ReaderAt, size int64) (file DataPoolFile, err error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "file")
	if err == nil {
		_, err = io.Copy(part, io.NewSectionReader(content, 0, size))
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return file, err
	}
	path := Path(poolsPath+"/", pool, "/files") + "?" + url.Values{"filename": {name}, "sha256": {sum}}.Encode()
	err = p.persist(ctx, func() (bool, error) {
		header := p.header("application/json", form.FormDataContentType())
		return false, p.exchange(ctx, http.MethodPost, path, header, bytes.NewReader(body.Bytes()), &file)
	})
	return file, err
}

// persist repeats a step until it succeeds, with pauses, as long as its errors pass. A
// step reports whether it has brought anything.
func (p *Platform) persist(ctx context.Context, step func() (progress bool, err error)) error {
	pause := 250 * time.Millisecond
	for left := attempts; ; left-- {
		progress, err := step()
		if progress {
			left, pause = attempts, 250*time.Millisecond
		}
		if err == nil || ctx.Err() != nil || left <= 1 || !passes(err) {
			return err
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// uploadElsewhere is the type of the problem of a piece that does not begin where the
// upload stands.
const uploadElsewhere = "urn:qhubctl:problem:upload-stands-elsewhere"

// passes reports whether an error may not come again. For a moment the server still has a
// request whose connection has broken.
func passes(err error) bool {
	refused, ok := errors.AsType[*RefusedError](err)
	return retriable(err) || ok && refused.Problem.Type == uploadElsewhere
}

// exchange sends a request and reads the document that answers it.
func (p *Platform) exchange(ctx context.Context, method, path string, header http.Header, body io.Reader, into any) error {
	response, err := p.client.do(ctx, method, path, header, body)
	if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
		return &PlatformError{unreachable}
	}
	if err != nil {
		return err
	}
	defer closeBody(response)
	return decode(response, into)
}

// upload is how far an upload has come.
type upload struct {
	ID     string        `json:"id"`
	Offset int64         `json:"offset"`
	File   *DataPoolFile `json:"file"`
}

func (p *Platform) uploadPieces(ctx context.Context, pool, name, sum string, content io.ReaderAt, size int64, progress func(int64)) (DataPoolFile, error) {
	var at upload
	begin := map[string]any{"fullPath": name, "size": size, "sha256": sum}
	err := p.persist(ctx, func() (bool, error) {
		return false, p.Call(ctx, http.MethodPost, Path(poolsPath+"/", pool, "/uploads"), begin, &at)
	})
	if err != nil {
		return DataPoolFile{}, err
	}
	path := Path(poolsPath+"/", pool, "/uploads/", at.ID)
	known := true
	err = p.persist(ctx, func() (bool, error) {
		before := at.Offset
		if !known { // how much has come before the connection broke?
			if err := p.Call(ctx, http.MethodGet, path, nil, &at); err != nil {
				return false, err
			}
		}
		known = false
		progress(at.Offset)
		return at.Offset > before, p.sendRest(ctx, path, content, size, &at, progress)
	})
	if err != nil {
		return DataPoolFile{}, err
	}
	if at.File == nil {
		return DataPoolFile{}, &StrangeAnswerError{"200 OK", errors.New("the upload is complete, but there is no file")}
	}
	return *at.File, nil
}

// sendRest sends all that the server lacks of a file.
func (p *Platform) sendRest(ctx context.Context, path string, content io.ReaderAt, size int64, at *upload, progress func(int64)) error {
	header := p.header("application/json", "application/octet-stream")
	where := "*"
	if at.Offset < size {
		where = fmt.Sprintf("%d-%d", at.Offset, size-1)
	}
	header.Set("Content-Range", fmt.Sprintf("bytes %s/%d", where, size))
	body := &counting{from: io.NewSectionReader(content, at.Offset, size-at.Offset), at: at.Offset, progress: progress}
	return p.exchange(ctx, http.MethodPut, path, header, body, at)
}

// counting tells how far a transfer has come.
type counting struct {
	from     io.Reader
	at       int64
	progress func(int64)
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.at += int64(n)
	c.progress(c.at)
	return n, err
}

// Download writes a file of a data pool, and verifies its checksum. After a connection
// that breaks it goes on where that was.
func (p *Platform) Download(ctx context.Context, file DataPoolFile, to io.Writer, progress func(got int64)) error {
	hashed := sha256.New()
	out := &counted{to: io.MultiWriter(to, hashed), progress: progress}
	err := p.persist(ctx, func() (bool, error) {
		before := out.n
		err := p.downloadFrom(ctx, file, out)
		return out.n > before, err
	})
	if err != nil {
		return err
	}
	return verify(hashed, file.SHA256)
}

func verify(hashed hash.Hash, want string) error {
	if got := hex.EncodeToString(hashed.Sum(nil)); got != want {
		return &ChecksumError{want, got}
	}
	return nil
}

// counted counts the bytes that were written, and keeps apart the errors of writing.
type counted struct {
	to       io.Writer
	n        int64
	progress func(int64)
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	c.progress(c.n)
	if err != nil {
		err = &lineError{err} // it does not pass
	}
	return n, err
}

// downloadFrom reads the missing bytes of a file, if it is still the one that was listed.
func (p *Platform) downloadFrom(ctx context.Context, file DataPoolFile, out *counted) error {
	if out.n == file.ContentLength {
		return nil
	}
	header := p.header("", "")
	if out.n > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(out.n, 10)+"-")
	}
	response, err := p.client.do(ctx, http.MethodGet, Path(poolsPath+"/", file.DataPoolID, "/files/", file.ID), header, nil)
	if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
		return &PlatformError{unreachable}
	}
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // the rest may be long
	if tag := response.Header.Get("ETag"); tag != `"`+file.SHA256+`"` || out.n > 0 && response.StatusCode != http.StatusPartialContent {
		return &lineError{errors.New("the file has changed meanwhile")}
	}
	_, err = io.Copy(out, response.Body)
	return err
}

// A DataPoolShare gives another account a role in a data pool.
type DataPoolShare struct {
	ID         string `json:"id"`
	SharedWith struct {
		Type  string `json:"tenantType"`
		Value string `json:"value"`
	} `json:"sharedWith"`
	Role        string            `json:"role"`
	CreatedAt   string            `json:"createdAt"`
	Active      bool              `json:"active"`
	Constraints []json.RawMessage `json:"constraints"`
}
