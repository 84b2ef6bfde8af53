package datapool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/blob"
)

// PieceSize is how much of an upload is durable at once. A connection that breaks loses
// less than this.
const PieceSize = 8 << 20

// Progress is how far an upload has come.
type Progress struct {
	Upload
	// Offset is how many bytes are durable.
	Offset int64
	// Done is the file that the upload became; nil while it is not complete.
	Done *File
}

// BeginUpload makes an upload of a file that comes in pieces. If one with the same name,
// size and checksum is not complete, it returns that one, so that a client goes on with
// it.
func (s *Service) BeginUpload(ctx context.Context, p access.Principal, u Upload) (Progress, error) {
	if _, err := s.reach(ctx, p, u.Pool, access.WritePools); err != nil {
		return Progress{}, err
	}
	if err := CheckFileName(u.Name); err != nil {
		return Progress{}, err
	}
	if u.Size > s.MaxFile {
		return Progress{}, fmt.Errorf("%w: it has more than %d bytes", blob.ErrTooLarge, s.MaxFile)
	}
	if u.Size < 1 {
		return Progress{}, invalid("size: it must be at least 1; send an empty file as a whole")
	}
	audit.Note(ctx, "file", u.Name)
	now := s.Now()
	u.ID, u.CreatedAt, u.ExpiresAt, u.ContentType = uuid.NewString(), now, now.Add(uploadLifetime), contentType(u.Name, u.ContentType)
	u.SHA256 = strings.ToLower(u.SHA256)
	begun, err := s.Store.CreateUpload(ctx, u, maxUploads)
	if err != nil || begun.ID == u.ID {
		return Progress{Upload: begun}, err
	}
	return s.progress(ctx, u.Pool, begun.ID)
}

// Progress tells how far an upload has come.
func (s *Service) Progress(ctx context.Context, p access.Principal, pool, id string) (Progress, error) {
	if _, err := s.reach(ctx, p, pool, access.WritePools); err != nil {
		return Progress{}, err
	}
	return s.progress(ctx, pool, id)
}

func (s *Service) progress(ctx context.Context, pool, id string) (Progress, error) {
	u, err := s.Store.Upload(ctx, pool, id)
	if err != nil {
		return Progress{}, err
	}
	if u.File != "" {
		file, err := s.Store.File(ctx, pool, u.File)
		return Progress{Upload: u, Offset: u.Size, Done: &file}, err
	}
	pieces, err := s.pieces(ctx, id)
	progress := Progress{Upload: u}
	for _, piece := range pieces {
		progress.Offset += piece.Size
	}
	return progress, err
}

// pieces are those that are durable, up to the first gap.
func (s *Service) pieces(ctx context.Context, upload string) ([]blob.Info, error) {
	var pieces []blob.Info
	offset, prefix := int64(0), piecesPrefix+upload+"/"
	err := s.Blobs.List(ctx, prefix, func(i blob.Info) error {
		at, err := strconv.ParseInt(strings.TrimPrefix(i.Key, prefix), 10, 64)
		if err == nil && at == offset {
			pieces, offset = append(pieces, i), offset+i.Size
		}
		return nil
	})
	return pieces, err
}

// ErrUploading says that another request brings a piece of the same upload.
var ErrUploading = fmt.Errorf("%w: another request sends a piece of this upload", access.ErrConflict)

