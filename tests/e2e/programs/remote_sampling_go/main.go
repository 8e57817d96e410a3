// SPDX-License-Identifier: Apache-2.0
// Asks for strategies with OpenTelemetry's sampler for Jaeger's protocol, and prints once a second which share of the roots
// of each operation it samples, until standard input ends: remote_sampling_go URL SERVICE OPERATION...
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"go.opentelemetry.io/contrib/samplers/jaegerremote"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const rounds = 10000

func main() {
	url, service, operations := os.Args[1], os.Args[2], os.Args[3:]
	sampler := jaegerremote.New(service, jaegerremote.WithSamplingServerURL(url),
		jaegerremote.WithSamplingRefreshInterval(time.Second))
	defer sampler.Close()
	go func() {
		for {
			shares := map[string]float64{}
			for _, operation := range operations {
				sampled := 0
				for range rounds {
					var id trace.TraceID
					_, _ = rand.Read(id[:])
					decided := sampler.ShouldSample(sdktrace.SamplingParameters{
						ParentContext: context.Background(), TraceID: id, Name: operation, Kind: trace.SpanKindServer})
					if decided.Decision == sdktrace.RecordAndSample {
						sampled++
					}
				}
				shares[operation] = float64(sampled) / rounds
			}
			line, _ := json.Marshal(shares)
			fmt.Println(string(line))
			time.Sleep(time.Second)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
