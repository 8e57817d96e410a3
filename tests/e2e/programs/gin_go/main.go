// SPDX-License-Identifier: Apache-2.0
// Sends one trace with an error and one without from a gin server, with the Go SDK over OTLP/gRPC, and prints what it sent.
//
//	gin_go ENDPOINT
//
// The output is described in ../../spans.py.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type object = map[string]any

// Collect notes each span as it ends, by trace.
type Collect struct {
	mutex  sync.Mutex
	traces map[string][]object
}

func typed(value attribute.Value) []any {
	switch value.Type() {
	case attribute.BOOL:
		return []any{"bool", value.AsBool()}
	case attribute.INT64:
		return []any{"int", value.AsInt64()}
	case attribute.FLOAT64:
		return []any{"double", value.AsFloat64()}
	case attribute.STRING:
		return []any{"string", value.AsString()}
	case attribute.STRINGSLICE:
		items := []any{}
		for _, item := range value.AsStringSlice() {
			items = append(items, []any{"string", item})
		}
		return []any{"array", items}
	}
	log.Fatalf("no form for an attribute of type %v", value.Type())
	return nil
}

func typedMap(attributes []attribute.KeyValue) object {
	out := object{}
	for _, a := range attributes {
		out[string(a.Key)] = typed(a.Value)
	}
	return out
}

func (c *Collect) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (c *Collect) Shutdown(context.Context) error                  { return nil }
func (c *Collect) ForceFlush(context.Context) error                { return nil }

func (c *Collect) OnEnd(span sdktrace.ReadOnlySpan) {
	own, parent := span.SpanContext(), ""
	if span.Parent().HasSpanID() {
		parent = span.Parent().SpanID().String()
	}
	events, links := []object{}, []object{}
	for _, e := range span.Events() {
		events = append(events, object{"name": e.Name, "time": e.Time.UnixNano(), "attributes": typedMap(e.Attributes)})
	}
	for _, l := range span.Links() {
		links = append(links, object{"traceId": l.SpanContext.TraceID().String(), "spanId": l.SpanContext.SpanID().String(),
			"traceState": l.SpanContext.TraceState().String(), "attributes": typedMap(l.Attributes)})
	}
	service, _ := span.Resource().Set().Value("service.name")
	status := map[codes.Code]int{codes.Unset: 0, codes.Ok: 1, codes.Error: 2}[span.Status().Code]
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.traces[own.TraceID().String()] = append(c.traces[own.TraceID().String()], object{
		"spanId": own.SpanID().String(), "parentSpanId": parent, "traceState": own.TraceState().String(),
		"name": span.Name(), "kind": int(span.SpanKind()), "start": span.StartTime().UnixNano(), "end": span.EndTime().UnixNano(),
		"attributes": typedMap(span.Attributes()), "events": events, "links": links,
		"status": []any{status, span.Status().Description}, "service": service.AsString(), "scope": span.InstrumentationScope().Name,
	})
}

// Stock is the span inside of the server's one; `missing` makes it fail.
func stock(ctx context.Context, tracer trace.Tracer, missing bool) error {
	elsewhere := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5, 6}})
	_, span := tracer.Start(ctx, "reserve", trace.WithSpanKind(trace.SpanKindInternal),
		trace.WithLinks(trace.Link{SpanContext: elsewhere, Attributes: []attribute.KeyValue{attribute.Int("n", 3)}}))
	defer span.End()
	span.SetAttributes(attribute.Int("items", 3), attribute.Float64("weight", 2.5), attribute.Bool("missing", missing),
		attribute.StringSlice("shelves", []string{"a", "b"}))
	span.AddEvent("looked", trace.WithAttributes(attribute.String("where", "straße")))
	if !missing {
		return nil
	}
	err := errors.New("no stock")
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
	return err
}

func main() {
	ctx := context.Background()
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(os.Args[1]), otlptracegrpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	collect := &Collect{traces: map[string][]object{}}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "go-shop"))),
		sdktrace.WithSpanProcessor(collect), sdktrace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Fatal(err) }))

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(otelgin.Middleware("go-shop"))
	router.GET("/orders/:id", func(c *gin.Context) {
		if err := stock(c.Request.Context(), provider.Tracer("e2e.go"), c.Param("id") == "7"); err != nil {
			c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.String(http.StatusOK, "reserved")
	})
	server := httptest.NewServer(router)
	client := http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport), Timeout: 30 * time.Second}
	for path, want := range map[string]int{"/orders/7": 500, "/orders/8": 200} {
		answer, err := client.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != want {
			log.Fatalf("%s: %v, status %d", path, err, answer.StatusCode)
		}
		answer.Body.Close() // ends the client's span
	}
	server.Close()
	if err := provider.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}

	keep, drop := object{}, object{}
	for id, spans := range collect.traces {
		to := drop
		for _, span := range spans {
			if span["status"].([]any)[0] == 2 {
				to = keep
			}
		}
		to[id] = spans
	}
	text, err := json.Marshal(object{"keep": keep, "drop": drop})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}