// Continue takes bytes of an upload from an offset, which must be the one of
// [Service.Progress]: else it returns that and [ErrStale]. With the last byte the upload
// becomes a file. If the connection breaks, all whole pieces before stay.
func (s *Service) Continue(ctx context.Context, p access.Principal, pool, id string, offset, length int64, content io.Reader) (Progress, error) {
	if _, err := s.reach(ctx, p, pool, access.WritePools); err != nil {
		return Progress{}, err
	}
	if !s.beginPiece(id) {
		return Progress{}, ErrUploading
	}
	defer s.endPiece(id)
	at, err := s.progress(ctx, pool, id)
	if err != nil || at.Done != nil {
		return at, err
	}
	if length > 0 && offset != at.Offset {
		return at, ErrStale
	}
	if length > at.Size-at.Offset {
		return at, invalid("upload: there are more bytes than its size says")
	}
	for left := length; left > 0; {
		n := min(left, PieceSize)
		key := fmt.Sprintf("%s%s/%015d", piecesPrefix, id, at.Offset)
		info, err := s.Blobs.Put(ctx, key, io.LimitReader(content, n), blob.PutOptions{Limit: n})
		if err == nil && info.Size == 0 {
			err = errors.Join(io.ErrUnexpectedEOF, s.Blobs.Delete(ctx, key))
		}
		if err != nil {
			return at, err
		}
		at.Offset += info.Size
		left -= info.Size
	}
	if at.Offset == at.Size {
		return s.finish(ctx, at)
	}
	return at, nil
}

func (s *Service) beginPiece(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploading[id] {
		return false
	}
	s.uploading[id] = true
	return true
}

func (s *Service) endPiece(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploading, id)
}

// finish makes a file of all pieces. An upload with another checksum than it must have is
// deleted.
func (s *Service) finish(ctx context.Context, at Progress) (Progress, error) {
	pieces, err := s.pieces(ctx, at.ID)
	if err != nil {
		return at, err
	}
	key := s.newBlob(at.Pool)
	defer s.unpin(key)
	whole := &piecesReader{ctx: ctx, blobs: s.Blobs, left: pieces}
	defer whole.close()
	info, err := s.Blobs.Put(ctx, key, whole, blob.PutOptions{Limit: s.MaxFile, SHA256: at.SHA256})
	if errors.Is(err, blob.ErrChecksum) {
		return at, errors.Join(err, s.abandon(ctx, at.Pool, at.ID))
	}
	if err != nil {
		return at, err
	}
	audit.Note(ctx, "file", at.Name)
	done, err := s.Store.FinishUpload(ctx, at.ID, s.change(at.Pool, at.Name, at.ContentType, info), s.MaxFiles)
	file, err := s.applied(ctx, key, []Applied{done}, err)
	if err != nil {
		return at, err
	}
	at.File, at.Done = file.ID, &file
	s.deletePieces(ctx, pieces)
	return at, nil
}

func (s *Service) deletePieces(ctx context.Context, pieces []blob.Info) {
	for _, piece := range pieces {
		if err := s.Blobs.Delete(context.WithoutCancel(ctx), piece.Key); err != nil {
			s.Log.Warn("cannot remove a piece of an upload; trying again later", "blob", piece.Key, "error", err)
		}
	}
}

// Abandon ends an upload.
func (s *Service) Abandon(ctx context.Context, p access.Principal, pool, id string) error {
	if _, err := s.reach(ctx, p, pool, access.WritePools); err != nil {
		return err
	}
	if !s.beginPiece(id) {
		return ErrUploading
	}
	defer s.endPiece(id)
	return s.abandon(ctx, pool, id)
}

func (s *Service) abandon(ctx context.Context, pool, id string) error {
	if err := s.Store.DeleteUpload(ctx, pool, id); err != nil {
		return err
	}
	pieces, err := s.pieces(ctx, id)
	s.deletePieces(ctx, pieces)
	return err
}

// piecesReader reads pieces one after the other.
type piecesReader struct {
	ctx   context.Context //nolint:containedctx // of one copy
	blobs blob.Store
	left  []blob.Info
	open  blob.Object
}

// Read implements [io.Reader].
func (r *piecesReader) Read(p []byte) (int, error) {
	for {
		if r.open == nil {
			if len(r.left) == 0 {
				return 0, io.EOF
			}
			object, err := r.blobs.Open(r.ctx, r.left[0].Key)
			if err != nil {
				return 0, err
			}
			r.open, r.left = object, r.left[1:]
		}
		n, err := r.open.Read(p)
		if errors.Is(err, io.EOF) {
			r.close()
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

func (r *piecesReader) close() {
	if r.open != nil {
		_ = r.open.Close() // it was read only
		r.open = nil
	}
}
