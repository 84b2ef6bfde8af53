package secretstore_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// BenchmarkSecrets has 10,000 secrets in the account.
func BenchmarkSecrets(b *testing.B) {
	f := newFixture(b)
	const n = 10_000
	for i := 0; i < n; i += secretstore.MaxImport {
		values := map[string]secretstore.Value{}
		for j := range secretstore.MaxImport {
			values[fmt.Sprintf("secret_%d", i+j)] = secretstore.Value{Secret: plaintext.FromString("a-value-of-some-length-" + strconv.Itoa(i+j)), ExpiresAt: time.Now().Add(time.Hour + time.Duration(i)*time.Hour)}
		}
		of := secretstore.Address{}
		switch { // 200 of the service, the others of many
		case i == n/2:
			of.Service = f.service
		case i > n/2:
			of.Service = f.made(fmt.Sprint("service-", i))
		}
		f.must(f.Import(b.Context(), f.owner, of, values))
	}
	for i := range 10 {
		f.declared = append(f.declared, signature.Parameter{Name: fmt.Sprintf("secret_%d", n/2+i), Kind: signature.Secret, Required: true})
	}
	for name, run := range map[string]func(i int) error{
		"set": func(i int) error {
			_, err := f.Set(b.Context(), f.owner, secretstore.Address{}, fmt.Sprintf("secret_%d", i%(n/2)), secretstore.Value{Secret: plaintext.FromString("another-value")})
			return err
		},
		"rotate": func(i int) error {
			_, err := f.Rotate(b.Context(), f.owner, secretstore.Address{}, fmt.Sprintf("secret_%d", i%(n/2)), secretstore.Value{Secret: plaintext.FromString("another-value"), Keep: time.Hour})
			return err
		},
		"list-1000": func(int) error {
			all, total, err := f.List(b.Context(), f.owner, secretstore.Query{Limit: 1000})
			if len(all) != 1000 || total != n {
				b.Fatalf("List = %d of %d", len(all), total)
			}
			return err
		},
		"check-account": func(int) error {
			_, err := f.Check(b.Context(), f.owner, secretstore.Address{}, 14*24*time.Hour)
			return err
		},
		"check-service": func(int) error {
			_, err := f.Check(b.Context(), f.owner, secretstore.Address{Service: f.service}, 14*24*time.Hour)
			return err
		},
		"sweep": func(int) error {
			_, err := f.Sweep(b.Context())
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				f.must(run(i))
				i++
			}
		})
	}
}

// BenchmarkExecution is what an execution with stored secrets costs more than one without:
// to find them, to pin them, and to open them.
func BenchmarkExecution(b *testing.B) {
	for _, n := range []int{0, 10} {
		b.Run(fmt.Sprint(n, "-secrets"), func(b *testing.B) {
			f := newFixture(b)
			for i := range n {
				f.set(f.owner, secretstore.Address{Service: f.service}, fmt.Sprint("secret_", i), "a-value-of-some-length")
			}
			for b.Loop() {
				offered, err := f.Offer(b.Context(), f.app, f.service)
				f.must(err)
				pins, numbers := map[string]int64{}, []int64{}
				for name, c := range offered {
					pins[name] = c.Pin
					numbers = append(numbers, c.Pin)
				}
				id := execution.NewID()
				_, err = f.db.Accept(b.Context(), store.NewExecution{
					Execution: execution.Execution{ID: id, ServiceID: f.service, Type: execution.Managed}, Pins: numbers,
					Claim: &store.Lease{Owner: "w", Lease: time.Hour},
				})
				f.must(err)
				if n > 0 {
					opened, err := f.OpenPinned(b.Context(), pins)
					f.must(err)
					if len(opened) != n {
						b.Fatalf("OpenPinned opens %d, want %d", len(opened), n)
					}
				}
				_, err = f.db.Start(b.Context(), id, "w")
				f.must(err)
				_, err = f.db.Finish(b.Context(), store.FinishParams{ID: id, Owner: "w", Status: execution.Succeeded})
				f.must(err)
			}
		})
	}
}
